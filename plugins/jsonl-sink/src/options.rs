//! `[dovetail.plugins.jsonl-sink.config]`, checked.

use serde::Deserialize;

/// What the user can set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// The file's name in the granted directory.
    #[serde(default)]
    pub(crate) path: FileName,
    /// The size in bytes that the file does not grow past; none for no limit.
    pub(crate) max_bytes: Option<u64>,
}

/// A name without a directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FileName(String);

impl FileName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for FileName {
    fn default() -> Self {
        Self("events.jsonl".to_owned())
    }
}

impl TryFrom<String> for FileName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let special = matches!(name.as_str(), "" | "." | "..");
        if special || name.contains(['/', '\\', '\0']) {
            return Err(format!(
                "path `{name}` must be a file name; the grant decides on the directory"
            ));
        }
        Ok(Self(name))
    }
}

#[cfg(test)]
mod tests {
    use dovetail_plugin_api::config;

    use super::*;

    #[test]
    fn defaults_and_settings() {
        let options = |json: &str| config::parse::<Options>(json).expect("valid");
        assert_eq!(
            options("{}"),
            Options {
                path: FileName::default(),
                max_bytes: None
            }
        );
        let set = options(r#"{"path":"turns.jsonl","max_bytes":1024}"#);
        assert_eq!(
            (set.path.as_str(), set.max_bytes),
            ("turns.jsonl", Some(1024))
        );
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |json: &str| {
            config::parse::<Options>(json)
                .expect_err("invalid")
                .to_string()
        };
        for name in ["", ".", "..", "a/b", "/etc/passwd", "a\\\\b", "\\u0000"] {
            let text = refused(&format!(r#"{{"path":"{name}"}}"#));
            assert!(text.contains("must be a file name"), "{text}");
        }
        assert!(refused(r#"{"paht":"x"}"#).contains("unknown field `paht`"));
        assert!(refused(r#"{"max_bytes":-1}"#).contains("invalid value"));
    }
}
