//! What logins need of the host, behind one trait, so that their rules can be tested without one.

use std::any::Any;

use dovetail_plugin_api::credentials::{self, Lock};
use dovetail_plugin_api::http::{Request, Response};
use dovetail_plugin_api::{Error, client, clock, secrets};

/// The slot of the store in which logins are kept. The host decides where that is.
pub(crate) const STORE: &str = "login";

/// A stored value with the generation it was read at.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: Vec<u8>,
    /// 0 where there is nothing yet.
    pub(crate) generation: u64,
}

/// A request of a login's own.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    /// The authorization, where there is one.
    pub(crate) bearer: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: std::time::Duration,
}

/// The world around a login.
pub(crate) trait Outside {
    fn now_ms(&self) -> u64;
    /// Whether a slot can be filled.
    fn exists(&self, slot: &str) -> Result<bool, Error>;
    /// A slot's value; none where it is empty.
    fn reveal(&self, slot: &str) -> Result<Option<Held>, Error>;
    /// Replaces a slot's value; nothing removes it. `Retryable` where somebody else was faster.
    fn update(&self, slot: &str, expected: u64, bytes: &[u8]) -> Result<u64, Error>;
    /// Waits for a lock between processes; it ends with the value.
    fn lock(&self, name: &str) -> Result<Box<dyn Any>, Error>;
    fn send(&self, ask: Ask) -> Result<(u16, Vec<u8>), Error>;
    /// A variable of the environment that is no secret.
    fn variable(&self, name: &str) -> Option<String>;
    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error>;
    /// Asks the connected application for another token: access token, account.
    fn external_token(&self, account: Option<&str>) -> Result<(String, Option<String>), Error>;
    /// Asks the connected application to vouch for a request. `Unavailable` where there is nobody to ask.
    fn attest(&self, provider_id: &str) -> Result<String, Error>;
}

/// The host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host;

impl Outside for Host {
    fn now_ms(&self) -> u64 {
        clock::now_unix_ms()
    }

    fn exists(&self, slot: &str) -> Result<bool, Error> {
        secrets::exists(slot)
    }

    fn reveal(&self, slot: &str) -> Result<Option<Held>, Error> {
        match credentials::reveal(slot) {
            Ok(revealed) => Ok(Some(Held {
                bytes: revealed.value,
                generation: revealed.generation,
            })),
            Err(Error::Unavailable(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn update(&self, slot: &str, expected: u64, bytes: &[u8]) -> Result<u64, Error> {
        credentials::update(slot, expected, bytes)
    }

    fn lock(&self, name: &str) -> Result<Box<dyn Any>, Error> {
        Ok(Box::new(Lock::acquire(name)?))
    }

    fn send(&self, ask: Ask) -> Result<(u16, Vec<u8>), Error> {
        use dovetail_plugin_api::Header;
        let mut request = Request::new(ask.method, ask.url).timeout(ask.timeout);
        for (name, value) in ask.headers {
            request = request.header(Header::plain(name, value));
        }
        if let Some(token) = ask.bearer {
            request = request.header(Header::bearer(token));
        }
        if !ask.content_type.is_empty() {
            request = request.header(Header::plain("content-type", ask.content_type));
        }
        let response: Response = request.body(ask.body).send()?;
        if response.truncated {
            return Err(Error::other(
                "the answer is longer than any that is expected",
            ));
        }
        Ok((response.status, response.body))
    }

    fn variable(&self, name: &str) -> Option<String> {
        let value = std::env::var(name).ok()?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(bytes).map_err(|error| Error::Other(format!("no random numbers: {error}")))
    }

    fn external_token(&self, account: Option<&str>) -> Result<(String, Option<String>), Error> {
        let token = client::refresh_token("unauthorized", account)?;
        Ok((token.access_token, token.account_id))
    }

    fn attest(&self, provider_id: &str) -> Result<String, Error> {
        client::attest(provider_id)
    }
}
