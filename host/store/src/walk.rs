//! Going over the lines of a history: what can be read is shown, what cannot is written down.

use dovetail_core::ids::ThreadId;
use jiff::Timestamp;

use crate::batch::{self, End, Outcome, Understood};
use crate::damage::{Damage, Problem};
use crate::error::StoreError;
use crate::lineage::Part;
use crate::lines::{Line, Shape};
use crate::load::Tail;
use crate::parse::{self, Record};
use crate::place::Compression;

/// No thread has that many lines.
const MAX_ORDINAL: u64 = 1 << 48;

/// A line that could be read.
pub(crate) struct Entry<'a> {
    pub(crate) line: Line,
    /// Its number in the history: as it says, or as it is counted.
    pub(crate) ordinal: u64,
    pub(crate) time: Option<Timestamp>,
    pub(crate) text: &'a [u8],
    pub(crate) record: Record,
}

/// What a line is to a history.
enum Step<'a> {
    /// One of its records.
    Entry(Entry<'a>),
    /// Not readable; this was written down.
    Damaged,
    /// Behind the end of the part.
    Limit,
}

/// What is known after some files of a history were gone over.
#[derive(Default)]
pub(crate) struct Walk {
    pub(crate) damage: Vec<Damage>,
    pub(crate) next_ordinal: u64,
    /// Of the newest file.
    pub(crate) tail: Tail,
}

impl Walk {
    /// Shows the lines of a file up to its limit; the visitor may stop it.
    pub(crate) fn part<E>(
        &mut self,
        part: &Part,
        mut visit: impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<Result<(), E>, StoreError> {
        let form = part.meta.form;
        let lines = part.lines()?;
        let (mut begun, mut at_limit, mut last) = (false, false, 0);
        if let Some((line, problem)) = &part.doubt {
            self.damage.push(Damage {
                path: part.path.clone(),
                line: *line,
                bytes: 0,
                problem: problem.clone(),
            });
        }
        self.tail = Tail::default();
        let mut stopped = Ok(());
        let walked = batch::each(lines, form, |mut batch| {
            for (line, text, outcome) in batch.drain() {
                last = line.number;
                let parsed = match outcome {
                    Outcome::Blank => {
                        self.tail.whole_bytes += line.bytes;
                        continue;
                    }
                    Outcome::Read(_) if !begun && line.shape == Shape::Whole => {
                        parse::parse_first(text).map(Understood::from)
                    }
                    Outcome::Read(parsed) => parsed,
                };
                match self.line(part, line, text, parsed) {
                    Step::Entry(entry) => {
                        begun = true;
                        stopped = visit(entry);
                        if stopped.is_err() {
                            return Ok(false);
                        }
                    }
                    Step::Damaged => {}
                    Step::Limit => {
                        begun = true;
                        at_limit = true;
                        return Ok(false);
                    }
                }
            }
            match batch.end {
                End::More | End::Complete => Ok(true),
                End::Failed(error) => Err(error),
            }
        });
        match walked {
            Ok(()) => {}
            // What was unpacked so far is good.
            Err(error) if part.compression == Compression::Zstd => {
                tracing::debug!(%error, "a compressed thread ends early");
                self.damage.push(Damage::unpackable(&part.path, last + 1));
                return Ok(Ok(()));
            }
            Err(source) => return Err(StoreError::io("read", &part.path, source)),
        }
        if stopped.is_ok() && !at_limit {
            self.note_missing_end(part, last);
        }
        Ok(stopped)
    }

    /// Puts a line in its place in the history.
    fn line<'a>(
        &mut self,
        part: &Part,
        line: Line,
        text: &'a [u8],
        parsed: Result<Understood, Problem>,
    ) -> Step<'a> {
        // What is too long stays where it is, and the next line must not become a part of it.
        self.tail.lacks_line_end = match line.shape {
            Shape::Whole => false,
            Shape::Unended => parsed.is_ok(),
            Shape::TooLong { ended } => !ended,
        };
        if !matches!(parsed, Err(Problem::Torn)) {
            self.tail.whole_bytes += line.bytes;
        }
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(problem) => {
                // A torn line goes away when the thread is taken up, and its ordinal with it.
                self.next_ordinal += u64::from(problem != Problem::Torn);
                self.damage.push(Damage::of(&part.path, line, problem));
                return Step::Damaged;
            }
        };
        // A number that no file gets to is damage, and would end the history here.
        let said = parsed.ordinal.filter(|ordinal| *ordinal < MAX_ORDINAL);
        let ordinal = said.unwrap_or(self.next_ordinal);
        if ordinal >= part.limit {
            self.next_ordinal = self.next_ordinal.min(part.limit);
            return Step::Limit;
        }
        self.tail.last_time = parsed.time.or(self.tail.last_time);
        self.next_ordinal = self.next_ordinal.max(ordinal.saturating_add(1));
        Step::Entry(Entry {
            line,
            ordinal,
            time: parsed.time,
            text,
            record: parsed.record,
        })
    }

    /// A file that others begin in must reach to where they begin.
    fn note_missing_end(&mut self, part: &Part, last: u64) {
        if part.limit != u64::MAX && self.next_ordinal < part.limit {
            self.damage.push(Damage {
                path: part.path.clone(),
                line: last + 1,
                bytes: 0,
                problem: Problem::EndsEarly {
                    missing: part.limit - self.next_ordinal,
                },
            });
            self.next_ordinal = part.limit;
        }
    }
}

/// A place between two lines of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Which file, counted from the oldest.
    pub(crate) part: usize,
    /// The id of that file.
    pub(crate) rollout: ThreadId,
    /// The line after it.
    pub(crate) ordinal: u64,
    /// Where that line is, in bytes of the unpacked file.
    pub(crate) offset: u64,
}
