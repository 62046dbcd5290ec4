//! Sinks: who is told what happened.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::Value;

use super::PluginError;
use crate::ids::{PluginId, ThreadId, TurnId};

/// What a field of a record holds, so that sinks get only what they may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Any number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A JSON document.
    Json(Value),
}

/// A named, classed value.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its class.
    pub class: FieldClass,
    /// Its value.
    pub value: FieldValue,
}

/// A versioned record of something that happened, for sinks.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// Unique; the same when delivered again.
    pub id: String,
    /// Counts up by one within the process and thread.
    pub sequence: u64,
    /// Such as `turn.started`.
    pub kind: String,
    /// The version of this kind's fields.
    pub version: u32,
    /// When.
    pub time: SystemTime,
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn.
    pub turn_id: Option<TurnId>,
    /// The rest.
    pub fields: Vec<Field>,
}

/// What a sink wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkSubscription {
    /// Kinds; `*` for all, `tool.*` for a family.
    pub kinds: Vec<String>,
    /// Classes it can use, already cut to what is granted. `Basic` is always in.
    pub classes: Vec<FieldClass>,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ack {
    /// All is well.
    Accepted,
    /// Give it again after this long.
    Retry(Duration),
    /// These ids can never be accepted.
    Reject(Vec<String>),
}

/// An analytics sink.
#[async_trait]
pub trait Sink: Send + Sync {
    /// The plugin behind it.
    fn plugin(&self) -> &PluginId;
    /// What it wants.
    fn subscription(&self) -> &SinkSubscription;
    /// Called once before the first batch.
    async fn open(&self) -> Result<(), PluginError>;
    /// Gives it a batch, in order. Fields of other classes are already gone.
    async fn deliver(&self, batch: &[Arc<EventRecord>]) -> Result<Ack, PluginError>;
    /// The host is about to stop.
    async fn close(&self) -> Result<(), PluginError>;
}
