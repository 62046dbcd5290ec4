//! Roles that are assumed: with other credentials, or with a token that an identity provider left in a file.

use dovetail_plugin_api::http::Response;
use dovetail_plugin_api::provider::RequestHead;
use dovetail_plugin_api::{Header, PlainHeader};
use sha2::{Digest as _, Sha256};

use crate::credentials::{self, Credentials};
use crate::form;
use crate::outside::{Ask, Outside};
use crate::sign::{self, Signing};
use crate::trouble::Trouble;

const VERSION: (&str, &str) = ("Version", "2011-06-15");
/// Where a profile says nothing of it; it shows in the account's trail.
const SESSION_NAME: &str = "dovetail";

/// A role to assume.
#[derive(Debug, Default)]
pub(crate) struct Role<'p> {
    pub(crate) arn: &'p str,
    pub(crate) session_name: Option<&'p str>,
    pub(crate) external_id: Option<&'p str>,
    pub(crate) duration_seconds: Option<&'p str>,
}

/// Where the token service is asked.
pub(crate) struct TokenService {
    url: String,
    region: String,
}

impl TokenService {
    pub(crate) fn of(outside: &impl Outside, region: &str) -> Self {
        let own = outside.variable("AWS_ENDPOINT_URL_STS");
        let url = match own.or_else(|| outside.variable("AWS_ENDPOINT_URL")) {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://sts.{region}.amazonaws.com"),
        };
        Self {
            url: format!("{url}/"),
            region: region.to_owned(),
        }
    }

    /// Assumes a role with other credentials.
    pub(crate) fn assume(
        &self,
        outside: &impl Outside,
        role: &Role<'_>,
        with: &Credentials,
        now_unix_ms: u64,
    ) -> Result<Credentials, Trouble> {
        let body = role.form("AssumeRole", None);
        let digest: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        let mut ask = Ask::form(&self.url, body);
        let head = RequestHead {
            method: ask.method.to_owned(),
            url: self.url.clone(),
            headers: vec![PlainHeader {
                name: "content-type".to_owned(),
                value: "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
            }],
        };
        let signing = Signing {
            credentials: with,
            region: &self.region,
            service: "sts",
            time_unix_ms: now_unix_ms,
        };
        let signature: Vec<Header> = sign::sign(&signing, &head, |_| true, &digest)?;
        ask.headers.extend(signature);
        self.credentials(outside, ask, role.arn)
    }

    /// Assumes a role with a token, which needs no signature.
    pub(crate) fn assume_with_token(
        &self,
        outside: &impl Outside,
        role: &Role<'_>,
        token: &str,
    ) -> Result<Credentials, Trouble> {
        let body = role.form("AssumeRoleWithWebIdentity", Some(token));
        self.credentials(outside, Ask::form(&self.url, body), role.arn)
    }

    fn credentials(
        &self,
        outside: &impl Outside,
        ask: Ask,
        arn: &str,
    ) -> Result<Credentials, Trouble> {
        let what = format!("assuming role `{arn}`");
        let sent = outside
            .send(ask)
            .map_err(|error| Trouble::from(error).while_doing(&what))?;
        read(&what, sent)
    }
}

impl Role<'_> {
    fn form(&self, action: &str, token: Option<&str>) -> String {
        let mut pairs = vec![
            ("Action", action),
            VERSION,
            ("RoleArn", self.arn),
            ("RoleSessionName", self.session_name.unwrap_or(SESSION_NAME)),
        ];
        let optional = [
            ("ExternalId", self.external_id.filter(|_| token.is_none())),
            ("DurationSeconds", self.duration_seconds),
            ("WebIdentityToken", token),
        ];
        pairs.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        form::encode(&pairs)
    }
}

fn read(what: &str, response: Response) -> Result<Credentials, Trouble> {
    let status = response.status;
    let xml = response
        .text()
        .map_err(|error| Trouble::from(error).while_doing(what))?;
    if status != 200 {
        let code = form::element(&xml, "Code").unwrap_or("no reason given");
        let message = form::element(&xml, "Message").unwrap_or_default();
        let text = format!("{what}: {code} {message}").trim_end().to_owned();
        return Err(match (status, code) {
            (429 | 500..=599, _) | (_, "Throttling" | "IDPCommunicationError") => {
                Trouble::passing(text)
            }
            (_, "ExpiredToken" | "ExpiredTokenException") => Trouble::signed_out(text),
            _ => Trouble::lasting(text),
        });
    }
    let part = |name: &str| form::element(&xml, name).map(str::to_owned);
    let found = Credentials::of_parts(
        what,
        part("AccessKeyId"),
        part("SecretAccessKey"),
        part("SessionToken"),
    )?;
    let found =
        found.ok_or_else(|| Trouble::lasting(format!("{what}: no credentials came back")))?;
    let expires_at_unix_ms = form::element(&xml, "Expiration")
        .map(|text| credentials::instant(what, text))
        .transpose()?;
    Ok(Credentials {
        expires_at_unix_ms,
        ..found
    })
}
