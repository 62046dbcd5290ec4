//! Server-sent events: bytes in, the data of each event out.
//!
//! Written here because of what the existing crates leave to their users: `sse-stream`, `sseer` and
//! `eventsource-stream` all buffer an event without any bound, so that a server which never ends one takes the
//! process's memory, and all make bytes that are not UTF-8 an error of the stream, where one bad event should be skipped.
//! They also allocate for each event and build fields (`id`, `retry`) that nobody here uses. This parser keeps one
//! buffer, lends the data out of it, joins lines in place, and needs no allocation per event.
//!
//! It follows the WHATWG grammar (LF, CRLF or CR, a leading byte order mark, comments, unknown fields, several data
//! lines), with one liberty: an event that the end of the stream cuts short is given out by [`SseParser::finish`].
//! Gateways exist that leave out the last empty line; where the data is cut too, it is no JSON and gets skipped.

use std::ops::Range;

use memchr::memchr2;

/// The longest data of an event, and the longest line: an image that the model made, in Base64, fits with room to spare.
pub const MAX_EVENT: usize = 32 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event is longer than the parser's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {limit} bytes")]
pub struct EventTooLong {
    /// The limit in bytes.
    pub limit: usize,
}

/// An incremental parser. Push bytes, then take events until there is none.
#[derive(Debug)]
pub struct SseParser {
    buffer: Vec<u8>,
    /// The start of the first line that is not yet used.
    line: usize,
    /// How far that line was searched for its end.
    searched: usize,
    /// The data of the event so far; always before `line`.
    data: Option<Range<usize>>,
    /// The last line ended with CR: a LF that follows belongs to it.
    after_return: bool,
    /// The byte order mark was looked for.
    started: bool,
    /// The name of the event so far, and of the one that was given out last.
    name: Vec<u8>,
    given_name: Vec<u8>,
    limit: usize,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::with_limit(MAX_EVENT)
    }
}

impl SseParser {
    /// A parser that refuses events with more than `limit` bytes of data, and lines longer than that.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            line: 0,
            searched: 0,
            data: None,
            after_return: false,
            started: false,
            name: Vec::new(),
            given_name: Vec::new(),
            limit,
        }
    }

    /// Adds bytes as they arrive.
    pub fn push(&mut self, bytes: &[u8]) {
        let used = self.used();
        if used > 0 {
            self.buffer.drain(..used);
            self.line -= used;
            self.searched -= used;
            if let Some(data) = &mut self.data {
                *data = data.start - used..data.end - used;
            }
        }
        if let Some(data) = &self.data {
            // What was skipped behind the data, such as comments, must not pile up while the event goes on.
            let skipped = self.line - data.end;
            self.buffer.drain(data.end..self.line);
            self.line -= skipped;
            self.searched -= skipped;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The data of the next whole event.
    ///
    /// # Errors
    /// When the event is longer than the limit; the stream cannot be read on then. Where the bytes were cut into
    /// chunks has no say in it.
    pub fn next_event(&mut self) -> Result<Option<&[u8]>, EventTooLong> {
        if !self.skip_mark() {
            return Ok(None);
        }
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.check(line.len())?;
                self.take_line(line);
                self.check(self.data.as_ref().map_or(0, Range::len))?;
            } else {
                std::mem::swap(&mut self.given_name, &mut self.name);
                self.name.clear();
                if let Some(data) = self.data.take() {
                    return Ok(Some(&self.buffer[data]));
                }
            }
        }
        self.check(self.buffer.len() - self.line)?;
        Ok(None)
    }

    /// The name of the event that was given out last; empty where it had none.
    pub fn event_name(&self) -> &[u8] {
        &self.given_name
    }

    fn check(&self, length: usize) -> Result<(), EventTooLong> {
        let limit = self.limit;
        if length > limit {
            return Err(EventTooLong { limit });
        }
        Ok(())
    }

    /// The data of an event that the end of the stream cut short. Call it after [`SseParser::next_event`] gave none.
    pub fn finish(&mut self) -> Option<&[u8]> {
        let rest = self.line..self.buffer.len();
        self.line = rest.end;
        self.searched = rest.end;
        if !rest.is_empty() {
            self.take_line(rest);
        }
        self.given_name = std::mem::take(&mut self.name);
        self.data.take().map(|data| &self.buffer[data])
    }

    /// How much of the buffer is not needed any more.
    fn used(&self) -> usize {
        self.data.as_ref().map_or(self.line, |data| data.start)
    }

    /// Skips a byte order mark; false while there is too little to tell.
    fn skip_mark(&mut self) -> bool {
        if self.started {
            return true;
        }
        if self.buffer.starts_with(BYTE_ORDER_MARK) {
            self.line = BYTE_ORDER_MARK.len();
            self.searched = self.line;
        } else if BYTE_ORDER_MARK.starts_with(&self.buffer) {
            return false;
        }
        self.started = true;
        true
    }

    fn next_line(&mut self) -> Option<Range<usize>> {
        if self.after_return {
            let next = *self.buffer.get(self.line)?;
            self.after_return = false;
            if next == b'\n' {
                self.line += 1;
                self.searched = self.line;
            }
        }
        let Some(found) = memchr2(b'\n', b'\r', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.line..self.searched + found;
        self.after_return = self.buffer[line.end] == b'\r';
        self.line = line.end + 1;
        self.searched = self.line;
        Some(line)
    }

    fn take_line(&mut self, line: Range<usize>) {
        let text = &self.buffer[line.clone()];
        let value = match text.strip_prefix(b"data") {
            Some([]) => line.end..line.end,
            Some([b':', b' ', ..]) => line.start + 6..line.end,
            Some([b':', ..]) => line.start + 5..line.end,
            // A name, a comment, or a field that has no meaning here.
            _ => {
                if let Some(name) = text.strip_prefix(b"event:") {
                    let name = name.strip_prefix(b" ").unwrap_or(name);
                    self.name.clear();
                    self.name.extend_from_slice(name);
                }
                return;
            }
        };
        match &mut self.data {
            None => self.data = Some(value),
            // The value moves up behind the data before it: its `data:` and a line end lie in between.
            Some(data) => {
                let length = value.len();
                self.buffer[data.end] = b'\n';
                self.buffer.copy_within(value, data.end + 1);
                data.end += 1 + length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(chunks: &[&[u8]]) -> Vec<String> {
        let (events, refused) = events_within(MAX_EVENT, chunks);
        assert_eq!(refused, None);
        events
    }

    /// The events before the end, or before the first that is too long.
    fn events_within(limit: usize, chunks: &[&[u8]]) -> (Vec<String>, Option<EventTooLong>) {
        let mut parser = SseParser::with_limit(limit);
        let mut events = Vec::new();
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        for chunk in chunks {
            parser.push(chunk);
            loop {
                match parser.next_event() {
                    Ok(Some(data)) => events.push(text(data)),
                    Ok(None) => break,
                    Err(error) => return (events, Some(error)),
                }
            }
        }
        events.extend(parser.finish().map(text));
        (events, None)
    }

    #[track_caller]
    fn check(stream: &str, expected: &[&str]) {
        assert_eq!(events(&[stream.as_bytes()]), expected, "{stream:?}");
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), expected, "{stream:?} byte by byte");
    }

    #[test]
    fn the_grammar_is_followed() {
        check("", &[]);
        check("data: a\n\ndata:b\n\n", &["a", "b"]);
        check("data: a\r\n\r\ndata: b\r\rdata: c\r\n\n", &["a", "b", "c"]);
        check("event: x\nid: 1\nretry: 5\ndata: a\n\n", &["a"]);
        check(": comment\n\n:\n\ndata: a\n: inside\n\n", &["a"]);
        check(
            "data: a\ndata: b\ndata\ndata:\ndata:c\n\n",
            &["a\nb\n\n\nc"],
        );
        check("data:  two spaces\n\n", &[" two spaces"]);
        check("data\n\n", &[""]);
        check("database: no\ndata : no\n data: no\n\n", &[]);
        check("\u{feff}data: a\n\n\u{feff}data: b\n\n", &["a"]);
        check("\n\n\n\ndata: a\n\n\n\n", &["a"]);
    }

    #[test]
    fn an_event_without_its_last_line_end_is_not_lost() {
        check("data: a\n\ndata: b\n", &["a", "b"]);
        check("data: a\n\ndata: b", &["a", "b"]);
        check("data: a\ndata", &["a\n"]);
        check("\u{feff}", &[]);
    }

    #[test]
    fn characters_may_be_split_anywhere() {
        check("data: Grüße 🌪\n\n", &["Grüße 🌪"]);
    }

    #[test]
    fn an_event_without_end_is_refused_and_comments_without_end_are_not() {
        let mut parser = SseParser::with_limit(100);
        parser.push(b"data: ");
        let refused = (0..200).find_map(|_| {
            parser.push(b"x");
            parser.next_event().err()
        });
        assert_eq!(refused, Some(EventTooLong { limit: 100 }));
        let mut parser = SseParser::with_limit(100);
        for _ in 0..1000 {
            parser.push(b": still here\n");
            assert_eq!(parser.next_event(), Ok(None));
        }
        assert!(parser.buffer.capacity() < 200);
        let mut parser = SseParser::with_limit(100);
        parser.push(b"data: a\n");
        for _ in 0..1000 {
            parser.push(b": still here\n");
            assert_eq!(parser.next_event(), Ok(None));
        }
        assert!(parser.buffer.capacity() < 200);
        parser.push(b"data: b\n\n");
        assert_eq!(parser.next_event(), Ok(Some(&b"a\nb"[..])));
    }

    #[test]
    fn the_limit_does_not_depend_on_the_chunks() {
        let long = format!("data: a\n\ndata: {}\n\ndata: b\n\n", "x".repeat(95));
        let lines = "data: a\n\n".to_owned() + &"data: xxxxxxxxx\n".repeat(11) + "\n";
        for stream in [long, lines] {
            let whole = events_within(100, &[stream.as_bytes()]);
            assert_eq!(
                whole,
                (vec!["a".to_owned()], Some(EventTooLong { limit: 100 }))
            );
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(events_within(100, &bytes), whole);
        }
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"data: ".to_vec()),
            Just(b"data".to_vec()),
            Just(b"event: x".to_vec()),
            Just(b":".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(BYTE_ORDER_MARK.to_vec()),
            Just("ü🌪".as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_events(stream in stream(), cuts in proptest::collection::vec(0usize..200, 0..12)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(events(&chunks), events(&[&stream]));
            prop_assert_eq!(events_within(12, &chunks), events_within(12, &[&stream]));
        }
    }
}
