//! Reading lines ahead, and understanding many of them at once.
//!
//! Almost all the time that a long thread takes to be read goes into its JSON, line by line and each for itself. So
//! lines are read in batches; the next one is read and understood on other threads while what is in this one is used.

use std::ops::Range;

use jiff::Timestamp;
use rayon::prelude::*;

use crate::damage::Problem;
use crate::lines::{Line, Lines, Shape};
use crate::parse::{self, Form, Parsed, Record};

/// How much text is one batch, in bytes: enough that handing it over costs nothing, and little beside a conversation.
const BATCH: usize = 1 << 20;

/// From how many bytes on a batch is worth the other threads.
const WORTH_SHARING: usize = 128 << 10;

/// A line that was understood by itself.
pub(crate) struct Understood {
    pub(crate) ordinal: Option<u64>,
    pub(crate) time: Option<Timestamp>,
    pub(crate) record: Record,
}

impl From<Parsed<'_>> for Understood {
    fn from(parsed: Parsed<'_>) -> Self {
        Self {
            ordinal: parsed.ordinal,
            time: parsed.timestamp.and_then(|time| time.parse().ok()),
            record: parsed.record,
        }
    }
}

/// What came of a line.
pub(crate) enum Outcome {
    /// There is nothing on it.
    Blank,
    /// It was understood, or not.
    Read(Result<Understood, Problem>),
}

/// How a batch ended.
pub(crate) enum End {
    /// There may be more.
    More,
    /// That was all.
    Complete,
    /// The file could not be read on.
    Failed(std::io::Error),
}

/// Lines that were read together.
pub(crate) struct Batch {
    text: Vec<u8>,
    lines: Vec<(Line, Range<usize>)>,
    outcomes: Vec<Outcome>,
    pub(crate) end: End,
}

impl Batch {
    /// Reads the next lines and understands them as ones after the first.
    pub(crate) fn next(lines: &mut Lines, form: Form) -> Self {
        let mut batch = Self {
            text: Vec::with_capacity(BATCH / 4),
            lines: Vec::new(),
            outcomes: Vec::new(),
            end: End::More,
        };
        while batch.text.len() < BATCH {
            match lines.next() {
                Ok(Some((line, text))) => {
                    let start = batch.text.len();
                    batch.text.extend_from_slice(text);
                    batch.lines.push((line, start..batch.text.len()));
                }
                Ok(None) => {
                    batch.end = End::Complete;
                    break;
                }
                Err(error) => {
                    batch.end = End::Failed(error);
                    break;
                }
            }
        }
        let text = &batch.text;
        let outcome =
            |(line, at): &(Line, Range<usize>)| understand(line.shape, &text[at.clone()], form);
        batch.outcomes = if text.len() < WORTH_SHARING {
            batch.lines.iter().map(outcome).collect()
        } else {
            batch.lines.par_iter().map(outcome).collect()
        };
        batch
    }

    /// The lines with what came of them.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Line, &[u8], Outcome)> {
        let text = &self.text;
        let outcomes = self.outcomes.drain(..);
        self.lines
            .drain(..)
            .zip(outcomes)
            .map(|((line, at), outcome)| (line, &text[at], outcome))
    }
}

fn understand(shape: Shape, text: &[u8], form: Form) -> Outcome {
    let parsed = match shape {
        Shape::TooLong { .. } => Err(Problem::TooLong),
        Shape::Whole | Shape::Unended if parse::is_blank(text) => return Outcome::Blank,
        Shape::Whole => parse::parse(text, form),
        Shape::Unended => parse::parse(text, form).map_err(|_| Problem::Torn),
    };
    Outcome::Read(parsed.map(Understood::from))
}

/// Goes over the lines of a file, batch by batch. The visitor says whether to go on.
pub(crate) fn each<E>(
    mut lines: Lines,
    form: Form,
    mut visit: impl FnMut(Batch) -> Result<bool, E>,
) -> Result<(), E> {
    let mut batch = Batch::next(&mut lines, form);
    loop {
        if !matches!(batch.end, End::More) {
            return visit(batch).map(drop);
        }
        let mut following = None;
        let go_on = rayon::in_place_scope(|scope| {
            scope.spawn(|_| following = Some(Batch::next(&mut lines, form)));
            visit(batch)
        })?;
        match following {
            Some(next) if go_on => batch = next,
            _ => return Ok(()),
        }
    }
}
