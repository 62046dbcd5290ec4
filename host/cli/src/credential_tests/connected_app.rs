//! What a connected application gives the built-in provider: tokens and attestations, at the socket. The application's side of
//! the protocol is played here.

use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use dovetail_core::model::{ModelClient as _, ModelError};
use dovetail_core::plugin::{ConnectedApp, ExternalToken, PluginError, Recovery, Unattested};
use dovetail_core::retry::RecoveryStep;
use dovetail_core::secret::SecretText;
use dovetail_rehearsal::{RehearsalServer, Script};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{request, thread};
use crate::args::ConfigOverrides;
use crate::exec::load_config;
use crate::plugins::{self, House};

/// An application that answers as it is told.
struct App {
    attestation: Option<Result<String, Unattested>>,
    token: Option<(&'static str, Option<&'static str>)>,
    asked: Mutex<Vec<String>>,
}

impl App {
    fn attesting(attestation: Option<Result<String, Unattested>>) -> Arc<Self> {
        Arc::new(Self {
            attestation,
            token: None,
            asked: Mutex::default(),
        })
    }
}

#[async_trait]
impl ConnectedApp for App {
    async fn attest(&self, provider_id: &str) -> Result<String, Unattested> {
        assert_eq!(provider_id, "openai");
        match self.attestation.clone() {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn refresh_token(
        &self,
        reason: &str,
        previous_account_id: Option<&str>,
    ) -> Result<ExternalToken, PluginError> {
        let asked = format!("{reason} {previous_account_id:?}");
        self.asked.lock().expect("nothing panics").push(asked);
        let (token, account) = self
            .token
            .ok_or_else(|| PluginError::Other("the user has signed out".to_owned()))?;
        Ok(ExternalToken {
            access_token: SecretText::new(token.to_owned()),
            account_id: account.map(str::to_owned),
            expires_at_unix_ms: None,
        })
    }
}

/// A house whose login is this, at a model that plays that.
struct World {
    house: House,
    client: dovetail_responses::ResponsesClient,
    server: RehearsalServer,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(login: &serde_json::Value, model: &str) -> Self {
        let script = Script::parse(model).expect("a script");
        let server = RehearsalServer::start(script).await.expect("it listens");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = format!(
            "openai_base_url = \"{}\"\n[dovetail]\nwebsockets = false\n",
            server.base_url()
        );
        std::fs::write(dir.path().join("config.toml"), config).expect("written");
        std::fs::write(dir.path().join("auth.json"), login.to_string()).expect("written");
        let config = load_config(dir.path(), dir.path(), &ConfigOverrides::default());
        let config = config.expect("the configuration is sound");
        let house = plugins::load(&config, true, true).await;
        let house = house.expect("the built-in plugins load");
        let client = crate::model_port::client(&house, &config, &thread("openai", dir.path()));
        Self {
            client: client.expect("the endpoint is sound"),
            house,
            server,
            _dir: dir,
        }
    }

    /// Asks once.
    async fn ask(&self) -> Result<(), ModelError> {
        let never = CancellationToken::new();
        self.client.send(&request(), &never).await.map(drop)
    }

    /// Asks, and has the credential recovered.
    async fn recover(&self) -> Recovery {
        let refused = self.ask().await.expect_err("it is refused");
        self.client.recover(&refused, RecoveryStep::First).await
    }

    /// What each request carried under this name.
    fn sent(&self, header: &str) -> Vec<Option<String>> {
        let requests = self.server.requests();
        let of = |request: &dovetail_rehearsal::RecordedRequest| {
            request.header(header).map(str::to_owned)
        };
        requests.iter().map(of).collect()
    }
}

/// Tokens of an account, which this mode says who refreshes. Without an end, so that nobody refreshes them beforehand.
fn tokens(mode: &str) -> serde_json::Value {
    json!({
        "auth_mode": mode, "OPENAI_API_KEY": null,
        "tokens": { "id_token": "", "access_token": "old", "refresh_token": "r", "account_id": "acct-1" },
        "last_refresh": "2999-01-01T00:00:00Z",
    })
}

fn answers(count: usize) -> String {
    dovetail_tests::script::answer("hi").repeat(count)
}

fn refused() -> String {
    dovetail_tests::script::status(401, r#"{"error":{"message":"no"}}"#)
}

fn connect(house: &House, app: &Arc<App>) {
    let app: Weak<dyn ConnectedApp> = Arc::downgrade(&(Arc::clone(app) as Arc<dyn ConnectedApp>));
    house.services.connect(app);
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn tokens_of_an_application_are_replaced_by_asking_it() {
    let model = refused() + &answers(1);
    let world = World::new(&tokens("chatgptAuthTokens"), &model).await;
    let app = Arc::new(App {
        attestation: Some(Err(Unattested::Nobody)),
        token: Some(("new", Some("acct-1"))),
        asked: Mutex::default(),
    });
    connect(&world.house, &app);
    assert_eq!(world.recover().await, Recovery::Changed);
    world.ask().await.expect("the new token is taken");
    assert_eq!(
        world.sent("authorization"),
        [some("Bearer old"), some("Bearer new")]
    );
    assert_eq!(
        world.sent("chatgpt-account-id"),
        [some("acct-1"), some("acct-1")]
    );
    let asked = app.asked.lock().expect("nothing panics").clone();
    assert_eq!(asked, ["unauthorized Some(\"acct-1\")"]);
}

#[tokio::test]
async fn tokens_that_an_application_does_not_replace_are_not_used_again_for_nothing() {
    for (token, connected, expected) in [
        (
            Some(("new", Some("acct-2"))),
            true,
            Recovery::Permanent(
                "the application gave a token of another account: start a new session to use it"
                    .to_owned(),
            ),
        ),
        (
            None,
            true,
            Recovery::Transient(
                "the application gave no other token: the user has signed out".to_owned(),
            ),
        ),
        (
            None,
            false,
            Recovery::Transient(
                "the application gave no other token: no application is connected that could refresh a token"
                    .to_owned(),
            ),
        ),
    ] {
        let world = World::new(&tokens("chatgptAuthTokens"), &refused()).await;
        let app = Arc::new(App {
            attestation: None,
            token,
            asked: Mutex::default(),
        });
        connect(&world.house, &app);
        if !connected {
            drop(app);
        }
        assert_eq!(world.recover().await, expected);
    }
}

#[tokio::test]
async fn an_application_vouches_for_requests_of_accounts() {
    let world = World::new(&tokens("chatgpt"), &answers(7)).await;
    for (attestation, expected) in [
        (
            Some(Ok("vouched".to_owned())),
            some(r#"{"v":1,"s":0,"t":"vouched"}"#),
        ),
        (None, some(r#"{"v":1,"s":1}"#)),
        (Some(Err(Unattested::Failed)), some(r#"{"v":1,"s":2}"#)),
        (Some(Err(Unattested::Cancelled)), some(r#"{"v":1,"s":3}"#)),
        (Some(Err(Unattested::Malformed)), some(r#"{"v":1,"s":4}"#)),
        (Some(Err(Unattested::Nobody)), None),
    ] {
        let app = App::attesting(attestation.clone());
        connect(&world.house, &app);
        world.ask().await.expect("the request is sent");
        let sent = world.sent("x-oai-attestation");
        assert_eq!(sent.last(), Some(&expected), "{attestation:?}");
    }
    world.ask().await.expect("the request is sent");
    let sent = world.sent("x-oai-attestation");
    assert_eq!(sent.last(), Some(&None), "the application has gone");
}

#[tokio::test]
async fn an_application_vouches_for_no_key() {
    let key = json!({ "auth_mode": "apikey", "OPENAI_API_KEY": "sk-1" });
    let world = World::new(&key, &answers(1)).await;
    let app = App::attesting(Some(Ok("vouched".to_owned())));
    connect(&world.house, &app);
    world.ask().await.expect("the request is sent");
    assert_eq!(world.sent("x-oai-attestation"), [None]);
    assert_eq!(world.sent("authorization"), [some("Bearer sk-1")]);
}
