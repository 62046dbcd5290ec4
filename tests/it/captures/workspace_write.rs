//! `workspace-write`: a look around in the sandbox, a patch, a tool server, and `notify` in the end.

use dovetail_tests::{Lab, NOTES, script};
use serde_json::{Value, json};

use super::{THEIRS, Traces, check, fixture};
use crate::captures::normalise::{directories, normalised};
use crate::lab;

/// The captured command. Only its words and its end are compared: what it sees of the sandbox is not for clients.
const LOOK_AROUND: &str = r#"tr '\0' ' ' </proc/$PPID/cmdline; echo; tr '\0' ' ' </proc/self/cmdline; echo; grep -iE 'seccomp|nonewprivs' /proc/self/status; env | grep -iE 'codex|^CI=' ; cat /proc/1/cmdline | tr '\0' ' '; echo; mount | head -30; ls -la .git .codex 2>&1 | head; touch .git/x; touch ok_file; touch /tmp/okt; touch /home/u/nope"#;
const PATCH: &str = "*** Begin Patch\n*** Add File: new.txt\n+new\n*** Update File: readme\n@@\n-old\n+new\n*** End Patch\n";

fn played() -> String {
    let call = |name: &str, call_id: &str, arguments: &Value, more: &str| {
        let arguments = script::quoted(&arguments.to_string());
        format!(
            "{{ tool_call = \"{name}\", call_id = \"{call_id}\", arguments = {arguments}{more} }}"
        )
    };
    let usage = "{ usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } }";
    let actions = [
        call("exec_command", "call_a", &json!({ "cmd": LOOK_AROUND }), ""),
        format!(
            "{{ custom_call = \"apply_patch\", call_id = \"call_b\", input = {} }}",
            script::quoted(PATCH)
        ),
        call(
            "search",
            "call_c",
            &json!({ "query": "hi" }),
            ", namespace = \"mcp__notes\"",
        ),
    ];
    let answer = "{ text = \"ok\", phase = \"final_answer\" }";
    [actions.join(",\n"), answer.to_owned()]
        .map(|actions| format!("[[response]]\nactions = [\n{actions},\n{usage},\n]\n"))
        .concat()
}

/// Another tool server stands where one over stdio was captured.
fn without_server(mut traces: Traces) -> Traces {
    for event in traces.events.as_array_mut().unwrap() {
        let item = &mut event["item"];
        if item["type"] == "mcp_tool_call" {
            for key in ["server", "tool", "arguments"] {
                item[key] = "<stand-in>".into();
            }
            if let Some(text) = item.pointer_mut("/result/content/0/text") {
                *text = "<stand-in>".into();
            }
        }
        if item["command"].is_string() && item["exit_code"].is_number() {
            item["aggregated_output"] = "<seen>".into();
        }
    }
    traces
}

#[tokio::test]
async fn a_turn_that_may_write_is_as_captured() {
    let lab = lab(&[&played()]).await;
    lab.write("readme", "old\n");
    lab.write("notes/a.md", "hi\n");
    lab.install(&NOTES).await;
    let config = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
    let told = lab.outside().join("told");
    let program = format!("printf %s \"$1\" > '{}'", told.display());
    lab.write_config(&format!(
        "notify = [\"sh\", \"-c\", {}, \"sh\"]\n{config}",
        script::quoted(&program)
    ));
    let ran = lab.exec_json(&["-s", "workspace-write", "sbx"], 0).await;
    // The captured command leaves it behind.
    drop(std::fs::remove_file("/tmp/okt"));
    lab.expect_played();
    let ours = Traces {
        // What it sent was not captured.
        requests: Vec::new(),
        ..Traces::ours(&lab.requests(), &ran)
    };
    check(
        "workspace-write",
        &lab,
        without_server(Traces::captured("workspace-write")),
        without_server(ours),
    );
    compare_notification(&lab, &std::fs::read_to_string(told).unwrap());
}

fn compare_notification(lab: &Lab, told: &str) {
    let parse = |text: &str| json!({ "requests": {}, "rollout": [], "told": serde_json::from_str::<Value>(text).unwrap() });
    let theirs = fixture("captures/workspace-write.notify.jsonl").unwrap();
    let theirs = normalised(parse(&theirs), THEIRS);
    let ours = normalised(parse(told), &directories(lab));
    assert_eq!(ours["told"], theirs["told"]);
    let keys = |value: &Value| {
        value["told"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&ours), keys(&theirs), "the keys, in order");
}
