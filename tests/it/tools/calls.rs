//! Calls that cannot be made, and calls that are made together.

use dovetail_tests::script;
use serde_json::json;

use super::{Call, command, report, run, run_in, with_calls, with_script};

#[tokio::test]
async fn calls_that_cannot_be_made_are_answered_and_the_turn_goes_on() {
    let unknown = [
        script::call("a", "no_such_tool", "{ q = 1 }"),
        script::call("b", "shell", "{ command = [\"ls\"] }"),
        script::response(
            "{ event = { type = \"response.output_item.done\", item = { type = \"function_call\", \
             name = \"find\", namespace = \"mcp__notes__\", arguments = \"{}\", call_id = \"n\" } } }",
        ),
        script::response("{ custom_call = \"nope\", call_id = \"c\", input = \"abc\" }"),
        script::call("d", "exec_command", "{ bad = 1 }"),
        script::call("e", "exec_command", &script::quoted("{\"cmd\": ")),
        script::call("f", "exec_command", &script::quoted("no JSON")),
        script::call("g", "exec_command", &script::quoted("")),
        script::call("h", "exec_command", "{ cmd = 7 }"),
        script::call("i", "view_image", "{}"),
        script::call(
            "j",
            "update_plan",
            "{ plan = [{ step = \"x\", status = \"maybe\" }] }",
        ),
        script::call(
            "k",
            "exec_command",
            "{ cmd = \"true\", sandbox_permissions = \"all\" }",
        ),
    ];
    let lab = with_script(&unknown.concat()).await;
    let ran = run(&lab).await;
    let parsing = |why: &str| format!("failed to parse function arguments: {why}");
    for (id, expected) in [
        ("a", "unsupported call: no_such_tool".to_owned()),
        ("b", "unsupported call: shell".to_owned()),
        ("n", "unsupported call: mcp__notes__find".to_owned()),
        ("c", "unsupported custom tool call: nope".to_owned()),
        ("d", parsing("missing field `cmd` at line 1 column 9")),
        ("e", parsing("EOF while parsing a value at line 1 column 8")),
        ("f", parsing("expected ident at line 1 column 2")),
        ("g", parsing("EOF while parsing a value at line 1 column 0")),
        (
            "h",
            parsing("invalid type: integer `7`, expected a string at line 1 column 8"),
        ),
        ("i", parsing("missing field `path` at line 1 column 2")),
        (
            "j",
            parsing(
                "unknown variant `maybe`, expected one of `pending`, `in_progress`, `completed` at line 1 column 26",
            ),
        ),
        (
            "k",
            parsing(
                "unknown variant `all`, expected `use_default` or `require_escalated` at line 1 column 41",
            ),
        ),
    ] {
        assert_eq!(lab.output_of(id), expected);
    }
    let kinds = ran.event_kinds();
    assert_eq!(
        kinds,
        [
            "thread.started",
            "turn.started",
            "item.completed agent_message",
            "turn.completed"
        ],
        "none of them is an item"
    );
}

#[tokio::test]
async fn what_policy_refuses_is_said_in_the_known_words() {
    let escalated = json!({ "cmd": "true", "sandbox_permissions": "require_escalated", "justification": "why?" });
    let patch = "*** Begin Patch\n*** Add File: new.txt\n+x\n*** End Patch\n";
    let escalation = super::response(&("a", "exec_command", escalated));
    let lab = with_script(&[escalation, script::patch("b", patch)].concat()).await;
    run_in(&lab, "read-only").await;
    assert_eq!(
        lab.output_of("a"),
        "approval policy is Never; reject command — you cannot ask for escalated permissions if the approval policy is Never"
    );
    assert_eq!(
        lab.output_of("b"),
        "patch rejected: writing is blocked by read-only sandbox; rejected by user approval settings"
    );
    assert!(!lab.project().join("new.txt").exists());
}

#[tokio::test]
async fn a_patch_given_to_the_shell_is_sent_where_it_belongs() {
    let cmd = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: new.txt\n+x\n*** End Patch\nEOF";
    assert_eq!(
        command(json!({ "cmd": cmd })).await,
        "`apply_patch` is a tool here, not a program; nothing was run. Call the tool `apply_patch` with the patch as its input."
    );
}

/// One response with several calls.
fn together(calls: &[Call<'_>]) -> String {
    let calls: Vec<String> = calls
        .iter()
        .map(|(id, tool, arguments)| {
            let arguments = script::quoted(&arguments.to_string());
            format!("{{ tool_call = \"{tool}\", call_id = \"{id}\", arguments = {arguments} }}")
        })
        .collect();
    script::response(&calls.join(",\n"))
}

#[tokio::test]
async fn commands_of_one_response_overlap_and_answer_in_call_order() {
    // The first can only end when the second runs beside it.
    let calls = [
        (
            "a",
            "exec_command",
            json!({ "cmd": "mkfifo f 2>/dev/null; cat f; echo a" }),
        ),
        (
            "b",
            "exec_command",
            json!({ "cmd": "mkfifo f 2>/dev/null; echo b > f" }),
        ),
    ];
    let lab = with_script(&together(&calls)).await;
    run(&lab).await;
    assert_eq!(lab.normal(&lab.output_of("a")), report(0, "b\na\n"));
    assert_eq!(lab.normal(&lab.output_of("b")), report(0, ""));
    let request = lab.last_request();
    let outputs = request["input"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| !item["output"].is_null());
    let ids: Vec<&str> = outputs
        .map(|item| item["call_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["a", "b"]);
}

#[tokio::test]
async fn hundreds_of_commands_of_one_response_all_run() {
    let ids: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    let calls: Vec<Call<'_>> = ids
        .iter()
        .map(|id| {
            (
                id.as_str(),
                "exec_command",
                json!({ "cmd": format!("echo {id}"), "yield_time_ms": 30_000 }),
            )
        })
        .collect();
    let lab = with_script(&together(&calls)).await;
    run(&lab).await;
    for id in &ids {
        assert_eq!(
            lab.normal(&lab.output_of(id)),
            report(0, &format!("{id}\n"))
        );
    }
}

#[tokio::test]
async fn a_patch_waits_for_those_before_it_and_those_after_wait_for_it() {
    let patch = "*** Begin Patch\n*** Add File: new.txt\n+x\n*** End Patch\n";
    let before =
        json!({ "cmd": "for i in $(seq 100); do [ -e new.txt ] && echo early; done; echo end" });
    let calls = [
        format!(
            "{{ tool_call = \"exec_command\", call_id = \"a\", arguments = {} }}",
            script::quoted(&before.to_string())
        ),
        format!(
            "{{ custom_call = \"apply_patch\", call_id = \"b\", input = {} }}",
            script::quoted(patch)
        ),
        "{ tool_call = \"exec_command\", call_id = \"c\", arguments = { cmd = \"cat new.txt\" } }"
            .to_owned(),
    ];
    let lab = with_script(&script::response(&calls.join(",\n"))).await;
    run(&lab).await;
    assert_eq!(lab.normal(&lab.output_of("a")), report(0, "end\n"));
    assert!(
        lab.output_of("b").starts_with("Exit code: 0\nWall time: "),
        "{}",
        lab.output_of("b")
    );
    assert_eq!(lab.normal(&lab.output_of("c")), report(0, "x\n"));
}

#[tokio::test]
async fn arguments_choose_directory_shell_and_profile() {
    let lab = with_calls(&[
        (
            "a",
            "exec_command",
            json!({ "cmd": "pwd", "workdir": "sub" }),
        ),
        (
            "b",
            "exec_command",
            json!({ "cmd": "echo $0", "shell": "/bin/sh", "login": false }),
        ),
        (
            "c",
            "exec_command",
            json!({ "cmd": "pwd", "workdir": "none" }),
        ),
        (
            "d",
            "exec_command",
            json!({ "cmd": "pwd", "shell": "/no/shell" }),
        ),
        (
            "e",
            "exec_command",
            json!({ "cmd": "shopt -q login_shell && echo login" }),
        ),
        (
            "f",
            "exec_command",
            json!({ "cmd": "shopt -q login_shell || echo plain", "login": false }),
        ),
    ])
    .await;
    lab.write("sub/file", "");
    let ran = run(&lab).await;
    assert_eq!(lab.normal(&lab.output_of("a")), report(0, "/project/sub\n"));
    assert_eq!(lab.normal(&lab.output_of("b")), report(0, "/bin/sh\n"));
    assert_eq!(
        lab.normal(&lab.output_of("c")),
        "the command was not run: cannot use `/project/none` as its working directory: No such file or directory (os error 2)"
    );
    assert_eq!(
        lab.output_of("d"),
        "the command was not run: cannot start `/no/shell`: the program could not be started: No such file or directory (os error 2)"
    );
    assert_eq!(lab.normal(&lab.output_of("e")), report(0, "login\n"));
    assert_eq!(lab.normal(&lab.output_of("f")), report(0, "plain\n"));
    let events = ran.events();
    let shown: Vec<&str> = events
        .iter()
        .filter(|event| event["type"] == "item.completed")
        .filter_map(|event| event["item"]["command"].as_str())
        .collect();
    assert_eq!(shown[..2], ["/bin/bash -lc pwd", "/bin/sh -c 'echo $0'"]);
}
