//! The turns of a thread, so that people can point at one.

use std::convert::Infallible;
use std::path::Path;

use dovetail_core::history::is_user_input;
use dovetail_core::item::{ContentItem, ResponseItem};
use jiff::Timestamp;

use crate::error::StoreError;
use crate::lineage::{self, Part};
use crate::parse::Record;
use crate::walk::{Cut, Entry, Walk};

/// A turn in which the user said something, and which was not rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnSummary {
    /// From 1, through the threads that this one is a fork of.
    pub number: usize,
    /// Its id; older files do not have one.
    pub id: Option<String>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// What the user said first; its beginning, where it is very long.
    pub prompt: String,
    /// The last that the model said; its beginning, where it is very long.
    pub answer: Option<String>,
    /// Whether its end was written.
    pub ended: bool,
    pub(crate) end: Option<Cut>,
}

/// Lists the turns of a thread, oldest first.
///
/// # Errors
/// As for [`crate::load_thread`].
pub fn list_turns(path: &Path) -> Result<Vec<TurnSummary>, StoreError> {
    let parts = lineage::parts(Part::open(path)?)?;
    outline(&parts)
}

pub(crate) fn outline(parts: &[Part]) -> Result<Vec<TurnSummary>, StoreError> {
    let mut builder = Builder::default();
    let mut walk = Walk::default();
    for (index, part) in parts.iter().enumerate() {
        let place = |ordinal, offset| Cut {
            part: index,
            rollout: part.rollout,
            ordinal,
            offset,
        };
        walk.part(part, |entry| {
            let before = place(entry.ordinal, entry.line.start);
            let after = place(entry.ordinal + 1, entry.line.start + entry.line.bytes);
            builder.take(entry, before, after);
            Ok::<(), Infallible>(())
        })?
        .unwrap_or_else(|never| match never {});
    }
    let last = parts.len() - 1;
    let end = Cut {
        part: last,
        rollout: parts[last].rollout,
        ordinal: walk.next_ordinal,
        offset: walk.tail.end(),
    };
    Ok(builder.finish(end))
}

/// A stretch of a history between two beginnings of turns.
#[derive(Default)]
struct Segment {
    announced: bool,
    prompt: Option<String>,
    turn: Option<TurnSummary>,
}

#[derive(Default)]
struct Builder {
    segments: Vec<Segment>,
}

impl Builder {
    fn take(&mut self, entry: Entry<'_>, before: Cut, after: Cut) {
        match entry.record {
            Record::TurnStarted(id) => self.begin(true, id, entry.time, before),
            Record::TurnEnded => {
                if let Some(turn) = self.current() {
                    turn.end = Some(after);
                    turn.ended = true;
                }
            }
            Record::RolledBack(turns) => self.roll_back(turns),
            Record::Item(item) if is_user_input(&item) => {
                let taken = self.segments.last();
                if taken.is_none_or(|segment| segment.prompt.is_some() && !segment.announced) {
                    self.begin(false, None, entry.time, before);
                }
                if let Some(segment) = self.segments.last_mut() {
                    segment
                        .prompt
                        .get_or_insert_with(|| bounded(text_of(&item)));
                }
            }
            Record::Item(item) => {
                if let (Some(answer), Some(turn)) = (item.assistant_text(), self.current()) {
                    turn.answer = Some(bounded(answer));
                }
            }
            Record::Meta(_)
            | Record::Context(_)
            | Record::Compacted(_)
            | Record::Totals(_)
            | Record::Count { .. }
            | Record::Named(_)
            | Record::Settings { .. }
            | Record::Ignored => {}
        }
    }

    fn begin(&mut self, announced: bool, id: Option<String>, started: Option<Timestamp>, at: Cut) {
        self.close(at);
        let turn = TurnSummary {
            number: 0,
            id,
            started,
            prompt: String::new(),
            answer: None,
            ended: false,
            end: None,
        };
        self.segments.push(Segment {
            announced,
            prompt: None,
            turn: Some(turn),
        });
    }

    fn current(&mut self) -> Option<&mut TurnSummary> {
        self.segments.last_mut()?.turn.as_mut()
    }

    /// A turn whose end was not written ends where the next one begins.
    fn close(&mut self, at: Cut) {
        if let Some(turn) = self.current() {
            turn.end.get_or_insert(at);
        }
    }

    fn roll_back(&mut self, turns: u64) {
        let mut left = turns;
        while left > 0 {
            let Some(segment) = self.segments.pop() else {
                break;
            };
            left -= u64::from(segment.prompt.is_some());
        }
    }

    fn finish(mut self, end: Cut) -> Vec<TurnSummary> {
        self.close(end);
        let said = self.segments.into_iter().filter_map(|segment| {
            let prompt = segment.prompt?;
            Some(TurnSummary {
                prompt,
                ..segment.turn?
            })
        });
        said.enumerate()
            .map(|(index, turn)| TurnSummary {
                number: index + 1,
                ..turn
            })
            .collect()
    }
}

/// How many bytes of a text are kept: enough to know it by, in threads of any length.
const MAX_TEXT: usize = 16 << 10;

fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// The words of a message.
pub(crate) fn text_of(item: &ResponseItem) -> String {
    let ResponseItem::Message { content, .. } = item else {
        return String::new();
    };
    let texts: Vec<&str> = content
        .iter()
        .filter_map(|part| match part {
            ContentItem::InputText { text } | ContentItem::OutputText { text } => {
                Some(text.as_str())
            }
            ContentItem::InputImage { .. }
            | ContentItem::InputAudio { .. }
            | ContentItem::Refusal { .. }
            | ContentItem::Other(_) => None,
        })
        .collect();
    texts.join("\n")
}
