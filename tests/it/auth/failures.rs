//! No failure to get a credential ever leads to a request without one: all of them, and the requests counted.

use dovetail_tests::script;
use serde_json::{Value, json};

use super::{World, access_token, bearer, chatgpt, refused};

/// A way in which a credential cannot be had.
struct Case {
    name: &'static str,
    store: Value,
    variables: &'static [(&'static str, &'static str)],
    top: &'static str,
    answers: &'static [(&'static str, u16, &'static str)],
    words: &'static str,
}

const WHOAMI: &str = "/v1/user-auth-credential/whoami";

fn case(name: &'static str, store: Value, words: &'static str) -> Case {
    Case {
        name,
        store,
        variables: &[],
        top: "",
        answers: &[],
        words,
    }
}

fn cases() -> Vec<Case> {
    let account = || chatgpt(&access_token("a", 3600), "r", "acct-1");
    let personal = json!({ "personal_access_token": "at-1" });
    vec![
        case(
            "nobody signed in",
            Value::Null,
            "needs a login and there is none: run `dovetail login`",
        ),
        case(
            "an empty document",
            json!({}),
            "needs a login and there is none",
        ),
        case("no object", json!(["x"]), "is damaged (it is no object)"),
        case(
            "a wrong type",
            json!({ "tokens": { "access_token": 7 } }),
            "`tokens.access_token` is no text",
        ),
        case(
            "an unknown kind",
            json!({ "auth_mode": "other", "OPENAI_API_KEY": "k" }),
            "a kind that is not known: `other`",
        ),
        case(
            "headers",
            json!({ "auth_mode": "headers", "OPENAI_API_KEY": "k" }),
            "which is never stored",
        ),
        case(
            "a key that is missing",
            json!({ "auth_mode": "apikey", "tokens": {} }),
            "it has no key",
        ),
        case(
            "tokens that are missing",
            json!({ "auth_mode": "chatgpt", "OPENAI_API_KEY": "k" }),
            "it has no tokens",
        ),
        case(
            "no access token",
            json!({ "tokens": { "refresh_token": "r" } }),
            "it has no tokens",
        ),
        case(
            "control characters",
            chatgpt("a\r\nX-Evil: 1", "r", "acct-1"),
            "characters that no token has",
        ),
        case(
            "an account that no header can hold",
            chatgpt("a", "r", "x\r\nX-Evil: 1"),
            "control character",
        ),
        case(
            "a key of another service",
            json!({ "auth_mode": "bedrockApiKey", "bedrock_api_key": {} }),
            "opens only Amazon Bedrock",
        ),
        case(
            "an identity that is none",
            json!({ "auth_mode": "agentIdentity", "agent_identity": {} }),
            "agent identit",
        ),
        Case {
            top: "forced_login_method = \"api\"",
            ..case(
                "a login of the wrong kind",
                account(),
                "allows only logins with an API key",
            )
        },
        Case {
            top: "forced_chatgpt_workspace_id = [\"acct-2\", \"acct-3\"]",
            ..case(
                "a login of another workspace",
                account(),
                "allows only logins of its workspaces",
            )
        },
        Case {
            top: "forced_login_method = \"chatgpt\"",
            variables: &[("CODEX_API_KEY", "sk-1")],
            ..case(
                "a variable of the wrong kind",
                account(),
                "but CODEX_API_KEY is set",
            )
        },
        Case {
            answers: &[(WHOAMI, 401, "{}")],
            ..case(
                "a personal token that is refused",
                personal.clone(),
                "status 401",
            )
        },
        Case {
            answers: &[(WHOAMI, 200, "{}")],
            ..case(
                "a personal token of nobody",
                personal.clone(),
                "names no account",
            )
        },
        Case {
            answers: &[(WHOAMI, 500, "{}")],
            ..case("nobody to ask", personal.clone(), "status 500")
        },
        Case {
            top: "forced_chatgpt_workspace_id = \"acct-2\"",
            answers: &[(WHOAMI, 200, r#"{"chatgpt_account_id":"acct-1"}"#)],
            ..case(
                "a personal token of another workspace",
                personal,
                "allows only logins of its workspaces",
            )
        },
        Case {
            top: "forced_chatgpt_workspace_id = \"acct-2\"",
            ..case(
                "a login of no workspace at all",
                json!({ "tokens": { "access_token": "a", "id_token": "opaque", "refresh_token": "r" } }),
                "allows only logins of its workspaces",
            )
        },
        Case {
            variables: &[("CODEX_ACCESS_TOKEN", "no token")],
            ..case(
                "a variable that is no token",
                account(),
                "CODEX_ACCESS_TOKEN holds characters that no token has",
            )
        },
        Case {
            variables: &[("CODEX_ACCESS_TOKEN", "junk")],
            ..case(
                "a variable that is no JWT",
                account(),
                "it has an invalid JWT format",
            )
        },
        case(
            "a key with a typographic quote",
            json!({ "OPENAI_API_KEY": "\u{201c}sk-1\u{201d}" }),
            "characters that no token has",
        ),
    ]
}

#[tokio::test]
async fn nothing_is_sent_without_the_credential_that_was_asked_for() {
    for case in cases() {
        let answers: Vec<_> = case
            .answers
            .iter()
            .map(|(path, status, body)| (*path, *status, serde_json::from_str(body).unwrap()))
            .collect();
        let mut world = World::new(&script::answer("hi"), &answers).await;
        if !case.store.is_null() {
            world.store(&case.store);
        }
        for (name, value) in case.variables {
            world.lab.set_env(name, value);
        }
        let top = format!("{}\nmodel_reasoning_effort = \"low\"", case.top);
        world.configure(&top, "");
        let ran = world
            .lab
            .exec(&[
                "--json",
                "-c",
                "model_providers.x.stream_max_retries=0",
                "hello",
            ])
            .await;
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, Some(1), "{}: {said}", case.name);
        assert!(said.contains(case.words), "{}: {said}", case.name);
        assert!(
            world.lab.requests().is_empty(),
            "{}: a request went out",
            case.name
        );
        assert!(!said.contains("X-Evil"), "{}: {said}", case.name);
    }
}

#[tokio::test]
async fn a_damaged_store_is_left_as_it_is() {
    let world = World::new(&script::answer("hi"), &[]).await;
    let text = "{ \"OPENAI_API_KEY\": sk-secret";
    world.lab.write_home("auth.json", text);
    let ran = world.lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure().contains("is damaged (line 1, column 21)"),
        "{}",
        ran.failure()
    );
    assert!(!ran.failure().contains("sk-secret"), "{}", ran.failure());
    world
        .lab
        .run_with_input(&["login", "--with-api-key"], "sk-1")
        .await
        .expect_code(1);
    assert_eq!(
        std::fs::read_to_string(world.lab.home().join("auth.json")).unwrap(),
        text
    );
    assert!(world.lab.requests().is_empty());
}

#[tokio::test]
async fn a_login_that_is_not_allowed_is_signed_out() {
    let world = World::new(&script::answer("hi"), &[]).await;
    world.configure("forced_login_method = \"api\"", "");
    world.store(&chatgpt(&access_token("a", 3600), "r", "acct-1"));
    let ran = world.lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .contains("it was signed out; sign in with `dovetail login`"),
        "{}",
        ran.failure()
    );
    assert!(!world.lab.home().join("auth.json").exists());
}

#[tokio::test]
async fn an_account_that_is_refused_for_good_never_goes_without() {
    let token = access_token("a", 3600);
    let over = json!({ "error": { "code": "refresh_token_invalidated" } });
    let world = World::new(&refused().repeat(9), &[("/oauth/token", 400, over)]).await;
    world.store(&chatgpt(&token, "r", "acct-1"));
    world.lab.exec_json(&["hello"], 1).await;
    assert_eq!(world.authorizations(), [bearer(&token)]);
}
