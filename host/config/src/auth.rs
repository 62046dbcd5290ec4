//! `auth.json`: the credentials that a login left. Values are never printed, not even in errors.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dovetail_core::secret::SecretText;
use serde::Deserialize;
use serde_json::Value;

use crate::env;

/// Why `auth.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It is there but cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be. The parser's own words are left out, since they quote values.
    #[error("`{}` is not a credential file (line {line}, column {column})", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
}

/// What `auth.json` holds, as far as this version uses it.
#[derive(Debug)]
pub struct AuthFile {
    /// The file.
    pub path: PathBuf,
    /// How the login was made: the file's own word, or else what its keys say.
    pub mode: String,
    /// The API key.
    pub api_key: Option<SecretText>,
    /// Whether there is a login at all, of whatever kind.
    pub has_login: bool,
    /// Whether others than the owner can read the file.
    pub exposed: bool,
}

#[derive(Deserialize)]
struct Raw {
    auth_mode: Option<String>,
    #[serde(rename = "OPENAI_API_KEY")]
    openai_api_key: Option<String>,
    personal_access_token: Option<Value>,
    bedrock_api_key: Option<Value>,
    bedrock_access_keys: Option<Value>,
    agent_identity: Option<Value>,
    tokens: Option<Value>,
}

impl Raw {
    fn has_login(&self) -> bool {
        let others = [
            &self.personal_access_token,
            &self.bedrock_api_key,
            &self.bedrock_access_keys,
            &self.agent_identity,
            &self.tokens,
        ];
        self.openai_api_key.is_some() || others.into_iter().any(Option::is_some)
    }
}

impl AuthFile {
    /// Reads `$CODEX_HOME/auth.json`; none where there is no such file.
    ///
    /// # Errors
    /// Says where the file is wrong, never what is in it.
    pub fn read(home: &Path) -> Result<Option<Self>, AuthError> {
        let path = home.join("auth.json");
        let unreadable = |source| AuthError::Unreadable {
            path: path.clone(),
            source,
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => SecretText::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mode = std::fs::metadata(&path)
            .map_err(unreadable)?
            .permissions()
            .mode();
        let raw: Raw =
            serde_json::from_str(text.expose()).map_err(|error| AuthError::Malformed {
                path: path.clone(),
                line: error.line(),
                column: error.column(),
            })?;
        Ok(Some(Self {
            mode: raw
                .auth_mode
                .clone()
                .unwrap_or_else(|| inferred_mode(&raw).to_owned()),
            has_login: raw.has_login(),
            api_key: raw
                .openai_api_key
                .filter(|key| !key.trim().is_empty())
                .map(SecretText::new),
            exposed: mode & 0o077 != 0,
            path,
        }))
    }
}

/// What kind of login a file without `auth_mode` is.
fn inferred_mode(raw: &Raw) -> &'static str {
    if raw.personal_access_token.is_some() {
        "personalAccessToken"
    } else if raw.bedrock_api_key.is_some() {
        "bedrockApiKey"
    } else if raw.openai_api_key.is_some() {
        "apikey"
    } else {
        "chatgpt"
    }
}

/// Where an API key came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// `CODEX_API_KEY`.
    CodexApiKey,
    /// `auth.json`.
    AuthFile,
    /// `OPENAI_API_KEY`.
    OpenAiApiKey,
}

/// An API key and its source.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The key.
    pub key: SecretText,
    /// Where it came from.
    pub source: KeySource,
}

/// Finds the built-in provider's API key: `CODEX_API_KEY`, then `auth.json`, then `OPENAI_API_KEY`.
///
/// The environment comes as a function, so that whoever calls decides what counts as the environment.
pub fn find_api_key(
    variable: impl Fn(&str) -> Option<String>,
    auth: Option<&AuthFile>,
) -> Option<ApiKey> {
    let from_env = |var: env::EnvVar, source| {
        let value = variable(var.name).filter(|value| !value.trim().is_empty())?;
        Some(ApiKey {
            key: SecretText::new(value.trim().to_owned()),
            source,
        })
    };
    from_env(env::CODEX_API_KEY, KeySource::CodexApiKey)
        .or_else(|| {
            let key = auth?.api_key.clone()?;
            Some(ApiKey {
                key,
                source: KeySource::AuthFile,
            })
        })
        .or_else(|| from_env(env::OPENAI_API_KEY, KeySource::OpenAiApiKey))
}
