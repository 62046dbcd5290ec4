//! Commands that outlast their call: polled, typed into, interrupted, and ended with the run.

use serde_json::{Value, json};

use super::{is_running, report, run, run_in, with_calls};

/// The first session of a run.
const FIRST: u32 = 1001;

fn poll(chars: &str) -> Value {
    json!({ "session_id": FIRST, "chars": chars, "yield_time_ms": 30000 })
}

fn running(output: &str) -> String {
    format!(
        "Chunk ID: <chunk>\nWall time: <time>\nProcess running with session ID <session>\nOriginal token count: <count>\nOutput:\n{output}"
    )
}

#[tokio::test]
async fn a_slow_command_is_polled_to_its_end() {
    // The command waits for the second one, so that nobody has to guess how long it takes.
    let slow = "mkfifo go; echo first; cat go; echo second; exit 5";
    let lab = with_calls(&[
        (
            "a",
            "exec_command",
            json!({ "cmd": slow, "yield_time_ms": 250 }),
        ),
        ("b", "exec_command", json!({ "cmd": "echo go > go" })),
        ("c", "write_stdin", poll("")),
        ("d", "write_stdin", poll("")),
    ])
    .await;
    let ran = run(&lab).await;
    let a = lab.normal(&lab.output_of("a"));
    assert!(a.starts_with(&running("")), "{a}");
    let (_, early) = a.split_once("Output:\n").unwrap();
    let c = lab.normal(&lab.output_of("c"));
    let (head, late) = c.split_once("Output:\n").unwrap();
    assert!(head.contains("Process exited with code 5\n"), "{c}");
    assert_eq!(
        early.to_owned() + late,
        "first\ngo\nsecond\n",
        "each piece is told once"
    );
    assert_eq!(
        lab.output_of("d"),
        format!("there is no running command with session ID {FIRST}")
    );
    let commands: Vec<String> = ran
        .events()
        .iter()
        .filter(|event| event["item"]["type"] == "command_execution")
        .map(|event| {
            format!(
                "{} {} {}",
                event["type"], event["item"]["id"], event["item"]["exit_code"]
            )
        })
        .collect();
    let expected = [
        r#""item.started" "item_0" null"#,
        r#""item.started" "item_1" null"#,
        r#""item.completed" "item_1" 0"#,
        r#""item.completed" "item_0" 5"#,
    ];
    assert_eq!(
        sorted(&commands),
        sorted(&expected.map(str::to_owned)),
        "polling is no item of its own"
    );
}

#[tokio::test]
async fn nobody_waits_less_than_the_least() {
    let lab = with_calls(&[
        (
            "command",
            "exec_command",
            json!({ "cmd": "read line", "tty": true, "yield_time_ms": 1 }),
        ),
        (
            "typing",
            "write_stdin",
            json!({ "session_id": FIRST, "chars": "x", "yield_time_ms": 0 }),
        ),
        (
            "looking",
            "write_stdin",
            json!({ "session_id": FIRST, "yield_time_ms": 250 }),
        ),
    ])
    .await;
    run(&lab).await;
    for (call, least) in [("command", 0.25), ("typing", 0.25), ("looking", 5.0)] {
        let output = lab.output_of(call);
        assert!(
            output.contains("Process running with session ID"),
            "{call}: {output}"
        );
        let waited: f64 = output
            .lines()
            .find_map(|line| line.strip_prefix("Wall time: ")?.strip_suffix(" seconds"))
            .unwrap()
            .parse()
            .unwrap();
        assert!(waited >= least, "{call}: {waited} s");
    }
}

fn sorted(lines: &[String]) -> Vec<String> {
    let mut lines = lines.to_vec();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_terminal_is_one_and_can_be_typed_into() {
    let cmd = "stty -echo; stty size; test -t 0 && test -t 2 && echo $TERM; read line; echo \"got $line\"";
    for mode in ["danger-full-access", "workspace-write", "read-only"] {
        let lab = with_calls(&[
            (
                "a",
                "exec_command",
                json!({ "cmd": cmd, "tty": true, "yield_time_ms": 2000 }),
            ),
            ("b", "write_stdin", poll("hello\n")),
        ])
        .await;
        run_in(&lab, mode).await;
        let a = lab.normal(&lab.output_of("a"));
        assert_eq!(a, running("24 80\r\nxterm-256color\r\n"), "{mode}");
        assert_eq!(
            lab.normal(&lab.output_of("b")),
            report(0, "got hello\r\n"),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn control_characters_reach_a_terminal() {
    // Ctrl-D ends the input, Ctrl-C interrupts.
    for (cmd, typed, code, output) in [
        ("stty -echo; echo up; cat; echo end", "\u{4}", 0, "end\r\n"),
        (
            "trap 'echo caught; exit 7' INT; echo up; while :; do sleep 0.01; done",
            "\u{3}",
            7,
            "^Ccaught\r\n",
        ),
        ("echo up; exec sleep 1000", "\u{3}", 130, "^C"),
    ] {
        let lab = with_calls(&[
            (
                "a",
                "exec_command",
                json!({ "cmd": cmd, "tty": true, "yield_time_ms": 2000 }),
            ),
            ("b", "write_stdin", poll(typed)),
        ])
        .await;
        run(&lab).await;
        assert_eq!(lab.normal(&lab.output_of("a")), running("up\r\n"), "{cmd}");
        assert_eq!(
            lab.normal(&lab.output_of("b")),
            report(code, output),
            "{cmd}"
        );
    }
}

#[tokio::test]
async fn without_a_terminal_only_an_interrupt_can_be_typed() {
    let cmd = "trap 'echo caught; exit 7' INT; echo up; while :; do sleep 0.01; done";
    let lab = with_calls(&[
        (
            "a",
            "exec_command",
            json!({ "cmd": cmd, "yield_time_ms": 2000 }),
        ),
        ("b", "write_stdin", poll("hello\n")),
        ("c", "write_stdin", poll("\u{3}")),
    ])
    .await;
    run(&lab).await;
    assert_eq!(lab.normal(&lab.output_of("a")), running("up\n"));
    assert_eq!(
        lab.output_of("b"),
        "the command has no terminal to type into; start it with `tty`"
    );
    assert_eq!(lab.normal(&lab.output_of("c")), report(7, "caught\n"));
}

#[tokio::test]
async fn an_unknown_session_and_a_bad_one_are_named() {
    let lab = with_calls(&[
        ("a", "write_stdin", json!({ "session_id": 4711 })),
        ("b", "write_stdin", json!({ "session_id": "x" })),
        ("c", "write_stdin", json!({})),
    ])
    .await;
    run(&lab).await;
    assert_eq!(
        lab.output_of("a"),
        "there is no running command with session ID 4711"
    );
    assert_eq!(
        lab.output_of("b"),
        "failed to parse function arguments: invalid type: string \"x\", expected u32 at line 1 column 17"
    );
    assert_eq!(
        lab.output_of("c"),
        "failed to parse function arguments: missing field `session_id` at line 1 column 2"
    );
}

#[tokio::test]
async fn commands_heed_interrupts_also_where_the_host_was_started_without() {
    let cmd = "trap 'echo caught' INT QUIT; kill -INT $$; kill -QUIT $$; echo end";
    // What shells do to programs in the background.
    let ignoring = "trap '' INT QUIT; exec \"$0\" \"$@\"";
    for mode in ["danger-full-access", "workspace-write"] {
        let lab = with_calls(&[("x", "exec_command", json!({ "cmd": cmd }))]).await;
        let binary = env!("CARGO_BIN_EXE_dovetail");
        let args = ["-c", ignoring, binary, "exec", "-s", mode, "go"];
        lab.run_other("/bin/sh", &args, &[], "")
            .await
            .expect_code(0);
        assert_eq!(
            lab.normal(&lab.output_of("x")),
            report(0, "caught\ncaught\nend\n"),
            "{mode}"
        );
    }
}

#[tokio::test]
async fn what_still_runs_at_the_end_is_killed_with_all_it_started() {
    // The last one has left the group, the session and the environment, the one before its parent.
    let cmd = "echo $$ > a; sleep 1000 & echo $! > b; \
        (setsid sh -c 'echo $$ > c; exec sleep 1000' &); \
        env -i setsid /bin/sh -c 'echo $$ > d; exec sleep 1000' & \
        while ! [ -s c ] || ! [ -s d ]; do sleep 0.01; done; echo up; wait";
    for mode in ["danger-full-access", "workspace-write"] {
        let lab = with_calls(&[(
            "x",
            "exec_command",
            json!({ "cmd": cmd, "yield_time_ms": 2000 }),
        )])
        .await;
        let ran = run_in(&lab, mode).await;
        assert_eq!(lab.normal(&lab.output_of("x")), running("up\n"), "{mode}");
        for name in ["a", "b", "c", "d"] {
            let pid = std::fs::read_to_string(lab.project().join(name)).unwrap();
            assert!(!is_running(pid.trim()), "{mode}: `{name}` outlived the run");
        }
        let kinds = ran.event_kinds();
        let commands: Vec<&String> = kinds
            .iter()
            .filter(|kind| kind.ends_with("command_execution"))
            .collect();
        assert_eq!(
            commands,
            ["item.started command_execution"],
            "{mode}: its end is nobody's turn"
        );
    }
}
