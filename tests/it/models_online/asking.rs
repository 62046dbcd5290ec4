//! Who is asked for its list, when, and with what credential.

use dovetail_tests::Lab;
use serde_json::json;

use super::service::{self, Service, list, status};
use super::{LIST, TURN, World, tagged, usual};
use crate::DOVETAIL;
use crate::auth::authority::Authority;
use crate::auth::{access_token, chatgpt};

#[tokio::test]
async fn a_list_is_asked_for_beside_the_first_answer_with_the_providers_credential() {
    let world = World::new(vec![tagged("\"e1\"")]).await;
    world.turn().await;
    let asked = world.service.take();
    let lines: Vec<String> = asked
        .iter()
        .map(|asked| format!("{} {}", asked.method, asked.path))
        .collect();
    assert_eq!(lines, [TURN, LIST]);
    let listing = &asked[1];
    for (name, expected) in [
        ("authorization", Some("Bearer token-1")),
        ("originator", Some("codex_exec")),
        ("accept", Some("*/*")),
        ("if-none-match", None),
        ("session-id", None),
        ("x-codex-turn-metadata", None),
    ] {
        assert_eq!(listing.header(name), expected, "{name}");
    }
    let agent = listing.header("user-agent").unwrap();
    assert!(agent.starts_with("codex_exec/0.169.0 ("), "{agent}");

    // What another run finds of it: everything, and nobody is asked.
    assert!(world.listed(&[]).await.contains(&"brand-new".to_owned()));
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
}

#[tokio::test]
async fn a_model_that_only_the_list_knows_is_waited_for() {
    let world = World::new(vec![list(&usual())]).await;
    world.configure("brand-new", "");
    let ran = world.turn().await;
    assert_eq!(ran.complaints(), Vec::<String>::new());
    let asked = world.service.take();
    let lines: Vec<&str> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(
        lines,
        ["/v1/models?client_version=0.169.0", "/v1/responses"]
    );
    assert_eq!(asked[1].json()["reasoning"]["effort"], "high");
    // The next session has it, and an old list is better than none.
    world.change_kept("fetched_at", json!("2020-01-01T00:00:00Z"));
    world.turn().await;
    assert_eq!(world.asked(), [TURN, LIST]);
}

/// A command that prints another token each time.
fn counting(lab: &Lab) -> String {
    let script = lab.write(
        "token.sh",
        "#!/bin/sh\necho x >> \"$(dirname \"$0\")/runs\"\nprintf 'token-%s\\n' $(($(wc -l < \"$(dirname \"$0\")/runs\")))\n",
    );
    format!("command = \"/bin/sh\"\nargs = [\"{}\"]", script.display())
}

fn runs(lab: &Lab) -> usize {
    let text = std::fs::read_to_string(lab.project().join("runs")).unwrap_or_default();
    text.lines().count()
}

#[tokio::test]
async fn a_refused_token_is_got_anew_once() {
    let world = World::new(vec![status(401, "{}"), list(&usual())]).await;
    let command = counting(&world.lab);
    let config = format!(
        "model = \"brand-new\"\nmodel_provider = \"corp\"\n{}\n[model_providers.corp.auth]\n{command}\n",
        world.table("corp")
    );
    world.lab.write_config(&config);
    world.turn().await;
    let asked = world.service.take();
    let seen: Vec<(&str, Option<&str>)> = asked
        .iter()
        .map(|asked| (asked.path.as_str(), asked.header("authorization")))
        .collect();
    let path = "/v1/models?client_version=0.169.0";
    assert_eq!(
        seen,
        [
            (path, Some("Bearer token-1")),
            (path, Some("Bearer token-2")),
            // The turn carries what the list was got with, and the command is not run for it again.
            ("/v1/responses", Some("Bearer token-2")),
        ]
    );
    assert_eq!(runs(&world.lab), 2);
}

#[tokio::test]
async fn a_token_that_is_refused_for_ever_is_got_anew_once() {
    let world = World::new(vec![status(
        401,
        r#"{"error": {"message": "who are you"}}"#,
    )])
    .await;
    let ran = world.lab.run(&["models", "list", "--refresh"]).await;
    ran.expect_code(1).expect_errors(&[
        "the list of models of provider `corp` cannot be had",
        "401",
        "who are you",
        "hint: dovetail models list --offline",
    ]);
    // The command printed the same again, so that asking again is of no use.
    assert_eq!(world.asked(), [LIST]);
}

/// A world whose provider is the built-in one, for the login of an account.
struct Accounts {
    world: World,
    authority: Authority,
}

impl Accounts {
    async fn new(lists: Vec<service::Answer>) -> Self {
        let new = access_token("new", 3600);
        let answer = json!({ "access_token": new, "refresh_token": "refresh-2" });
        let authority = Authority::start(&[("/oauth/token", 200, answer)]).await;
        let mut world = World {
            lab: Lab::bare(DOVETAIL),
            service: Service::start(lists).await,
        };
        let url = format!("{}/oauth/token", authority.url());
        world.lab.set_env("CODEX_REFRESH_TOKEN_URL_OVERRIDE", &url);
        let config = format!(
            "model = \"gpt-5.5\"\nopenai_base_url = \"{}/v1\"\n[dovetail]\nwebsockets = false\n",
            world.service.url()
        );
        world.lab.write_config(&config);
        Self { world, authority }
    }

    /// Signs somebody in; the access token.
    fn sign_in(&self, account: &str) -> String {
        let token = access_token(account, 3600);
        let login = chatgpt(&token, "refresh-1", account);
        self.world.lab.write_home("auth.json", login.to_string());
        token
    }
}

#[tokio::test]
async fn the_login_of_an_account_asks_for_its_list() {
    let accounts = Accounts::new(vec![list(&usual())]).await;
    let token = accounts.sign_in("account-1");
    accounts.world.turn().await;
    let asked = accounts.world.service.take();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    let listing = &asked[1];
    assert_eq!(listing.path, "/v1/models?client_version=0.169.0");
    let bearer = format!("Bearer {token}");
    for (name, expected) in [
        ("authorization", Some(bearer.as_str())),
        ("chatgpt-account-id", Some("account-1")),
        ("version", Some("0.169.0")),
        // It names the model that is asked, and none is.
        ("x-codex-routing-hint", None),
        ("content-encoding", None),
    ] {
        assert_eq!(listing.header(name), expected, "{name}");
    }
}

#[tokio::test]
async fn a_refused_login_is_refreshed_once() {
    let accounts = Accounts::new(vec![status(401, "{}"), list(&usual())]).await;
    let old = accounts.sign_in("account-1");
    let names = accounts.world.listed(&["--refresh"]).await;
    assert!(names.contains(&"brand-new".to_owned()), "{names:?}");
    let asked = accounts.world.service.take();
    let tokens: Vec<bool> = asked
        .iter()
        .map(|asked| asked.header("authorization") == Some(&format!("Bearer {old}")))
        .collect();
    assert_eq!(tokens, [true, false]);
    assert_eq!(accounts.authority.paths(), ["POST /oauth/token"]);
}

#[tokio::test]
async fn another_account_and_another_provider_do_not_see_the_list() {
    let accounts = Accounts::new(vec![list(&usual()), list(&json!({"models": []}))]).await;
    let world = &accounts.world;
    accounts.sign_in("account-1");
    assert!(world.listed(&[]).await.contains(&"brand-new".to_owned()));
    accounts.sign_in("account-2");
    assert!(
        !world
            .listed(&["--offline"])
            .await
            .contains(&"brand-new".to_owned())
    );
    assert_eq!(world.asked(), [LIST]);
    assert!(!world.listed(&[]).await.contains(&"brand-new".to_owned()));
    assert_eq!(world.asked(), [LIST]);
    // The first one's list is still there for the first one.
    accounts.sign_in("account-1");
    assert!(world.listed(&[]).await.contains(&"brand-new".to_owned()));
    assert_eq!(world.asked(), Vec::<String>::new());
    let config = format!(
        "model_provider = \"other\"\n{}\nrequires_openai_auth = true\n[dovetail]\nlogin_origins = [\"{}\"]\n",
        world.table("other"),
        world.service.url()
    );
    world.lab.write_config(&config);
    assert!(
        !world
            .listed(&["--offline"])
            .await
            .contains(&"brand-new".to_owned())
    );
    world.listed(&[]).await;
    assert_eq!(world.asked(), [LIST]);
}

#[tokio::test]
async fn keys_ask_for_no_list_and_nobody_asks_without_a_credential() {
    let mut world = World::new(vec![list(&usual())]).await;
    world.lab.set_env("CORP_KEY", "key-1");
    let chosen = "model = \"gpt-5.5\"\nmodel_provider = \"corp\"\n";
    let login = chatgpt(&access_token("a", 3600), "refresh-1", "account-1");
    let key = json!({ "auth_mode": "apikey", "OPENAI_API_KEY": "key-of-the-api" });
    let tables = [
        (
            format!("{chosen}{}\nenv_key = \"CORP_KEY\"\n", world.table("corp")),
            &login,
        ),
        (
            format!(
                "{chosen}{}\nexperimental_bearer_token = \"token\"\n",
                world.table("corp")
            ),
            &login,
        ),
        (format!("{chosen}{}\n", world.table("corp")), &login),
        (
            format!(
                "model = \"gpt-5.5\"\nopenai_base_url = \"{}/v1\"\n[dovetail]\nwebsockets = false\n",
                world.service.url()
            ),
            &key,
        ),
    ];
    for (config, stored) in tables {
        world.lab.write_config(&config);
        world.lab.write_home("auth.json", stored.to_string());
        world.service.tell("x-models-etag: \"e1\"");
        world.turn().await;
        assert_eq!(world.asked(), [TURN], "{config}");
        assert!(!world.kept_path().exists(), "{config}");
        let ran = world.lab.run(&["models", "list", "--refresh"]).await;
        ran.expect_code(0)
            .expect_errors(&["has no list of models to be asked for"]);
        assert_eq!(world.asked(), Vec::<String>::new(), "{config}");
    }
}
