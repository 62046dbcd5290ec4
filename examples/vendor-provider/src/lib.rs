//! Orbit, a vendor that is made up: its own authorization, its own requests, its own streams.

use dovetail_plugin_api::provider::{Description, Prepared, RequestHead, Scope};
use dovetail_plugin_api::wire::{
    Answer, Conversation, Decoder, Entry, Part, Usage, WireEvent, WireRequest,
};
use dovetail_plugin_api::{Error, Header, Provider, Secret, Wire, export_provider, export_wire};
use serde_json::{Value, json};

/// Serves the provider id `orbit`. The host makes one for each request.
#[derive(Default)]
struct Orbit {
    answer: Answer,
}

impl Provider for Orbit {
    fn describe(&self) -> Description {
        Description {
            ids: vec!["orbit".to_owned()],
            name: "Orbit".to_owned(),
            default_endpoint: Some("https://api.orbit.example/v2".to_owned()),
            ..Description::default()
        }
    }

    /// `Authorization: Orbit <key>`. The host puts the key in; this plugin never sees it.
    fn prepare(&mut self, _scope: &Scope) -> Result<Prepared, Error> {
        let key = Secret::slot("orbit-key");
        Ok(Prepared::header(Header::parts(
            "Authorization",
            ["Orbit ".into(), key.into()],
        )))
    }

    /// `Orbit-Digest: sha-256=<digest of the body>`, for every attempt.
    fn authorize(
        &mut self,
        _scope: &Scope,
        _head: &RequestHead,
        body_sha256: &[u8; 32],
    ) -> Result<Vec<Header>, Error> {
        let digest: String = body_sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(vec![Header::plain(
            "Orbit-Digest",
            format!("sha-256={digest}"),
        )])
    }
}

impl Wire for Orbit {
    type Decoder = Frames;

    fn encode(&mut self, request: &Value) -> Result<WireRequest, Error> {
        let conversation = Conversation::read(request);
        self.answer = Answer::to(&conversation);
        let toolbox: Vec<Value> = conversation
            .tools
            .tools()
            .iter()
            .map(|tool| json!({ "tool": tool.name, "about": tool.description, "takes": tool.parameters }))
            .collect();
        let body = json!({
            "model": request["model"],
            "manner": conversation.system,
            "script": script(&conversation.entries),
            "toolbox": toolbox,
        });
        Ok(WireRequest::json("/talk", &body))
    }

    fn decoder(&mut self) -> Frames {
        Frames {
            answer: std::mem::take(&mut self.answer),
        }
    }
}

/// What was said and done, a line each.
fn script(entries: &[Entry]) -> Vec<Value> {
    let mut lines = Vec::new();
    for entry in entries {
        match entry {
            Entry::User(parts) => lines.push(json!({ "who": "user", "text": text(parts) })),
            Entry::Model(said) => {
                lines.push(json!({ "who": "model", "text": said.text }));
                for call in &said.calls {
                    lines.push(json!({ "who": "model", "ref": call.id, "tool": call.name, "with": call.arguments }));
                }
            }
            Entry::Results(results) => {
                for result in results {
                    lines.push(json!({ "who": "tool", "ref": result.call_id, "text": text(&result.content) }));
                }
            }
        }
    }
    lines
}

fn text(parts: &[Part]) -> String {
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) => text.as_str(),
        Part::Image { .. } | Part::Audio(_) => "(Orbit sees and hears nothing)",
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Reads an answer: a frame to a line.
#[derive(Default)]
struct Frames {
    answer: Answer,
}

impl Decoder for Frames {
    fn push(&mut self, event: WireEvent) -> Result<Vec<Value>, Error> {
        let frame: Value = serde_json::from_str(&event.data)?;
        let text = |key: &str| frame[key].as_str().unwrap_or_default();
        match text("op") {
            "muse" => self.answer.reasoning(text("text")),
            "say" => self.answer.text(text("text")),
            "do" => {
                let arguments = frame["with"].to_string();
                self.answer
                    .call(frame["ref"].as_str(), frame["tool"].as_str(), &arguments)?;
            }
            "oops" => self.answer.fail(json!({ "message": text("why") })),
            "end" => {
                let usage = Usage {
                    input: frame["read"].as_u64().unwrap_or(0),
                    output: frame["wrote"].as_u64().unwrap_or(0),
                    ..Usage::default()
                };
                self.answer.complete(text("id"), Some(usage));
            }
            _ => {}
        }
        Ok(self.answer.take())
    }

    fn finish(&mut self) -> Result<Vec<Value>, Error> {
        if self.answer.has_ended() {
            return Ok(Vec::new());
        }
        Err(Error::retryable("Orbit hung up before it was done"))
    }
}

export_provider!(Orbit);
export_wire!(Orbit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_become_events() {
        let mut frames = Frames::default();
        let mut push = |data: &str| {
            let event = WireEvent {
                name: String::new(),
                data: data.to_owned(),
            };
            frames.push(event).expect("a frame")
        };
        assert_eq!(push(r#"{"op":"say","text":"hi"}"#)[2]["delta"], "hi");
        assert_eq!(
            push(r#"{"op":"end","read":1,"wrote":1}"#)[1]["type"],
            "response.completed"
        );
        assert!(Frames::default().finish().is_err());
    }
}
