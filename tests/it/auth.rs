//! Logins at the socket: what they send where, how they are kept fresh, and that nothing goes out without one.

mod agent;
pub(crate) mod authority;
mod commands;
mod failures;
mod headers;
#[cfg(target_os = "linux")]
mod keyring;
mod order;
mod refresh;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dovetail_rehearsal::RecordedRequest;
use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use crate::DOVETAIL;
use authority::Authority;

/// The claim in which the authority names accounts.
const CLAIM: &str = "https://api.openai.com/auth";

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A token with these claims and a signature that nobody checks.
fn jwt(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({ "alg": "none" })), part(claims))
}

/// An access token that ends in so many seconds.
pub(crate) fn access_token(name: &str, ends_in: i64) -> String {
    jwt(&json!({ "jti": name, "exp": now().saturating_add_signed(ends_in) }))
}

/// An id token of an account.
fn id_token(account: &str, is_fedramp: bool) -> String {
    let about = json!({
        "chatgpt_account_id": account, "chatgpt_user_id": "user-1", "chatgpt_plan_type": "pro",
        "chatgpt_account_is_fedramp": is_fedramp,
    });
    jwt(&json!({ "email": "ada@example.org", CLAIM: about }))
}

/// A stored login of an account.
pub(crate) fn chatgpt(access_token: &str, refresh_token: &str, account: &str) -> Value {
    json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
        "tokens": {
            "id_token": id_token(account, false), "access_token": access_token, "refresh_token": refresh_token,
            "account_id": account,
        },
        "last_refresh": "2026-01-01T00:00:00Z",
    })
}

/// A world with the built-in provider at a scripted model and an authority beside it.
struct World {
    lab: Lab,
    authority: Authority,
}

impl World {
    /// The model plays this; the authority answers that.
    async fn new(model: &str, answers: &[(&str, u16, Value)]) -> Self {
        let mut lab = Lab::bare(DOVETAIL);
        lab.play(model).await;
        let authority = Authority::start(answers).await;
        let url = authority.url();
        lab.set_env(
            "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
            &format!("{url}/oauth/token"),
        );
        lab.set_env(
            "CODEX_REVOKE_TOKEN_URL_OVERRIDE",
            &format!("{url}/oauth/revoke"),
        );
        lab.set_env("CODEX_AUTHAPI_BASE_URL", &url);
        lab.set_env("CODEX_APP_SERVER_LOGIN_ISSUER", &url);
        let world = Self { lab, authority };
        world.configure("", "");
        world
    }

    /// Writes the configuration: keys at the top, and keys under `[dovetail]`.
    fn configure(&self, top: &str, dovetail: &str) {
        self.lab.write_config(&format!(
            "model = \"gpt-5.5\"\nopenai_base_url = \"{}\"\n{top}\n[dovetail]\nwebsockets = false\n{dovetail}\n",
            self.lab.server().base_url()
        ));
    }

    /// Puts a login into the store.
    fn store(&self, login: &Value) {
        self.lab.write_home("auth.json", login.to_string());
    }

    /// What the store holds.
    fn stored(&self) -> Value {
        let text = std::fs::read_to_string(self.lab.home().join("auth.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The authorization of every request that the model got.
    fn authorizations(&self) -> Vec<Option<String>> {
        let of = |request: &RecordedRequest| request.header("authorization").map(str::to_owned);
        self.lab.requests().iter().map(of).collect()
    }
}

fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

/// A model that refuses a credential.
fn refused() -> String {
    script::status(401, r#"{"error":{"message":"no"}}"#)
}
