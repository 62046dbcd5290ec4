//! What is kept of an agent's identity.

use std::fmt;

use dovetail_plugin_api::{Error, is_field_value};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The record, as it is stored and as a JWT carries it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) agent_runtime_id: String,
    pub(crate) agent_private_key: String,
    pub(crate) account_id: String,
    pub(crate) chatgpt_user_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    pub(crate) plan_type: String,
    #[serde(default)]
    pub(crate) chatgpt_account_is_fedramp: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task_id: Option<String>,
}

impl Record {
    /// Reads a record. The parser's words are left out, since they may quote values.
    pub(crate) fn read(value: &Value) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Invalid(format!("the agent identity cannot be used: {why}"));
        let record: Self = serde_json::from_value(value.clone())
            .map_err(|_| wrong("it lacks a field, or one is of the wrong kind"))?;
        if record.agent_runtime_id.trim().is_empty() {
            return Err(wrong("it has no runtime id"));
        }
        if !is_field_value(&record.account_id) {
            return Err(wrong("its account has characters that no account has"));
        }
        Ok(record)
    }

    /// The task that was registered for it, where one was.
    pub(crate) fn task(&self) -> Option<&str> {
        self.task_id
            .as_deref()
            .map(str::trim)
            .filter(|task| !task.is_empty())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({})", self.agent_runtime_id)
    }
}
