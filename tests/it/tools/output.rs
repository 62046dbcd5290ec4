//! Output of commands: merged, bounded, and text whatever the bytes.

use serde_json::json;

use super::{command, report, run, with_calls};

#[tokio::test]
async fn both_streams_come_in_order_with_the_exit_code() {
    let cmd = "echo A; echo B >&2; echo C; exit 3";
    assert_eq!(command(json!({ "cmd": cmd })).await, report(3, "A\nB\nC\n"));
    assert_eq!(command(json!({ "cmd": "true" })).await, report(0, ""));
    assert_eq!(
        command(json!({ "cmd": "kill -9 $$" })).await,
        report(137, "")
    );
}

#[tokio::test]
async fn the_count_of_tokens_is_a_quarter_of_the_bytes() {
    for (cmd, count) in [("printf 12345678", 2), ("printf 123456789", 3), ("true", 0)] {
        let lab = with_calls(&[("c", "exec_command", json!({ "cmd": cmd }))]).await;
        run(&lab).await;
        let output = lab.output_of("c");
        assert_eq!(
            output.lines().nth(3),
            Some(&*format!("Original token count: {count}")),
            "{cmd}"
        );
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced_and_nothing_else_is() {
    let cmd = r"printf 'a\377\376b\303\050 \342\202\254\n'";
    let expected = report(0, "a\u{fffd}\u{fffd}b\u{fffd}( €\n");
    assert_eq!(command(json!({ "cmd": cmd })).await, expected);
}

#[tokio::test]
async fn a_character_that_comes_in_pieces_stays_one() {
    // A pause is not needed for the pieces to be read one by one, it makes it likely.
    let cmd = r"printf 'x\342'; sleep 0.05; printf '\202'; sleep 0.05; printf '\254y\n'";
    assert_eq!(command(json!({ "cmd": cmd })).await, report(0, "x€y\n"));
}

/// The head of a shortened output, its two ends, and how long the whole is.
async fn check_shortened(cmd: &str, budget: u64, tokens: u64, lines: u64, ends: [&str; 2]) {
    let text = command(json!({ "cmd": cmd, "max_output_tokens": budget })).await;
    let (_, output) = text.split_once("Output:\n").unwrap();
    let head = format!(
        "Warning: truncated output (original token count: {tokens})\nTotal output lines: {lines}\n\n{}",
        ends[0]
    );
    assert!(output.starts_with(&head), "{output:.200}");
    assert!(output.ends_with(ends[1]), "{cmd}");
    let marker = format!("…{} tokens truncated…", tokens - budget);
    assert_eq!(output.matches(&marker).count(), 1, "{cmd}");
    let shown = output.len() - (head.len() - ends[0].len()) - marker.len();
    assert_eq!(shown as u64, budget * 4, "{cmd}");
}

#[tokio::test]
async fn long_output_loses_its_middle() {
    check_shortened(
        "seq 1 10000",
        100,
        12224,
        10000,
        ["1\n2\n3\n", "\n9999\n10000\n"],
    )
    .await;
}

#[tokio::test]
async fn one_huge_line_loses_its_middle() {
    let cmd = "printf begin; head -c 3000000 /dev/zero | tr '\\0' x; printf end";
    check_shortened(cmd, 50, 750_002, 1, ["beginxxx", "xxxend"]).await;
}

#[tokio::test]
async fn by_default_ten_thousand_tokens_are_shown_and_configuration_lowers_that() {
    let call = ("c", "exec_command", json!({ "cmd": "seq 1 20000" }));
    for (setting, shown) in [("", 40_000), ("tool_output_token_limit = 200\n", 800)] {
        let lab = with_calls(std::slice::from_ref(&call)).await;
        lab.write_config(&format!("{setting}{}", lab.provider_config("")));
        run(&lab).await;
        let output = lab.output_of("c");
        let (_, output) = output.split_once("Total output lines: 20000\n\n").unwrap();
        let (head, rest) = output.split_once('…').unwrap();
        let (_, tail) = rest.rsplit_once('…').unwrap();
        assert_eq!(head.len() + tail.len(), shown, "{setting}");
    }
}

#[tokio::test]
async fn nobody_gets_more_than_configuration_allows() {
    let call = (
        "c",
        "exec_command",
        json!({ "cmd": "seq 1 20000", "max_output_tokens": 20_000 }),
    );
    for (setting, shown) in [("", 40_000), ("tool_output_token_limit = 15000\n", 60_000)] {
        let lab = with_calls(std::slice::from_ref(&call)).await;
        lab.write_config(&format!("{setting}{}", lab.provider_config("")));
        run(&lab).await;
        let output = lab.output_of("c");
        let (_, output) = output.split_once("Total output lines: 20000\n\n").unwrap();
        let (head, rest) = output.split_once('…').unwrap();
        let (_, tail) = rest.rsplit_once('…').unwrap();
        assert_eq!(head.len() + tail.len(), shown, "{setting}");
    }
}

#[tokio::test]
async fn people_see_all_of_it_but_for_the_middle_of_the_very_long() {
    let lab = with_calls(&[(
        "c",
        "exec_command",
        json!({ "cmd": "seq 1 200000", "max_output_tokens": 10 }),
    )])
    .await;
    let ran = run(&lab).await;
    let item = ran
        .events()
        .into_iter()
        .find(|event| event["type"] == "item.completed");
    let output = item.unwrap()["item"]["aggregated_output"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(output.starts_with("1\n2\n") && output.ends_with("\n199999\n200000\n"));
    // 512 KiB at each end.
    let left_out = 1_288_895 - (1 << 20);
    assert!(
        output.contains(&format!("\n…{left_out} bytes left out…\n")),
        "{}",
        output.len()
    );
}

#[tokio::test]
async fn a_flood_without_end_is_bounded_and_ends_with_the_run() {
    let cmd = "echo $$ > pid; exec yes";
    let calls = [(
        "c",
        "exec_command",
        json!({ "cmd": cmd, "yield_time_ms": 300, "max_output_tokens": 20 }),
    )];
    let lab = with_calls(&calls).await;
    run(&lab).await;
    let output = lab.output_of("c");
    assert!(
        output.contains("\nProcess running with session ID "),
        "{output}"
    );
    assert!(
        output.contains(" tokens truncated…") && output.ends_with("y\ny\n"),
        "{output}"
    );
    assert!(output.len() < 500, "{output}");
    let pid = std::fs::read_to_string(lab.project().join("pid")).unwrap();
    assert!(!super::is_running(pid.trim()));
}

#[tokio::test]
async fn who_keeps_the_output_open_does_not_hold_the_call_up() {
    for keeper in [
        "sleep 1000 & echo done",
        "(setsid sleep 1000 &) ; echo done",
    ] {
        let cmd = format!("{keeper}; echo end");
        let calls = [(
            "c",
            "exec_command",
            json!({ "cmd": cmd, "yield_time_ms": 30000 }),
        )];
        let lab = with_calls(&calls).await;
        let ran = run_sandboxed(&lab).await;
        assert_eq!(
            lab.normal(&lab.output_of("c")),
            report(0, "done\nend\n"),
            "{keeper}"
        );
        assert!(ran.took.as_secs() < 20, "{keeper}: {:?}", ran.took);
    }
}

/// In the sandbox, so that what a command leaves behind is ended with the run.
async fn run_sandboxed(lab: &dovetail_tests::Lab) -> dovetail_tests::Ran {
    super::run_in(lab, "workspace-write").await
}
