//! A server's list as it is kept between runs, and how long and for whom it counts. Who reads and writes the file is the
//! caller's business; its form is shared with other clients of the same servers.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::catalogue::CatalogueError;

/// How long a list is taken at its word.
const FRESH: Duration = Duration::from_secs(300);

/// A list with what tells whether it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptList {
    /// When a server last vouched for it.
    #[serde(with = "rfc3339")]
    fetched_at: Timestamp,
    /// The server's tag for this version of it.
    #[serde(default)]
    etag: Option<String>,
    /// The version that the server was told, on which the list depends.
    #[serde(default)]
    client_version: Option<String>,
    /// Whose list it is, see [`identity`].
    #[serde(default)]
    identity: Option<String>,
    /// The entries as they came.
    models: Vec<Value>,
}

impl KeptList {
    /// A list that has just come.
    pub fn new(whose: &Whose, etag: Option<String>, models: Vec<Value>, now: SystemTime) -> Self {
        Self {
            fetched_at: timestamp(now),
            etag,
            client_version: Some(whose.client_version.clone()),
            identity: Some(whose.identity.clone()),
            models,
        }
    }

    /// Reads one as it was written, by whomever.
    ///
    /// # Errors
    /// It is damaged, or none.
    pub fn parse(text: &[u8]) -> Result<Self, CatalogueError> {
        Ok(serde_json::from_slice(text)?)
    }

    /// Whether it is the list of this provider and account, for this version.
    pub fn is_of(&self, whose: &Whose) -> bool {
        self.identity.as_ref() == Some(&whose.identity)
            && self.client_version.as_ref() == Some(&whose.client_version)
    }

    /// How long ago a server vouched for it; none where that is in the future.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(SystemTime::from(self.fetched_at)).ok() // A clock was set back.
    }

    /// Whether it is taken at its word. One of the future is not: nobody knows how old it is.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.age(now).is_some_and(|age| age < FRESH)
    }

    /// The same, vouched for once more.
    #[must_use]
    pub fn renewed(self, now: SystemTime) -> Self {
        Self {
            fetched_at: timestamp(now),
            ..self
        }
    }

    /// The server's tag for it.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Whether a tag that a server names is this list's. A weak tag is as good: models do not differ in bytes.
    pub fn has_etag(&self, named: &str) -> bool {
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        self.etag().is_some_and(|own| strong(own) == strong(named))
    }

    /// Whose it is.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// When a server last vouched for it.
    pub fn fetched_at(&self) -> Timestamp {
        self.fetched_at
    }

    /// The entries as they came.
    pub fn models(&self) -> &[Value] {
        &self.models
    }
}

/// Whose list it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// See [`identity`].
    pub identity: String,
    /// The version that servers are told.
    pub client_version: String,
}

/// Tells lists apart: 64 hexadecimal digits that depend on all parts (the provider, its address, the account) and tell none
/// of them. What can be guessed can be found out again, so that no part may be a secret.
pub fn identity(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"dovetail list of models v1\0");
    for part in parts {
        // With their lengths: `ab` and `c` are not `a` and `bc`.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digits = hash.finalize();
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Times as they are written in files. The library's own way would be one more feature of it.
mod rfc3339 {
    use jiff::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

fn timestamp(now: SystemTime) -> Timestamp {
    // A clock that is off by millennia: the list counts as old.
    Timestamp::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whose() -> Whose {
        Whose {
            identity: identity(&["corp", "https://llm.example/v1", "ada"]),
            client_version: "1.2.3".to_owned(),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_list_is_written_in_the_form_that_other_clients_know() {
        let models = vec![json!({"slug": "m"})];
        let list = KeptList::new(
            &whose(),
            Some("\"e1\"".to_owned()),
            models,
            at(1_800_000_000),
        );
        let written = serde_json::to_value(&list).expect("JSON");
        assert_eq!(
            written,
            json!({
                "fetched_at": "2027-01-15T08:00:00Z", "etag": "\"e1\"", "client_version": "1.2.3",
                "identity": whose().identity, "models": [{"slug": "m"}],
            })
        );
        assert_eq!(
            KeptList::parse(written.to_string().as_bytes()).expect("a list"),
            list
        );
    }

    #[test]
    fn a_list_counts_for_its_owner_and_for_five_minutes() {
        let list = KeptList::new(&whose(), None, Vec::new(), at(1000));
        let fresh = |seconds| list.is_fresh(at(seconds));
        assert!(fresh(1000) && fresh(1299));
        assert!(!fresh(1300) && !fresh(999));
        assert!(list.clone().renewed(at(2000)).is_fresh(at(2299)));
        assert!(list.is_of(&whose()));
        let other = |identity: &[&str], version: &str| Whose {
            identity: super::identity(identity),
            client_version: version.to_owned(),
        };
        assert!(!list.is_of(&other(&["corp", "https://llm.example/v1", "bob"], "1.2.3")));
        assert!(!list.is_of(&other(&["corp", "https://llm.example/v1", "ada"], "1.2.4")));
        assert!(!list.is_of(&other(&["corphttps://llm.example/v1", "ada"], "1.2.3")));
    }

    #[test]
    fn weak_tags_are_the_same_tags() {
        let list = KeptList::new(&whose(), Some("\"a\"".to_owned()), Vec::new(), at(0));
        assert!(list.has_etag("\"a\"") && list.has_etag("W/\"a\""));
        assert!(!list.has_etag("\"b\"") && !list.has_etag(""));
        assert!(!KeptList::new(&whose(), None, Vec::new(), at(0)).has_etag(""));
    }

    #[test]
    fn files_of_older_clients_and_damaged_ones_count_for_nobody() {
        let old =
            br#"{"fetched_at": "2026-01-01T00:00:00.123456789Z", "etag": null, "models": []}"#;
        assert!(!KeptList::parse(old).expect("a list").is_of(&whose()));
        for text in [
            "",
            "{",
            "{}",
            r#"{"fetched_at": "soon", "models": []}"#,
            r#"{"fetched_at": "2026-01-01T00:00:00Z", "models": 1}"#,
        ] {
            assert!(KeptList::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
