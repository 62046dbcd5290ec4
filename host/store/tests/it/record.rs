//! What is written is what existing files have.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use dovetail_core::event::Recorder;
use dovetail_core::event::{
    AbortReason, ActivityStatus, FileChange, FileChangeKind, RateLimitWindow, ToolActivity,
    TurnEvent,
};
use dovetail_core::ids::CallId;
use dovetail_store::{NullRecorder, RolloutRecorder};
use serde_json::{Value, json};

use crate::fixture::{Feed, captured, lines, normalised, thread_info, usage};

/// The captured file without what is left out on purpose: the `world_state` lines and the bookkeeping of other
/// features (`metadata` of lines, `content_item_metadata` of items).
fn expected(name: &str) -> Vec<Value> {
    let mut kept = lines(&captured(name));
    kept.retain(|line| line["type"] != "world_state");
    for (ordinal, line) in kept.iter_mut().enumerate() {
        let line = line.as_object_mut().expect("a line is an object");
        line.insert("ordinal".into(), ordinal.into());
        line.shift_remove("metadata");
        let payload = line["payload"]
            .as_object_mut()
            .expect("a payload is an object");
        if let Some(Value::Object(metadata)) =
            payload.get_mut("internal_chat_message_metadata_passthrough")
        {
            metadata.shift_remove("content_item_metadata");
        }
        if line["type"] == "session_meta" {
            line["payload"]["cli_version"] = env!("CARGO_PKG_VERSION").into();
        }
    }
    kept
}

#[test]
fn a_turn_is_written_as_captured() {
    let home = tempfile::tempdir().expect("a directory");
    let mut feed = Feed::new(home.path());
    feed.start();
    let context = |role: &str, texts: &[&str], kinds: &[&str]| {
        let content: Vec<Value> = texts
            .iter()
            .map(|text| json!({"type": "input_text", "text": text}))
            .collect();
        json!({
            "type": "message", "id": "msg_01a1fb58-283d-7c82-a916-7bf497f91259", "role": role, "content": content,
            "internal_chat_message_metadata_passthrough": {"content_item_kinds": kinds},
        })
    };
    feed.item(context(
        "developer",
        &[
            "<skills_instructions>\nNone.\n</skills_instructions>",
            "<permissions instructions>\nRead only.\n</permissions instructions>",
        ],
        &["host_skills.instructions", "permissions.instructions"],
    ));
    feed.item(context(
        "user",
        &["<environment_context>\n  <cwd>/home/user/proj</cwd>\n</environment_context>"],
        &["environments.environment_context"],
    ));
    feed.settings();
    feed.user("say hi");
    feed.item(json!({
        "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "**Think**"}], "content": null,
        "encrypted_content": "ENC==",
    }));
    feed.assistant("msg_1", "I will run it.", "commentary");
    feed.item(json!({
        "type": "function_call", "id": "fc_1", "name": "exec_command",
        "arguments": "{\"cmd\": \"echo hi; pwd; id -u\"}", "call_id": "call_1",
    }));
    let window = RateLimitWindow {
        used_percent: 12.5,
        window_minutes: Some(300),
        resets_at: Some(1_790_000_000),
    };
    feed.completed_request("resp_1", usage(100, 20, 30, 10), Some(window));
    feed.command("call_1", "echo hi; pwd; id -u", "hi\n/home/user/proj\n0\n");
    feed.item(json!({
        "type": "function_call_output", "id": "fco_01a1fb58-2a0f-7252-93d4-79c22b6a0929", "call_id": "call_1",
        "output": "Chunk ID: 0a68b2\nWall time: 0.1479 seconds\nProcess exited with code 0\nOriginal token count: 18\nOutput:\nhi\n/home/user/proj\n0\n",
    }));
    feed.assistant("msg_2", "All done.", "final_answer");
    feed.completed_request("resp_2", usage(200, 150, 5, 0), None);
    feed.end("All done.");

    let written = normalised(lines(feed.recorder.path()));
    let expected = normalised(expected("basic-turn"));
    for (written, expected) in written.iter().zip(&expected) {
        assert_eq!(written, expected);
    }
    assert_eq!(written.len(), expected.len());
    feed.recorder.syncer().wait().expect("the disk has it");
}

#[test]
fn a_file_has_its_place_and_belongs_to_its_owner() {
    let home = tempfile::tempdir().expect("a directory");
    let info = thread_info();
    let recorder = RolloutRecorder::create(home.path(), info.clone());
    assert!(
        !home.path().join("sessions").exists(),
        "nothing is made before the first event"
    );
    let mut feed = Feed::of(recorder, info.thread_id);
    feed.start();
    let path = feed.recorder.path().to_owned();
    let relative = path
        .strip_prefix(home.path())
        .expect("below the home")
        .to_str()
        .expect("text");
    let shape: String = relative
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let shape = shape
        .split_at(shape.len() - "00000000-0000-0000-0000-000000000000.jsonl".len())
        .0
        .to_owned();
    assert_eq!(shape, "sessions/0000/00/00/rollout-0000-00-00T00-00-00-");
    assert!(relative.ends_with(&format!("{}.jsonl", info.thread_id)));
    let mode =
        |path: &std::path::Path| path.metadata().expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&home.path().join("sessions")), 0o700);
}

/// The last line that an event leaves, without its envelope.
#[track_caller]
fn check_last(events: impl FnOnce(&mut Feed), expected: Value) {
    let home = tempfile::tempdir().expect("a directory");
    let mut feed = Feed::new(home.path());
    feed.start();
    events(&mut feed);
    let last = lines(feed.recorder.path()).pop().expect("a line");
    let payload = normalised(vec![last["payload"].clone()]);
    assert_eq!(payload, [expected.to_string()]);
}

fn finished(feed: &mut Feed, activity: ToolActivity) {
    feed.send(TurnEvent::ToolFinished {
        call_id: CallId::new("call_1"),
        activity,
        duration: Duration::from_secs(2),
    });
}

fn shown(item: Value) -> Value {
    json!({
        "type": "item_completed", "thread_id": "<id>", "turn_id": "<id>", "item": item, "started_at_ms": 0,
        "completed_at_ms": 0,
    })
}

#[test]
fn patches_are_kept_by_path() {
    let change = |name: &str, kind, diff: &str| FileChange {
        path: format!("/p/{name}").into(),
        kind,
        diff: diff.into(),
        moved_to: None,
    };
    let changes = vec![
        change(
            "new",
            FileChangeKind::Add,
            "--- /dev/null\n+++ b/new\n@@ -0,0 +1,2 @@\n+one\n++two\n",
        ),
        change("gone", FileChangeKind::Delete, "@@ -1 +0,0 @@\n-bye\n"),
        change("same", FileChangeKind::Update, "@@ -1 +1 @@\n-a\n+b\n"),
    ];
    check_last(
        |feed| {
            finished(
                feed,
                ToolActivity::Patch {
                    changes,
                    status: ActivityStatus::Completed,
                },
            )
        },
        shown(json!({
            "type": "FileChange", "id": "call_1",
            "changes": {
                "/p/gone": {"type": "delete", "content": "bye\n"},
                "/p/new": {"type": "add", "content": "one\n+two\n"},
                "/p/same": {"type": "update", "unified_diff": "@@ -1 +1 @@\n-a\n+b\n", "move_path": null},
            },
            "status": "completed",
        })),
    );
}

#[test]
fn calls_of_servers_are_kept_with_result_or_error() {
    let call = |result, error: Option<&str>, status| ToolActivity::Server {
        server: "notes".into(),
        tool: "search".into(),
        arguments: json!({"q": "x"}),
        result,
        error: error.map(str::to_owned),
        status,
    };
    let content = json!([{"type": "text", "text": "2 hits"}]);
    let result = json!({"content": content, "structured_content": {"hits": 2}});
    check_last(
        |feed| finished(feed, call(Some(result), None, ActivityStatus::Completed)),
        shown(json!({
            "type": "McpToolCall", "id": "call_1", "server": "notes", "tool": "search", "arguments": {"q": "x"},
            "status": "completed", "result": {"content": content, "structuredContent": {"hits": 2}},
            "duration": {"secs": 2, "nanos": 0},
        })),
    );
    check_last(
        |feed| finished(feed, call(None, Some("it trapped"), ActivityStatus::Failed)),
        shown(json!({
            "type": "McpToolCall", "id": "call_1", "server": "notes", "tool": "search", "arguments": {"q": "x"},
            "status": "failed", "error": {"message": "it trapped"}, "duration": {"secs": 2, "nanos": 0},
        })),
    );
}

#[test]
fn turns_that_end_otherwise_say_so() {
    let started = SystemTime::now();
    let duration = Duration::from_millis(7);
    check_last(
        |feed| {
            let turn_id = feed.turn_id;
            feed.send(TurnEvent::TurnAborted {
                turn_id,
                reason: AbortReason::Interrupted,
                started,
                duration,
            });
        },
        json!({
            "type": "turn_aborted", "turn_id": "<id>", "reason": "interrupted", "started_at": 0, "completed_at": 0,
            "duration_ms": 0,
        }),
    );
    check_last(
        |feed| {
            let turn_id = feed.turn_id;
            feed.send(TurnEvent::TurnFailed {
                turn_id,
                message: "no quota".into(),
                started,
                duration,
            });
        },
        json!({
            "type": "task_complete", "root_turn_id": "<id>", "turn_id": "<id>", "last_agent_message": null,
            "started_at": 0, "completed_at": 0, "duration_ms": 0,
        }),
    );
}

#[test]
fn counts_wait_for_the_outputs_of_their_answer() {
    let home = tempfile::tempdir().expect("a directory");
    let mut feed = Feed::new(home.path());
    feed.start();
    for call in ["call_1", "call_2"] {
        feed.item(
            json!({"type": "function_call", "name": "x", "arguments": "{}", "call_id": call}),
        );
    }
    feed.completed_request("resp_1", usage(1, 0, 1, 0), None);
    for call in ["call_1", "call_2"] {
        feed.item(json!({"type": "function_call_output", "call_id": call, "output": "ok"}));
    }
    let kinds: Vec<String> = lines(feed.recorder.path())
        .iter()
        .map(|line| {
            line["payload"]["type"]
                .as_str()
                .or(line["type"].as_str())
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    let expected = [
        "session_meta",
        "task_started",
        "function_call",
        "function_call",
        "token_usage_record",
        "function_call_output",
        "function_call_output",
        "token_count",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn an_ephemeral_thread_leaves_nothing() {
    let mut recorder = NullRecorder;
    let info = thread_info();
    let event = TurnEvent::Warning {
        message: "x".into(),
    };
    recorder
        .record(info.thread_id, &event)
        .expect("nothing can fail");
}
