//! The conversation that a file's lines add up to, after compactions and rollbacks.

use std::collections::HashSet;

use dovetail_core::history::is_user_input;
use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_core::usage::TokenUsage;
use serde_json::Value;

use crate::parse::{Compacted, Context, Record};

/// Takes a thread's records in order and keeps what survives.
pub(crate) struct Rebuild {
    /// The turns, oldest first; before the first one, a segment for what precedes it.
    segments: Vec<Segment>,
    keep: Keep,
    /// How many segments were ever begun.
    begun: usize,
    /// How many compactions there were, rolled back ones included: no window gets the number of another.
    compactions: u64,
    totals: TokenUsage,
    context_tokens: Option<u64>,
    service_tier: Option<String>,
}

/// What happens to items as they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those that a compaction replaced are let go at once, which bounds memory by what the conversation has now.
    Surviving,
    /// None is kept: only the [`Plan`] is wanted.
    Outline,
    /// Those of turns that will not be rolled back; compactions let go as they do otherwise.
    Planned(Plan),
}

/// Which segments, counted as they begin, are left in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan(HashSet<usize>);

/// A rollback goes behind a compaction: what it brings back was let go. Make a [`Plan`] and read again.
#[derive(Debug)]
pub(crate) struct NeedsPlan;

#[derive(Default)]
struct Segment {
    /// Its place in the order in which segments begin.
    index: usize,
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
    first: Option<String>,
}

/// What is left in the end.
pub(crate) struct Rebuilt {
    pub(crate) items: Vec<ResponseItem>,
    pub(crate) window_number: u64,
    pub(crate) window_id: Option<String>,
    pub(crate) first_window_id: Option<String>,
    pub(crate) context: Option<Context>,
    pub(crate) totals: TokenUsage,
    pub(crate) context_tokens: Option<u64>,
    pub(crate) service_tier: Option<String>,
}

impl Rebuild {
    pub(crate) fn new(keep: Keep) -> Self {
        Self {
            segments: vec![Segment::default()],
            keep,
            begun: 1,
            compactions: 0,
            totals: TokenUsage::default(),
            context_tokens: None,
            service_tier: None,
        }
    }

    pub(crate) fn take(&mut self, record: Record) -> Result<(), NeedsPlan> {
        match record {
            Record::TurnStarted(_) => self.begin(true),
            Record::Item(item) => self.item(*item),
            Record::Context(context) => self.current().context = Some(*context),
            Record::Compacted(compacted) => self.compacted(*compacted),
            Record::RolledBack(turns) => return self.roll_back(turns),
            Record::Totals(totals) => self.totals = totals,
            Record::Count { totals, context } => {
                self.totals = totals;
                self.context_tokens = context;
            }
            Record::Settings { service_tier, .. } => self.service_tier = service_tier,
            Record::Meta(_) | Record::TurnEnded | Record::Named(_) | Record::Ignored => {}
        }
        Ok(())
    }

    /// What is left, for another reading.
    pub(crate) fn plan(self) -> Plan {
        Plan(self.segments.iter().map(|segment| segment.index).collect())
    }

    /// The conversation.
    pub(crate) fn finish(self) -> Rebuilt {
        let mut rebuilt = Rebuilt {
            items: Vec::new(),
            window_number: self.compactions,
            window_id: None,
            first_window_id: None,
            context: None,
            totals: self.totals,
            context_tokens: self.context_tokens,
            service_tier: self.service_tier,
        };
        for segment in self.segments {
            if let Some(base) = segment.base {
                rebuilt.items = base;
            }
            rebuilt.items.extend(segment.items);
            rebuilt.context = segment.context.or(rebuilt.context);
            for mark in segment.windows {
                rebuilt.window_number = mark.number.unwrap_or(rebuilt.window_number);
                rebuilt.window_id = mark.id;
                rebuilt.first_window_id = mark.first.or(rebuilt.first_window_id);
            }
        }
        rebuilt
    }

    fn begin(&mut self, announced: bool) {
        self.segments.push(Segment {
            index: self.begun,
            announced,
            ..Segment::default()
        });
        self.begun += 1;
    }

    fn current(&mut self) -> &mut Segment {
        if self.segments.is_empty() {
            self.begin(false);
        }
        self.segments
            .last_mut()
            .expect("a segment was begun if there was none")
    }

    /// Whether anything of the newest segment is kept.
    fn keeps_current(&mut self) -> bool {
        let index = self.current().index;
        match &self.keep {
            Keep::Surviving => true,
            Keep::Outline => false,
            Keep::Planned(Plan(surviving)) => surviving.contains(&index),
        }
    }

    fn item(&mut self, item: ResponseItem) {
        if is_control(&item) {
            return;
        }
        if is_user_input(&item) {
            let current = self.current();
            if current.user_turn && !current.announced {
                self.begin(false);
            }
            self.current().user_turn = true;
        }
        if self.keeps_current() {
            self.current().items.push(item);
        }
    }

    fn compacted(&mut self, compacted: Compacted) {
        self.compactions += 1;
        let keeps = self.keeps_current();
        let base = match compacted.replacement_history {
            _ if !keeps => Vec::new(),
            Some(mut items) => {
                items.retain(|item| !is_control(item));
                items
            }
            None => self.legacy_base(&compacted.message),
        };
        if keeps {
            let last = self.segments.len().saturating_sub(1);
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
                .or_else(|| compacted.window_id.as_u64()),
            id: compacted.window_id.as_str().map(str::to_owned),
            first: compacted.first_window_id,
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
        let said: Vec<&ResponseItem> = items.filter(|item| is_user_input(item)).collect();
        let mut base = newest_within_budget(&said);
        let text = summary.to_owned();
        base.push(ResponseItem::message(
            "user",
            vec![ContentItem::InputText { text }],
            &["compaction.summary"],
        ));
        base
    }

    /// Drops the newest turns of the user, and whatever came between and after them.
    fn roll_back(&mut self, turns: u64) -> Result<(), NeedsPlan> {
        let mut left = turns;
        while left > 0 {
            let Some(segment) = self.segments.pop() else {
                break;
            };
            if segment.base.is_some() && self.keep == Keep::Surviving {
                return Err(NeedsPlan);
            }
            left -= u64::from(segment.user_turn);
        }
        Ok(())
    }
}

/// What an old compaction kept of the user's words: about 20,000 tokens, the newest first.
const LEGACY_BUDGET: usize = 20_000 * BYTES_PER_TOKEN;
const BYTES_PER_TOKEN: usize = 4;

/// The newest messages that fit, in their order; the oldest of them may have lost its end.
fn newest_within_budget(said: &[&ResponseItem]) -> Vec<ResponseItem> {
    let mut left = LEGACY_BUDGET;
    let mut kept = Vec::new();
    for item in said.iter().rev() {
        if left == 0 {
            break;
        }
        let mut item = (*item).clone();
        shorten(&mut item, &mut left);
        kept.push(item);
    }
    kept.reverse();
    kept
}

fn shorten(item: &mut ResponseItem, left: &mut usize) {
    let ResponseItem::Message { content, .. } = item else {
        return;
    };
    for part in content {
        if let ContentItem::InputText { text } = part {
            if text.len() > *left {
                text.truncate(text.floor_char_boundary(*left));
            }
            *left -= text.len().min(*left);
        }
    }
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
