//! Failures in the stream.

use dovetail_tests::script;

use super::{check_failing, check_surviving, check_too_long, times};

const DISCONNECTED: &str = "stream disconnected before completion: ";

/// A stream that cannot be read to its end is repeated once, then the turn fails.
async fn check_repeated(actions: &str, words: &str) {
    let notice = format!("Reconnecting... 1/1 ({words})");
    check_failing(2, actions, &[&notice, words]).await;
}

#[tokio::test]
async fn failures_that_asking_again_does_not_mend_end_the_turn() {
    for (code, words) in [
        (
            "insufficient_quota",
            "Quota exceeded. Check your plan and billing details.",
        ),
        (
            "usage_not_included",
            "Your plan does not include this model. Upgrade the plan or use an API key to go on.",
        ),
        (
            "usage_limit_reached",
            "You have reached the usage limit. Try again later.",
        ),
        ("invalid_prompt", "the server's words"),
        ("cyber_policy", "the server's words"),
        (
            "invalid_image_format",
            "the model's service cannot use an image of this conversation: the server's words",
        ),
        (
            "server_is_overloaded",
            "Selected model is at capacity. Please try a different model.",
        ),
    ] {
        let failed =
            format!("{{ failed = {{ code = '{code}', message = \"the server's words\" }} }}");
        check_failing(1, &failed, &[words]).await;
    }
    check_too_long("{ failed = { code = 'context_length_exceeded', message = 'words' } }").await;
}

#[tokio::test]
async fn other_failures_are_asked_again() {
    for (code, message) in [
        (
            "rate_limit_exceeded",
            "Limit reached. Please try again in 20ms.",
        ),
        ("rate_limit_exceeded", "Please Try Again In 0.02 Seconds."),
        ("slow_down", "Please try again in 0.02s."),
        ("server_error", "odd"),
        ("new_in_2030", "odd"),
    ] {
        let failed = format!("{{ failed = {{ code = '{code}', message = '{message}' }} }}");
        check_repeated(&failed, &format!("{DISCONNECTED}{message}")).await;
    }
    check_repeated(
        "{ event = { type = 'response.failed' } }",
        &format!("{DISCONNECTED}Unknown error"),
    )
    .await;
    check_repeated(
        "{ event = { error = { message = 'without a type' } } }",
        &format!("{DISCONNECTED}without a type"),
    )
    .await;
    check_repeated(
        "{ event = { type = 'error', code = 'server_error', message = 'in the older form' } }",
        &format!("{DISCONNECTED}in the older form"),
    )
    .await;
}

#[tokio::test]
async fn the_delay_that_a_message_asks_for_is_kept() {
    for (message, delay) in [
        ("try again in 20ms", "20 ms"),
        ("TRY AGAIN IN 1.5s.", "1.5 s"),
        ("Try again in 1 second", "1.0 s"),
        ("try again in 2 seconds", "2.0 s"),
    ] {
        let failed =
            format!("{{ failed = {{ code = 'rate_limit_exceeded', message = '{message}' }} }}");
        let lab = crate::lab(&[&times(1, &failed), &script::answer("ok")]).await;
        let ran = lab.exec(&["go"]).await.expect_code(0);
        ran.expect_errors(&[&format!(
            "Reconnecting... 1/1 ({DISCONNECTED}{message}), in {delay}\n"
        )]);
    }
}

#[tokio::test]
async fn an_incomplete_response_is_named_with_its_reason() {
    for reason in ["content_filter", "max_output_tokens"] {
        check_failing(
            1,
            &format!("{{ text = 'half' }}, {{ incomplete = '{reason}' }}"),
            &[&format!("Incomplete response returned, reason: {reason}")],
        )
        .await;
    }
    check_failing(
        1,
        "{ event = { type = 'response.incomplete' } }",
        &["Incomplete response returned, reason: unknown"],
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_just_ends_is_asked_again_and_what_was_finished_stays() {
    let early = "[[response]]\ncomplete = false\nactions = [{ text = 'first half' }]\n";
    let rest = "[[response]]\nexpect = [{ input_contains = 'first half' }]\nactions = [{ text = 'second half' }]\n";
    let closed = format!("{DISCONNECTED}stream closed before response.completed");
    check_surviving(
        &[early, rest],
        2,
        &[&format!("Reconnecting... 1/1 ({closed})")],
        "second half",
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_breaks_is_asked_again() {
    let eof = format!("{DISCONNECTED}unexpected EOF during chunk size line");
    check_repeated("{ text = 'half' }, { disconnect = 'mid_event' }", &eof).await;
    check_repeated(
        "{ disconnect = { after_bytes = 40 } }, { text = 'half' }",
        &eof,
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_given_up() {
    for actions in [
        "{ text = 'half' }, { hang = true }",
        // A comment is no sign of life.
        "{ garbage = \": still here\\n\\n\" }, { hang = true }",
    ] {
        let lab = crate::lab(&[&times(2, actions), &script::answer("well again")]).await;
        lab.write_config(&lab.provider_config("stream_idle_timeout_ms = 300"));
        let ran = lab.exec_json(&["the question"], 1).await;
        let idle = format!("{DISCONNECTED}idle timeout waiting for SSE");
        assert_eq!(
            super::words(&lab, &ran),
            [format!("Reconnecting... 1/1 ({idle})"), idle],
            "{actions}"
        );
        lab.write_config(&lab.provider_config(""));
        super::check_thread_goes_on(&lab).await;
    }
}

#[tokio::test]
async fn a_page_in_the_place_of_a_stream_is_named() {
    let instead = |kind: &str| {
        format!(
            "{DISCONNECTED}`http://127.0.0.1:<port>/v1/responses` answered with `{kind}` instead of an event stream"
        )
    };
    check_repeated(
        "{ headers = { content-type = 'text/html' } }, { status = 200, body = '<html>Sign in to the hotel</html>' }",
        &instead("text/html"),
    )
    .await;
    check_repeated(
        "{ status = 200, body = { error = { code = 'invalid_prompt' } } }",
        &instead("application/json"),
    )
    .await;
    check_repeated(
        "{ status = 200, body = { error = { message = 'the model is not loaded' } } }",
        &format!("{}: the model is not loaded", instead("application/json")),
    )
    .await;
    check_repeated(
        "{ headers = { content-encoding = 'gzip' } }, { text = 'as if it were compressed' }",
        &format!("{DISCONNECTED}`http://127.0.0.1:<port>/v1/responses` answered with a body in `gzip`, which was not asked for"),
    )
    .await;
}

#[tokio::test]
async fn a_conversation_that_is_too_long_counts_as_a_full_window() {
    let by_status = script::status(400, r#"{"error":{"code":"context_length_exceeded"}}"#);
    let by_event = times(1, "{ failed = { code = 'context_length_exceeded' } }");
    for failing in [by_status, by_event] {
        let begin = script::command("c", "true");
        let (summary, answer) = (script::answer("a summary"), script::answer("well again"));
        let lab = crate::lab(&[&begin, &failing, &summary, &answer]).await;
        lab.exec_json(&["the question"], 1).await;
        let counts: Vec<_> = lab
            .rollout_lines()
            .into_iter()
            .filter(|line| line["payload"]["type"] == "token_count")
            .map(|line| line["payload"]["info"].clone())
            .collect();
        let [first, full] = counts.as_slice() else {
            panic!("expected two counts, found {counts:#?}")
        };
        let window = &full["model_context_window"];
        assert!(window.as_u64().is_some_and(|window| window > 0));
        assert_eq!(
            full["last_token_usage"],
            serde_json::json!({ "input_tokens": 0, "cached_input_tokens": 0, "cache_write_input_tokens": 0,
                "output_tokens": 0, "reasoning_output_tokens": 0, "total_tokens": window })
        );
        let mut total = first["total_token_usage"].clone();
        total["total_tokens"] = window.clone();
        assert_eq!(full["total_token_usage"], total);
        super::check_thread_goes_on(&lab).await;
    }
}
