//! Reading lines: tolerant of everything that older and newer writers do differently.

use std::borrow::Cow;
use std::io::{BufRead, Read};

use dovetail_core::item::ResponseItem;
use dovetail_core::usage::TokenUsage;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::damage::Problem;

/// The longest line that is read. Lines hold at most a message with a few images in it.
pub(crate) const MAX_LINE: u64 = 256 << 20;

/// A line as it came off the disk.
pub(crate) enum RawLine {
    /// Ended by a line end.
    Whole,
    /// The last one, without a line end.
    Unended,
    /// Longer than [`MAX_LINE`]; the buffer has only its beginning.
    TooLong,
}

/// Reads a line into the buffer, without its end; none at the end of the file. Gives the bytes it took from the file.
pub(crate) fn read_line(
    reader: &mut impl BufRead,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<(RawLine, u64)>> {
    buffer.clear();
    let mut taken = reader.by_ref().take(MAX_LINE).read_until(b'\n', buffer)? as u64;
    match buffer.last() {
        None => Ok(None),
        Some(b'\n') => {
            buffer.pop();
            Ok(Some((RawLine::Whole, taken)))
        }
        Some(_) if taken < MAX_LINE => Ok(Some((RawLine::Unended, taken))),
        Some(_) => {
            taken += skip_line(reader)?;
            Ok(Some((RawLine::TooLong, taken)))
        }
    }
}

fn skip_line(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut skipped = 0;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(skipped);
        }
        let end = chunk
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| at + 1);
        let length = end.unwrap_or(chunk.len());
        reader.consume(length);
        skipped += length as u64;
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

/// What a line says, as far as it matters to a thread that is taken up.
pub(crate) enum Record {
    Meta(Box<Meta>),
    Item(Box<ResponseItem>),
    Context(Box<Context>),
    Compacted(Box<Compacted>),
    TurnStarted,
    RolledBack(u64),
    Totals(TokenUsage),
    /// Of a kind that has no say here, or is not known.
    Ignored,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    ordinal: Option<u64>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
}

/// Payload of `session_meta`.
#[derive(Deserialize)]
pub(crate) struct Meta {
    pub(crate) id: String,
    pub(crate) session_id: Option<String>,
    pub(crate) forked_from_id: Option<String>,
    pub(crate) forked_from_ordinal_exclusive: Option<u64>,
    pub(crate) parent_thread_id: Option<String>,
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
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    num_turns: Option<u64>,
    info: Option<CountInfo>,
}

#[derive(Deserialize)]
struct CountInfo {
    total_token_usage: TokenUsage,
}

#[derive(Deserialize)]
struct UsageRecord {
    thread_token_usage: TokenUsage,
}

/// Understands a line. The first line's own timestamp stands in for one that its payload lacks.
pub(crate) fn parse(line: &[u8]) -> Result<(Option<u64>, Record), Problem> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(unreadable)?;
    let payload = envelope.payload.get();
    let record = match envelope.kind.as_ref() {
        "session_meta" => {
            let mut meta: Meta = read(payload)?;
            meta.timestamp = meta
                .timestamp
                .or_else(|| envelope.timestamp.map(Cow::into_owned));
            Record::Meta(Box::new(meta))
        }
        "response_item" => Record::Item(Box::new(read(payload)?)),
        "turn_context" => Record::Context(Box::new(read(payload)?)),
        "compacted" => Record::Compacted(Box::new(read(payload)?)),
        "token_usage_record" => Record::Totals(read::<UsageRecord>(payload)?.thread_token_usage),
        "event_msg" => parse_event(payload)?,
        _ => Record::Ignored,
    };
    Ok((envelope.ordinal, record))
}

fn parse_event(payload: &str) -> Result<Record, Problem> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    // Most events have no say, and theirs are the largest payloads: only the kind is read first.
    let Kind { kind } = serde_json::from_str(payload).map_err(unreadable)?;
    if !matches!(
        kind.as_ref(),
        "task_started" | "turn_started" | "thread_rolled_back" | "token_count"
    ) {
        return Ok(Record::Ignored);
    }
    let event: Event<'_> = serde_json::from_str(payload).map_err(unreadable)?;
    Ok(match event.kind.as_ref() {
        "thread_rolled_back" => Record::RolledBack(event.num_turns.unwrap_or(0)),
        "token_count" => event.info.map_or(Record::Ignored, |info| {
            Record::Totals(info.total_token_usage)
        }),
        _ => Record::TurnStarted,
    })
}

fn read<'a, T: Deserialize<'a>>(payload: &'a str) -> Result<T, Problem> {
    serde_json::from_str(payload).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> Problem {
    // The category only: the parser's words can quote the conversation.
    let what = match error.classify() {
        serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Eof => "JSON that ends too early",
        serde_json::error::Category::Data => "JSON of another shape",
        serde_json::error::Category::Io => "not readable",
    };
    Problem::Unreadable(what)
}
