//! Reading lines: tolerant of everything that older and newer writers do differently.

use std::borrow::Cow;

use dovetail_core::item::ResponseItem;
use dovetail_core::usage::TokenUsage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::damage::Problem;

/// What a line says, as far as it matters to a thread that is taken up.
pub(crate) enum Record {
    Meta(Box<Meta>),
    Item(Box<ResponseItem>),
    Context(Box<Context>),
    Compacted(Box<Compacted>),
    TurnStarted(Option<String>),
    TurnEnded,
    RolledBack(u64),
    Totals(TokenUsage),
    /// The same, and how many tokens the conversation had then.
    Count {
        /// What the thread used.
        totals: TokenUsage,
        /// What its last request and the answer to it had.
        context: Option<u64>,
    },
    /// How turns run from now on.
    Settings {
        /// The provider.
        provider: Option<String>,
        /// The queue of the service that requests ask for.
        service_tier: Option<String>,
    },
    /// The thread got a name, or lost it.
    Named(Option<String>),
    /// Of a kind that has no say here, or is not known.
    Ignored,
}

/// A line, understood.
pub(crate) struct Parsed<'a> {
    pub(crate) ordinal: Option<u64>,
    pub(crate) timestamp: Option<Cow<'a, str>>,
    pub(crate) record: Record,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    ordinal: Option<u64>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
}

/// How the lines of a file are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each line says what it is and has the thing itself in `payload`.
    #[default]
    Enveloped,
    /// The first files: what the thread is on the first line, then one bare item a line.
    Bare,
}

/// Payload of `session_meta`.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Meta {
    pub(crate) id: String,
    pub(crate) session_id: Option<String>,
    pub(crate) parent_thread_id: Option<String>,
    pub(crate) forked_from_id: Option<String>,
    pub(crate) forked_from_ordinal_exclusive: Option<u64>,
    pub(crate) history_base: Option<HistoryBase>,
    pub(crate) history_mode: Option<String>,
    pub(crate) timestamp: Option<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) originator: Option<String>,
    #[serde(default)]
    pub(crate) source: Value,
    pub(crate) thread_source: Option<String>,
    pub(crate) model_provider: Option<String>,
    pub(crate) base_instructions: Option<Value>,
    /// Where old files have the base instructions.
    pub(crate) instructions: Option<String>,
    #[serde(default)]
    pub(crate) context_window: Value,
    #[serde(skip)]
    pub(crate) form: Form,
}

/// The file in which the history before this one's first line is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HistoryBase {
    /// The file's id, which is a thread's or that of what a revert made.
    pub(crate) thread_id: String,
    pub(crate) end_ordinal_exclusive: u64,
}

/// Payload of `turn_context`.
#[derive(Deserialize)]
pub(crate) struct Context {
    pub(crate) model: Option<String>,
    pub(crate) effort: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) cwd: Option<String>,
    #[serde(default)]
    pub(crate) approval_policy: Value,
    #[serde(default)]
    pub(crate) sandbox_policy: Value,
}

/// Payload of `compacted`.
#[derive(Deserialize)]
pub(crate) struct Compacted {
    #[serde(default)]
    pub(crate) message: String,
    pub(crate) replacement_history: Option<Vec<ResponseItem>>,
    pub(crate) window_number: Option<u64>,
    /// A UUID; in older files the number.
    #[serde(default)]
    pub(crate) window_id: Value,
    pub(crate) first_window_id: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    num_turns: Option<u64>,
    info: Option<CountInfo>,
    turn_id: Option<String>,
    thread_name: Option<String>,
    thread_settings: Option<Settings>,
}

#[derive(Deserialize)]
struct Settings {
    model_provider_id: Option<String>,
    service_tier: Option<String>,
}

#[derive(Deserialize)]
struct CountInfo {
    total_token_usage: TokenUsage,
    last_token_usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
struct UsageRecord {
    thread_token_usage: TokenUsage,
}

/// Whether there is nothing on a line. Repairs leave such lines where there was something unreadable.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Understands a line.
pub(crate) fn parse(line: &[u8], form: Form) -> Result<Parsed<'_>, Problem> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(unreadable)?;
    let record = match (envelope.kind.as_deref(), envelope.payload, form) {
        (Some(kind), Some(payload), _) => {
            parse_payload(kind, payload.get(), envelope.timestamp.as_deref())?
        }
        (Some(_), None, Form::Bare) => item(line)?,
        // Old writers marked their own state so; it was never read back.
        (None, None, Form::Bare) => Record::Ignored,
        (Some(_), None, Form::Enveloped) | (None, _, _) => return Err(OTHER_SHAPE),
    };
    Ok(Parsed {
        ordinal: envelope.ordinal,
        timestamp: envelope.timestamp,
        record,
    })
}

/// Understands a line that may be the first, and says so with [`Record::Meta`].
pub(crate) fn parse_first(line: &[u8]) -> Result<Parsed<'_>, Problem> {
    let enveloped = parse(line, Form::Enveloped);
    if !matches!(enveloped, Err(OTHER_SHAPE)) {
        return enveloped;
    }
    let mut meta: Meta = serde_json::from_slice(line).map_err(unreadable)?;
    meta.form = Form::Bare;
    Ok(Parsed {
        ordinal: None,
        timestamp: None,
        record: Record::Meta(Box::new(meta)),
    })
}

/// The first line's own timestamp stands in for one that its payload lacks, or that is no time.
fn parse_payload(kind: &str, payload: &str, timestamp: Option<&str>) -> Result<Record, Problem> {
    Ok(match kind {
        "session_meta" => {
            let mut meta: Meta = read(payload)?;
            let is_time = |text: &String| text.parse::<jiff::Timestamp>().is_ok();
            meta.timestamp = meta
                .timestamp
                .filter(is_time)
                .or_else(|| timestamp.map(str::to_owned));
            Record::Meta(Box::new(meta))
        }
        "response_item" => item(payload.as_bytes())?,
        "turn_context" => Record::Context(Box::new(read(payload)?)),
        "compacted" => Record::Compacted(Box::new(read(payload)?)),
        "token_usage_record" => Record::Totals(read::<UsageRecord>(payload)?.thread_token_usage),
        "event_msg" => parse_event(payload)?,
        _ => Record::Ignored,
    })
}

fn item(text: &[u8]) -> Result<Record, Problem> {
    let item: ResponseItem = serde_json::from_slice(text).map_err(unreadable)?;
    match &item {
        // Whatever has no type is no item, and must not be sent as one.
        ResponseItem::Other(fields) if !fields.get("type").is_some_and(Value::is_string) => {
            Err(OTHER_SHAPE)
        }
        _ => Ok(Record::Item(Box::new(item))),
    }
}

fn parse_event(payload: &str) -> Result<Record, Problem> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    // Most events have no say, and theirs are the largest payloads: only the kind is read first.
    let kind = match leading_kind(payload) {
        Some(kind) => Cow::Borrowed(kind),
        None => read::<Kind<'_>>(payload)?.kind,
    };
    let event = || read::<Event>(payload);
    Ok(match kind.as_ref() {
        "task_started" | "turn_started" => Record::TurnStarted(event()?.turn_id),
        "task_complete" | "turn_complete" | "turn_aborted" => Record::TurnEnded,
        "thread_rolled_back" => Record::RolledBack(event()?.num_turns.unwrap_or(0)),
        "thread_name_updated" => Record::Named(event()?.thread_name),
        "thread_settings_applied" => event()?
            .thread_settings
            .map_or(Record::Ignored, |settings| Record::Settings {
                provider: settings.model_provider_id,
                service_tier: settings.service_tier,
            }),
        "token_count" => event()?.info.map_or(Record::Ignored, |info| Record::Count {
            totals: info.total_token_usage,
            context: info.last_token_usage.map(|last| last.total_tokens),
        }),
        _ => Record::Ignored,
    })
}

/// The kind of an event where it comes first, as writers put it, so that the rest need not be gone over again: that it
/// is JSON is known from reading the line.
fn leading_kind(payload: &str) -> Option<&str> {
    let kind = payload.strip_prefix("{\"type\":\"")?;
    let plain = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    let end = kind.bytes().position(|byte| !plain(&byte))?;
    (kind.as_bytes()[end] == b'"').then(|| &kind[..end])
}

fn read<'a, T: Deserialize<'a>>(payload: &'a str) -> Result<T, Problem> {
    serde_json::from_str(payload).map_err(unreadable)
}

const OTHER_SHAPE: Problem = Problem::Unreadable("JSON of another shape");

fn unreadable(error: serde_json::Error) -> Problem {
    // The category only: the parser's words can quote the conversation.
    match error.classify() {
        serde_json::error::Category::Syntax => Problem::Unreadable("not JSON"),
        serde_json::error::Category::Eof => Problem::Unreadable("JSON that ends too early"),
        serde_json::error::Category::Data => OTHER_SHAPE,
        serde_json::error::Category::Io => Problem::Unreadable("not readable"),
    }
}
