//! The files that `aws sso login` leaves: read, and renewed as AWS's own tools renew them.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use dovetail_plugin_api::log;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use crate::credentials;
use crate::outside::{Ask, Outside};
use crate::trouble::Trouble;

/// Where sign-ins are kept.
const CACHE: &str = "file:~/.aws/sso/cache";
/// A token that ends sooner is renewed.
const MARGIN_MS: u64 = 60_000;

/// How a sign-in is over. Reads after `the sign-in`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over(pub(crate) &'static str);

/// The sign-ins of one region.
pub(crate) struct SignIns<'o, O> {
    pub(crate) outside: &'o O,
    pub(crate) region: &'o str,
    pub(crate) now_unix_ms: u64,
}

/// What is read of a sign-in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignIn {
    access_token: String,
    expires_at: String,
    /// What a new token is asked for with, where the sign-in allows that.
    #[serde(flatten)]
    renewal: Option<Renewal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewal {
    refresh_token: String,
    client_id: String,
    client_secret: String,
    registration_expires_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    access_token: String,
    expires_in: u64,
    refresh_token: Option<String>,
}

impl<O: Outside> SignIns<'_, O> {
    /// The token of the sign-in of that name.
    pub(crate) fn token(&self, key: &str) -> Result<Result<String, Over>, Trouble> {
        let slot = slot(key);
        match self.kept(&slot)? {
            Err(over) => Ok(Err(over)),
            Ok((sign_in, _)) if self.is_good(&sign_in)? => Ok(Ok(sign_in.access_token)),
            // One process renews it, the others read what it got.
            Ok(_) => self
                .outside
                .alone(&format!("sign-in {key}"), || self.renew(&slot))?,
        }
    }

    fn is_good(&self, sign_in: &SignIn) -> Result<bool, Trouble> {
        let end = credentials::instant("the sign-in", &sign_in.expires_at)?;
        let margin = if self.can_renew(sign_in)? {
            MARGIN_MS
        } else {
            0
        };
        Ok(end > self.now_unix_ms.saturating_add(margin))
    }

    fn can_renew(&self, sign_in: &SignIn) -> Result<bool, Trouble> {
        let Some(renewal) = &sign_in.renewal else {
            return Ok(false);
        };
        let end = credentials::instant("the sign-in", &renewal.registration_expires_at)?;
        Ok(end > self.now_unix_ms)
    }

    /// What the file holds, and what replaces it.
    fn kept(&self, slot: &str) -> Result<Result<(SignIn, Kept), Over>, Trouble> {
        let Some((text, generation)) = self.outside.reveal_to_replace(slot)? else {
            return Ok(Err(Over("is not there")));
        };
        let document: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
        // A file that is half written or of another kind is as good as none: signing in replaces it.
        let sign_in = serde_json::from_value(Value::Object(document.clone()));
        let Ok(sign_in) = sign_in else {
            return Ok(Err(Over("cannot be read")));
        };
        let kept = Kept {
            document,
            generation,
        };
        Ok(Ok((sign_in, kept)))
    }

    fn renew(&self, slot: &str) -> Result<Result<String, Over>, Trouble> {
        let (sign_in, kept) = match self.kept(slot)? {
            Ok(found) => found,
            Err(over) => return Ok(Err(over)),
        };
        if self.is_good(&sign_in)? {
            return Ok(Ok(sign_in.access_token));
        }
        let renewal = match sign_in.renewal {
            Some(_) if !self.can_renew(&sign_in)? => return Ok(Err(Over("is over"))),
            Some(renewal) => renewal,
            None => return Ok(Err(Over("is over"))),
        };
        let body = json!({
            "grantType": "refresh_token",
            "clientId": renewal.client_id,
            "clientSecret": renewal.client_secret,
            "refreshToken": renewal.refresh_token,
        });
        let what = "renewing the AWS sign-in";
        let response = self
            .outside
            .send(Ask::json(format!("{}/token", self.service()), &body))
            .map_err(|error| Trouble::from(error).while_doing(what))?;
        match response.status {
            200 => {}
            429 | 500..=599 => {
                let text = format!(
                    "{what}: the service answered with status {}",
                    response.status
                );
                return Err(Trouble::passing(text));
            }
            _ => return Ok(Err(Over("is over"))),
        }
        let renewed: Renewed = response
            .json()
            .map_err(|error| Trouble::from(error).while_doing(what))?;
        kept.replace(self.outside, slot, &renewed, self.now_unix_ms);
        Ok(Ok(renewed.access_token))
    }

    fn service(&self) -> String {
        let own = self.outside.variable("AWS_ENDPOINT_URL_SSO_OIDC");
        match own.or_else(|| self.outside.variable("AWS_ENDPOINT_URL")) {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://oidc.{}.amazonaws.com", self.region),
        }
    }
}

/// A sign-in's file, with all that other tools keep in it.
struct Kept {
    document: Map<String, Value>,
    generation: u64,
}

impl Kept {
    /// Writes a renewed sign-in back, for AWS's own tools and the next run. The token is good without that.
    fn replace(mut self, outside: &impl Outside, slot: &str, renewed: &Renewed, now_unix_ms: u64) {
        let end_s = now_unix_ms / 1000 + renewed.expires_in;
        let end = i64::try_from(end_s)
            .ok()
            .and_then(|end| DateTime::from_secs(end).fmt(Format::DateTime).ok());
        let mut set = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                self.document.insert(key.to_owned(), value.into());
            }
        };
        set("accessToken", Some(&renewed.access_token));
        set("expiresAt", end.as_deref());
        set("refreshToken", renewed.refresh_token.as_deref());
        let text = Value::Object(self.document).to_string();
        if let Err(error) = outside.replace(slot, self.generation, &text) {
            log::warn(format!("the renewed AWS sign-in is not kept: {error}"));
        }
    }
}

/// The slot of a sign-in's file.
fn slot(key: &str) -> String {
    let digest = Sha1::digest(key.as_bytes());
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{CACHE}/{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    /// `2026-11-21T01:27:20Z`.
    const NOW: u64 = 1_795_224_440_000;
    // Called as `sha1sum` says of the name without a line end.
    const SLOT: &str = "file:~/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    const SERVICE: &str = "POST https://oidc.eu-west-1.amazonaws.com/token";

    fn kept(expires_at: &str, registration_expires_at: &str) -> String {
        json!({
            "startUrl": "https://corp.example/start", "region": "eu-west-1", "accessToken": "old", "expiresAt": expires_at,
            "clientId": "id", "clientSecret": "hush", "refreshToken": "r1",
            "registrationExpiresAt": registration_expires_at,
        })
        .to_string()
    }

    fn token(world: &World) -> Result<Result<String, Over>, Trouble> {
        let sign_ins = SignIns {
            outside: world,
            region: "eu-west-1",
            now_unix_ms: NOW,
        };
        sign_ins.token("corp")
    }

    #[test]
    fn a_token_that_is_good_is_used() {
        let world = World::new().slot(SLOT, &kept("2026-11-21T01:28:21Z", "2026-12-01T00:00:00Z"));
        assert_eq!(token(&world), Ok(Ok("old".to_owned())));
        assert_eq!(world.asked(), Vec::<String>::new());
    }

    #[test]
    fn a_token_that_ends_is_renewed_and_kept() {
        let answer = json!({ "accessToken": "new", "expiresIn": 3600, "refreshToken": "r2", "tokenType": "Bearer" });
        let world = World::new()
            .slot(SLOT, &kept("2026-11-21T01:28:20Z", "2026-12-01T00:00:00Z"))
            .answer(SERVICE, 200, &answer.to_string());
        assert_eq!(token(&world), Ok(Ok("new".to_owned())));
        assert_eq!(
            world.asked(),
            [
                "lock sign-in corp".to_owned(),
                format!(
                    r#"{SERVICE} {{"grantType":"refresh_token","clientId":"id","clientSecret":"hush","refreshToken":"r1"}}"#
                ),
            ]
        );
        let text = world.reveal(SLOT).expect("there").expect("there");
        let written: Value = serde_json::from_str(&text).expect("JSON");
        let expected = json!({
            "startUrl": "https://corp.example/start", "region": "eu-west-1", "accessToken": "new",
            "expiresAt": "2026-11-21T02:27:20Z", "clientId": "id", "clientSecret": "hush", "refreshToken": "r2",
            "registrationExpiresAt": "2026-12-01T00:00:00Z",
        });
        assert_eq!(written, expected);
        assert_eq!(token(&world), Ok(Ok("new".to_owned())));
        assert_eq!(world.asked().len(), 2, "it is good now");
    }

    #[test]
    fn what_cannot_be_renewed_is_over() {
        let ended = "2026-11-21T01:27:20Z";
        let refused = World::new()
            .slot(SLOT, &kept(ended, "2026-12-01T00:00:00Z"))
            .answer(SERVICE, 400, r#"{"error":"invalid_grant"}"#);
        assert_eq!(token(&refused), Ok(Err(Over("is over"))));
        let unregistered = World::new().slot(SLOT, &kept(ended, ended));
        assert_eq!(token(&unregistered), Ok(Err(Over("is over"))));
        let old_form = json!({ "accessToken": "old", "expiresAt": ended }).to_string();
        assert_eq!(
            token(&World::new().slot(SLOT, &old_form)),
            Ok(Err(Over("is over")))
        );
        assert_eq!(
            token(&World::new().slot(SLOT, "{")),
            Ok(Err(Over("cannot be read")))
        );
        assert_eq!(token(&World::new()), Ok(Err(Over("is not there"))));
    }

    #[test]
    fn a_service_that_cannot_be_asked_now_is_no_sign_in_that_is_over() {
        let world = World::new()
            .slot(SLOT, &kept("2026-11-21T01:27:20Z", "2026-12-01T00:00:00Z"))
            .answer(SERVICE, 503, "");
        let words = "renewing the AWS sign-in: the service answered with status 503";
        assert_eq!(token(&world), Err(Trouble::passing(words)));
    }
}
