//! A client's session: metadata with names that are not the client's to set, a tool server, a steer, an interrupt, a
//! compaction, a command that is let out of the sandbox, a fork. The captured client spoke the protocol of the app-server;
//! here `dovetail dev session` is told what that client said, and its events, the requests and the lines of both rollouts
//! are compared with what the client and the model were told.

mod told;

use dovetail_tests::{ECHO, Lab, Ran, changes, read_lines};
use serde_json::{Value, json};

use super::{Traces, differences, document, fixture, lines};
use crate::DOVETAIL;
use crate::captures::normalise::{directories, normalised};

/// The captured server's script; `OUTSIDE` stands for a directory. Its messages came whole, but for the one that was
/// interrupted. What its second answer would have been is not known: the steer came first.
const SCRIPT: &str = r#"
[[response]]
actions = [
    { item = '{"type":"function_call","id":"fc_1","name":"echo","namespace":"mcp__echo","arguments":"{\"t\": \"hi\"}","call_id":"call_1"}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]

[[response]]
actions = [{ gate = true }]

[[response]]
actions = [
    { event = '{"type":"response.output_item.done","item":{"type":"message","id":"msg_3","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"after steer"}]}}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]

[[response]]
actions = [
    { event = '{"type":"response.output_item.added","item":{"type":"message","id":"msg_4","role":"assistant","content":[]}}' },
    { event = '{"type":"response.output_text.delta","item_id":"msg_4","delta":"partial"}' },
    { hang = true },
]

[[response]]
actions = [
    { event = '{"type":"response.output_item.done","item":{"type":"message","id":"msg_5","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"after interrupt"}]}}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]

[[response]]
actions = [
    { item = '{"type":"compaction","id":"cmp_6","encrypted_content":"CC"}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]

[[response]]
actions = [
    { item = '{"type":"function_call","id":"fc_7","name":"exec_command","arguments":"{\"cmd\": \"touch OUTSIDE/zz_out\", \"sandbox_permissions\": \"require_escalated\", \"justification\": \"need it\"}","call_id":"call_7"}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]

[[response]]
actions = [
    { event = '{"type":"response.output_item.done","item":{"type":"message","id":"msg_8","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"done"}]}}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]

[[response]]
actions = [
    { event = '{"type":"response.output_item.done","item":{"type":"message","id":"msg_9","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"fk"}]}}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]
"#;

/// Directories in the capture.
const THEIRS: &[(&str, &str)] = &[("/home/user/proj", "/project"), ("/home/u/", "/outside/")];

/// Every message between the captured client (`>`) and its server (`<`).
fn messages() -> Vec<Value> {
    lines(&fixture("captures/client-session.jsonrpc.jsonl").unwrap())
}

/// What the client sent with a method.
fn sent<'m>(messages: &'m [Value], method: &str) -> &'m Value {
    let found = messages
        .iter()
        .find(|message| message[">"]["method"] == method);
    &found.unwrap_or_else(|| panic!("no `{method}`"))[">"]["params"]
}

/// What the client started with, as arguments.
fn arguments(messages: &[Value]) -> Vec<&str> {
    let thread = sent(messages, "thread/start");
    let pairs = [
        (
            "--client",
            &sent(messages, "initialize")["clientInfo"]["name"],
        ),
        ("--service-name", &thread["serviceName"]),
        ("--thread-source", &thread["threadSource"]),
        ("--ask-for-approval", &thread["approvalPolicy"]),
        ("--sandbox", &thread["sandbox"]),
    ];
    let pairs = pairs.map(|(flag, value)| [flag, value.as_str().unwrap()]);
    ["dev", "session"]
        .into_iter()
        .chain(pairs.concat())
        .collect()
}

/// What the client said after that, as orders.
fn orders(messages: &[Value]) -> Vec<Value> {
    let asked = messages
        .iter()
        .find(|message| message["<"]["method"] == "item/commandExecution/requestApproval");
    let call_id = &asked.unwrap()["<"]["params"]["itemId"];
    let order = |message: &Value| {
        let params = &message["params"];
        let text = &params["input"][0]["text"];
        let metadata = &params["responsesapiClientMetadata"];
        Some(match message["method"].as_str() {
            Some("turn/start") if metadata.is_null() => json!({ "do": "turn", "text": text }),
            Some("turn/start") => {
                json!({ "do": "turn", "text": text, "client_metadata": metadata })
            }
            Some("turn/steer") => {
                json!({ "do": "steer", "text": text, "client_metadata": metadata })
            }
            Some("turn/interrupt") => json!({ "do": "interrupt" }),
            Some("thread/compact/start") => json!({ "do": "compact" }),
            Some("thread/fork") => json!({ "do": "fork", "thread_source": params["threadSource"] }),
            Some("initialize" | "initialized" | "thread/start") => return None,
            Some(other) => panic!("`{other}` is not translated"),
            None => {
                json!({ "do": "answer", "call_id": call_id, "decision": message["result"]["decision"] })
            }
        })
    };
    let said = messages.iter().filter_map(|message| message.get(">"));
    said.filter_map(order).collect()
}

/// Says what the client said, each time after what it had waited for.
async fn replayed(messages: &[Value]) -> (Lab, Ran) {
    let mut lab = Lab::bare(DOVETAIL);
    lab.init_git();
    lab.write("AGENTS.md", "AGENTS-MARK: be nice\n");
    lab.commit("https://github.com/example/repo.git");
    lab.play(&SCRIPT.replace("OUTSIDE", &lab.outside().display().to_string()))
        .await;
    lab.set_env("REHEARSAL_KEY", "k");
    lab.set_env("DOVETAIL_LOG", "plugin=info");
    lab.write_config(&lab.named_provider_config("mock", "OpenAI", ""));
    lab.install(&ECHO).await;

    let orders = orders(messages);
    let mut session = lab.start_told(&arguments(messages));
    session.wait_for("thread.started").await;
    session.tell(&orders[0]).await;
    lab.server()
        .wait_until(|progress| progress.requests == 2)
        .await;
    session.tell(&orders[1]).await;
    session.wait_for("accepted").await;
    lab.server().open_gate();
    session.wait_for("turn.completed").await;
    let ends = [
        "message.delta",
        "turn.aborted",
        "turn.completed",
        "turn.completed",
        "approval.requested",
        "turn.completed",
        "thread.started",
        "turn.completed",
    ];
    assert_eq!(orders.len(), 2 + ends.len());
    for (order, end) in orders[2..].iter().zip(ends) {
        session.tell(order).await;
        session.wait_for(end).await;
    }
    let ran = session.finish().await.expect_code(0);
    lab.expect_played();
    assert!(lab.outside().join("zz_out").exists(), "it was let out");
    (lab, ran)
}

/// The one call that the tool server was captured to get. Its order of fields was another one each time.
fn call_received() -> Value {
    let received = lines(&fixture("captures/client-session.mcp.jsonl").unwrap());
    let calls = received
        .into_iter()
        .find(|message| message["method"] == "tools/call");
    sorted(calls.unwrap()["params"].take())
}

/// What our tool server got, which it has written to the log.
fn call_logged(ran: &Ran) -> Value {
    let (_, text) = ran.stderr.split_once("received ").unwrap();
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    sorted(values.next().unwrap().unwrap())
}

fn sorted(mut call: Value) -> Value {
    call.sort_all_objects();
    call
}

/// The rollout of the thread, and that of its fork.
fn rollouts(lab: &Lab) -> [Vec<Value>; 2] {
    let mut files: Vec<Vec<Value>> = lab.rollouts().iter().map(|path| read_lines(path)).collect();
    files.sort_by_key(|lines| lines[0]["payload"]["forked_from_id"].is_string());
    <[Vec<Value>; 2]>::try_from(files).unwrap()
}

#[tokio::test]
async fn a_clients_session_is_as_captured() {
    let messages = messages();
    let (lab, ran) = replayed(&messages).await;

    let told = told::by_server(&messages);
    let with = |requests: Vec<Value>, events: &[Value], call: Value| {
        let mut document = document(Traces {
            requests,
            events: events.to_vec().into(),
            rollout: Vec::new(),
        });
        document["tool_call"] = call;
        document
    };
    let theirs = Traces::captured("client-session").requests;
    let theirs = normalised(with(theirs, &told, call_received()), THEIRS);
    let ours = lab.requests().iter().map(super::request).collect();
    let ours = with(ours, &told::by_events(&ran.events()), call_logged(&ran));
    let ours = normalised(ours, &directories(&lab));
    differences::check("client-session", &changes(&theirs, &ours));
}

#[tokio::test]
async fn what_a_client_is_told_is_in_the_rollouts_too() {
    let messages = messages();
    let (lab, _) = replayed(&messages).await;
    let kept = told::kept(told::by_server(&messages));
    let theirs = json!({ "requests": {}, "rollout": [], "events": kept });
    let recorded: Vec<Value> = rollouts(&lab)
        .iter()
        .flat_map(|lines| told::by_rollout(lines))
        .collect();
    let ours = json!({ "requests": {}, "rollout": [], "events": recorded });
    let theirs = normalised(theirs, THEIRS);
    let ours = normalised(ours, &directories(&lab));
    differences::check("client-session-rollouts", &changes(&theirs, &ours));
}
