//! An agent's key: Ed25519 to sign with, and the X25519 key that follows from it to be sent sealed boxes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use crypto_box::SecretKey;
use dovetail_plugin_api::{Error, date};
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use sha2::{Digest as _, Sha512};

use crate::outside::Outside;

/// What new keys are derived for.
const CONTEXT: &[u8] = b"codex-agent-identity-ed25519-v1";
/// The type of a key in the form of OpenSSH.
const SSH_TYPE: &[u8] = b"ssh-ed25519";

/// A private key. Never shown.
pub(crate) struct AgentKey(SigningKey);

/// What an assertion says; the order of the keys is part of it.
#[derive(Serialize)]
struct Envelope<'a> {
    agent_runtime_id: &'a str,
    signature: &'a str,
    task_id: &'a str,
    timestamp: &'a str,
}

impl AgentKey {
    /// Reads standard Base64 of PKCS#8, with or without the public key.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::Invalid(format!(
                "the agent identity's private key is not valid {why}"
            ))
        };
        let der = STANDARD.decode(text.trim()).map_err(|_| wrong("base64"))?;
        SigningKey::from_pkcs8_der(&der)
            .map(Self)
            .map_err(|_| wrong("PKCS#8 of an Ed25519 key"))
    }

    /// Makes a new key.
    pub(crate) fn generate(outside: &dyn Outside) -> Result<Self, Error> {
        let mut random = [0; 64];
        outside.fill_random(&mut random)?;
        let digest = Sha512::new()
            .chain_update(CONTEXT)
            .chain_update(random)
            .finalize();
        let mut seed = [0; 32];
        seed.copy_from_slice(&digest[..32]);
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The form that [`Self::parse`] reads.
    pub(crate) fn to_text(&self) -> Result<String, Error> {
        let der = self.0.to_pkcs8_der();
        let der = der.map_err(|_| Error::other("the agent's new key cannot be written"))?;
        Ok(STANDARD.encode(der.as_bytes()))
    }

    /// The public key as a line of OpenSSH.
    pub(crate) fn public_line(&self) -> String {
        let mut blob = Vec::with_capacity(51);
        for part in [SSH_TYPE, self.0.verifying_key().as_bytes()] {
            blob.extend_from_slice(&u32::try_from(part.len()).unwrap_or_default().to_be_bytes());
            blob.extend_from_slice(part);
        }
        format!("ssh-ed25519 {}", STANDARD.encode(blob))
    }

    /// Proves that a task is registered by this agent.
    pub(crate) fn task_signature(&self, runtime_id: &str, timestamp: &str) -> String {
        self.sign(&format!("{runtime_id}:{timestamp}"))
    }

    /// The value of a request's authorization, made for this moment.
    pub(crate) fn assertion(
        &self,
        runtime_id: &str,
        task_id: &str,
        timestamp: &str,
    ) -> Result<String, Error> {
        let signature = self.sign(&format!("{runtime_id}:{task_id}:{timestamp}"));
        let envelope = Envelope {
            agent_runtime_id: runtime_id,
            signature: &signature,
            task_id,
            timestamp,
        };
        Ok(format!(
            "AgentAssertion {}",
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(&envelope)?)
        ))
    }

    /// Opens a sealed box that holds a text.
    pub(crate) fn open(&self, sealed: &str) -> Result<String, Error> {
        let wrong = |why: &str| Error::Other(format!("the encrypted task id {why}"));
        let sealed = STANDARD
            .decode(sealed.trim())
            .map_err(|_| wrong("is not valid base64"))?;
        let opened = SecretKey::from_bytes(self.exchange_secret()).unseal(&sealed);
        let opened = opened.map_err(|_| wrong("was not sealed for this agent"))?;
        String::from_utf8(opened).map_err(|_| wrong("is not UTF-8"))
    }

    /// The X25519 secret that follows from the seed.
    fn exchange_secret(&self) -> [u8; 32] {
        let digest = Sha512::digest(self.0.to_bytes());
        let mut secret = [0; 32];
        secret.copy_from_slice(&digest[..32]);
        secret[0] &= 248;
        secret[31] = (secret[31] & 127) | 64;
        secret
    }

    fn sign(&self, message: &str) -> String {
        STANDARD.encode(self.0.sign(message.as_bytes()).to_bytes())
    }
}

/// The time in whole seconds, as it is signed.
pub(crate) fn timestamp(now_ms: u64) -> String {
    let text = date::rfc3339(now_ms / 1000 * 1000);
    text.replace(".000Z", "Z")
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{AGENT_KEY, Fake, NOW};

    fn key() -> AgentKey {
        AgentKey::parse(AGENT_KEY).expect("a key")
    }

    #[test]
    fn the_published_vector_comes_out() {
        let (key, time) = (key(), "2026-01-02T03:04:05Z");
        assert_eq!(timestamp(NOW * 1000 + 999), time);
        let expected = "VrYTERspqB39QI+QfHvTG1twTGuO7GroA7asXHNWNdIV3sWTmp4U2MHRplxD6OenxOItjQiZjWFlrqr7VIpiDQ==";
        assert_eq!(key.sign(&format!("agent-123:task-123:{time}")), expected);
        assert_eq!(
            key.task_signature("agent-123", time),
            "GjpGZ4cpOKGNOeyOHOUsWaW00Lchm6BDCX2IS57kYYQV8qKu3F8oBzOMl1soGbB6X+Ws73KsKqTluJ/remDUBQ=="
        );
        assert_eq!(
            key.public_line(),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
        );
        let secret: String = key
            .exchange_secret()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            secret,
            "28ad39fefd7fa3e200a9c626eef599e61a2d055c48a8288a4e7e4c4bca392878"
        );
        let assertion = key
            .assertion("agent-123", "task-123", time)
            .expect("signed");
        let encoded = assertion
            .strip_prefix("AgentAssertion ")
            .expect("the scheme");
        let json = URL_SAFE_NO_PAD.decode(encoded).expect("base64url");
        assert_eq!(
            String::from_utf8(json).expect("text"),
            format!(
                r#"{{"agent_runtime_id":"agent-123","signature":"{expected}","task_id":"task-123","timestamp":"{time}"}}"#
            )
        );
    }

    #[test]
    fn new_keys_are_read_as_they_are_written() {
        let key = AgentKey::generate(&Fake::default()).expect("a key");
        let text = key.to_text().expect("written");
        assert!(text.starts_with("MFECAQEw"), "{text}");
        assert_eq!(
            AgentKey::parse(&text).expect("read").public_line(),
            key.public_line()
        );
    }

    #[test]
    fn boxes_for_this_agent_are_opened_and_others_are_not() {
        let public = SecretKey::from_bytes(key().exchange_secret()).public_key();
        let sealed = |text: &[u8], public: &crypto_box::PublicKey| {
            STANDARD.encode(crate::fake::seal(public, text))
        };
        assert_eq!(
            key().open(&sealed(b"task-9", &public)),
            Ok("task-9".to_owned())
        );
        let other = SecretKey::from_bytes([9; 32]).public_key();
        let words = |text: &str| key().open(text).expect_err("refused").to_string();
        assert_eq!(
            words(&sealed(b"task-9", &other)),
            "the encrypted task id was not sealed for this agent"
        );
        assert_eq!(
            words(&sealed(b"\xff", &public)),
            "the encrypted task id is not UTF-8"
        );
        assert_eq!(words("!"), "the encrypted task id is not valid base64");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let words = |text: &str| AgentKey::parse(text).expect_err("refused").to_string();
        assert_eq!(
            words("!secret!"),
            "the agent identity's private key is not valid base64"
        );
        assert_eq!(
            words("c2VjcmV0"),
            "the agent identity's private key is not valid PKCS#8 of an Ed25519 key"
        );
        assert_eq!(format!("{:?}", key()), "AgentKey(…)");
    }
}
