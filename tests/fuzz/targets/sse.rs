//! Server-sent events: however the bytes are cut into chunks, the same events come out, and each of them can be read
//! or is refused.
//!
//! The first byte of an input is the number of cuts, the bytes after it are the lengths of the chunks between them, the
//! rest is the stream.

#![no_main]

use dovetail_responses::event::decode;
use dovetail_responses::sse::{EventTooLong, SseParser};
use libfuzzer_sys::fuzz_target;

/// Small, so that it is met.
const LIMIT: usize = 512;

fuzz_target!(|input: &[u8]| {
    let Some((cuts, rest)) = input.split_first() else {
        return;
    };
    let cuts = usize::from(*cuts % 32).min(rest.len());
    let (lengths, stream) = rest.split_at(cuts);
    let whole = events(&[stream]);
    assert_eq!(events(&chunks(lengths, stream)), whole);
    assert_eq!(events(&stream.chunks(1).collect::<Vec<_>>()), whole);
    for event in &whole.0 {
        // An error is an answer.
        drop(decode(event));
    }
});

fn chunks<'a>(lengths: &[u8], mut stream: &'a [u8]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for length in lengths {
        let (chunk, rest) = stream.split_at(usize::from(*length).min(stream.len()));
        chunks.push(chunk);
        stream = rest;
    }
    chunks.push(stream);
    chunks
}

fn events(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, Option<EventTooLong>) {
    let mut parser = SseParser::with_limit(LIMIT);
    let mut events = Vec::new();
    for chunk in chunks {
        parser.push(chunk);
        loop {
            match parser.next_event() {
                Ok(Some(data)) => events.push(data.to_vec()),
                Ok(None) => break,
                Err(error) => return (events, Some(error)),
            }
        }
    }
    events.extend(parser.finish().map(<[u8]>::to_vec));
    (events, None)
}
