//! An agent's identity as a JWT: nothing in it is believed before its signature was checked with a key of the service.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dovetail_plugin_api::Error;
use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::record::Record;

const ISSUER: &str = "https://chatgpt.com/codex-backend/agent-identity";
const AUDIENCE: &str = "codex-app-server";
/// Clocks differ.
const LEEWAY_S: u64 = 60;
/// What PKCS#1 puts before a SHA-256 digest.
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];

/// The service's keys.
#[derive(Debug, Deserialize)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
struct Key {
    #[serde(default)]
    kid: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

/// A JWT that names the key it is signed with. Nothing else of it is known.
pub(crate) struct Unverified<'a> {
    kid: String,
    /// What the signature is of.
    signed: &'a str,
    claims: &'a str,
    signature: &'a str,
}

impl<'a> Unverified<'a> {
    /// Takes a JWT apart: what is none is refused before anybody is asked for keys.
    pub(crate) fn parse(jwt: &'a str) -> Result<Self, Error> {
        let [head, claims, signature] = jwt.split('.').collect::<Vec<_>>()[..] else {
            return Err(format());
        };
        let header: Header = json(head).ok_or_else(format)?;
        if header.alg != "RS256" {
            return Err(wrong("it is not signed with RS256"));
        }
        let kid = header.kid.ok_or_else(|| wrong("it has no kid"))?;
        Ok(Self {
            kid,
            signed: &jwt[..head.len() + 1 + claims.len()],
            claims,
            signature,
        })
    }

    /// Checks the signature and what the claims say, and gives the record in them.
    pub(crate) fn verify(&self, keys: &KeySet, now_s: u64) -> Result<Record, Error> {
        self.check_signature(keys)?;
        let claims: Value = json(self.claims).ok_or_else(format)?;
        if claims["iss"].as_str() != Some(ISSUER) {
            return Err(wrong("it was issued by somebody else"));
        }
        let for_us = match &claims["aud"] {
            Value::String(audience) => audience == AUDIENCE,
            Value::Array(all) => all
                .iter()
                .any(|audience| audience.as_str() == Some(AUDIENCE)),
            _ => false,
        };
        if !for_us {
            return Err(wrong("it is meant for somebody else"));
        }
        let ends = claims["exp"]
            .as_u64()
            .ok_or_else(|| wrong("it does not say when it ends"))?;
        if ends.saturating_add(LEEWAY_S) <= now_s {
            return Err(wrong("it has ended, by this machine's clock"));
        }
        Record::read(&claims)
    }

    fn check_signature(&self, keys: &KeySet) -> Result<(), Error> {
        let mut known = keys.keys.iter().filter(|key| !key.kid.is_empty());
        let key = known.find(|key| key.kid == self.kid);
        let key = key.ok_or_else(|| wrong("its kid is not trusted"))?;
        let signature = URL_SAFE_NO_PAD
            .decode(self.signature)
            .map_err(|_| format())?;
        let verified = public_key(key).is_some_and(|key| {
            let scheme = Pkcs1v15Sign {
                hash_len: Some(32),
                prefix: Box::new(SHA256_INFO),
            };
            key.verify(scheme, &Sha256::digest(self.signed), &signature)
                .is_ok()
        });
        match verified {
            true => Ok(()),
            false => Err(wrong("its signature failed to verify")),
        }
    }
}

fn wrong(why: &str) -> Error {
    Error::Invalid(format!("the agent identity is not accepted: {why}"))
}

fn format() -> Error {
    wrong("it has an invalid JWT format")
}

fn public_key(key: &Key) -> Option<RsaPublicKey> {
    let number = |text: &str| Some(BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(text).ok()?));
    RsaPublicKey::new(number(&key.n)?, number(&key.e)?).ok()
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
