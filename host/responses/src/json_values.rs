//! JSON values one after another: bytes in, the text of each value out. Services that stream no server-sent events write
//! a value to a line; some put no line ends between them, or lay each out over several lines. All of that is the same here.

use memchr::memchr2;

use crate::sse::{EventTooLong, MAX_EVENT};

/// Where the scan is within a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between values.
    Between,
    /// In an object or array, so deep.
    Nested(u32),
    /// In a text so deep in a value.
    Text(u32),
    /// Behind a backslash in such a text.
    Escape(u32),
    /// In something that is neither: it lasts to the end of its line.
    Line,
}

/// An incremental splitter. Push bytes, then take values until there is none.
#[derive(Debug)]
pub struct JsonValues {
    buffer: Vec<u8>,
    /// Where the value begins.
    start: usize,
    /// How far the buffer was scanned.
    scanned: usize,
    state: State,
    limit: usize,
}

impl Default for JsonValues {
    fn default() -> Self {
        Self::with_limit(MAX_EVENT)
    }
}

impl JsonValues {
    /// A splitter that refuses values of more than `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            state: State::Between,
            limit,
        }
    }

    /// Adds bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The text of the next whole value. What is no value is given out a line at a time.
    ///
    /// # Errors
    /// When a value is longer than the limit; the stream cannot be read on then.
    pub fn next_value(&mut self) -> Result<Option<&[u8]>, EventTooLong> {
        while self.scanned < self.buffer.len() {
            let at = self.scanned;
            let byte = self.buffer[at];
            self.scanned += 1;
            let whole = match self.state {
                State::Between => {
                    self.begin(at, byte);
                    false
                }
                State::Nested(depth) => self.nested(depth, byte),
                State::Text(depth) => {
                    self.state = match byte {
                        b'"' => State::Nested(depth),
                        b'\\' => State::Escape(depth),
                        _ => State::Text(depth),
                    };
                    false
                }
                State::Escape(depth) => {
                    self.state = State::Text(depth);
                    false
                }
                State::Line => byte == b'\n',
            };
            if self.scanned - self.start > self.limit {
                return Err(EventTooLong { limit: self.limit });
            }
            if whole {
                self.state = State::Between;
                let value = self.start..self.scanned;
                self.start = self.scanned;
                return Ok(Some(&self.buffer[value]));
            }
            self.skip_text();
        }
        Ok(None)
    }

    /// What the end of the stream cut short, or a last line without its end.
    pub fn finish(&mut self) -> Option<&[u8]> {
        let rest = self.start..self.buffer.len();
        self.start = rest.end;
        self.scanned = rest.end;
        let unfinished = self.state != State::Between;
        self.state = State::Between;
        (unfinished && !rest.is_empty()).then(|| &self.buffer[rest])
    }

    fn begin(&mut self, at: usize, byte: u8) {
        self.start = at;
        self.state = match byte {
            b'{' | b'[' => State::Nested(1),
            // Some separate values by commas, or by the record separator of RFC 7464.
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0x1e => {
                self.start = at + 1;
                State::Between
            }
            _ => State::Line,
        };
    }

    fn nested(&mut self, depth: u32, byte: u8) -> bool {
        self.state = match byte {
            b'"' => State::Text(depth),
            b'{' | b'[' => State::Nested(depth.saturating_add(1)),
            b'}' | b']' => State::Nested(depth - 1),
            _ => State::Nested(depth),
        };
        self.state == State::Nested(0)
    }

    /// Most of a value is text, in which two bytes matter.
    fn skip_text(&mut self) {
        if let State::Text(_) = self.state {
            let rest = &self.buffer[self.scanned..];
            let within = self.limit.saturating_sub(self.scanned - self.start);
            let next = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            self.scanned += next.min(within);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(chunks: &[&[u8]]) -> (Vec<String>, Option<EventTooLong>) {
        let mut splitter = JsonValues::with_limit(60);
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut values = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            loop {
                match splitter.next_value() {
                    Ok(Some(value)) => values.push(text(value)),
                    Ok(None) => break,
                    Err(error) => return (values, Some(error)),
                }
            }
        }
        values.extend(splitter.finish().map(text));
        (values, None)
    }

    #[track_caller]
    fn check(stream: &str, expected: &[&str]) {
        let (all, refused) = values(&[stream.as_bytes()]);
        assert_eq!(
            (all.as_slice(), refused),
            (
                &expected
                    .iter()
                    .map(|text| (*text).to_owned())
                    .collect::<Vec<_>>()[..],
                None
            ),
            "{stream:?}"
        );
    }

    #[test]
    fn values_are_found_however_they_are_laid_out() {
        check("{\"a\":1}\n{\"b\":2}\n", &["{\"a\":1}", "{\"b\":2}"]);
        check("{\"a\":1}{\"b\":2}", &["{\"a\":1}", "{\"b\":2}"]);
        check("{\n \"a\": [1,\n 2]\n}\r\n", &["{\n \"a\": [1,\n 2]\n}"]);
        check(
            "{\"a\":\"}\\\"{\\\\\"}\n[1]",
            &["{\"a\":\"}\\\"{\\\\\"}", "[1]"],
        );
        check("\u{1e}{}\n,{}\n", &["{}", "{}"]);
        check("garbage {\n{}\n12", &["garbage {\n", "{}", "12"]);
        check("{\"cut\":\"", &["{\"cut\":\""]);
        check(" \n\n", &[]);
        check("]}\n{}", &["]}\n", "{}"]);
    }

    #[test]
    fn a_value_without_end_is_refused() {
        let long = format!("{{}}\n{{\"a\":\"{}", "x".repeat(80));
        let expected = (vec!["{}".to_owned()], Some(EventTooLong { limit: 60 }));
        assert_eq!(values(&[long.as_bytes()]), expected);
        let bytes: Vec<&[u8]> = long.as_bytes().chunks(1).collect();
        assert_eq!(values(&bytes), expected);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_values(
            pieces in proptest::collection::vec(
                prop_oneof![Just("{"), Just("}"), Just("["), Just("]"), Just("\""), Just("\\"), Just("\n"), Just(","), Just("ü"), Just("ab")],
                0..60,
            ),
            cuts in proptest::collection::vec(0usize..120, 0..12),
        ) {
            let stream = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(values(&chunks), values(&[&stream]));
        }
    }
}
