//! What requests of each kind of login carry, and to which address they go.

use dovetail_rehearsal::RecordedRequest;
use dovetail_tests::script;
use serde_json::{Value, json};

use super::{World, access_token, bearer, chatgpt, id_token};

/// Headers that tell logins apart.
const TELLING: [&str; 7] = [
    "authorization",
    "chatgpt-account-id",
    "x-openai-fedramp",
    "version",
    "x-codex-routing-hint",
    "content-encoding",
    "x-oai-attestation",
];

fn telling(request: &RecordedRequest) -> Vec<(&'static str, String)> {
    let value = |name| Some((name, request.header(name)?.to_owned()));
    TELLING.into_iter().filter_map(value).collect()
}

fn pairs(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

/// The body of a request, taken out of its compression.
fn body(request: &RecordedRequest) -> Value {
    let plain = zstd::decode_all(request.body.as_slice()).unwrap();
    serde_json::from_slice(&plain).unwrap()
}

#[tokio::test]
async fn an_account_sends_its_token_its_name_and_a_compressed_body() {
    let world = World::new(&script::answer("hi"), &[]).await;
    let token = access_token("a", 3600);
    world.store(&chatgpt(&token, "r", "acct-1"));
    world.lab.exec(&["hello"]).await.expect_code(0);
    let request = &world.lab.requests()[0];
    assert_eq!(
        telling(request),
        pairs(&[
            ("authorization", &format!("Bearer {token}")),
            ("chatgpt-account-id", "acct-1"),
            ("version", "0.169.0"),
            ("x-codex-routing-hint", "model=gpt-5.5"),
            ("content-encoding", "zstd"),
        ])
    );
    assert_eq!(body(request)["model"], "gpt-5.5");
    assert!(world.authority.paths().is_empty());
}

#[tokio::test]
async fn an_account_of_the_government_is_flagged_by_its_id_token() {
    let world = World::new(&script::answer("hi"), &[]).await;
    let mut login = chatgpt(&access_token("a", 3600), "r", "acct-1");
    login["tokens"]["id_token"] = json!(id_token("acct-1", true));
    world.store(&login);
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(
        world.lab.requests()[0].header("x-openai-fedramp"),
        Some("true")
    );
}

#[tokio::test]
async fn compression_can_be_switched_off() {
    let world = World::new(&script::answer("hi"), &[]).await;
    world.store(&chatgpt(&access_token("a", 3600), "r", "acct-1"));
    world
        .lab
        .exec(&["--disable", "enable_request_compression", "hello"])
        .await
        .expect_code(0);
    let request = &world.lab.requests()[0];
    assert_eq!(request.header("content-encoding"), None);
    assert_eq!(request.json.as_ref().unwrap()["model"], "gpt-5.5");
}

#[tokio::test]
async fn a_key_sends_itself_alone() {
    let world = World::new(&script::answer("hi"), &[]).await;
    world.store(&json!({ "auth_mode": "apikey", "OPENAI_API_KEY": "sk-1" }));
    world.lab.exec(&["hello"]).await.expect_code(0);
    let request = &world.lab.requests()[0];
    assert_eq!(
        telling(request),
        pairs(&[("authorization", "Bearer sk-1"), ("version", "0.169.0")])
    );
    assert!(request.json.is_some());
}

#[tokio::test]
async fn a_personal_access_token_is_looked_up_once_and_sent_with_its_account() {
    let person = json!({
        "email": "ada@example.org", "chatgpt_user_id": "u", "chatgpt_account_id": "acct-7",
        "chatgpt_plan_type": "pro", "chatgpt_account_is_fedramp": true,
    });
    let model = [script::command("c", "true"), script::answer("hi")].concat();
    let world = World::new(&model, &[("/v1/user-auth-credential/whoami", 200, person)]).await;
    world.store(&json!({ "OPENAI_API_KEY": null, "personal_access_token": "at-1" }));
    world.lab.exec(&["hello"]).await.expect_code(0);
    let expected = pairs(&[
        ("authorization", "Bearer at-1"),
        ("chatgpt-account-id", "acct-7"),
        ("x-openai-fedramp", "true"),
        ("version", "0.169.0"),
        ("x-codex-routing-hint", "model=gpt-5.5"),
        ("content-encoding", "zstd"),
    ]);
    let sent: Vec<_> = world.lab.requests().iter().map(telling).collect();
    assert_eq!(sent, [expected.clone(), expected]);
    assert_eq!(
        world.authority.paths(),
        ["GET /v1/user-auth-credential/whoami"]
    );
    assert_eq!(
        world.authority.asked()[0].header("authorization"),
        Some("Bearer at-1")
    );
}

#[tokio::test]
async fn the_login_decides_where_requests_go_unless_the_configuration_does() {
    let backend = "https://chatgpt.com/backend-api/codex";
    let api = "https://api.openai.com/v1";
    let world = World::new(&script::answer("hi"), &[]).await;
    world.lab.write_config("");
    for (login, expected) in [
        (json!({ "OPENAI_API_KEY": "sk-1" }), api),
        (chatgpt("a", "r", "acct-1"), backend),
        (json!({ "personal_access_token": "at-1" }), backend),
        (
            json!({ "auth_mode": "agentIdentity", "agent_identity": {} }),
            backend,
        ),
    ] {
        world.store(&login);
        let ran = world
            .lab
            .run(&["auth", "explain", "--json"])
            .await
            .expect_code(0);
        assert_eq!(ran.json()["destination"], expected, "{login}");
    }
    world.configure("", "");
    let ran = world
        .lab
        .run(&["auth", "explain", "--json"])
        .await
        .expect_code(0);
    assert_eq!(ran.json()["destination"], world.lab.server().base_url());
}

#[tokio::test]
async fn a_session_stays_with_its_account() {
    let model = [
        script::command("c", "cp other.json \"$CODEX_HOME/auth.json\""),
        script::answer("hi"),
    ]
    .concat();
    let world = World::new(&model, &[]).await;
    // Nothing tells when this token ends, so that it is kept until it is refused.
    world.store(&chatgpt("opaque", "r", "acct-1"));
    world
        .lab
        .write("other.json", chatgpt("other", "r", "acct-2").to_string());
    world
        .lab
        .exec(&["--dangerously-bypass-approvals-and-sandbox", "hello"])
        .await
        .expect_code(0);
    assert_eq!(world.authorizations(), [bearer("opaque"), bearer("opaque")]);
}
