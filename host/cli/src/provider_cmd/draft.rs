//! The table that is to be written, before it is known what the server speaks.

use dovetail_config::{Config, RESERVED_PROVIDERS, is_provider_id, looks_like_token};
use serde_json::{Map, Value, json};

use super::AddArgs;
use super::address::Address;
use super::known::Speaks;
use crate::fatal::Fatal;
use crate::provider_choice::BEDROCK;

/// Ids of providers that exist without a table and may have one that changes them in part.
const CHANGED_IN_PART: [&str; 1] = ["gcp"];

/// What is known of the table.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) id: String,
    name: String,
    query: Map<String, Value>,
    credential: Credential,
}

/// How requests are authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Credential {
    None,
    Variable(String),
    Command(Vec<String>),
}

impl Draft {
    /// What the command line says.
    ///
    /// # Errors
    /// The id is taken, or a credential stands where its name belongs. It is not repeated.
    pub(super) fn of(args: &AddArgs, address: &Address) -> Result<Self, Fatal> {
        let id = args.id.clone().unwrap_or_else(|| address.id());
        check_id(&id)?;
        let name = match &args.name {
            Some(name) if name.trim().is_empty() => return Err(Fatal::new("`--name` is blank")),
            Some(name) => name.clone(),
            None => address.name(),
        };
        Ok(Self {
            id,
            name,
            query: address.query.clone(),
            credential: credential(args)?,
        })
    }

    /// Whether requests carry a credential.
    pub(super) fn has_credential(&self) -> bool {
        self.credential != Credential::None
    }

    /// The table for a server that is there and speaks that.
    pub(super) fn table(&self, base_url: &str, speaks: Speaks) -> Map<String, Value> {
        let mut table = Map::new();
        let mut put = |key: &str, value: Value| table.insert(key.to_owned(), value);
        put("name", json!(self.name));
        put("base_url", json!(base_url));
        if speaks != Speaks::Responses {
            put("wire_api", json!(speaks.word()));
        }
        match &self.credential {
            Credential::None => {}
            Credential::Variable(name) => drop(put("env_key", json!(name))),
            Credential::Command(argv) => {
                let (command, args) = argv
                    .split_first()
                    .map_or(("", &[][..]), |(c, a)| (c.as_str(), a));
                let auth = match args {
                    [] => json!({ "command": command }),
                    args => json!({ "command": command, "args": args }),
                };
                drop(put("auth", auth));
            }
        }
        if !self.query.is_empty() {
            put("query_params", Value::Object(self.query.clone()));
        }
        table
    }

    /// A configuration in which the provider is chosen, with that table.
    pub(super) fn config(&self, config: &Config, base_url: &str, speaks: Speaks) -> Config {
        let mut config = config.clone();
        let table = Value::Object(self.table(base_url, speaks));
        config.model_providers.insert(self.id.clone(), table);
        config.model_provider.clone_from(&self.id);
        config
    }
}

fn check_id(id: &str) -> Result<(), Fatal> {
    if RESERVED_PROVIDERS.contains(&id) {
        return Err(
            Fatal::new(format!("`{id}` is reserved for the built-in provider"))
                .hint(format!("give it another id, such as --id {id}-custom")),
        );
    }
    if BEDROCK.contains(&id) || CHANGED_IN_PART.contains(&id) {
        return Err(Fatal::new(format!(
            "`{id}` is built in: its table changes parts of it and adds no other server"
        ))
        .hint("give it another id with --id"));
    }
    if !is_provider_id(id) {
        return Err(Fatal::new("that cannot be the id of a provider")
            .hint("use letters, digits, `-` and `_`, at most 64: --id acme"));
    }
    Ok(())
}

fn credential(args: &AddArgs) -> Result<Credential, Fatal> {
    if let Some(name) = &args.env_key {
        if !is_variable(name) {
            return Err(
                Fatal::new("`--env-key` takes the name of a variable, not a key").hint(
                    "export ACME_KEY=… where dovetail is started, and say --env-key ACME_KEY",
                ),
            );
        }
        return Ok(Credential::Variable(name.clone()));
    }
    let Some(line) = &args.token_command else {
        return Ok(Credential::None);
    };
    let argv = shlex::split(line).filter(|argv| !argv.is_empty());
    let argv = argv.ok_or_else(|| {
        Fatal::new("`--token-command` is no command line").hint("are its quotes closed?")
    })?;
    if argv.iter().any(|word| holds_secret(word)) {
        return Err(Fatal::new("`--token-command` holds what looks like a credential")
            .hint("it would be written into config.toml: have the command read it from somewhere else")
            .hint("a key that does not change: put it into a variable, and say --env-key NAME"));
    }
    Ok(Credential::Command(argv))
}

/// A variable of this name can be set by every shell. Keys are longer, or have other characters in them.
fn is_variable(name: &str) -> bool {
    let first = name.bytes().next();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(plain)
        && !looks_like_token(name)
}

/// Whether a word, or the value in it, looks like a credential.
fn holds_secret(word: &str) -> bool {
    let value = word.split_once('=').map_or(word, |(_, value)| value);
    looks_like_token(word) || looks_like_token(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_keys() {
        for name in ["ACME_KEY", "_x", "key1"] {
            assert!(is_variable(name), "{name}");
        }
        for key in [
            "sk-abc",
            "1KEY",
            "",
            "A KEY",
            "AKIA0123456789ABCDEFGH",
            "hf_0123456789abcdefghij",
        ] {
            assert!(!is_variable(key), "{key}");
        }
        assert!(holds_secret("--token=ghp_0123456789abcdefghij") && !holds_secret("--token=@file"));
    }

    #[test]
    fn ids_of_others_are_refused() {
        for id in [
            "openai",
            "ollama",
            "amazon-bedrock",
            "gcp",
            "",
            "a b",
            "-x",
            "a.b",
            "ä",
        ] {
            assert!(check_id(id).is_err(), "{id}");
        }
        for id in ["openai-custom", "acme", "a_1"] {
            assert!(check_id(id).is_ok(), "{id}");
        }
    }
}
