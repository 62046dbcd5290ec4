//! What servers do on bad days: how often we ask again, what is said, and how the turn ends.

use dovetail_tests::script;

use crate::{DOVETAIL, lab};

/// How a turn ended.
struct End<'a> {
    code: i32,
    /// Requests that the server saw.
    requests: usize,
    /// Reconnect notices.
    notices: usize,
    /// Words of the failure, or the answer.
    words: &'a str,
}

/// Plays responses, with at most one quiet and one visible repeat.
async fn check(responses: &[&str], end: End<'_>) {
    let lab = lab(responses).await;
    let ran = lab.exec_json(&["go"], end.code).await;
    assert_eq!(
        lab.requests().len(),
        end.requests,
        "{responses:?}: {}",
        ran.stdout
    );
    let notices = ran
        .complaints()
        .iter()
        .filter(|words| words.starts_with("Reconnecting... "))
        .count();
    assert_eq!(notices, end.notices, "{responses:?}: {}", ran.stdout);
    if end.code == 0 {
        assert!(
            ran.stdout.contains(end.words),
            "{responses:?}: {}",
            ran.stdout
        );
    } else {
        assert!(
            ran.failure().contains(end.words),
            "{responses:?}: {}",
            ran.failure()
        );
    }
    lab.expect_played();
}

/// The same answer so many times.
fn times(number: usize, actions: &str) -> String {
    format!("[[response]]\ntimes = {number}\nactions = [{actions}]\n")
}

#[tokio::test]
async fn a_status_is_repeated_or_not_as_it_deserves() {
    for (status, requests, notices, words) in [
        (400, 1, 0, "the server's words"),
        (
            403,
            1,
            0,
            "unexpected status 403 Forbidden: the server's words",
        ),
        (
            404,
            1,
            0,
            "unexpected status 404 Not Found: the server's words",
        ),
        (
            413,
            1,
            0,
            "unexpected status 413 Payload Too Large: the server's words",
        ),
        (
            401,
            1,
            0,
            "unexpected status 401 Unauthorized: the server's words",
        ),
        (
            429,
            2,
            1,
            "exceeded retry limit, last status: 429 Too Many Requests",
        ),
        (500, 4, 1, "500 Internal Server Error"),
        (503, 4, 1, "503 Service Unavailable"),
    ] {
        let failing = times(
            requests,
            &format!(
                "{{ status = {status}, body = {{ error = {{ message = \"the server's words\" }} }} }}"
            ),
        );
        check(
            &[&failing],
            End {
                code: 1,
                requests,
                notices,
                words,
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_server_that_recovers_is_not_mentioned() {
    for actions in ["{ status = 500 }", "{ disconnect = \"now\" }"] {
        check(
            &[&times(1, actions), &script::answer("well again")],
            End {
                code: 0,
                requests: 2,
                notices: 0,
                words: "well again",
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_waited_for() {
    let busy = times(1, "{ status = 429, retry_after = 1 }");
    check(
        &[&busy, &script::answer("later")],
        End {
            code: 0,
            requests: 2,
            notices: 1,
            words: "later",
        },
    )
    .await;
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_named() {
    let lab = lab(&[&script::answer("hi")]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("model_providers.rehearsal.base_url=http://{free}/v1");
    let ran = lab.exec_json(&["-c", &url, "go"], 1).await;
    assert!(
        ran.failure().contains(&free.to_string()),
        "{}",
        ran.failure()
    );
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_then_named() {
    check(
        &[&times(4, "{ disconnect = \"now\" }")],
        End {
            code: 1,
            requests: 4,
            notices: 1,
            words: "127.0.0.1",
        },
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_breaks_is_tried_again_and_finished_items_stay() {
    let words = "stream disconnected before completion";
    check(
        &[&times(
            2,
            "{ text = \"half\" }, { disconnect = \"mid_event\" }",
        )],
        End {
            code: 1,
            requests: 2,
            notices: 1,
            words,
        },
    )
    .await;
    check(
        &[&times(
            2,
            "{ disconnect = { after_bytes = 40 } }, { text = \"half\" }",
        )],
        End {
            code: 1,
            requests: 2,
            notices: 1,
            words,
        },
    )
    .await;
    let early = "[[response]]\ncomplete = false\nactions = [{ text = \"first half\" }]\n";
    let rest = "[[response]]\nexpect = [{ input_contains = \"first half\" }]\nactions = [{ text = \"second half\" }]\n";
    check(
        &[early, rest],
        End {
            code: 0,
            requests: 2,
            notices: 1,
            words: "second half",
        },
    )
    .await;
}

#[tokio::test]
async fn a_command_of_a_broken_stream_ran_once_and_its_result_is_sent() {
    let broken = "[[response]]\ncomplete = false\nactions = [{ tool_call = \"exec_command\", call_id = \"c\", arguments = { cmd = \"echo run >> runs\" } }]\n";
    let lab = lab(&[broken, &script::answer("ok")]).await;
    lab.exec(&["-s", "workspace-write", "go"])
        .await
        .expect_code(0);
    assert_eq!(
        std::fs::read_to_string(lab.project().join("runs")).unwrap(),
        "run\n"
    );
    assert!(lab.output_of("c").contains("exited with code 0"));
    lab.expect_played();
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    for actions in ["{ hang = true }", "{ text = \"half\" }, { hang = true }"] {
        let lab = lab(&[&times(2, actions)]).await;
        lab.write_config(
            &lab.provider_config("stream_idle_timeout_ms = 300")
                .replace("request_max_retries = 1", "request_max_retries = 0"),
        );
        let ran = lab.exec_json(&["go"], 1).await;
        assert_eq!(lab.requests().len(), 2, "{actions}: {}", ran.stdout);
        let failure = ran.failure();
        assert!(
            failure.contains("idle") || failure.contains("timeout") || failure.contains("within"),
            "{actions}: {failure}"
        );
    }
}

#[tokio::test]
async fn garbage_between_events_is_skipped() {
    let chaos = r#"
[[response]]
actions = [
    { split = 1 },
    { garbage = "data: {this is no JSON\n\n" },
    { garbage = { hex = "64 61 74 61 3a ff 0a 0a" } },
    { garbage = ": a comment\n\nevent: unknown.kind\ndata: {\"type\":\"unknown.kind\"}\n\n" },
    { text = "Grüße aus dem Chaos 🌪", chunk = 1 },
]
"#;
    check(
        &[chaos],
        End {
            code: 0,
            requests: 1,
            notices: 0,
            words: "Grüße aus dem Chaos 🌪",
        },
    )
    .await;
}

#[tokio::test]
async fn a_web_page_in_the_place_of_a_stream_fails_the_turn() {
    let page = times(
        2,
        "{ status = 200, body = \"<html>Sign in to the hotel's network</html>\" }",
    );
    check(
        &[&page],
        End {
            code: 1,
            requests: 2,
            notices: 1,
            words: "stream",
        },
    )
    .await;
}

#[tokio::test]
async fn failures_in_the_stream_are_named_as_they_are_known() {
    for (code, message, requests, words) in [
        (
            "context_length_exceeded",
            "too long",
            1,
            "ran out of room in the model's context window",
        ),
        (
            "insufficient_quota",
            "no money",
            1,
            "Quota exceeded. Check your plan and billing details.",
        ),
        ("usage_not_included", "no", 1, "plan"),
        ("invalid_prompt", "a bad prompt", 1, "a bad prompt"),
        (
            "server_is_overloaded",
            "busy",
            1,
            "Selected model is at capacity. Please try a different model.",
        ),
        (
            "rate_limit_exceeded",
            "Please try again in 20ms.",
            2,
            "Please try again in 20ms.",
        ),
        ("anything_else", "odd", 2, "odd"),
    ] {
        let failing = times(
            requests,
            &format!("{{ failed = {{ code = \"{code}\", message = \"{message}\" }} }}"),
        );
        check(
            &[&failing],
            End {
                code: 1,
                requests,
                notices: requests - 1,
                words,
            },
        )
        .await;
    }
}

#[tokio::test]
async fn an_incomplete_response_is_named_with_its_reason() {
    let words = "Incomplete response returned, reason: content_filter";
    let lab = lab(&[&times(1, "{ incomplete = \"content_filter\" }")]).await;
    let ran = lab.exec_json(&["go"], 1).await;
    assert_eq!(ran.failure(), words);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = dovetail_tests::Lab::new(DOVETAIL, &script::answer("stolen")).await;
    let url = format!("{}/responses", elsewhere.server().base_url());
    let lab = lab(&[&format!("[[response]]\nactions = [{{ headers = {{ location = \"{url}\" }} }}, {{ status = 307, body = \"\" }}]\n")]).await;
    lab.exec_json(&["go"], 1).await;
    assert!(
        elsewhere.requests().is_empty(),
        "the key went to another address"
    );
}
