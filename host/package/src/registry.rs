//! Asks an OCI registry for one package. Every answer has a bound, and goes where it was asked for.

use oci_client::Reference;
use oci_client::manifest::OciImageManifest;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::fetch;
use crate::source::is_loopback;

/// Registries need not take longer ones either.
const LONGEST_MANIFEST: usize = 4 << 20;
/// Tokens go into a header.
const LONGEST_TOKEN: usize = 64 << 10;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry, and the package in it that is wanted.
pub(crate) struct Registry<'r> {
    reference: &'r Reference,
    /// Ends in `/v2/<repository>/`.
    base: Url,
    client: Client,
    /// What it gives to those who say nothing of who they are.
    token: Option<HeaderValue>,
}

/// What a registry wants to see before it answers.
struct Challenge {
    realm: Url,
    service: Option<String>,
}

impl<'r> Registry<'r> {
    /// Asks nothing yet. `plain_http` lets one of this machine be asked without encryption.
    ///
    /// # Errors
    /// It is not of this machine, or there can be no HTTP.
    pub(crate) fn new(reference: &'r Reference, plain_http: bool) -> Result<Self, String> {
        let name = reference.resolve_registry();
        let scheme = if plain_http { "http" } else { "https" };
        let base = format!("{scheme}://{name}/v2/{}/", reference.repository());
        let base = Url::parse(&base).map_err(|error| error.to_string())?;
        if plain_http && !is_loopback(&base) {
            return Err(format!(
                "--plain-http is for registries of this machine, and `{name}` is none"
            ));
        }
        Ok(Self {
            reference,
            client: fetch::client(&base).map_err(|error| error.to_string())?,
            base,
            token: None,
        })
    }

    /// The manifest, and the digest of its bytes, which is the reference's if that has one.
    ///
    /// # Errors
    /// It cannot be had, is not that one, or is none.
    pub(crate) async fn manifest(&mut self) -> Result<(OciImageManifest, String), String> {
        let wanted = self.reference.digest();
        let name = wanted.or(self.reference.tag()).unwrap_or("latest");
        let response = self
            .ask(&format!("manifests/{name}"), Some(MANIFEST))
            .await?;
        let bytes = read(response, LONGEST_MANIFEST, "manifest").await?;
        let hex: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let digest = format!("sha256:{hex}");
        if wanted.is_some_and(|wanted| wanted != digest) {
            return Err(format!(
                "the registry sent another manifest than was asked for: {digest}"
            ));
        }
        let manifest = serde_json::from_slice(&bytes)
            .map_err(|error| format!("the registry sent no manifest of one package: {error}"))?;
        Ok((manifest, digest))
    }

    /// The bytes that have a digest, as the registry says. What comes is for the caller to check.
    ///
    /// # Errors
    /// They cannot be had.
    pub(crate) async fn blob(&mut self, digest: &str) -> Result<Response, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b':';
        if !digest.bytes().all(plain) {
            return Err("its manifest names something that is no digest".to_owned());
        }
        self.ask(&format!("blobs/{digest}"), None).await
    }

    async fn ask(&mut self, path: &str, accept: Option<&'static str>) -> Result<Response, String> {
        let mut response = self.send(path, accept).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.token.is_none() {
            let challenge = self.challenge(&response)?;
            self.token = Some(self.authorize(challenge).await?);
            response = self.send(path, accept).await?;
        }
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(format!("the registry answers {status}")),
        }
    }

    async fn send(&self, path: &str, accept: Option<&'static str>) -> Result<Response, String> {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.get(url);
        if let Some(accept) = accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        request.send().await.map_err(fetch::cause)
    }

    /// Where to get a token: encrypted, or from this machine where the registry is on it.
    fn challenge(&self, response: &Response) -> Result<Challenge, String> {
        let closed = || "the registry lets in only those who sign in".to_owned();
        let header = response.headers().get(WWW_AUTHENTICATE);
        let text = header
            .and_then(|value| value.to_str().ok())
            .ok_or_else(closed)?;
        let challenges = http_auth::parse_challenges(text).map_err(|_| closed())?;
        let bearer = challenges
            .iter()
            .find(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"))
            .ok_or_else(closed)?;
        let parameter = |wanted: &str| {
            let mut known = bearer.params.iter();
            let (_, value) = known.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
            Some(value.to_unescaped())
        };
        let realm = parameter("realm").and_then(|realm| Url::parse(&realm).ok());
        let realm = realm.ok_or_else(closed)?;
        if realm.scheme() != "https" && !(is_loopback(&self.base) && is_loopback(&realm)) {
            return Err("the registry wants a token to be fetched without encryption".to_owned());
        }
        Ok(Challenge {
            realm,
            service: parameter("service"),
        })
    }

    async fn authorize(&self, challenge: Challenge) -> Result<HeaderValue, String> {
        let Challenge { mut realm, service } = challenge;
        let scope = format!("repository:{}:pull", self.reference.repository());
        realm.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = service {
            realm.query_pairs_mut().append_pair("service", &service);
        }
        let response = self.client.get(realm).send().await.map_err(fetch::cause)?;
        if !response.status().is_success() {
            return Err(format!(
                "the registry gives no token: it answers {}",
                response.status()
            ));
        }
        let bytes = read(response, LONGEST_TOKEN, "token").await?;
        let answer: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|_| "the registry gives a token that is no JSON".to_owned())?;
        let token = ["token", "access_token"]
            .iter()
            .find_map(|name| answer.get(name)?.as_str())
            .and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        let mut token = token.ok_or("the registry gives a token that cannot be used")?;
        token.set_sensitive(true);
        Ok(token)
    }
}

/// Reads an answer to its end, or to its bound.
async fn read(mut response: Response, most: usize, what: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fetch::cause)? {
        if bytes.len() + chunk.len() > most {
            return Err(format!(
                "the registry sent a {what} longer than {most} bytes"
            ));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
