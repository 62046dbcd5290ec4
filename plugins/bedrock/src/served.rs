//! One provider id: its settings, and the credential that it was given last.

use dovetail_plugin_api::account::Explanation;
use dovetail_plugin_api::provider::{Prepared, Recovery, RequestHead};
use dovetail_plugin_api::{Error, Header, Secret, log};

use crate::api_key;
use crate::auth_command::Token;
use crate::chain;
use crate::credentials::Credentials;
use crate::endpoint::Service;
use crate::explain;
use crate::outside::Outside;
use crate::sign::{self, Signing};
use crate::table::Settings;
use crate::trouble::Trouble;

/// One process at a time signs in, and the others find that it is done.
const REFRESH_LOCK: &str = "auth-refresh";

/// One provider id.
#[derive(Debug)]
pub(crate) struct Served {
    settings: Settings,
    region: Option<String>,
    held: Held,
}

/// What requests are authenticated with.
#[derive(Debug)]
enum Held {
    /// Nothing was asked for yet, or it was refused.
    Nothing,
    /// A key that the host fills in.
    ApiKey,
    /// A token that a command printed; whether `prepare` has given it to the host.
    Token { token: Token, given: bool },
    /// Access keys that requests are signed with.
    Keys(Credentials),
}

impl Served {
    pub(crate) fn new(settings: Settings, region: Option<String>) -> Self {
        Self {
            settings,
            region,
            held: Held::Nothing,
        }
    }

    /// Which credential would be used, and where it would go.
    pub(crate) fn explain(&self, outside: &impl Outside) -> Result<Explanation, Error> {
        explain::explain(outside, &self.settings, self.region.as_deref())
    }

    pub(crate) fn service(&self) -> Service {
        self.settings.service
    }

    /// Gets the credential: what the host sends as it is, or what requests will be signed with.
    pub(crate) fn prepare(
        &mut self,
        outside: &impl Outside,
        now_unix_ms: u64,
    ) -> Result<Prepared, Error> {
        if let Some(auth) = self.settings.auth.clone() {
            let token = match &self.held {
                Held::Token {
                    token,
                    given: false,
                } => token.clone(),
                _ => auth.fetch(outside).map_err(|trouble| trouble.error)?,
            };
            let prepared = auth.prepared(&token, now_unix_ms);
            self.held = Held::Token { token, given: true };
            return Ok(prepared);
        }
        if let Some(slot) = api_key::find(outside, &self.settings)? {
            self.held = Held::ApiKey;
            return Ok(Prepared::header(Header::bearer(Secret::slot(slot))));
        }
        let credentials = match &self.held {
            Held::Keys(held) if held.are_good(now_unix_ms) => held.clone(),
            _ => self.signed_in(outside, now_unix_ms)?,
        };
        let prepared = Prepared {
            headers: Vec::new(),
            expires_at_unix_ms: credentials.expires_at_unix_ms,
        };
        self.held = Held::Keys(credentials);
        Ok(prepared)
    }

    /// Signs a request, where that is what authenticates it.
    pub(crate) fn authorize(
        &self,
        head: &RequestHead,
        body_sha256: &[u8; 32],
        now_unix_ms: u64,
    ) -> Result<Vec<Header>, Error> {
        let credentials = match &self.held {
            Held::ApiKey | Held::Token { .. } => return Ok(Vec::new()),
            Held::Keys(credentials) if !credentials.are_over(now_unix_ms) => credentials,
            // The host gets them again, and repeats the request.
            Held::Keys(_) => return Err(Error::retryable("the AWS credentials have ended")),
            Held::Nothing => {
                return Err(Error::retryable(
                    "the AWS credentials are not there any more",
                ));
            }
        };
        let signing = Signing {
            credentials,
            region: self.region()?,
            service: self.service().signing_name(),
            time_unix_ms: now_unix_ms,
        };
        let arrives = |name: &str| self.service().accepts_header(name);
        sign::sign(&signing, head, arrives, body_sha256)
    }

    /// Replaces a credential that was refused.
    pub(crate) fn recover(
        &mut self,
        outside: &impl Outside,
        now_unix_ms: u64,
    ) -> Result<Recovery, Error> {
        let refused = std::mem::replace(&mut self.held, Held::Nothing);
        match (self.settings.auth.clone(), refused) {
            (Some(auth), refused) => match auth.fetch(outside) {
                Err(trouble) => Ok(Recovery::Transient(trouble.error.to_string())),
                Ok(token) => {
                    let is_same =
                        matches!(&refused, Held::Token { token: old, .. } if *old == token);
                    self.held = Held::Token {
                        token,
                        given: false,
                    };
                    Ok(changed_unless(is_same))
                }
            },
            // Only the user can replace it.
            (None, Held::ApiKey | Held::Token { .. }) => Ok(Recovery::Unchanged),
            (None, Held::Nothing) => Ok(Recovery::Changed),
            (None, Held::Keys(refused)) => self.renew(outside, &refused, now_unix_ms),
        }
    }

    fn renew(
        &mut self,
        outside: &impl Outside,
        refused: &Credentials,
        now_unix_ms: u64,
    ) -> Result<Recovery, Error> {
        let found = match self.find(outside, now_unix_ms) {
            Ok(found) if found != *refused => Ok(found),
            // What the sources still hold is what was refused: only signing in again can change that.
            Ok(_) if self.settings.refresh.is_none() => return Ok(Recovery::Unchanged),
            Ok(_) => self.sign_in(outside, Some(refused), now_unix_ms),
            Err(trouble) => self.after(trouble, outside, now_unix_ms),
        };
        match found {
            Ok(found) => {
                let is_same = found == *refused;
                self.held = Held::Keys(found);
                Ok(changed_unless(is_same))
            }
            Err(trouble) => Ok(match trouble.error {
                Error::Retryable { reason, .. } => Recovery::Transient(reason),
                error => Recovery::Permanent(error.to_string()),
            }),
        }
    }

    fn region(&self) -> Result<&str, Error> {
        self.region
            .as_deref()
            .ok_or_else(|| Error::other("no region is known to sign for"))
    }

    fn find(&self, outside: &impl Outside, now_unix_ms: u64) -> Result<Credentials, Trouble> {
        let found = chain::find(outside, &self.settings, self.region()?, now_unix_ms)?;
        if found.are_over(now_unix_ms) {
            return Err(Trouble::signed_out(format!(
                "the AWS credentials with the key `{}` have ended",
                found.access_key_id
            )));
        }
        Ok(found)
    }

    /// Credentials, after signing in again where that is what is missing.
    fn signed_in(&self, outside: &impl Outside, now_unix_ms: u64) -> Result<Credentials, Error> {
        let found = match self.find(outside, now_unix_ms) {
            Ok(found) => Ok(found),
            Err(trouble) => self.after(trouble, outside, now_unix_ms),
        };
        found.map_err(|trouble| trouble.error)
    }

    /// Signs in again if that can mend it.
    fn after(
        &self,
        trouble: Trouble,
        outside: &impl Outside,
        now_unix_ms: u64,
    ) -> Result<Credentials, Trouble> {
        if trouble.sign_in && self.settings.refresh.is_some() {
            self.sign_in(outside, None, now_unix_ms)
        } else {
            Err(trouble)
        }
    }

    /// Has the user sign in, unless another process has done that meanwhile.
    fn sign_in(
        &self,
        outside: &impl Outside,
        refused: Option<&Credentials>,
        now_unix_ms: u64,
    ) -> Result<Credentials, Trouble> {
        let Some(refresh) = &self.settings.refresh else {
            return self.find(outside, now_unix_ms);
        };
        let waited = outside.alone(REFRESH_LOCK, || {
            if let Ok(found) = self.find(outside, now_unix_ms)
                && Some(&found) != refused
            {
                return Ok(found);
            }
            log::warn(format!(
                "the AWS sign-in is over; running `aws {}`",
                refresh.args.join(" ")
            ));
            refresh.output(outside, "aws.auth_refresh")?;
            self.find(outside, now_unix_ms)
        });
        waited?
    }
}

fn changed_unless(is_same: bool) -> Recovery {
    if is_same {
        Recovery::Unchanged
    } else {
        Recovery::Changed
    }
}

#[cfg(test)]
mod tests;
