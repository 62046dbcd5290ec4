//! What is signed, and what is sent.

use dovetail_tests::{Lab, script};

use super::signature::{Arrived, Signed};
use super::{answer, bedrock, config, set_keys};

/// Checks the signatures of all requests.
#[track_caller]
pub(super) fn checked(lab: &Lab) -> Vec<Signed> {
    let requests = lab.requests();
    let check = |request: &dovetail_rehearsal::RecordedRequest| {
        Arrived {
            method: &request.method,
            path: &request.path,
            headers: &request.headers,
            body: &request.body,
        }
        .check()
    };
    requests.iter().map(check).collect()
}

#[tokio::test]
async fn the_signature_is_of_the_bytes_that_arrive() {
    let mut lab = bedrock(&[&script::command("c", "echo hi"), &answer()]).await;
    set_keys(&mut lab, "AKID");
    lab.set_env("AWS_SESSION_TOKEN", "session-token");
    lab.exec(&["hello"]).await.expect_code(0);
    let signed = checked(&lab);
    assert_eq!(signed.len(), 2);
    for signed in signed {
        assert_eq!(
            (signed.access_key_id.as_str(), signed.scope.as_str()),
            ("AKID", "us-east-1/bedrock-mantle")
        );
        assert_eq!(
            signed.headers,
            [
                "accept",
                "content-type",
                "host",
                "session-id",
                "thread-id",
                "x-amz-date",
                "x-amz-security-token",
                "x-amzn-mantle-client-agent",
                "x-client-request-id",
                "x-codex-beta-features",
                "x-codex-turn-metadata",
                "x-codex-window-id",
            ]
        );
    }
    let request = &lab.requests()[0];
    assert_eq!(
        request.header("x-amz-security-token"),
        Some("session-token")
    );
    assert_eq!(request.header("x-amzn-mantle-client-agent"), Some("codex"));
    assert_eq!(request.header("content-encoding"), None);
    assert!(request.header("originator").is_some() && request.header("user-agent").is_some());
    let asked = lab.last_request();
    assert_eq!(asked["model"], "openai.gpt-6.1-sol");
    let tools = asked["tools"].as_array().unwrap();
    assert!(
        tools.iter().any(|tool| tool["type"] == "web_search"),
        "{tools:?}"
    );
    lab.expect_played();
}

#[tokio::test]
async fn headers_that_do_not_reach_the_service_are_removed_before_signing() {
    let mut lab = bedrock(&[&answer()]).await;
    set_keys(&mut lab, "AKID");
    let more = "[model_providers.amazon-bedrock.http_headers]\nx_lost = \"1\"\nX-Kept = \"  two   blanks  \"\n\
                Authorization = \"Bearer mine\"\n";
    lab.write_config(&format!("{}{more}", config(&lab, "region = \"eu-west-1\"")));
    lab.exec(&["hello"]).await.expect_code(0);
    let signed = &checked(&lab)[0];
    assert!(signed.headers.contains(&"x-kept".to_owned()));
    assert!(!signed.headers.contains(&"authorization".to_owned()));
    assert_eq!(signed.scope, "eu-west-1/bedrock-mantle");
    assert_eq!(lab.requests()[0].header("x_lost"), None);
}

#[tokio::test]
async fn every_attempt_is_signed_anew() {
    let failed = script::status(500, "{}");
    let mut lab = bedrock(&[&failed, &failed, &answer()]).await;
    set_keys(&mut lab, "AKID");
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(checked(&lab).len(), 3);
    lab.expect_played();
}

#[tokio::test]
async fn the_other_service_has_its_own_name_and_no_hosted_tools() {
    let mut lab = bedrock(&[&answer()]).await;
    set_keys(&mut lab, "AKID");
    let config =
        config(&lab, "region = \"mars-1\"").replace("amazon-bedrock", "amazon-bedrock-runtime");
    lab.write_config(&config);
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(checked(&lab)[0].scope, "mars-1/bedrock");
    let request = lab.last_request();
    assert_eq!(request["model"], "global.openai.gpt-6.1-sol");
    let tools = request["tools"].as_array().unwrap();
    assert!(
        tools.iter().all(|tool| tool["type"] != "web_search"),
        "{tools:?}"
    );
}

#[tokio::test]
async fn metadata_of_items_stays_here() {
    let mut lab = bedrock(&[&script::command("c", "echo hi"), &answer()]).await;
    set_keys(&mut lab, "AKID");
    lab.exec(&["hello"]).await.expect_code(0);
    let request = lab.last_request().to_string();
    assert!(
        !request.contains("internal_chat_message_metadata_passthrough")
            && !request.contains("mcp_attribution")
    );
}
