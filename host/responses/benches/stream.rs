//! What a stream costs: 20,000 deltas of about 290 bytes, in chunks of 64 KiB as sockets give them.

use dovetail_responses::event::{Signal, decode};
use dovetail_responses::sse::SseParser;

const DELTAS: usize = 20_000;
const CHUNK: usize = 64 * 1024;

fn main() {
    divan::main();
}

fn stream() -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..DELTAS {
        let event = format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\
             \"item_id\":\"msg_0123456789abcdef0123456789abcdef\",\"output_index\":0,\"content_index\":0,\"delta\":\
             \" word{number} of \\\"text\\\"\",\"logprobs\":[],\"obfuscation\":\"aB3dE5gH7jK9\"}}\n\n"
        );
        bytes.extend_from_slice(event.as_bytes());
    }
    bytes
}

#[divan::bench]
fn split_into_events(bencher: divan::Bencher<'_, '_>) {
    let stream = stream();
    bencher
        .counter(divan::counter::ItemsCount::new(DELTAS))
        .bench(|| {
            let mut parser = SseParser::default();
            let mut bytes = 0;
            for chunk in stream.chunks(CHUNK) {
                parser.push(chunk);
                while let Ok(Some(data)) = parser.next_event() {
                    bytes += data.len();
                }
            }
            bytes
        });
}

#[divan::bench]
fn split_and_decode(bencher: divan::Bencher<'_, '_>) {
    let stream = stream();
    bencher
        .counter(divan::counter::ItemsCount::new(DELTAS))
        .bench(|| {
            let mut parser = SseParser::default();
            let mut text = 0;
            for chunk in stream.chunks(CHUNK) {
                parser.push(chunk);
                while let Ok(Some(data)) = parser.next_event() {
                    if let Ok(Signal::Text(delta)) = decode(data) {
                        text += delta.len();
                    }
                }
            }
            text
        });
}
