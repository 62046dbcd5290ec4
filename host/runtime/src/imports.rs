//! The host's side of the contract's imports. Each asks a service that checks the grant; nothing is decided here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use dovetail_core::plugin::{PluginError, Unattested};
use wasmtime::component::Resource;

use crate::bindings::dovetail::plugin::{
    client, clock, config, credentials, http, kv, log, process, progress, secrets, types,
};
use crate::convert::{self, GuestError};
use crate::credentials::HeldLock;
use crate::guest_log::Level;
use crate::guest_state::GuestState;
use crate::manifest::Kind;
use crate::plugin_context::PluginContext;
use crate::process::Command;

/// How long a request waits for its attestation, as the protocol of applications has it.
const ATTESTATION_LIMIT: Duration = Duration::from_millis(100);

type Answer<T> = Result<T, GuestError>;

impl GuestState {
    /// Counts denials and puts an answer into the guest's terms.
    fn answer<T>(&self, answer: Result<T, PluginError>) -> Answer<T> {
        self.plugin().noted(answer).map_err(convert::to_guest_error)
    }

    /// Parts of the host are linked with more than they are granted.
    fn client_granted(&self) -> Answer<()> {
        let plugin = self.plugin();
        if plugin.grant().client() {
            return Ok(());
        }
        let id = plugin.id();
        self.answer(Err(PluginError::Denied(format!(
            "plugin `{id}` may not ask the connected application; to allow it: dovetail plugin grant {id} client"
        ))))
    }

    fn host(&self) -> Arc<PluginContext> {
        Arc::clone(self.plugin())
    }
}

impl types::Host for GuestState {}

impl log::Host for GuestState {
    fn write(&mut self, level: log::Level, message: String) {
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.plugin().log().write(level, &message);
    }
}

impl config::Host for GuestState {
    fn all_json(&mut self) -> String {
        self.plugin().config_json().to_owned()
    }
}

impl clock::Host for GuestState {
    fn now_unix_ms(&mut self) -> u64 {
        let made_up = self.plugin().services().outside();
        made_up
            .and_then(|outside| outside.now_unix_ms())
            .unwrap_or_else(|| convert::unix_ms(SystemTime::now()))
    }

    fn monotonic_ns(&mut self) -> u64 {
        // Any start will do, as long as it is the same for all instances: plugins may keep values between calls.
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let elapsed = START.get_or_init(Instant::now).elapsed();
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl progress::Host for GuestState {
    fn report(&mut self, progress: f64, total: Option<f64>, message: Option<String>) {
        let of = total
            .map(|total| format!(" of {total}"))
            .unwrap_or_default();
        let message = message
            .map(|message| format!(": {message}"))
            .unwrap_or_default();
        self.plugin()
            .log()
            .write(Level::Debug, &format!("progress {progress}{of}{message}"));
    }
}

impl http::Host for GuestState {
    async fn send(&mut self, request: http::Request) -> Answer<http::Response> {
        let host = self.host();
        let limit = host.limits().output_bytes;
        let answer = host
            .services()
            .http()
            .send(
                host.id(),
                host.own_grant(),
                convert::http_request(request),
                limit,
            )
            .await;
        self.answer(answer).map(convert::http_response)
    }
}

impl process::Host for GuestState {
    async fn run(&mut self, command: process::Command) -> Answer<process::Output> {
        let host = self.host();
        let command = Command {
            argv: command.argv,
            cwd: command.cwd.map(PathBuf::from),
            stdin: command.stdin,
            timeout: command
                .timeout_ms
                .map(|ms| Duration::from_millis(ms.into())),
        };
        let (env, limit) = (host.services().env(), host.limits().output_bytes);
        let answer = match host.services().outside() {
            Some(outside) => match crate::process::check(host.id(), host.grant(), &command) {
                Ok(()) => outside.run(&command.argv, &command.stdin).await,
                Err(denied) => Err(denied),
            },
            None => crate::process::run(host.id(), host.grant(), env, command, limit).await,
        };
        let output = self.answer(answer)?;
        Ok(process::Output {
            exit_code: output.exit_code,
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

impl kv::Host for GuestState {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        let host = self.host();
        let answer = host.services().kv().get(host.id(), key).await;
        self.answer(answer)
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Answer<()> {
        let host = self.host();
        let answer = host
            .services()
            .kv()
            .set(host.id(), host.grant().kv_bytes(), key, value)
            .await;
        self.answer(answer)
    }

    async fn delete(&mut self, key: String) -> Answer<()> {
        let host = self.host();
        let answer = host.services().kv().delete(host.id(), key).await;
        self.answer(answer)
    }

    async fn keys(&mut self, prefix: String) -> Answer<Vec<String>> {
        let host = self.host();
        let answer = host.services().kv().keys(host.id(), prefix).await;
        self.answer(answer)
    }
}

impl secrets::Host for GuestState {
    async fn exists(&mut self, slot: String) -> Answer<bool> {
        let host = self.host();
        let egress = host.services().egress();
        let answer = if egress.secrets().may_wait(host.id(), &slot) {
            let (egress, host) = (Arc::clone(egress), Arc::clone(&host));
            let asked = tokio::task::spawn_blocking(move || {
                egress.secret_exists(host.id(), host.grant(), &slot)
            })
            .await;
            asked.unwrap_or_else(|e| {
                Err(PluginError::Other(format!(
                    "asking for a secret failed: {e}"
                )))
            })
        } else {
            egress.secret_exists(host.id(), host.grant(), &slot)
        };
        self.answer(answer)
    }
}

impl credentials::HostLock for GuestState {
    async fn acquire(&mut self, name: String) -> Answer<Resource<HeldLock>> {
        let host = self.host();
        // The other half is for what the plugin wanted the lock for, or for doing without.
        let patience = host.limits().deadline(Kind::Provider) / 2;
        let credentials = host.services().credentials();
        let answer = credentials.lock(host.id(), &name, patience).await;
        let lock = self.answer(answer)?;
        let full = |_| PluginError::Other("the plugin holds too many resources".to_owned());
        let held = self.table().push(lock).map_err(full);
        self.answer(held)
    }

    async fn drop(&mut self, lock: Resource<HeldLock>) -> wasmtime::Result<()> {
        self.table().delete(lock)?;
        Ok(())
    }
}

impl credentials::Host for GuestState {
    async fn reveal(&mut self, slot: String) -> Answer<credentials::Versioned> {
        let host = self.host();
        let answer = host
            .services()
            .credentials()
            .reveal(host.id(), host.grant(), &slot)
            .await;
        let versioned = self.answer(answer)?;
        Ok(credentials::Versioned {
            value: versioned.value.to_vec(),
            generation: versioned.generation,
        })
    }

    async fn update(&mut self, slot: String, expected: u64, value: Vec<u8>) -> Answer<u64> {
        let host = self.host();
        let value = zeroize::Zeroizing::new(value);
        let credentials = host.services().credentials();
        let answer = credentials
            .update(host.id(), host.grant(), &slot, expected, value)
            .await;
        self.answer(answer)
    }
}

// Where no application is connected, each answer is the contract's own. That there is no attestation is no failure of the
// plugin's, and nothing that its ledger should remember.
impl client::Host for GuestState {
    async fn attest(&mut self, provider_id: String) -> Answer<String> {
        self.client_granted()?;
        let app = self.host().services().app();
        let asked = async {
            match app {
                Some(app) => app.attest(&provider_id).await,
                None => Err(Unattested::Nobody),
            }
        };
        let answer = tokio::time::timeout(ATTESTATION_LIMIT, asked).await;
        answer
            .unwrap_or(Err(Unattested::TimedOut))
            .map_err(|why| convert::to_guest_error(unattested(why)))
    }

    async fn refresh_token(
        &mut self,
        reason: String,
        previous_account_id: Option<String>,
    ) -> Answer<client::ExternalToken> {
        self.client_granted()?;
        let Some(app) = self.host().services().app() else {
            return self.answer(Err(PluginError::Unavailable(
                "no application is connected that could refresh a token".to_owned(),
            )));
        };
        let account = previous_account_id.as_deref();
        let token = app.refresh_token(&reason, account).await;
        let token = self.answer(token)?;
        Ok(client::ExternalToken {
            access_token: token.access_token.expose().to_owned(),
            account_id: token.account_id,
            expires_at_unix_ms: token.expires_at_unix_ms,
        })
    }
}

/// The contract's errors tell apart what the header of an attestation does: what was given up may be asked again at once.
fn unattested(why: Unattested) -> PluginError {
    let text = why.to_string();
    match why {
        Unattested::Nobody => PluginError::Unavailable(text),
        Unattested::TimedOut => PluginError::Retryable {
            reason: text,
            after: None,
        },
        Unattested::Failed => PluginError::Other(text),
        Unattested::Cancelled => PluginError::Retryable {
            reason: text,
            after: Some(Duration::ZERO),
        },
        Unattested::Malformed => PluginError::Invalid(text),
    }
}
