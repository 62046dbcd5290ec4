//! Answers with an error status.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{check_failing, check_surviving, check_too_long, times};
use dovetail_tests::script;

/// Where the rehearsal answers, as it is shown.
const URL: &str = "url: http://127.0.0.1:<port>/v1/responses";

/// An answer that is given once and ends the turn.
async fn check_fatal(actions: &str, words: &str) {
    check_failing(1, actions, &[&words.replace("URL", URL)]).await;
}

/// An answer that is repeated, and how the turn ends if that does not help.
async fn check_repeated(requests: usize, actions: &str, words: &str) {
    let words = words.replace("URL", URL);
    let notice = format!("Reconnecting... 1/1 ({words})");
    check_failing(requests, actions, &[&notice, &words]).await;
}

#[tokio::test]
async fn a_bad_request_ends_the_turn_with_the_servers_words() {
    check_fatal(
        "{ status = 400, body = '{\"detail\":\"odd\"}' }",
        "{\"detail\":\"odd\"}",
    )
    .await;
    check_fatal(
        "{ status = 400, body = '{\"error\":{\"message\":\"no\",\"code\":\"invalid_prompt\"}}' }",
        "{\"error\":{\"message\":\"no\",\"code\":\"invalid_prompt\"}}",
    )
    .await;
    check_fatal(
        "{ status = 400, body = { error = { code = 'cyber_policy', message = 'this is not allowed' } } }",
        "this is not allowed",
    )
    .await;
    check_fatal(
        "{ status = 400 }",
        "unexpected status 400 Bad Request: Unknown error, URL",
    )
    .await;
}

#[tokio::test]
async fn an_image_that_cannot_be_used_is_named() {
    let words = "the model's service cannot use an image of this conversation: broken";
    check_fatal(
        "{ status = 400, body = { error = { code = 'invalid_image', message = 'broken' } } }",
        words,
    )
    .await;
    check_fatal(
        "{ status = 400, body = { error = { message = 'The image data you provided does not represent a valid image.' } } }",
        "the model's service cannot use an image of this conversation: The image data you provided does not represent a valid image.",
    )
    .await;
}

#[tokio::test]
async fn a_refusal_ends_the_turn_at_once() {
    let body = "body = { error = { message = 'the words' } }";
    for (status, name) in [
        (401, "Unauthorized"),
        (402, "Payment Required"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (413, "Payload Too Large"),
        (422, "Unprocessable Entity"),
    ] {
        check_fatal(
            &format!("{{ status = {status}, {body} }}"),
            &format!("unexpected status {status} {name}: the words, URL"),
        )
        .await;
    }
}

#[tokio::test]
async fn what_the_operator_needs_to_find_a_request_is_shown() {
    // {"error":{"code":"token_expired"}}
    let coded = "eyJlcnJvciI6eyJjb2RlIjoidG9rZW5fZXhwaXJlZCJ9fQ==";
    let headers = format!(
        "{{ headers = {{ cf-ray = 'ray1', x-request-id = 'req1', x-oai-request-id = 'req2', x-openai-authorization-error = 'old token', x-error-json = '{coded}' }} }}"
    );
    check_fatal(
        &format!("{headers}, {{ status = 401, body = {{ error = {{ message = 'bad key' }} }} }}"),
        "unexpected status 401 Unauthorized: bad key, URL, cf-ray: ray1, request id: req1, auth error: old token, auth error code: token_expired",
    )
    .await;
    check_fatal(
        "{ headers = { x-oai-request-id = 'req2', x-error-json = 'no Base64!' } }, { status = 404, body = '<html>' }",
        "unexpected status 404 Not Found: <html>, URL, request id: req2",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_says_not_now_is_asked_again() {
    for (status, name) in [
        (408, "Request Timeout"),
        (409, "Conflict"),
        (425, "Too Early"),
    ] {
        check_repeated(
            2,
            &format!("{{ status = {status}, body = 'wait' }}"),
            &format!("unexpected status {status} {name}: wait, URL"),
        )
        .await;
    }
    check_repeated(
        2,
        "{ status = 429, body = { error = { message = 'slower' } } }",
        "exceeded retry limit, last status: 429 Too Many Requests",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_quietly_then_visibly() {
    check_repeated(
        4,
        "{ status = 500, body = 'oops' }",
        "the model's service is in high demand and could not answer (500 Internal Server Error), URL",
    )
    .await;
    check_repeated(
        4,
        "{ status = 500, body = { error = { message = 'out of memory' } } }",
        "the model's service is in high demand and could not answer (500 Internal Server Error): out of memory, URL",
    )
    .await;
    check_repeated(
        4,
        "{ status = 500, body = { error = 'the runner has stopped' } }",
        "the model's service is in high demand and could not answer (500 Internal Server Error): the runner has stopped, URL",
    )
    .await;
    check_repeated(
        4,
        "{ status = 502, body = '<html>bad gateway</html>' }",
        "unexpected status 502 Bad Gateway: <html>bad gateway</html>, URL",
    )
    .await;
    check_repeated(
        4,
        "{ status = 503, body = '' }",
        "unexpected status 503 Service Unavailable: Unknown error, URL",
    )
    .await;
    check_repeated(
        4,
        "{ headers = { cf-ray = 'r' } }, { status = 529, body = '' }",
        "unexpected status 529 <unknown status code>: Unknown error, URL, cf-ray: r",
    )
    .await;
}

#[tokio::test]
async fn a_model_at_capacity_is_asked_again_quietly_only() {
    for code in ["server_is_overloaded", "slow_down"] {
        check_failing(
            2,
            &format!("{{ status = 503, body = {{ error = {{ code = '{code}' }} }} }}"),
            &["Selected model is at capacity. Please try a different model."],
        )
        .await;
    }
}

#[tokio::test]
async fn a_conversation_that_is_too_long_ends_the_turn() {
    check_too_long(
        "{ status = 400, body = { error = { code = 'context_length_exceeded', message = 'too long' } } }",
    )
    .await;
}

#[tokio::test]
async fn a_limit_of_the_plan_ends_the_turn() {
    let limit = |more: &str| {
        format!(
            "{{ status = 429, retry_after = 1, body = {{ error = {{ type = 'usage_limit_reached', message = 'x'{more} }} }} }}"
        )
    };
    check_fatal(
        &limit(""),
        "You have reached the usage limit. Try again later.",
    )
    .await;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    // Half an hour before the next full hour of waiting, so that a slow machine does not change the words.
    let at = now + 26 * 3600 + 1800;
    check_fatal(
        &limit(&format!(", plan_type = 'plus', resets_at = {at}")),
        "You have reached the usage limit of your `plus` plan. Try again in 1 d 2 h.",
    )
    .await;
    let headers = format!(
        "{{ headers = {{ x-codex-active-limit = 'gpt_mini', x-gpt-mini-limit-name = 'GPT mini', x-gpt-mini-primary-used-percent = '100', x-gpt-mini-primary-reset-at = '{at}', x-codex-promo-message = 'Credits can be bought.' }} }}"
    );
    check_fatal(
        &format!("{headers}, {}", limit(", plan_type = 'plus'")),
        "You have reached the usage limit `GPT mini` of your `plus` plan. Try again in 1 d 2 h. Credits can be bought.",
    )
    .await;
    check_fatal(
        "{ status = 429, body = { error = { type = 'usage_not_included' } } }",
        "Your plan does not include this model. Upgrade the plan or use an API key to go on.",
    )
    .await;
    for status in [402, 429] {
        check_fatal(
            &format!(
                "{{ status = {status}, body = {{ error = {{ code = 'insufficient_quota' }} }} }}"
            ),
            "Quota exceeded. Check your plan and billing details.",
        )
        .await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_where_it_points() {
    check_fatal(
        "{ headers = { location = 'http://127.0.0.1:1/elsewhere?key=secret' } }, { status = 307 }",
        "unexpected status 307 Temporary Redirect: redirects are not followed; this one points to `http://127.0.0.1:<port>/elsewhere`, URL",
    )
    .await;
    check_fatal(
        "{ status = 302 }",
        "unexpected status 302 Found: redirects are not followed, URL",
    )
    .await;
}

#[tokio::test]
async fn a_redirect_does_not_carry_the_key_elsewhere() {
    let elsewhere = crate::lab(&[&script::answer("stolen")]).await;
    let url = format!("{}/responses", elsewhere.server().base_url());
    let lab = crate::lab(&[&times(
        1,
        &format!("{{ headers = {{ location = '{url}' }} }}, {{ status = 308 }}"),
    )])
    .await;
    lab.exec_json(&["go"], 1).await;
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test]
async fn a_server_that_recovers_is_not_mentioned() {
    for actions in [
        "{ status = 500 }",
        "{ status = 503 }",
        "{ disconnect = 'now' }",
    ] {
        check_surviving(
            &[&times(1, actions), &script::answer("well again")],
            2,
            &[],
            "well again",
        )
        .await;
    }
}

#[tokio::test]
async fn an_endless_error_is_cut() {
    let body = "ü".repeat(100_000);
    check_fatal(
        &format!("{{ status = 400, body = '{body}' }}"),
        &format!("{}…", "ü".repeat(2_000)),
    )
    .await;
    check_fatal(
        &format!("{{ status = 403, body = '{body}' }}"),
        &format!(
            "unexpected status 403 Forbidden: {}, URL",
            "ü".repeat(2_000)
        ),
    )
    .await;
}
