//! Which credential a provider gets, whatever else there is: with the login of an account, and with a key.

use dovetail_tests::script;
use serde_json::{Value, json};

use super::{World, access_token, bearer, chatgpt};

/// A provider's table, and what its requests carry beside each login: that of an account, and a key.
struct Row {
    table: &'static str,
    with_account: fn(&str) -> Option<String>,
    with_key: fn(&str) -> Option<String>,
}

const ROWS: [Row; 6] = [
    Row {
        table: "env_key = \"KEY\"",
        with_account: |_| bearer("from-variable"),
        with_key: |_| bearer("from-variable"),
    },
    Row {
        table: "env_key = \"KEY\"\nrequires_openai_auth = true",
        with_account: |_| bearer("from-variable"),
        with_key: |_| bearer("from-variable"),
    },
    Row {
        table: "experimental_bearer_token = \"inline\"\nrequires_openai_auth = true",
        with_account: |_| bearer("inline"),
        with_key: |_| bearer("inline"),
    },
    Row {
        table: "auth = { command = \"echo\", args = [\"printed\"] }",
        with_account: |_| bearer("printed"),
        with_key: |_| bearer("printed"),
    },
    Row {
        table: "",
        with_account: |_| None,
        with_key: |_| None,
    },
    Row {
        table: "requires_openai_auth = true\nhttp_headers = { Authorization = \"mine\" }",
        with_account: |token| Some(format!("Bearer {token}")),
        with_key: |token| Some(format!("Bearer {token}")),
    },
];

/// The provider `corp` at the scripted model.
fn table(world: &World, keys: &str, dovetail: &str) {
    let url = world.lab.server().base_url();
    world.lab.write_config(&format!(
        "model = \"gpt-5.5\"\nmodel_provider = \"corp\"\n[dovetail]\nwebsockets = false\n{dovetail}\n\
         [model_providers.corp]\nname = \"Corp\"\nbase_url = \"{url}\"\n{keys}\n"
    ));
}

async fn sent(login: &Value, keys: &str, allow: bool) -> Vec<Option<String>> {
    let mut world = World::new(&script::answer("hi"), &[]).await;
    let origin = world.lab.server().base_url().replace("/v1", "");
    let allowed = match allow {
        true => format!("login_origins = [\"{origin}\"]"),
        false => String::new(),
    };
    table(&world, keys, &allowed);
    world.store(login);
    world.lab.set_env("KEY", "from-variable");
    world.lab.exec(&["hello"]).await.expect_code(0);
    for request in world.lab.requests() {
        assert_eq!(request.header("content-encoding"), None, "{keys}");
        assert_eq!(request.header("x-codex-routing-hint"), None, "{keys}");
    }
    world.authorizations()
}

#[tokio::test]
async fn a_tables_own_credential_wins_over_every_login() {
    let token = access_token("a", 3600);
    for row in &ROWS {
        let expected = (row.with_account)(&token);
        assert_eq!(
            sent(&chatgpt(&token, "r", "acct-1"), row.table, true).await,
            [expected],
            "{}",
            row.table
        );
        let key = json!({ "OPENAI_API_KEY": "sk-1" });
        assert_eq!(
            sent(&key, row.table, false).await,
            [(row.with_key)("sk-1")],
            "{}",
            row.table
        );
    }
}

#[tokio::test]
async fn an_agent_is_not_for_tables_that_have_a_credential_of_their_own() {
    let token = access_token("a", 3600);
    let agent = json!({ "auth_mode": "agentIdentity", "agent_identity": { "agent_runtime_id": "agent-1" } });
    let account = chatgpt(&token, "r", "acct-1");
    let opted_in = "[features]\nuse_agent_identity = true";
    // The last row asks for the login itself.
    for row in &ROWS[..ROWS.len() - 1] {
        for (login, feature) in [(&agent, ""), (&account, opted_in)] {
            let mut world = World::new(&script::answer("hi"), &[]).await;
            let url = world.authority.url();
            world
                .lab
                .set_env("CODEX_AGENT_IDENTITY_AUTHAPI_BASE_URL", &url);
            world.lab.set_env("KEY", "from-variable");
            table(&world, row.table, "");
            world.lab.add_config(feature);
            world.store(login);
            world.lab.exec(&["hello"]).await.expect_code(0);
            assert_eq!(
                world.authorizations(),
                [(row.with_account)(&token)],
                "{}",
                row.table
            );
            assert!(world.authority.paths().is_empty(), "{}", row.table);
        }
    }
}

#[tokio::test]
async fn an_account_is_not_known_to_other_origins_unless_the_user_says_so() {
    let world = World::new(&script::answer("hi"), &[]).await;
    table(&world, "requires_openai_auth = true", "");
    world.store(&chatgpt(&access_token("a", 3600), "r", "acct-1"));
    let ran = world.lab.exec_json(&["hello"], 1).await;
    let origin = world.lab.server().base_url().replace("/v1", "");
    let words = format!("write `login_origins = [\"{origin}\"]` under [dovetail]");
    assert!(ran.failure().contains(&words), "{}", ran.failure());
    assert!(world.lab.requests().is_empty());
}

#[tokio::test]
async fn variables_win_over_the_store_in_order() {
    let person = json!({ "chatgpt_account_id": "acct-7" });
    let token = access_token("a", 3600);
    for (variables, expected) in [
        (
            &[
                ("CODEX_API_KEY", "sk-codex"),
                ("CODEX_ACCESS_TOKEN", "at-1"),
            ][..],
            bearer("sk-codex"),
        ),
        (
            &[
                ("CODEX_ACCESS_TOKEN", "at-1"),
                ("CODEX_AGENT_IDENTITY", "x"),
                ("OPENAI_API_KEY", "sk"),
            ],
            bearer("at-1"),
        ),
        (&[("OPENAI_API_KEY", "sk")], bearer(&token)),
    ] {
        let mut world = World::new(
            &script::answer("hi"),
            &[("/v1/user-auth-credential/whoami", 200, person.clone())],
        )
        .await;
        world.store(&chatgpt(&token, "r", "acct-1"));
        for (name, value) in variables {
            world.lab.set_env(name, value);
        }
        world.lab.exec(&["hello"]).await.expect_code(0);
        assert_eq!(world.authorizations(), [expected], "{variables:?}");
    }
}

#[tokio::test]
async fn a_key_in_the_environment_needs_no_store() {
    let mut world = World::new(&script::answer("hi"), &[]).await;
    world.lab.write_home("auth.json", "{ damaged");
    world.lab.set_env("CODEX_API_KEY", "sk-codex");
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), [bearer("sk-codex")]);
}
