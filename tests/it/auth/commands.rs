//! `dovetail login`, `login status`, `logout` and `auth explain`.

use std::os::unix::fs::PermissionsExt as _;

use dovetail_tests::script;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::{World, access_token, chatgpt, id_token};

/// A model that nobody asks.
const UNUSED: &str = "[[response]]\nactions = [{ text = \"unused\" }]\n";
const TOKEN: &str = "/oauth/token";
const CODE: &str = "/api/accounts/deviceauth/usercode";
const POLL: &str = "/api/accounts/deviceauth/token";

/// There is one port that a browser can come back to.
static PORT: Mutex<()> = Mutex::const_new(());

fn tokens() -> Value {
    json!({ "id_token": id_token("acct-1", false), "access_token": access_token("a", 3600), "refresh_token": "r-1" })
}

#[tokio::test]
async fn a_key_is_kept_for_the_user_alone_and_used() {
    let world = World::new(&script::answer("hi"), &[]).await;
    let ran = world
        .lab
        .run_with_input(&["login", "--with-api-key"], "sk-1\n")
        .await
        .expect_code(0);
    assert_eq!(
        ran.stdout,
        "Successfully logged in: an API key; it is checked when it is used\n"
    );
    assert_eq!(
        world.stored(),
        json!({ "auth_mode": "apikey", "OPENAI_API_KEY": "sk-1" })
    );
    let file = std::fs::metadata(world.lab.home().join("auth.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), [super::bearer("sk-1")]);
}

#[tokio::test]
async fn a_personal_access_token_is_checked_before_it_is_kept() {
    let person = json!({ "email": "ada@example.org", "chatgpt_account_id": "acct-7", "chatgpt_plan_type": "pro" });
    let whoami = "/v1/user-auth-credential/whoami";
    let world = World::new(UNUSED, &[(whoami, 401, json!({})), (whoami, 200, person)]).await;
    let login = ["login", "--with-access-token"];
    let ran = world
        .lab
        .run_with_input(&login, "at-1")
        .await
        .expect_code(1);
    ran.expect_errors(&["error: checking the personal access token failed with status 401"]);
    assert!(!world.lab.home().join("auth.json").exists());
    let ran = world
        .lab
        .run_with_input(&login, "at-1\n")
        .await
        .expect_code(0);
    let whose = "a personal access token of ada@example.org, account acct-7, plan pro";
    assert_eq!(ran.stdout, format!("Successfully logged in: {whose}\n"));
    assert_eq!(
        world.stored(),
        json!({ "OPENAI_API_KEY": null, "personal_access_token": "at-1" })
    );
}

#[tokio::test]
async fn a_code_is_shown_and_asked_after() {
    let world = World::new(
        UNUSED,
        &[
            (
                CODE,
                200,
                json!({ "device_auth_id": "d-1", "user_code": "ABCD-1234", "interval": "1" }),
            ),
            (POLL, 403, json!({})),
            (
                POLL,
                200,
                json!({ "authorization_code": "c-1", "code_verifier": "v-1" }),
            ),
            (TOKEN, 200, tokens()),
        ],
    )
    .await;
    let url = world.authority.url();
    let ran = world
        .lab
        .run(&["login", "--device-auth"])
        .await
        .expect_code(0);
    assert!(
        ran.stderr.contains("ABCD-1234") && ran.stderr.contains(&format!("{url}/codex/device")),
        "{}",
        ran.stderr
    );
    assert_eq!(
        ran.stdout,
        "Successfully logged in: ChatGPT of ada@example.org, account acct-1, plan pro\n"
    );
    let asked = world.authority.asked();
    assert_eq!(
        asked[0].json(),
        json!({ "client_id": "app_EMoamEEZ73f0CkXaXp7hrann" })
    );
    assert_eq!(
        asked[2].json(),
        json!({ "device_auth_id": "d-1", "user_code": "ABCD-1234" })
    );
    let callback = format!("{url}/deviceauth/callback")
        .replace(':', "%3A")
        .replace('/', "%2F");
    assert_eq!(
        asked[3].text(),
        format!(
            "grant_type=authorization_code&client_id=app_EMoamEEZ73f0CkXaXp7hrann&code=c-1&redirect_uri={callback}&code_verifier=v-1"
        )
    );
    let stored = world.stored();
    assert_eq!(
        (&stored["auth_mode"], &stored["OPENAI_API_KEY"]),
        (&json!("chatgpt"), &Value::Null)
    );
    assert_eq!(stored["tokens"]["account_id"], "acct-1");
}

/// What a browser does: asks for a page, and reads it.
async fn browse(target: &str, host: &str) -> String {
    let mut stream = TcpStream::connect("127.0.0.1:1455").await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

/// What tells a sign-in from others, in the address that a person is to open.
fn state_of(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    let mut fields = url.query_pairs();
    fields
        .find(|(key, _)| key == "state")
        .unwrap()
        .1
        .into_owned()
}

#[tokio::test]
async fn a_browser_comes_back_with_a_code() {
    let _port = PORT.lock().await;
    let world = World::new(UNUSED, &[(TOKEN, 200, tokens())]).await;
    let mut command = world.lab.start(&["login", "--no-browser"]);
    let url = command.wait_for_error("/oauth/authorize?").await;
    let url = url::Url::parse(&url).unwrap();
    let field = |name: &str| {
        url.query_pairs()
            .find(|(key, _)| key == name)
            .unwrap()
            .1
            .into_owned()
    };
    assert_eq!(field("redirect_uri"), "http://127.0.0.1:1455/auth/callback");
    assert_eq!(
        (
            field("code_challenge_method").as_str(),
            field("response_type").as_str()
        ),
        ("S256", "code")
    );
    let state = field("state");
    let here = "127.0.0.1:1455";
    // Others who ask on that port are not the browser.
    assert!(
        browse("/favicon.ico", here)
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert_eq!(
        browse(
            &format!("/auth/callback?code=c&state={state}"),
            "evil.example"
        )
        .await,
        ""
    );
    let page = browse(&format!("/auth/callback?code=c-1&state={state}"), here).await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("You are signed in"),
        "{page}"
    );
    let ran = command.finish().await.expect_code(0);
    assert_eq!(
        ran.stdout,
        "Successfully logged in: ChatGPT of ada@example.org, account acct-1, plan pro\n"
    );
    let body = world.authority.asked()[0].text().to_owned();
    let verifier = body.rsplit("code_verifier=").next().unwrap();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(verifier);
    let challenge =
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, digest);
    assert_eq!(field("code_challenge"), challenge);
}

#[tokio::test]
async fn a_browser_that_comes_back_from_elsewhere_signs_nobody_in() {
    let _port = PORT.lock().await;
    let world = World::new(UNUSED, &[(TOKEN, 200, tokens())]).await;
    let mut command = world.lab.start(&["login", "--no-browser"]);
    let state = state_of(&command.wait_for_error("/oauth/authorize?").await);
    // Browsers open connections ahead, and leave them idle.
    let _idle = TcpStream::connect("127.0.0.1:1455").await.unwrap();
    let page = browse(
        "/auth/callback?code=c-1&state=theirs<script>",
        "localhost:1455",
    )
    .await;
    assert!(
        page.starts_with("HTTP/1.1 400") && !page.contains("<script>"),
        "{page}"
    );
    assert!(
        page.contains("the browser came back from another sign-in"),
        "{page}"
    );
    assert!(world.authority.paths().is_empty() && !world.lab.home().join("auth.json").exists());
    // Nor does it end the sign-in that waits.
    let page = browse(
        &format!("/auth/callback?code=c-1&state={state}"),
        "localhost:1455",
    )
    .await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    command.finish().await.expect_code(0);
}

#[tokio::test]
async fn an_authority_that_refuses_signs_nobody_in() {
    let _port = PORT.lock().await;
    for (query, words) in [
        (
            "error=access_denied&error_description=not+%1B%5B31mtoday",
            "the authority refused to sign you in: not  [31mtoday",
        ),
        (
            "error=access_denied",
            "the authority refused to sign you in: access_denied",
        ),
        ("other=1", "the browser came back without a code"),
    ] {
        let world = World::new(UNUSED, &[(TOKEN, 200, tokens())]).await;
        let mut command = world.lab.start(&["login", "--no-browser"]);
        let state = state_of(&command.wait_for_error("/oauth/authorize?").await);
        let page = browse(
            &format!("/auth/callback?{query}&state={state}"),
            "127.0.0.1:1455",
        )
        .await;
        assert!(
            page.starts_with("HTTP/1.1 400") && page.contains(words),
            "{page}"
        );
        command
            .finish()
            .await
            .expect_code(1)
            .expect_errors(&[words]);
        assert!(world.authority.paths().is_empty() && !world.lab.home().join("auth.json").exists());
    }
}

#[tokio::test]
async fn a_code_that_is_refused_or_over_ends_the_sign_in() {
    let code = json!({ "device_auth_id": "d-1", "user_code": "ABCD-1234", "interval": 1 });
    for (said, words) in [
        (
            "access_denied",
            "the sign-in was refused by whoever entered the code",
        ),
        ("expired_token", "nobody entered the code in time"),
        (
            "invalid_client",
            "the sign-in failed with status 400: invalid_client",
        ),
    ] {
        let world = World::new(
            UNUSED,
            &[
                (CODE, 200, code.clone()),
                (POLL, 400, json!({ "error": "authorization_pending" })),
                (POLL, 400, json!({ "error": said })),
            ],
        )
        .await;
        let ran = world.lab.run(&["login", "--device-auth"]).await;
        ran.expect_code(1).expect_errors(&[words]);
        assert_eq!(world.authority.asked().len(), 3, "{said}");
        assert!(!world.lab.home().join("auth.json").exists());
    }
}

#[tokio::test]
async fn signing_out_revokes_and_forgets_whatever_the_authority_says() {
    for (status, words) in [
        (200, "its tokens were revoked"),
        (500, "its tokens could not be revoked"),
    ] {
        let world = World::new(UNUSED, &[("/oauth/revoke", status, json!({}))]).await;
        world.store(&chatgpt("a", "r-1", "acct-1"));
        let ran = world.lab.run(&["logout"]).await.expect_code(0);
        assert!(
            ran.stdout.starts_with("Successfully logged out") && ran.stdout.contains(words),
            "{}",
            ran.stdout
        );
        assert!(!world.lab.home().join("auth.json").exists());
        let asked = world.authority.asked();
        assert_eq!(
            asked[0].json(),
            json!({ "token": "r-1", "token_type_hint": "refresh_token", "client_id": "app_EMoamEEZ73f0CkXaXp7hrann" })
        );
        let ran = world.lab.run(&["logout"]).await.expect_code(0);
        assert_eq!(ran.stdout, "Not logged in\n");
    }
}

#[tokio::test]
async fn status_says_whose_login_it_is_and_nothing_secret() {
    let world = World::new(UNUSED, &[]).await;
    let status = ["login", "status"];
    let ran = world.lab.run(&status).await.expect_code(1);
    assert_eq!(ran.stdout, "Not logged in\n");
    world.store(&chatgpt(&access_token("a", 3600), "r-1", "acct-1"));
    let ran = world.lab.run(&status).await.expect_code(0);
    let place = world.lab.home().join("auth.json");
    assert_eq!(
        ran.stdout,
        format!(
            "Logged in using ChatGPT\n  from     {}\n  email    ada@example.org\n  account  acct-1\n  plan     pro\n  token    for 59 min more, then it is refreshed\n",
            place.display()
        )
    );
    let mut ran = world
        .lab
        .run(&["login", "status", "--json"])
        .await
        .expect_code(0)
        .json();
    assert!(
        ran["expires_at"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z'))
    );
    ran["expires_at"].take();
    assert_eq!(
        ran,
        json!({
            "logged_in": true, "mode": "chatgpt", "source": place.display().to_string(), "email": "ada@example.org",
            "account": "acct-1", "plan": "pro", "expires_at": null,
        })
    );
    world.store(&json!({ "OPENAI_API_KEY": "sk-1" }));
    let ran = world.lab.run(&status).await.expect_code(0);
    assert!(
        ran.stdout.starts_with("Logged in using an API key\n") && !ran.stdout.contains("sk-1"),
        "{}",
        ran.stdout
    );
}

#[tokio::test]
async fn a_login_that_would_not_be_kept_or_cannot_be_read_is_refused() {
    let world = World::new(UNUSED, &[]).await;
    world.configure("cli_auth_credentials_store = \"ephemeral\"", "");
    let ran = world
        .lab
        .run_with_input(&["login", "--with-api-key"], "sk-1")
        .await
        .expect_code(1);
    ran.expect_errors(&[
        "a login ends with its process, so nothing would be kept",
        "hint: ",
    ]);
    world.configure("forced_login_method = \"chatgpt\"", "");
    let ran = world
        .lab
        .run_with_input(&["login", "--with-api-key"], "sk-1")
        .await
        .expect_code(1);
    ran.expect_errors(&["`forced_login_method` allows only logins with ChatGPT"]);
    world.configure("", "");
    let ran = world
        .lab
        .run_with_input(&["login", "--with-api-key"], " \n")
        .await
        .expect_code(1);
    ran.expect_errors(&["standard input holds no text"]);
    assert!(!world.lab.home().join("auth.json").exists());
    world
        .lab
        .run(&["login", "--with-api-key", "--device-auth"])
        .await
        .expect_code(2);
}

#[tokio::test]
async fn every_source_of_a_credential_is_explained() {
    let mut world = World::new(UNUSED, &[]).await;
    let token = access_token("a", 3600);
    world.store(&chatgpt(&token, "r-1", "acct-1"));
    world.lab.set_env("OPENAI_API_KEY", "sk-1");
    let ran = world
        .lab
        .run(&["auth", "explain", "openai", "turn"])
        .await
        .expect_code(0);
    for part in [
        "4  CODEX_ACCESS_TOKEN          ",
        "ChatGPT login of ada@example.org, account acct-1, plan pro   ← used",
        "OPENAI_API_KEY",
        "result: sent to http://127.0.0.1:",
        "Authorization: Bearer … (the access token, until ",
        "ChatGPT-Account-ID: acct-1",
    ] {
        assert!(
            ran.stdout.contains(part),
            "`{part}` is missing in:\n{}",
            ran.stdout
        );
    }
    assert!(
        !ran.stdout.contains(&token) && !ran.stdout.contains("sk-1"),
        "{}",
        ran.stdout
    );
    let ran = world
        .lab
        .run(&["auth", "explain", "ollama", "--json"])
        .await
        .expect_code(0)
        .json();
    assert_eq!(
        ran["headers"],
        json!(["no credential: this table asks for none"])
    );
    let table = "[model_providers.corp]\nname = \"C\"\nbase_url = \"https://llm.example/v1\"\nrequires_openai_auth = true\n";
    world.lab.add_config(table);
    let ran = world
        .lab
        .run(&["auth", "explain", "corp", "--json"])
        .await
        .expect_code(1)
        .json();
    let problem = ran["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("the login of an account is not sent to `https://llm.example`"),
        "{problem}"
    );
    world.lab.add_config("[model_providers.cmd]\nname = \"C\"\nbase_url = \"https://llm.example/v1\"\nauth = { command = \"print-token\" }\n");
    let ran = world
        .lab
        .run(&["auth", "explain", "cmd"])
        .await
        .expect_code(0);
    assert!(
        ran.stdout.contains("`print-token` prints a token")
            && ran.stdout.contains("plugin `command-auth`")
            && ran
                .stdout
                .contains("Authorization: Bearer … (the token that the command prints)"),
        "{}",
        ran.stdout
    );
    // Whatever plugin serves it: a variable that is missing means that nothing is sent.
    world.lab.add_config("[model_providers.chat]\nname = \"C\"\nbase_url = \"https://llm.example/v1\"\nwire_api = \"chat\"\nenv_key = \"CHAT_KEY\"\n");
    let asked = ["auth", "explain", "chat", "--json"];
    let ran = world.lab.run(&asked).await.expect_code(1).json();
    assert_eq!(
        ran["problem"],
        "the table wants the variable CHAT_KEY, which is not set"
    );
    world.lab.set_env("CHAT_KEY", "sk-chat");
    let ran = world.lab.run(&asked).await.expect_code(0).json();
    assert_eq!(
        (&ran["problem"], &ran["sources"][0]),
        (
            &Value::Null,
            &json!({ "name": "secret env:CHAT_KEY", "finding": "environment variable `CHAT_KEY`, set", "used": true })
        )
    );
    world.lab.add_config("[model_providers.open]\nname = \"C\"\nbase_url = \"https://llm.example/v1\"\nwire_api = \"chat\"\n\
        [model_providers.claude]\nname = \"C\"\nbase_url = \"https://llm.example/v1\"\nwire_api = \"messages\"\nenv_key = \"CHAT_KEY\"\n");
    for (provider, header) in [
        ("chat", "Authorization: Bearer … (secret env:CHAT_KEY)"),
        ("claude", "x-api-key: … (secret env:CHAT_KEY)"),
        ("open", "no credential: this table asks for none"),
    ] {
        let asked = ["auth", "explain", provider, "--json"];
        let ran = world.lab.run(&asked).await.expect_code(0).json();
        assert_eq!(ran["headers"][0], header);
    }
}
