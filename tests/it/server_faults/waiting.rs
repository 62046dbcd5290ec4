//! How long is waited, and how often.

use std::time::Duration;

use dovetail_tests::script;

use super::{lab_with_retries, times, words};
use crate::lab;

/// What the visible notice says of a 429 and of the delay that follows.
async fn check_delay(answer: &str, delay: &str) {
    let lab = lab(&[&times(1, answer), &script::answer("later")]).await;
    let ran = lab.exec(&["go"]).await.expect_code(0);
    ran.expect_errors(&[&format!(
        "Reconnecting... 1/1 (exceeded retry limit, last status: 429 Too Many Requests), in {delay}\n"
    )]);
    lab.expect_played();
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_waited_for_exactly() {
    check_delay("{ status = 429, retry_after = 1 }", "1.0 s").await;
    // The server's clock is the one its date was read from.
    check_delay(
        "{ headers = { date = 'Sun, 06 Nov 1994 08:49:30 GMT' } }, { status = 429, retry_after = 'Sun, 06 Nov 1994 08:49:32 GMT' }",
        "2.0 s",
    )
    .await;
    check_delay(
        "{ status = 429, retry_after = 'Sun, 06 Nov 1994 08:49:30 GMT' }",
        "0 µs",
    )
    .await;
    check_delay("{ status = 429, retry_after = 0 }", "0 µs").await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_is_none() {
    for wish in [
        "retry_after = 'soon'",
        "retry_after = '-1'",
        "retry_after = '1.5'",
        "body = 'retry-after-ms is another header'",
    ] {
        let answer =
            format!("{{ headers = {{ retry-after-ms = '60000' }} }}, {{ status = 429, {wish} }}");
        let lab = lab(&[&times(1, &answer), &script::answer("later")]).await;
        let ran = lab.exec(&["go"]).await.expect_code(0);
        let notice = ran
            .stderr
            .lines()
            .find(|line| line.contains("Reconnecting... 1/1"))
            .unwrap();
        let delay = notice.rsplit(", in ").next().unwrap();
        let milliseconds: u32 = delay.strip_suffix(" ms").unwrap().parse().unwrap();
        assert!(
            (180..=220).contains(&milliseconds),
            "{wish}: the usual delay, a tenth more or less: {delay}"
        );
    }
}

#[tokio::test]
async fn a_server_that_asks_for_more_than_anybody_waits_is_as_good_as_down() {
    for (status, name, words_of_it) in [
        (
            429,
            "",
            "exceeded retry limit, last status: 429 Too Many Requests",
        ),
        (
            503,
            "busy",
            "unexpected status 503 Service Unavailable: busy, url: http://127.0.0.1:<port>/v1/responses",
        ),
    ] {
        for (asked, wait) in [
            ("901", "16 min"),
            ("86400", "1440 min"),
            ("99999999999999999999999", "for ever"),
        ] {
            super::check_failing(
                1,
                &format!("{{ status = {status}, retry_after = '{asked}', body = '{name}' }}"),
                &[&format!(
                    "{words_of_it} (the server asks to wait {wait}; more than 15 min is not waited for)"
                )],
            )
            .await;
        }
    }
}

#[tokio::test]
async fn both_loops_wait_as_the_server_asks() {
    let busy = times(4, "{ status = 502, retry_after = 1 }");
    let lab = lab(&[&busy, &script::answer("unused")]).await;
    let ran = lab.exec(&["go"]).await.expect_code(1);
    assert_eq!(lab.requests().len(), 4);
    let ran = ran.expect_errors(&["Reconnecting... 1/1 (", ", in 1.0 s\n"]);
    assert!(
        ran.took >= Duration::from_secs(3),
        "one quiet wait before the notice, one for it, one quiet after it: {:?}",
        ran.took
    );
}

#[tokio::test]
async fn no_repeats_are_made_where_none_are_wanted() {
    for (actions, message) in [
        (
            "{ status = 502, body = 'x' }",
            "unexpected status 502 Bad Gateway: x, url: http://127.0.0.1:<port>/v1/responses",
        ),
        (
            "{ status = 429 }",
            "exceeded retry limit, last status: 429 Too Many Requests",
        ),
        (
            "{ failed = { code = 'odd', message = 'x' } }",
            "stream disconnected before completion: x",
        ),
    ] {
        let lab = lab_with_retries(&[&times(1, actions), &script::answer("on")], "0", "0").await;
        let ran = lab.exec_json(&["go"], 1).await;
        assert_eq!(words(&lab, &ran), [message]);
        assert_eq!(lab.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_hundred_repeats_are_the_most() {
    let busy = times(101, "{ status = 429, retry_after = 0 }");
    let lab = lab_with_retries(&[&busy, &script::answer("on")], "0", "5000").await;
    let ran = lab.exec_json(&["go"], 1).await;
    assert_eq!(lab.requests().len(), 101);
    let said = words(&lab, &ran);
    assert_eq!(said.len(), 101);
    assert!(
        said[99].starts_with("Reconnecting... 100/100 ("),
        "{}",
        said[99]
    );

    let full = times(
        101,
        "{ status = 503, retry_after = 0, body = { error = { code = 'slow_down' } } }",
    );
    let lab = lab_with_retries(&[&full, &script::answer("on")], "5000", "0").await;
    let ran = lab.exec_json(&["go"], 1).await;
    assert_eq!(lab.requests().len(), 101);
    assert_eq!(
        words(&lab, &ran),
        ["Selected model is at capacity. Please try a different model."]
    );
}
