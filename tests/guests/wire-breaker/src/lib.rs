//! A wire that breaks in the ways that the server names: each event's data is what to do. The path of the requests is the
//! model's name.

use dovetail_plugin_api::provider::{Description, Prepared, Scope};
use dovetail_plugin_api::wire::{Answer, Decoder, WireEvent, WireRequest};
use dovetail_plugin_api::{Error, PlainHeader, Provider, Wire, export_provider, export_wire};
use serde_json::{Value, json};

/// Serves `wire-breaker`.
#[derive(Debug, Default)]
struct Breaker;

impl Provider for Breaker {
    fn describe(&self) -> Description {
        Description {
            ids: vec!["wire-breaker".to_owned()],
            name: "Wire breaker".to_owned(),
            ..Description::default()
        }
    }

    fn prepare(&mut self, _scope: &Scope) -> Result<Prepared, Error> {
        Ok(Prepared::no_credential())
    }
}

impl Wire for Breaker {
    type Decoder = Broken;

    fn encode(&mut self, request: &Value) -> Result<WireRequest, Error> {
        let model = request["model"].as_str().unwrap_or_default();
        match model {
            "refuse" => Err(Error::invalid("this model is not for you")),
            "trap" => trap("encode"),
            "steal-host" => Ok(WireRequest {
                headers: vec![PlainHeader {
                    name: "Host".to_owned(),
                    value: "elsewhere.example".to_owned(),
                }],
                ..WireRequest::json("/x", request)
            }),
            path => Ok(WireRequest::json(path, request)),
        }
    }
}

/// Does as it is told.
#[derive(Debug, Default)]
struct Broken {
    answer: Answer,
}

impl Decoder for Broken {
    fn push(&mut self, event: WireEvent) -> Result<Vec<Value>, Error> {
        match event.data.trim() {
            "trap" => return trap("push"),
            "spin" => loop {
                std::hint::black_box(());
            },
            "eat" => {
                let mut all: Vec<Vec<u8>> = Vec::new();
                loop {
                    all.push(vec![1; 1 << 20]);
                    std::hint::black_box(&all);
                }
            }
            "flood" => return Ok((0..100_000).map(|_| json!("x".repeat(1024))).collect()),
            "garbage" => return Ok(vec![json!(1), json!({ "type": 2 }), json!("text")]),
            "refuse" => return Err(Error::other("the service said something rude")),
            "again" => return Err(Error::retryable("the service wants another try")),
            "end" => self.answer.complete("r", None),
            text => self.answer.text(text),
        }
        Ok(self.answer.take())
    }

    fn finish(&mut self) -> Result<Vec<Value>, Error> {
        Ok(Vec::new())
    }
}

/// Ends the instance, as a bug would.
#[expect(clippy::panic, reason = "this guest is here to break")]
fn trap<T>(place: &str) -> T {
    panic!("broken in {place}")
}

export_provider!(Breaker);
export_wire!(Breaker);
