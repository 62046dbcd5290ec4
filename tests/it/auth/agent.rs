//! An agent's identity at the socket: what is registered, what is signed, and what happens where that is not possible.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dovetail_rehearsal::RecordedRequest;
use dovetail_tests::script;
use serde_json::{Value, json};

use super::{World, access_token, bearer, chatgpt};

/// Keys of a made-up service, a JWT that it signed, and others that are not to be accepted.
const FIXTURE: &str = include_str!("../../fixtures/agent-identity.json");
/// The published test key.
const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
const TASK: &str = "/v1/agent/agent-123/task/register";
const REGISTER: &str = "/v1/agent/register";
const JWKS: &str = "/backend-api/wham/agent-identities/jwks";

fn fixture() -> Value {
    serde_json::from_str(FIXTURE).unwrap()
}

fn record() -> Value {
    json!({
        "agent_runtime_id": "agent-123", "agent_private_key": KEY, "account_id": "acct-1", "chatgpt_user_id": "user-1",
        "email": "ada@example.org", "plan_type": "pro", "chatgpt_account_is_fedramp": false,
    })
}

fn standalone(identity: Value) -> Value {
    json!({ "auth_mode": "agentIdentity", "OPENAI_API_KEY": null, "agent_identity": identity })
}

fn task(id: &str) -> Value {
    json!({ "task_id": id })
}

async fn world(model: &str, answers: &[(&str, u16, Value)]) -> World {
    let mut world = World::new(model, answers).await;
    let url = world.authority.url();
    world
        .lab
        .set_env("CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL", &url);
    world.lab.set_env(
        "CODEX_AGENT_IDENTITY_JWKS_BASE_URL",
        &format!("{url}/backend-api"),
    );
    world
}

/// What an assertion says.
fn assertion(request: &RecordedRequest) -> Value {
    let value = request.header("authorization").unwrap();
    let encoded = value
        .strip_prefix("AgentAssertion ")
        .unwrap_or_else(|| panic!("{value}"));
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
    let said: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = said.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["agent_runtime_id", "signature", "task_id", "timestamp"]
    );
    said
}

#[tokio::test]
async fn an_agent_registers_one_task_and_signs_every_request_for_it() {
    let model = [script::command("c", "true"), script::answer("hi")].concat();
    let world = world(&model, &[(TASK, 200, task("task-123"))]).await;
    let login = standalone(record());
    world.store(&login);
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authority.paths(), [format!("POST {TASK}")]);
    let asked = &world.authority.asked()[0];
    assert_eq!(asked.header("authorization"), None);
    let mut said: Vec<String> = asked.json().as_object().unwrap().keys().cloned().collect();
    said.sort();
    assert_eq!(said, ["signature", "timestamp"]);
    for request in &world.lab.requests() {
        let said = assertion(request);
        assert_eq!(
            (&said["agent_runtime_id"], &said["task_id"]),
            (&json!("agent-123"), &json!("task-123"))
        );
        assert_eq!(request.header("chatgpt-account-id"), Some("acct-1"));
        assert_eq!(request.header("content-encoding"), Some("zstd"));
    }
    assert_eq!((world.lab.requests().len(), world.stored()), (2, login));
}

#[tokio::test]
async fn a_jwt_is_verified_before_it_is_an_identity() {
    let fixture = fixture();
    let good = fixture["good"].as_str().unwrap();
    for variable in ["CODEX_ACCESS_TOKEN", "CODEX_AGENT_IDENTITY"] {
        let answers = [
            (JWKS, 200, fixture["jwks"].clone()),
            (TASK, 200, task("task-1")),
        ];
        let mut world = world(&script::answer("hi"), &answers).await;
        world.lab.set_env(variable, good);
        world.lab.exec(&["hello"]).await.expect_code(0);
        assert_eq!(assertion(&world.lab.requests()[0])["task_id"], "task-1");
        assert_eq!(
            world.lab.requests()[0].header("x-openai-fedramp"),
            Some("true")
        );
    }
    for (why, jwt) in fixture["refused"].as_object().unwrap() {
        let answers = [
            (JWKS, 200, fixture["jwks"].clone()),
            (TASK, 200, task("task-1")),
        ];
        let world = world(&script::answer("hi"), &answers).await;
        world.store(&standalone(jwt.clone()));
        let ran = world.lab.exec_json(&["hello"], 1).await;
        assert!(ran.failure().contains(why), "{why}: {}", ran.failure());
        assert!(world.lab.requests().is_empty(), "{why}");
        assert!(
            !world.authority.paths().contains(&format!("POST {TASK}")),
            "{why}"
        );
    }
}

#[tokio::test]
async fn an_identity_that_cannot_be_used_sends_nothing() {
    let mut no_key = record();
    no_key["agent_private_key"] = json!("bm8gc2VjcmV0");
    for (identity, answers, words) in [
        (no_key, vec![], "not valid PKCS#8"),
        (
            json!({ "agent_runtime_id": "x" }),
            vec![],
            "it lacks a field",
        ),
        (
            record(),
            vec![(TASK, 200, json!({}))],
            "omitted the task id",
        ),
        (
            record(),
            vec![(TASK, 400, json!({}))],
            "registering the agent's task failed with status 400",
        ),
        (
            record(),
            vec![(TASK, 503, json!({}))],
            "unavailable after 3 attempts",
        ),
        (
            record(),
            vec![(TASK, 200, json!({ "encrypted_task_id": "bm8=" }))],
            "not sealed for this agent",
        ),
    ] {
        let world = world(&script::answer("hi"), &answers).await;
        world.store(&standalone(identity));
        world.configure("", "");
        let ran = world.lab.exec_json(&["hello"], 1).await;
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
        assert!(world.lab.requests().is_empty(), "{words}");
    }
}

#[tokio::test]
async fn other_providers_get_no_assertion() {
    let world = world(&script::answer("hi"), &[(TASK, 200, task("task-1"))]).await;
    let base = world.lab.server().base_url();
    let origin = base.replace("/v1", "");
    world.lab.write_config(&format!(
        "model_provider = \"corp\"\n[dovetail]\nlogin_origins = [\"{origin}\"]\n[model_providers.corp]\nname = \"C\"\n\
         base_url = \"{base}\"\nrequires_openai_auth = true\n"
    ));
    world.store(&standalone(record()));
    let ran = world.lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .contains("only for requests of the provider `openai` itself"),
        "{}",
        ran.failure()
    );
    assert!(world.lab.requests().is_empty() && world.authority.paths().is_empty());
}

#[tokio::test]
async fn an_agent_of_the_government_is_flagged_and_a_refusal_of_it_is_final() {
    let world = world(&super::refused().repeat(9), &[(TASK, 200, task("task-1"))]).await;
    let mut identity = record();
    identity["chatgpt_account_is_fedramp"] = json!(true);
    world.store(&standalone(identity));
    let ran = world.lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .starts_with("unexpected status 401 Unauthorized: no"),
        "{}",
        ran.failure()
    );
    let requests = world.lab.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("x-openai-fedramp"), Some("true"));
    assertion(&requests[0]);
    assert_eq!(world.authority.paths(), [format!("POST {TASK}")]);
}

#[tokio::test]
async fn an_account_has_an_agent_registered_once_and_keeps_it() {
    let token = access_token("a", 3600);
    let answers = [
        (REGISTER, 200, json!({ "agent_runtime_id": "agent-123" })),
        (TASK, 200, task("task-9")),
    ];
    let world = world(&script::answer("hi").repeat(2), &answers).await;
    world.store(&chatgpt(&token, "r", "acct-1"));
    for _ in 0..2 {
        world
            .lab
            .exec(&["--enable", "use_agent_identity", "hello"])
            .await
            .expect_code(0);
    }
    assert_eq!(
        world.authority.paths(),
        [format!("POST {REGISTER}"), format!("POST {TASK}")]
    );
    let asked = &world.authority.asked()[0];
    assert_eq!(
        asked.header("authorization").map(str::to_owned),
        bearer(&token)
    );
    let mut said = asked.json();
    let line = said["agent_public_key"].take();
    assert!(
        line.as_str()
            .unwrap()
            .starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"),
        "{line}"
    );
    assert_eq!(
        said,
        json!({
            "abom": { "agent_version": "0.169.0", "agent_harness_id": "codex-cli", "running_location": "exec-linux" },
            "agent_public_key": null, "capabilities": ["responsesapi"], "ttl": null,
        })
    );
    for request in &world.lab.requests() {
        assert_eq!(assertion(request)["task_id"], "task-9");
        assert_eq!(request.header("chatgpt-account-id"), Some("acct-1"));
    }
    let stored = world.stored();
    assert_eq!(
        (&stored["auth_mode"], &stored["tokens"]["access_token"]),
        (&json!("chatgpt"), &json!(token))
    );
    let kept = &stored["agent_identity"];
    assert_eq!(
        (&kept["agent_runtime_id"], &kept["task_id"]),
        (&json!("agent-123"), &json!("task-9"))
    );
    assert!(
        kept["agent_private_key"]
            .as_str()
            .unwrap()
            .starts_with("MFECAQEw")
    );
}

#[tokio::test]
async fn a_missing_task_is_an_error_unless_the_policy_falls_back() {
    let token = access_token("a", 3600);
    let answers = [
        (REGISTER, 200, json!({ "agent_runtime_id": "agent-123" })),
        (TASK, 503, json!({})),
    ];
    let strict = world(&script::answer("hi"), &answers).await;
    strict.configure("[features]\nuse_agent_identity = true", "");
    strict.store(&chatgpt(&token, "r", "acct-1"));
    let ran = strict.lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure().contains("unavailable after 3 attempts"),
        "{}",
        ran.failure()
    );
    assert!(strict.lab.requests().is_empty());
    let tasks = strict
        .authority
        .paths()
        .iter()
        .filter(|path| path.contains("/task/"))
        .count();
    assert_eq!(tasks, 3);
    let model = [script::command("c", "true"), script::answer("hi")].concat();
    let compat = world(&model, &answers).await;
    compat.configure(
        "[features]\nuse_agent_identity = true",
        "auth_policy = \"compat\"",
    );
    compat.store(&chatgpt(&token, "r", "acct-1"));
    compat.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(compat.authorizations(), [bearer(&token), bearer(&token)]);
    let refused = [(REGISTER, 400, json!({}))];
    let fatal = world(&script::answer("hi"), &refused).await;
    fatal.configure(
        "[features]\nuse_agent_identity = true",
        "auth_policy = \"compat\"",
    );
    fatal.store(&chatgpt(&token, "r", "acct-1"));
    let ran = fatal.lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .contains("registering the agent failed with status 400"),
        "{}",
        ran.failure()
    );
    assert!(fatal.lab.requests().is_empty());
}

#[tokio::test]
async fn an_identity_can_be_signed_in_with() {
    let fixture = fixture();
    let world = world(
        &script::answer("unused"),
        &[(JWKS, 200, fixture["jwks"].clone())],
    )
    .await;
    let jwt = fixture["good"].as_str().unwrap();
    let ran = world
        .lab
        .run_with_input(&["login", "--with-access-token"], jwt)
        .await
        .expect_code(0);
    assert_eq!(
        ran.stdout,
        "Successfully logged in: an agent identity of ada@example.org, account acct-1, plan pro\n"
    );
    assert_eq!(world.stored(), standalone(json!(jwt)));
    let ran = world.lab.run(&["login", "status"]).await.expect_code(0);
    assert!(
        ran.stdout.starts_with("Logged in using agent identity\n") && ran.stdout.contains("acct-1"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains(jwt) && !ran.stdout.contains(KEY));
    let bad = fixture["refused"]["its kid is not trusted"]
        .as_str()
        .unwrap();
    world
        .lab
        .run_with_input(&["login", "--with-access-token"], bad)
        .await
        .expect_code(1)
        .expect_errors(&["its kid is not trusted"]);
    assert_eq!(world.stored(), standalone(json!(jwt)));
}
