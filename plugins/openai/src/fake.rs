//! A made-up world for the rules of logins.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dovetail_plugin_api::Error;
use serde_json::{Value, json};

use crate::outside::{Ask, Held, Outside, STORE};

/// 2026-01-02T03:04:05Z.
pub(crate) const NOW: u64 = 1_767_323_045;

/// The published key: a seed of 32 sevens.
pub(crate) const AGENT_KEY: &str =
    "MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

/// A sealed box, as libsodium makes them.
pub(crate) fn seal(public: &crypto_box::PublicKey, text: &[u8]) -> Vec<u8> {
    public.seal(&mut Sevens, text).expect("sealed")
}

/// Random numbers of which everybody knows what comes next.
struct Sevens;

impl crypto_box::aead::rand_core::RngCore for Sevens {
    fn next_u32(&mut self) -> u32 {
        0x0707_0707
    }

    fn next_u64(&mut self) -> u64 {
        0x0707_0707_0707_0707
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn try_fill_bytes(
        &mut self,
        bytes: &mut [u8],
    ) -> Result<(), crypto_box::aead::rand_core::Error> {
        bytes.fill(7);
        Ok(())
    }
}

impl crypto_box::aead::rand_core::CryptoRng for Sevens {}

/// A token with these claims, and no signature that holds.
pub(crate) fn jwt(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({ "alg": "none" })), part(claims))
}

/// An access token that ends in so many seconds.
pub(crate) fn access_token(name: &str, ends_in: i64) -> String {
    let exp = i64::try_from(NOW).expect("it fits") + ends_in;
    jwt(&json!({ "jti": name, "exp": exp }))
}

/// A stored login of an account.
pub(crate) fn chatgpt(access_token: &str, refresh_token: &str, account: &str) -> Value {
    let id_token = jwt(&json!({
        "email": "ada@example.org",
        "https://api.openai.com/auth": { "chatgpt_account_id": account, "chatgpt_user_id": "user-1", "chatgpt_plan_type": "pro" },
    }));
    json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
        "tokens": { "id_token": id_token, "access_token": access_token, "refresh_token": refresh_token, "account_id": account },
        "last_refresh": "2026-01-01T00:00:00Z",
    })
}

/// The world.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) slots: RefCell<BTreeMap<String, Vec<u8>>>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) answers: RefCell<VecDeque<Result<(u16, Value), Error>>>,
    pub(crate) asked: RefCell<Vec<Ask>>,
    /// Whether nothing can be stored.
    pub(crate) is_read_only: bool,
    /// Seconds that the clock is wrong by.
    pub(crate) skew: i64,
    /// What another process writes to the store while a lock is waited for.
    pub(crate) meanwhile: RefCell<Option<Value>>,
    /// What another process writes to the store while the authority is asked.
    pub(crate) while_asked: RefCell<Option<Value>>,
    pub(crate) external: Option<(String, Option<String>)>,
    pub(crate) attestation: Option<Result<String, Error>>,
    generation: Cell<u64>,
}

impl Fake {
    pub(crate) fn with_store(document: &Value) -> Self {
        let fake = Self::default();
        fake.store(document);
        fake
    }

    pub(crate) fn store(&self, document: &Value) {
        self.generation.set(self.generation.get() + 1);
        self.slots
            .borrow_mut()
            .insert(STORE.to_owned(), document.to_string().into_bytes());
    }

    pub(crate) fn stored(&self) -> Option<Value> {
        let slots = self.slots.borrow();
        slots
            .get(STORE)
            .map(|bytes| serde_json::from_slice(bytes).expect("JSON"))
    }

    pub(crate) fn answering(self, status: u16, body: Value) -> Self {
        self.answers.borrow_mut().push_back(Ok((status, body)));
        self
    }

    /// The bodies that were sent, as JSON.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        let asked = self.asked.borrow();
        asked
            .iter()
            .map(|ask| serde_json::from_slice(&ask.body).unwrap_or(Value::Null))
            .collect()
    }
}

impl Outside for Fake {
    fn now_ms(&self) -> u64 {
        (NOW * 1000).saturating_add_signed(self.skew * 1000)
    }

    fn exists(&self, slot: &str) -> Result<bool, Error> {
        Ok(self.slots.borrow().contains_key(slot))
    }

    fn reveal(&self, slot: &str) -> Result<Option<Held>, Error> {
        let generation = self.generation.get();
        let held = |bytes: &Vec<u8>| Held {
            bytes: bytes.clone(),
            generation,
        };
        Ok(self.slots.borrow().get(slot).map(held))
    }

    fn update(&self, slot: &str, expected: u64, bytes: &[u8]) -> Result<u64, Error> {
        if self.is_read_only {
            return Err(Error::other("no room"));
        }
        let known = self.slots.borrow().contains_key(slot);
        if known && expected != self.generation.get() {
            return Err(Error::retryable("changed by another process"));
        }
        self.generation.set(self.generation.get() + 1);
        match bytes {
            [] => drop(self.slots.borrow_mut().remove(slot)),
            bytes => drop(
                self.slots
                    .borrow_mut()
                    .insert(slot.to_owned(), bytes.to_vec()),
            ),
        }
        Ok(self.generation.get())
    }

    fn lock(&self, _name: &str) -> Result<Box<dyn Any>, Error> {
        if let Some(document) = self.meanwhile.take() {
            self.store(&document);
        }
        Ok(Box::new(()))
    }

    fn send(&self, ask: Ask) -> Result<(u16, Vec<u8>), Error> {
        self.asked.borrow_mut().push(ask);
        if let Some(document) = self.while_asked.take() {
            self.store(&document);
        }
        let answer = self.answers.borrow_mut().pop_front();
        let (status, body) = answer.unwrap_or_else(|| Err(Error::retryable("nobody answers")))?;
        Ok((status, body.to_string().into_bytes()))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        bytes.fill(7);
        Ok(())
    }

    fn external_token(&self, _account: Option<&str>) -> Result<(String, Option<String>), Error> {
        self.external
            .clone()
            .ok_or_else(|| Error::unavailable("no application is connected"))
    }

    fn attest(&self, _provider_id: &str) -> Result<String, Error> {
        let nobody = || Err(Error::unavailable("no application is connected"));
        self.attestation.clone().unwrap_or_else(nobody)
    }
}
