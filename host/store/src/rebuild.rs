//! The conversation that a file's lines add up to, after compactions and rollbacks.

use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_core::usage::TokenUsage;
use serde_json::Value;

use crate::parse::{Compacted, Context, Record};

/// Takes a file's records in order and keeps what survives.
pub(crate) struct Rebuild {
    /// The turns, oldest first; before the first one, a segment for what precedes it.
    segments: Vec<Segment>,
    keep: Keep,
    totals: TokenUsage,
}

/// What happens to items that a compaction replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// They are let go at once, which bounds memory by what the conversation has now.
    Surviving,
    /// They are kept to the end, because a rollback may bring them back.
    Everything,
}

/// A rollback goes behind a compaction: the file must be read again with [`Keep::Everything`].
#[derive(Debug)]
pub(crate) struct NeedsEverything;

#[derive(Default)]
struct Segment {
    /// Whether a line says that the turn begins here, rather than a message.
    announced: bool,
    /// Whether the user said something in it.
    user_turn: bool,
    /// A new beginning of the conversation, if there was a compaction.
    base: Option<Vec<ResponseItem>>,
    items: Vec<ResponseItem>,
    windows: Vec<WindowMark>,
    context: Option<Context>,
}

/// What a compaction says of its window.
struct WindowMark {
    number: Option<u64>,
    id: Option<String>,
}

/// What is left in the end.
pub(crate) struct Rebuilt {
    pub(crate) items: Vec<ResponseItem>,
    pub(crate) window_number: u64,
    pub(crate) window_id: Option<String>,
    pub(crate) context: Option<Context>,
    pub(crate) totals: TokenUsage,
}

impl Rebuild {
    pub(crate) fn new(keep: Keep) -> Self {
        Self {
            segments: vec![Segment::default()],
            keep,
            totals: TokenUsage::default(),
        }
    }

    pub(crate) fn take(&mut self, record: Record) -> Result<(), NeedsEverything> {
        match record {
            Record::TurnStarted => self.segments.push(Segment {
                announced: true,
                ..Segment::default()
            }),
            Record::Item(item) => self.item(*item),
            Record::Context(context) => self.current().context = Some(*context),
            Record::Compacted(compacted) => self.compacted(*compacted),
            Record::RolledBack(turns) => return self.roll_back(turns),
            Record::Totals(totals) => self.totals = totals,
            Record::Meta(_) | Record::Ignored => {}
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Rebuilt {
        let mut rebuilt = Rebuilt {
            items: Vec::new(),
            window_number: 0,
            window_id: None,
            context: None,
            totals: self.totals,
        };
        let mut compactions = 0;
        for segment in self.segments {
            if let Some(base) = segment.base {
                rebuilt.items = base;
            }
            rebuilt.items.extend(segment.items);
            rebuilt.context = segment.context.or(rebuilt.context);
            for mark in segment.windows {
                compactions += 1;
                rebuilt.window_number = mark.number.unwrap_or(compactions);
                rebuilt.window_id = mark.id;
            }
        }
        rebuilt
    }

    fn current(&mut self) -> &mut Segment {
        if self.segments.is_empty() {
            self.segments.push(Segment::default());
        }
        self.segments
            .last_mut()
            .expect("a segment was pushed if there was none")
    }

    fn item(&mut self, item: ResponseItem) {
        if is_control(&item) {
            return;
        }
        if is_user_input(&item) {
            let current = self.current();
            if current.user_turn && !current.announced {
                self.segments.push(Segment::default());
            }
            self.current().user_turn = true;
        }
        self.current().items.push(item);
    }

    fn compacted(&mut self, compacted: Compacted) {
        let base = match compacted.replacement_history {
            Some(items) => items,
            None => self.legacy_base(&compacted.message),
        };
        let last = self.segments.len().saturating_sub(1);
        if self.keep == Keep::Surviving {
            for segment in &mut self.segments[..last] {
                segment.items = Vec::new();
                segment.base = segment.base.is_some().then(Vec::new);
            }
        }
        let current = self.current();
        current.items = Vec::new();
        current.base = Some(base);
        current.windows.push(WindowMark {
            number: compacted
                .window_number
                .or_else(|| number(&compacted.window_id)),
            id: compacted.window_id.as_str().map(str::to_owned),
        });
    }

    /// Old compactions wrote down only their summary: the user's messages and it are the new beginning.
    fn legacy_base(&self, summary: &str) -> Vec<ResponseItem> {
        let latest_base = self
            .segments
            .iter()
            .rposition(|segment| segment.base.is_some())
            .unwrap_or(0);
        let surviving = self.segments[latest_base..].iter();
        let items =
            surviving.flat_map(|segment| segment.base.iter().flatten().chain(&segment.items));
        let mut base: Vec<ResponseItem> =
            items.filter(|item| is_user_input(item)).cloned().collect();
        let text = summary.to_owned();
        base.push(ResponseItem::message(
            "user",
            vec![ContentItem::InputText { text }],
            &["compaction.summary"],
        ));
        base
    }

    /// Drops the newest turns of the user, and whatever came between and after them.
    fn roll_back(&mut self, turns: u64) -> Result<(), NeedsEverything> {
        let mut left = turns;
        while left > 0 {
            let Some(segment) = self.segments.pop() else {
                break;
            };
            if segment.base.is_some() && self.keep == Keep::Surviving {
                return Err(NeedsEverything);
            }
            left -= u64::from(segment.user_turn);
        }
        Ok(())
    }
}

/// A window's number in older files: a number, or the text of one.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Items that only ever controlled a request or an old feature, and are never sent again.
fn is_control(item: &ResponseItem) -> bool {
    match item {
        ResponseItem::Other(fields) => {
            matches!(
                fields.get("type").and_then(Value::as_str),
                Some("compaction_trigger" | "ghost_snapshot")
            )
        }
        _ => false,
    }
}

/// Whether the user said it, as opposed to context that is sent in the user's name.
fn is_user_input(item: &ResponseItem) -> bool {
    let ResponseItem::Message {
        role,
        content,
        metadata,
        ..
    } = item
    else {
        return false;
    };
    if role != "user" {
        return false;
    }
    match metadata
        .as_ref()
        .and_then(|metadata| metadata.content_item_kinds.as_ref())
    {
        Some(kinds) => kinds
            .iter()
            .any(|kind| kind == "user.text" || kind == "user.image"),
        // Older files do not say what a message is; context always comes in tags.
        None => !content
            .iter()
            .any(|part| matches!(part, ContentItem::InputText { text } if is_context(text))),
    }
}

fn is_context(text: &str) -> bool {
    let tags = [
        "<environment_context>",
        "<user_instructions>",
        "<turn_aborted>",
        "# AGENTS.md instructions for ",
    ];
    tags.iter().any(|tag| text.trim_start().starts_with(tag))
}
