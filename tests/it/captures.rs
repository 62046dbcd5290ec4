//! What was captured of the system we are compatible with, against what we do in the same scenario: requests with their
//! headers and metadata, event lines and rollout lines, as whole values. Nothing may differ but what `differences` lists.

mod basic_turn;
mod client_session;
pub(crate) mod differences;
mod fallback;
mod fork;
mod lite_model;
mod local_compaction;
mod many_calls;
mod normalise;
mod remote_compaction;
mod resume;
mod review;
mod tool_search;
mod websocket;
mod workspace_write;

use dovetail_rehearsal::RecordedRequest;
use dovetail_tests::{Lab, Ran, changes};
use serde_json::{Map, Value, json};

use normalise::{directories, normalised};

/// What a message on a WebSocket has for a method.
const MESSAGE: &str = "WEBSOCKET";
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
/// Directories in the captures.
const THEIRS: &[(&str, &str)] = &[
    ("/home/user/proj2", "/project"),
    ("/home/user/proj", "/project"),
    ("/home/user/.codex", "/home"),
];

/// What a run leaves behind.
#[derive(Default)]
struct Traces {
    requests: Vec<Value>,
    events: Value,
    rollout: Vec<Value>,
}

impl Traces {
    /// What was captured: whichever of the files there are.
    fn captured(name: &str) -> Self {
        let requests = fixture(&format!("captures/{name}.requests.json"));
        let events = fixture(&format!("captures/{name}.events.jsonl"));
        let rollout = fixture(&format!("rollouts/{}.jsonl", rollout_of(name)));
        Self {
            requests: requests
                .map(|text| serde_json::from_str(&text).unwrap())
                .unwrap_or_default(),
            events: events.map(|text| lines(&text)).unwrap_or_default().into(),
            rollout: rollout.map(|text| lines(&text)).unwrap_or_default(),
        }
    }

    /// What a run of ours sent and printed.
    fn ours(requests: &[RecordedRequest], ran: &Ran) -> Self {
        Self {
            requests: requests.iter().map(request).collect(),
            events: ran.events().into(),
            rollout: Vec::new(),
        }
    }

    fn with_rollout(self, rollout: Vec<Value>) -> Self {
        let first = rollout[0]["ordinal"].as_u64().unwrap();
        for (ordinal, line) in (first..).zip(&rollout) {
            assert_eq!(line["ordinal"], ordinal, "lines are counted without a gap");
        }
        Self { rollout, ..self }
    }

    /// For captures in which nobody looked at what was printed.
    fn without_events(self) -> Self {
        let events = Value::Array(Vec::new());
        Self { events, ..self }
    }
}

/// Rollouts are named after what they are, since other tests read them.
fn rollout_of(capture: &str) -> &str {
    match capture {
        "resume" => "resumed",
        "review" => "review-child",
        "remote-compaction" => "compacted",
        "local-compaction" => "compacted-locally",
        name => name,
    }
}

fn fixture(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("{FIXTURES}/{name}")).ok()?;
    // The captured server's port, and the user the captured commands ran as.
    let user = std::process::Command::new("id").arg("-u").output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap();
    let mut text = text.replace(":PORT", ":9");
    for project in ["proj", "proj2"] {
        let output = |user: &str| format!("hi\\n/home/user/{project}\\n{user}\\n");
        text = text.replace(&output("0"), &output(user.trim()));
    }
    // Rollouts have their context cut short, with the end put back.
    Some(text.replace("</cwd>\\n</environment_context>", "</cwd>…"))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Our request in the form of the captured ones, without the headers of the connection.
fn request(request: &RecordedRequest) -> Value {
    let of_connection: &[&str] = match request.method.as_str() {
        "GET" => &["host", "sec-websocket-key"],
        _ => &["host", "content-length", "accept-encoding", "connection"],
    };
    let headers = request.headers.iter();
    let headers: Vec<_> = headers
        .filter(|(name, _)| !of_connection.contains(&name.as_str()))
        .filter(|_| request.method != MESSAGE)
        .collect();
    let mut form = json!({ "method": request.method, "path": request.path, "headers": headers });
    if let Some(body) = &request.json {
        form["body"] = body.clone();
    }
    form
}

/// Fails unless our traces are those captured, but for the differences that are listed for this capture; and unless each
/// of those is still there.
#[track_caller]
fn check(capture: &str, lab: &Lab, theirs: Traces, ours: Traces) {
    let theirs = normalised(document(theirs), THEIRS);
    let ours = normalised(document(ours), &directories(lab));
    differences::check(capture, &changes(&theirs, &ours));
}

/// One value with everything in it.
fn document(traces: Traces) -> Value {
    let numbered = |requests: Vec<Value>| -> Map<String, Value> {
        let requests = requests.into_iter().enumerate();
        requests
            .map(|(index, request)| ((index + 1).to_string(), opened(request)))
            .collect()
    };
    json!({
        "requests": numbered(traces.requests),
        "events": traces.events,
        "rollout": traces.rollout,
    })
}

/// A request with its headers as an object, and the metadata that is JSON in a text as JSON. That of a message, which has
/// it in its body alone, is shown where that of a request is.
fn opened(mut request: Value) -> Value {
    let headers = request["headers"].as_array().unwrap();
    // Theirs writes some names in capitals, which mean nothing.
    let name = |header: &Value| header[0].as_str().unwrap().to_ascii_lowercase();
    let mut headers: Map<String, Value> = headers
        .iter()
        .map(|header| (name(header), header[1].clone()))
        .collect();
    if request["method"] == MESSAGE {
        let blob = &request["body"]["client_metadata"]["x-codex-turn-metadata"];
        headers.insert("x-codex-turn-metadata".to_owned(), blob.clone());
    } else {
        headers["authorization"] = "Bearer <key>".into();
    }
    let blob = headers["x-codex-turn-metadata"]
        .as_str()
        .unwrap()
        .to_owned();
    headers["x-codex-turn-metadata"] = serde_json::from_str(&blob).unwrap();
    request["headers"] = headers.into();
    let Some(body) = request.get_mut("body").filter(|body| !body.is_null()) else {
        return request;
    };
    let flat = body["client_metadata"].as_object_mut().unwrap();
    assert_eq!(
        flat["x-codex-turn-metadata"], *blob,
        "header and body carry the same metadata"
    );
    flat["x-codex-turn-metadata"] = "<as in the header>".into();
    // The order of the map was different in each captured request.
    flat.sort_keys();
    request
}
