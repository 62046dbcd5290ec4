use super::*;
use crate::fake::{self, Fake};
use crate::mode::Method;

const REDIRECT: &str = "http://127.0.0.1:1455/auth/callback";

fn settings() -> Settings {
    Settings {
        originator: "codex_exec".to_owned(),
        ..Settings::default()
    }
}

fn challenge(fake: &Fake, settings: &Settings, way: Way) -> Challenge {
    let begun = SignIn::new(fake, settings).begin(way).expect("it begins");
    let challenge = match begun {
        Beginning::Challenged(challenge) => Some(challenge),
        Beginning::Done(_) => None,
    };
    challenge.expect("it is not done yet")
}

fn answer() -> Value {
    let login = fake::chatgpt("a", "r", "acct-1");
    json!({ "id_token": login["tokens"]["id_token"], "access_token": "a", "refresh_token": "r" })
}

#[test]
fn a_browser_proves_that_it_comes_back_from_this_sign_in() {
    let fake = Fake::default().answering(200, answer());
    let settings = settings();
    let begun = challenge(&fake, &settings, Way::Browser(REDIRECT.to_owned()));
    let state = URL_SAFE_NO_PAD.encode([7; 48]);
    let code_challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&state));
    assert_eq!(
        begun.url,
        format!(
            "https://auth.openai.com/oauth/authorize?response_type=code&client_id=app_EMoamEEZ73f0CkXaXp7hrann\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A1455%2Fauth%2Fcallback&code_challenge={code_challenge}\
             &code_challenge_method=S256&state={state}\
             &scope=openid+profile+email+offline_access+api.connectors.read+api.connectors.invoke\
             &id_token_add_organizations=true&codex_cli_simplified_flow=true&originator=codex_exec"
        )
    );
    let sign_in = SignIn::new(&fake, &settings);
    for (query, words) in [
        (
            "code=c&state=other",
            "the browser came back from another sign-in: its `state` differs",
        ),
        (
            "code=c",
            "the browser came back from another sign-in: its `state` differs",
        ),
        (
            &format!("state={state}"),
            "the browser came back without a code",
        ),
        (
            &format!("state={state}&error=access_denied&error_description=not%0Anow"),
            "the authority refused to sign you in: not now",
        ),
    ] {
        assert_eq!(
            sign_in
                .finish(&begun.state, query)
                .expect_err("refused")
                .to_string(),
            words
        );
    }
    assert!(fake.asked.borrow().is_empty());
    let done = sign_in.finish(&begun.state, &format!("code=c%2F1&state={state}"));
    assert_eq!(
        done.as_deref(),
        Ok("ChatGPT of ada@example.org, account acct-1, plan pro")
    );
    let body = String::from_utf8(fake.asked.borrow()[0].body.clone()).expect("text");
    assert_eq!(
        body,
        format!(
            "grant_type=authorization_code&client_id=app_EMoamEEZ73f0CkXaXp7hrann&code=c%2F1\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A1455%2Fauth%2Fcallback&code_verifier={state}"
        )
    );
    let mut expected = fake::chatgpt("a", "r", "acct-1");
    expected["last_refresh"] = json!("2026-01-02T03:04:05.000Z");
    assert_eq!(fake.stored(), Some(expected));
}

#[test]
fn a_code_is_asked_after_until_it_is_typed() {
    let fake = Fake::default()
        .answering(
            200,
            json!({ "device_auth_id": "d", "usercode": "ABCD-1234", "interval": "2" }),
        )
        .answering(403, json!({}))
        .answering(
            200,
            json!({ "authorization_code": "c", "code_verifier": "v" }),
        )
        .answering(200, answer());
    let settings = settings();
    let begun = challenge(&fake, &settings, Way::Device);
    assert_eq!(
        (
            begun.url.as_str(),
            begun.user_code.as_deref(),
            begun.interval_ms
        ),
        (
            "https://auth.openai.com/codex/device",
            Some("ABCD-1234"),
            2000
        )
    );
    let sign_in = SignIn::new(&fake, &settings);
    assert_eq!(sign_in.poll(&begun.state), Ok(None));
    let done = sign_in.poll(&begun.state).expect("done");
    assert_eq!(
        done.as_deref(),
        Some("ChatGPT of ada@example.org, account acct-1, plan pro")
    );
}

#[test]
fn only_what_the_configuration_allows_is_kept() {
    let api = Settings {
        forced_login_method: Some(Method::Api),
        ..settings()
    };
    let words = |settings: &Settings, fake: &Fake, way: Way| {
        SignIn::new(fake, settings)
            .begin(way)
            .expect_err("refused")
            .to_string()
    };
    let refused = "`forced_login_method` allows only logins with an API key, and this is not one";
    for way in [Way::Browser(REDIRECT.to_owned()), Way::Device] {
        assert_eq!(words(&api, &Fake::default(), way), refused);
    }
    let fake = Fake::default().answering(200, json!({ "chatgpt_account_id": "acct-1" }));
    assert_eq!(
        words(&api, &fake, Way::AccessToken("at-1".to_owned())),
        refused
    );
    let workspace = Settings {
        forced_workspaces: vec!["acct-2".to_owned()],
        ..settings()
    };
    let fake = Fake::default().answering(200, answer());
    let begun = challenge(&fake, &workspace, Way::Browser(REDIRECT.to_owned()));
    assert!(begun.url.ends_with("&allowed_workspace_id=acct-2"));
    let state = URL_SAFE_NO_PAD.encode([7; 48]);
    let finished =
        SignIn::new(&fake, &workspace).finish(&begun.state, &format!("code=c&state={state}"));
    assert!(
        finished
            .expect_err("refused")
            .to_string()
            .starts_with("`forced_chatgpt_workspace_id`")
    );
    assert_eq!(fake.stored(), None);
}

#[test]
fn keys_and_tokens_are_kept_as_other_clients_keep_them() {
    let fake = Fake::with_store(&json!({ "auth_mode": "chatgpt", "tokens": {}, "noted": 1 }));
    let settings = settings();
    let sign_in = SignIn::new(&fake, &settings);
    assert!(sign_in.begin(Way::ApiKey(" \n".to_owned())).is_err());
    sign_in
        .begin(Way::ApiKey(" sk-1\n".to_owned()))
        .expect("kept");
    assert_eq!(
        fake.stored(),
        Some(json!({ "auth_mode": "apikey", "OPENAI_API_KEY": "sk-1", "noted": 1 }))
    );
    let fake = Fake::default().answering(
        200,
        json!({ "email": "a@b.example", "chatgpt_account_id": "acct-1" }),
    );
    let begun = SignIn::new(&fake, &settings).begin(Way::AccessToken("at-1\n".to_owned()));
    let words = match begun.expect("it begins") {
        Beginning::Done(words) => words,
        Beginning::Challenged(_) => String::new(),
    };
    assert_eq!(
        words,
        "a personal access token of a@b.example, account acct-1"
    );
    assert_eq!(
        fake.stored(),
        Some(json!({ "OPENAI_API_KEY": null, "personal_access_token": "at-1" }))
    );
}

#[test]
fn a_damaged_store_is_not_signed_over_but_can_be_signed_out_of() {
    let fake = Fake::default();
    fake.slots
        .borrow_mut()
        .insert(STORE.to_owned(), b"{".to_vec());
    let settings = settings();
    let sign_in = SignIn::new(&fake, &settings);
    let words = sign_in
        .begin(Way::ApiKey("sk".to_owned()))
        .expect_err("refused")
        .to_string();
    assert!(words.contains("is damaged"), "{words}");
    assert_eq!(fake.slots.borrow()[STORE], b"{");
    let words = sign_in.logout().expect("forgotten");
    assert_eq!(
        words.as_deref(),
        Some("it could not be read, so nothing was revoked")
    );
    assert!(fake.slots.borrow().is_empty());
    assert_eq!(sign_in.logout(), Ok(None));
}

#[test]
fn signing_out_revokes_the_refresh_token_and_forgets_in_any_case() {
    for (status, words) in [
        (200, "its tokens were revoked"),
        (
            500,
            "its tokens could not be revoked (revoking the token failed with status 500)",
        ),
    ] {
        let fake =
            Fake::with_store(&fake::chatgpt("a", "r", "acct-1")).answering(status, json!({}));
        let settings = settings();
        assert_eq!(
            SignIn::new(&fake, &settings)
                .logout()
                .expect("forgotten")
                .as_deref(),
            Some(words)
        );
        assert_eq!(fake.stored(), None);
        let expected = json!({ "token": "r", "token_type_hint": "refresh_token", "client_id": "app_EMoamEEZ73f0CkXaXp7hrann" });
        assert_eq!(fake.bodies(), [expected]);
    }
}
