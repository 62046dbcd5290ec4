//! Sinks: the interface `sink` of the contract.

use serde::{Deserialize, Serialize};

use crate::{Error, Plugin};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FieldClass {
    /// Names, numbers, durations, outcomes.
    Basic,
    /// Prompts, answers, commands, output.
    Content,
    /// Accounts, hosts, installation.
    Identity,
    /// Paths and URLs.
    Location,
}

/// A field's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A JSON document.
    Json(String),
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its class: flags with one bit set.
    pub class: Vec<FieldClass>,
    /// Its value.
    pub value: Value,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Unique; the same when delivered again.
    pub id: String,
    /// Counts up by one within the process and thread.
    pub sequence: u64,
    /// Such as `turn.started`.
    pub kind: String,
    /// The version of this kind's fields.
    pub version: u32,
    /// Milliseconds since 1970.
    pub time_unix_ms: u64,
    /// The thread.
    pub thread_id: String,
    /// The turn.
    #[serde(default)]
    pub turn_id: Option<String>,
    /// The rest.
    pub fields: Vec<Field>,
}

/// What a sink wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Subscription {
    /// Kinds; `*` for all, `tool.*` for a family.
    pub kinds: Vec<String>,
    /// Classes it can use; it gets those that are granted.
    #[serde(default)]
    pub classes: Vec<FieldClass>,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ack {
    /// All is well.
    Accepted,
    /// Give it again after this many milliseconds.
    Retry(u64),
    /// These ids can never be accepted.
    Reject(Vec<String>),
}

/// The parameters of `open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Open {
    /// The plugin's configuration as JSON.
    pub config_json: String,
}

/// The parameters of `deliver`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deliver {
    /// The events, in order.
    pub batch: Vec<Event>,
}

/// Is told what happened.
pub trait Sink: Plugin {
    /// What it wants. Asked once, after the plugin's own `open`.
    fn subscriptions(&self) -> Subscription;

    /// Called before the first batch.
    ///
    /// # Errors
    /// It cannot take events.
    fn open_sink(&self, config_json: &str) -> Result<(), Error> {
        let _ = config_json;
        Ok(())
    }

    /// Takes a batch, in order.
    ///
    /// # Errors
    /// It failed; the batch is kept and given again.
    fn deliver(&self, batch: &[Event]) -> Result<Ack, Error>;

    /// The host is about to stop.
    ///
    /// # Errors
    /// Something could not be finished.
    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}
