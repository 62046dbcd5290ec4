//! How a service that speaks another API cuts its stream into events.

use dovetail_core::plugin::WireEvent;

use crate::json_values::JsonValues;
use crate::sse::{EventTooLong, SseParser};

/// What the type of a response's body says of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sse,
    Json,
    /// Nothing: the first byte tells.
    Unsaid,
}

/// Cuts a stream into events.
#[derive(Debug)]
pub(crate) struct Framing {
    kind: Kind,
    sse: SseParser,
    json: JsonValues,
}

impl Framing {
    /// For a response of this `content-type`, in any case; empty where it has none.
    pub(crate) fn of(content_type: &str) -> Self {
        let kind = content_type.to_ascii_lowercase();
        let kind = if kind.starts_with("text/event-stream") {
            Kind::Sse
        } else if kind.contains("json") {
            Kind::Json
        } else {
            Kind::Unsaid
        };
        Self {
            kind,
            sse: SseParser::default(),
            json: JsonValues::default(),
        }
    }

    /// Adds bytes as they arrive.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.kind == Kind::Unsaid {
            let Some(first) = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) else {
                return;
            };
            self.kind = match first {
                b'{' | b'[' => Kind::Json,
                _ => Kind::Sse,
            };
        }
        match self.kind {
            Kind::Json => self.json.push(bytes),
            Kind::Sse | Kind::Unsaid => self.sse.push(bytes),
        }
    }

    /// The next whole event.
    pub(crate) fn next_event(&mut self) -> Result<Option<WireEvent>, EventTooLong> {
        if self.kind == Kind::Json {
            return Ok(self.json.next_value()?.map(value));
        }
        let data = self.sse.next_event()?.map(text);
        Ok(data.map(|data| WireEvent {
            name: text(self.sse.event_name()),
            data,
        }))
    }

    /// What the end of the stream cut short.
    pub(crate) fn finish(&mut self) -> Option<WireEvent> {
        if self.kind == Kind::Json {
            return self.json.finish().map(value);
        }
        let data = self.sse.finish().map(text)?;
        Some(WireEvent {
            name: text(self.sse.event_name()),
            data,
        })
    }
}

fn value(bytes: &[u8]) -> WireEvent {
    WireEvent {
        name: String::new(),
        data: text(bytes),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(content_type: &str, stream: &str, expected: &[(&str, &str)]) {
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        for chunks in [&[stream.as_bytes()][..], &bytes] {
            let mut framing = Framing::of(content_type);
            let mut events = Vec::new();
            for chunk in chunks {
                framing.push(chunk);
                while let Some(event) = framing.next_event().expect("short") {
                    events.push(event);
                }
            }
            events.extend(framing.finish());
            let events: Vec<_> = events
                .iter()
                .map(|event| (event.name.as_str(), event.data.as_str()))
                .collect();
            assert_eq!(events, expected, "{content_type} {stream:?}");
        }
    }

    #[test]
    fn events_have_their_names() {
        let stream = "event: ping\n\nevent: a\ndata: 1\n\ndata: 2\n\nevent:b\nevent: c\ndata: 3\n";
        let expected = [("a", "1"), ("", "2"), ("c", "3")];
        check("text/event-stream; charset=utf-8", stream, &expected);
        check("", stream, &expected);
    }

    #[test]
    fn json_is_known_by_its_type_or_its_first_byte() {
        let stream = "\n{\"a\":1}\n{\"b\":2}";
        for content_type in ["application/x-ndjson", "Application/JSON", "text/plain", ""] {
            check(
                content_type,
                stream,
                &[("", "{\"a\":1}"), ("", "{\"b\":2}")],
            );
        }
    }
}
