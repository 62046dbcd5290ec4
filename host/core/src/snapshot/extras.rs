//! What clients and configuration add to the metadata blob: they may enrich it, never override it.

use std::collections::BTreeMap;

use serde_json::Value;

/// Names that extras can never set: every field of the blob, and the flat keys.
const RESERVED: &[&str] = &[
    "installation_id",
    "session_id",
    "thread_id",
    "agent_name",
    "turn_id",
    "window_id",
    "window_number",
    "context_window_id",
    "request_kind",
    "history_initialization",
    "forked_from_thread_id",
    "forked_from_ordinal_exclusive",
    "parent_thread_id",
    "parent_turn_id",
    "root_turn_id",
    "subagent_kind",
    "thread_source",
    "turn_trigger",
    "sandbox",
    "sandbox_mode",
    "auto_review_enabled",
    "node_repl_auto_review_required",
    "node_repl_disabled",
    "workspaces",
    "tool_namespaces_info",
    "turn_started_at_unix_ms",
    "history_ingest_requested",
    "compaction",
    "analytics_enabled",
    "model",
    "reasoning_effort",
    "x-codex-installation-id",
    "x-codex-window-id",
    "x-codex-turn-metadata",
    "x-codex-parent-thread-id",
    "x-openai-subagent",
    "code_mode_tool_names",
];

/// How many entries the configuration may add. All of them travel in a header with every request.
const MAX_CONFIGURED: usize = 16;
/// The longest configured name, in bytes.
const MAX_KEY_BYTES: usize = 64;
/// The longest configured value, in bytes.
const MAX_VALUE_BYTES: usize = 128;

/// Why configured extras cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtrasError {
    /// There are more than are allowed.
    #[error("`responses_api_metadata` has {0} entries; at most {MAX_CONFIGURED} are allowed")]
    TooMany(usize),
    /// A name is one of the host's own.
    #[error("`responses_api_metadata.{0}` is a name that requests already use; choose another")]
    Reserved(String),
    /// A name has a form that is not allowed.
    #[error(
        "`responses_api_metadata` cannot have the name `{0}`; use at most {MAX_KEY_BYTES} letters, digits, `_`, `-` and `.`, a letter first"
    )]
    Name(String),
    /// A value is too long.
    #[error(
        "the value of `responses_api_metadata.{name}` has {bytes} bytes; at most {MAX_VALUE_BYTES} are allowed"
    )]
    Value {
        /// The name.
        name: String,
        /// The value's length.
        bytes: usize,
    },
}

/// Additional fields of the blob. None of them has a reserved name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extras(BTreeMap<String, Value>);

impl Extras {
    /// Takes what a client sends with a turn; reserved names are dropped in silence, as existing clients rely on.
    pub fn of_client(fields: impl IntoIterator<Item = (String, Value)>) -> Self {
        let fields = fields.into_iter().filter(|(key, _)| !is_reserved(key));
        Self(fields.collect())
    }

    /// Takes the table `responses_api_metadata` of the configuration.
    ///
    /// # Errors
    /// Names the entry that is too long, reserved or of another form, or says that there are too many.
    pub fn of_config(
        fields: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ExtrasError> {
        let fields: BTreeMap<String, String> = fields.into_iter().collect();
        if fields.len() > MAX_CONFIGURED {
            return Err(ExtrasError::TooMany(fields.len()));
        }
        for (name, value) in &fields {
            check(name, value)?;
        }
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name, Value::String(value)));
        Ok(Self(fields.collect()))
    }

    /// These with others on top.
    #[must_use]
    pub fn overlaid(&self, others: &Self) -> Self {
        let mut fields = self.0.clone();
        fields.extend(others.0.clone());
        Self(fields)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

fn check(name: &str, value: &str) -> Result<(), ExtrasError> {
    if is_reserved(name) {
        return Err(ExtrasError::Reserved(name.to_owned()));
    }
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !begins || name.len() > MAX_KEY_BYTES || !name.chars().all(allowed) {
        return Err(ExtrasError::Name(name.to_owned()));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(ExtrasError::Value {
            name: name.to_owned(),
            bytes: value.len(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, value: &str) -> Result<Extras, ExtrasError> {
        Extras::of_config([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn configured_extras_have_limits() {
        let longest = "k".repeat(MAX_KEY_BYTES);
        let value = "v".repeat(MAX_VALUE_BYTES);
        assert!(table(&longest, &value).is_ok());
        for name in ["", "1st", "_x", "a b", "ä", &format!("{longest}k")] {
            assert_eq!(table(name, ""), Err(ExtrasError::Name(name.to_owned())));
        }
        assert_eq!(
            table("k", &format!("{value}v")),
            Err(ExtrasError::Value {
                name: "k".to_owned(),
                bytes: MAX_VALUE_BYTES + 1
            })
        );
        let many = (0..=MAX_CONFIGURED).map(|n| (format!("k{n}"), String::new()));
        assert_eq!(Extras::of_config(many), Err(ExtrasError::TooMany(17)));
    }

    #[test]
    fn a_reserved_name_is_an_error_in_configuration_and_dropped_from_clients() {
        for name in RESERVED {
            assert_eq!(
                table(name, "EVIL"),
                Err(ExtrasError::Reserved((*name).to_owned()))
            );
        }
        let sent = RESERVED
            .iter()
            .map(|name| ((*name).to_owned(), Value::from("EVIL")));
        assert_eq!(Extras::of_client(sent), Extras::default());
    }

    #[test]
    fn a_client_wins_over_configuration() {
        let configured =
            Extras::of_config([("a", "1"), ("b", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())))
                .expect("the table is valid");
        let client = Extras::of_client([("b".to_owned(), Value::from(2))]);
        let both = configured.overlaid(&client);
        assert_eq!(
            both,
            Extras::of_client([
                ("a".to_owned(), Value::from("1")),
                ("b".to_owned(), Value::from(2))
            ])
        );
    }
}
