//! Upgrades that are refused: HTTP from then on, said once.

use dovetail_tests::script;

use super::{check_answer, lab, lab_with, methods, told};

/// The warning that an upgrade leads to, for this turn and never again; each of the thread's requests goes over HTTP.
async fn check_refused(upgrade: &str, more: &str, warning: &[&str]) {
    let lab = lab_with(
        &[
            upgrade,
            &script::command("c", "echo hi"),
            &script::answer("over HTTP"),
            &script::answer("again"),
        ],
        more,
    )
    .await;
    let ran = lab.exec_json(&["go"], 0).await;
    check_answer(&ran, "over HTTP");
    assert_eq!(told(&lab, &ran), warning, "{upgrade}");
    let ran = lab.exec_json(&["resume", "--last", "go on"], 0).await;
    check_answer(&ran, "again");
    assert_eq!(told(&lab, &ran), Vec::<String>::new(), "{upgrade}");
    assert_eq!(methods(&lab), ["GET", "POST", "POST", "POST"], "{upgrade}");
    let body = lab.last_request();
    assert_eq!(body.get("previous_response_id"), None);
    lab.expect_played();
}

#[tokio::test]
async fn the_first_refusal_leads_to_http_and_is_remembered() {
    let url = "url: ws://127.0.0.1:<port>/v1/responses";
    let falling = "Falling back from WebSockets to HTTPS transport.";
    for (status, words) in [
        (401, "unexpected status 401 Unauthorized: no"),
        (403, "unexpected status 403 Forbidden: no"),
        (404, "unexpected status 404 Not Found: no"),
        (
            500,
            "the model's service is in high demand and could not answer (500 Internal Server Error): no",
        ),
    ] {
        let upgrade =
            format!("[[upgrade]]\nstatus = {status}\nbody = {{ error = {{ message = 'no' }} }}\n");
        check_refused(&upgrade, "", &[&format!("{falling} {words}, {url}")]).await;
    }
}

#[tokio::test]
async fn a_server_that_wants_http_gets_it_without_a_word() {
    check_refused("[[upgrade]]\nstatus = 426\n", "", &[]).await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_answered_costs_one_wait() {
    check_refused(
        "[[upgrade]]\nhang = true\n",
        "websocket_connect_timeout_ms = 300",
        &["Falling back from WebSockets to HTTPS transport. no WebSocket at `ws://127.0.0.1:<port>/v1/responses` within 300 ms"],
    )
    .await;
}

#[tokio::test]
async fn a_host_is_tried_again_when_what_is_known_of_it_is_gone() {
    let lab = lab(&[
        "[[upgrade]]\nstatus = 404\n[[upgrade]]\n",
        &script::answer("over HTTP"),
        &script::answer("again"),
    ])
    .await;
    lab.exec_json(&["go"], 0).await;
    let file = lab.home().join("dovetail/http-only-hosts.json");
    let hosts: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let origin = lab.server().base_url().replace("/v1", "");
    assert!(hosts[&origin].is_u64(), "{hosts}");
    std::fs::write(&file, format!("{{\"{origin}\":1000000000}}")).unwrap();
    check_answer(
        &lab.exec_json(&["resume", "--last", "go on"], 0).await,
        "again",
    );
    assert_eq!(
        methods(&lab),
        ["GET", "POST", "GET", "WEBSOCKET", "WEBSOCKET"]
    );
}
