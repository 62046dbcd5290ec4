//! The captured runs, line by line.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dovetail_core::event::AbortReason;
use dovetail_core::ids::TurnId;
use serde_json::json;

use super::*;

const THREAD: &str = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";

/// Feeds events and compares all lines, `thread.started` left out.
#[track_caller]
fn check(events: Vec<TurnEvent>, expected: &str) {
    let thread_id = ThreadId::parse(THREAD).expect("an id");
    let mut written = Vec::new();
    let mut observer = ExecJson::new(&mut written);
    observer.thread_started(thread_id);
    for event in &events {
        observer.observe(thread_id, event);
    }
    let expected: String = expected
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    let first = format!("{{\"type\":\"thread.started\",\"thread_id\":\"{THREAD}\"}}\n");
    assert_eq!(String::from_utf8(written).expect("text"), first + &expected);
}

fn turn() -> TurnId {
    TurnId::generate()
}

fn started() -> TurnEvent {
    TurnEvent::TurnStarted {
        trigger: None,
        parent: None,
        turn_id: turn(),
        at: SystemTime::now(),
        context_window: None,
    }
}

fn item(value: Value) -> TurnEvent {
    let item: ResponseItem = serde_json::from_value(value).expect("an item");
    TurnEvent::ItemRecorded {
        turn_id: turn(),
        item: Arc::new(item),
    }
}

fn said(text: &str) -> TurnEvent {
    item(
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}),
    )
}

fn begin(call: &str, activity: ToolActivity) -> TurnEvent {
    TurnEvent::ToolStarted {
        call_id: CallId::new(call),
        activity,
    }
}

fn finish(call: &str, activity: ToolActivity) -> TurnEvent {
    TurnEvent::ToolFinished {
        call_id: CallId::new(call),
        activity,
        duration: Duration::from_millis(1),
    }
}

fn command(
    script: &str,
    output: &str,
    exit_code: Option<i32>,
    status: ActivityStatus,
) -> ToolActivity {
    ToolActivity::Command {
        command: ["/bin/bash", "-lc", script].map(str::to_owned).to_vec(),
        cwd: "/home/user/proj".into(),
        process_id: None,
        output: output.into(),
        exit_code,
        status,
    }
}

fn completed(usage: TokenUsage) -> TurnEvent {
    TurnEvent::TurnCompleted {
        turn_id: turn(),
        last_message: None,
        started: SystemTime::now(),
        duration: Duration::ZERO,
        time_to_first_token: None,
        thread_total: usage,
    }
}

#[test]
fn a_plain_turn() {
    let script = "echo hi; pwd; id -u";
    let usage = TokenUsage {
        input_tokens: 300,
        cached_input_tokens: 170,
        output_tokens: 35,
        reasoning_output_tokens: 10,
        ..TokenUsage::default()
    };
    check(
        vec![
            TurnEvent::Warning {
                message: "Model metadata for `gpt-5.2-codex` not found.".into(),
            },
            started(),
            item(
                json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "say hi"}]}),
            ),
            item(
                json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "**Think**"}]}),
            ),
            item(json!({"type": "reasoning", "summary": [], "encrypted_content": "x"})),
            said("I will run it."),
            begin(
                "call_1",
                command(script, "", None, ActivityStatus::InProgress),
            ),
            finish(
                "call_1",
                command(
                    script,
                    "hi\n/home/user/proj\n0\n",
                    Some(0),
                    ActivityStatus::Completed,
                ),
            ),
            said("All done."),
            completed(usage),
        ],
        r#"{"type":"item.completed","item":{"id":"item_0","type":"error","message":"Model metadata for `gpt-5.2-codex` not found."}}
           {"type":"turn.started"}
           {"type":"item.completed","item":{"id":"item_1","type":"reasoning","text":"**Think**"}}
           {"type":"item.completed","item":{"id":"item_2","type":"agent_message","text":"I will run it."}}
           {"type":"item.started","item":{"id":"item_3","type":"command_execution","command":"/bin/bash -lc 'echo hi; pwd; id -u'","aggregated_output":"","exit_code":null,"status":"in_progress"}}
           {"type":"item.completed","item":{"id":"item_3","type":"command_execution","command":"/bin/bash -lc 'echo hi; pwd; id -u'","aggregated_output":"hi\n/home/user/proj\n0\n","exit_code":0,"status":"completed"}}
           {"type":"item.completed","item":{"id":"item_4","type":"agent_message","text":"All done."}}
           {"type":"turn.completed","usage":{"input_tokens":300,"cached_input_tokens":170,"cache_write_input_tokens":0,"output_tokens":35,"reasoning_output_tokens":10}}"#,
    );
}

#[test]
fn commands_are_quoted_as_captured() {
    let script = r#"tr '\0' ' ' </proc/$PPID/cmdline"#;
    check(
        vec![
            finish("a", command(script, "", Some(3), ActivityStatus::Failed)),
            finish("b", command("sleep 30", "", None, ActivityStatus::Declined)),
        ],
        r#"{"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"/bin/bash -lc \"tr '\\\\0' ' ' </proc/\"'$PPID/cmdline'","aggregated_output":"","exit_code":3,"status":"failed"}}
           {"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"/bin/bash -lc 'sleep 30'","aggregated_output":"","exit_code":null,"status":"declined"}}"#,
    );
}

#[test]
fn calls_that_overlap_keep_their_numbers() {
    let run = |output: &str, code, status| command("x", output, code, status);
    check(
        vec![
            begin("a", run("", None, ActivityStatus::InProgress)),
            begin("b", run("", None, ActivityStatus::InProgress)),
            finish("b", run("B", Some(0), ActivityStatus::Completed)),
            finish("a", run("A", Some(0), ActivityStatus::Completed)),
        ],
        r#"{"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"/bin/bash -lc x","aggregated_output":"","exit_code":null,"status":"in_progress"}}
           {"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"/bin/bash -lc x","aggregated_output":"","exit_code":null,"status":"in_progress"}}
           {"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"/bin/bash -lc x","aggregated_output":"B","exit_code":0,"status":"completed"}}
           {"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"/bin/bash -lc x","aggregated_output":"A","exit_code":0,"status":"completed"}}"#,
    );
}

#[test]
fn patches_and_servers() {
    let patch = |status| ToolActivity::Patch {
        changes: vec![
            FileChange {
                path: "/p/new.txt".into(),
                kind: FileChangeKind::Add,
                diff: "+x\n".into(),
                moved_to: None,
            },
            FileChange {
                path: "/p/readme".into(),
                kind: FileChangeKind::Update,
                diff: "+x\n".into(),
                moved_to: None,
            },
        ],
        status,
    };
    let call = |result, error: Option<&str>, status| ToolActivity::Server {
        server: "echo".into(),
        tool: "echo".into(),
        arguments: json!({"t": "hi"}),
        result,
        error: error.map(str::to_owned),
        status,
    };
    let content =
        json!({"content": [{"type": "text", "text": "echo"}], "structured_content": null});
    check(
        vec![
            begin("p", patch(ActivityStatus::InProgress)),
            finish("p", patch(ActivityStatus::Completed)),
            begin("m", call(None, None, ActivityStatus::InProgress)),
            finish("m", call(Some(content), None, ActivityStatus::Completed)),
            finish("n", call(None, Some("it trapped"), ActivityStatus::Failed)),
        ],
        r#"{"type":"item.started","item":{"id":"item_0","type":"file_change","changes":[{"path":"/p/new.txt","kind":"add"},{"path":"/p/readme","kind":"update"}],"status":"in_progress"}}
           {"type":"item.completed","item":{"id":"item_0","type":"file_change","changes":[{"path":"/p/new.txt","kind":"add"},{"path":"/p/readme","kind":"update"}],"status":"completed"}}
           {"type":"item.started","item":{"id":"item_1","type":"mcp_tool_call","server":"echo","tool":"echo","arguments":{"t":"hi"},"result":null,"error":null,"status":"in_progress"}}
           {"type":"item.completed","item":{"id":"item_1","type":"mcp_tool_call","server":"echo","tool":"echo","arguments":{"t":"hi"},"result":{"content":[{"type":"text","text":"echo"}],"structured_content":null},"error":null,"status":"completed"}}
           {"type":"item.completed","item":{"id":"item_2","type":"mcp_tool_call","server":"echo","tool":"echo","arguments":{"t":"hi"},"result":null,"error":{"message":"it trapped"},"status":"failed"}}"#,
    );
}

#[test]
fn a_search_has_two_ids() {
    check(
        vec![item(
            json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "weather"}}),
        )],
        r#"{"type":"item.started","item":{"id":"item_0","type":"web_search","id":"ws_1","query":"weather","action":{"type":"search","query":"weather"}}}
           {"type":"item.completed","item":{"id":"item_0","type":"web_search","id":"ws_1","query":"weather","action":{"type":"search","query":"weather"}}}"#,
    );
}

#[test]
fn a_plan_is_one_item() {
    let plan = |statuses: [&str; 2]| ToolActivity::Plan {
        explanation: None,
        steps: ["look", "fix"]
            .into_iter()
            .zip(statuses)
            .map(|(step, status)| PlanStep {
                step: step.into(),
                status: status.into(),
            })
            .collect(),
    };
    check(
        vec![
            begin("1", plan(["in_progress", "pending"])),
            finish("1", plan(["in_progress", "pending"])),
            finish("2", plan(["completed", "in_progress"])),
            completed(TokenUsage::default()),
        ],
        r#"{"type":"item.started","item":{"id":"item_0","type":"todo_list","items":[{"text":"look","completed":false},{"text":"fix","completed":false}]}}
           {"type":"item.updated","item":{"id":"item_0","type":"todo_list","items":[{"text":"look","completed":true},{"text":"fix","completed":false}]}}
           {"type":"item.completed","item":{"id":"item_0","type":"todo_list","items":[{"text":"look","completed":true},{"text":"fix","completed":false}]}}
           {"type":"turn.completed","usage":{"input_tokens":0,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":0,"reasoning_output_tokens":0}}"#,
    );
}

#[test]
fn ends_that_are_not_good() {
    let (started, duration) = (SystemTime::now(), Duration::ZERO);
    check(
        vec![
            TurnEvent::Reconnecting {
                attempt: 2,
                max: 5,
                reason: "unexpected status 404 Not Found".into(),
                delay: Duration::ZERO,
            },
            TurnEvent::TurnFailed {
                turn_id: turn(),
                message: "Quota exceeded.".into(),
                started,
                duration,
            },
            TurnEvent::TurnAborted {
                turn_id: turn(),
                reason: AbortReason::Interrupted,
                started,
                duration,
            },
        ],
        r#"{"type":"error","message":"Reconnecting... 2/5 (unexpected status 404 Not Found)"}
           {"type":"error","message":"Quota exceeded."}
           {"type":"turn.failed","error":{"message":"Quota exceeded."}}
           {"type":"error","message":"turn interrupted"}
           {"type":"turn.failed","error":{"message":"turn interrupted"}}"#,
    );
}
