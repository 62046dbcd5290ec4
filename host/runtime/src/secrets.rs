//! Fills secret slots from their sources. Values stay in [`SecretText`] and never reach a message.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::PluginError;
use dovetail_core::secret::SecretText;
use dovetail_keyring::{Entry, Keyring};
use zeroize::{Zeroize as _, Zeroizing};

use crate::argv::ArgvPattern;
use crate::capability::Capabilities;
use crate::grant::Grant;
use crate::host_env::HostEnv;
use crate::private_file;
use crate::process::{self, Command};
use crate::secret_source::SecretSource;
use crate::waiting::block_on;

/// Longer secrets are refused: they are no tokens, and headers have no room for them.
const MOST_SECRET_BYTES: u64 = 64 << 10;
/// Settings of other programs, such as those with a section for each of hundreds of accounts.
const MOST_DOCUMENT_BYTES: u64 = 512 << 10;
/// A password manager may ask for a touch or a fingerprint.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a slot cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Its source is empty.
    #[error("secret `{slot}` is not set: {source_text} is missing or empty")]
    Missing {
        /// The slot.
        slot: String,
        /// Its source, described.
        source_text: String,
    },
    /// No source is chosen and there is no default.
    #[error(
        "secret `{slot}` has no source, and a slot of that name is not filled from the environment unasked"
    )]
    NoSource {
        /// The slot.
        slot: String,
    },
    /// Its source is there but cannot be used.
    #[error("secret `{slot}` cannot be read from {source_text}: {why}")]
    Unreadable {
        /// The slot.
        slot: String,
        /// Its source, described.
        source_text: String,
        /// What is wrong, without the value.
        why: String,
    },
}

impl From<SecretError> for PluginError {
    fn from(error: SecretError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// A source that may ask the user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asked {
    Command(Vec<String>),
    Keyring(Entry),
}

impl Asked {
    fn of(source: &SecretSource) -> Option<Self> {
        match source {
            SecretSource::Command(argv) => Some(Self::Command(argv.clone())),
            SecretSource::Keyring(entry) => Some(Self::Keyring(entry.clone())),
            SecretSource::Env(_)
            | SecretSource::File(_)
            | SecretSource::Document(_)
            | SecretSource::Auth(_)
            | SecretSource::Inline(_)
            | SecretSource::Login(_)
            | SecretSource::Unusable => None,
        }
    }
}

/// The sources of all plugins' secrets.
pub struct Secrets {
    env: Arc<HostEnv>,
    codex_home: PathBuf,
    home: Option<PathBuf>,
    sources: RwLock<HashMap<PluginId, BTreeMap<String, SecretSource>>>,
    /// What commands printed and keyrings gave, for the life of the process: they may ask the user, and once is enough.
    answered: RwLock<HashMap<Asked, SecretText>>,
}

impl Secrets {
    /// Starts without any chosen source.
    pub fn new(env: Arc<HostEnv>, codex_home: PathBuf) -> Self {
        let home = env.get("HOME").map(PathBuf::from);
        Self {
            env,
            codex_home,
            home,
            sources: RwLock::default(),
            answered: RwLock::default(),
        }
    }

    /// Sets the sources of a plugin's slots, in place of those set before.
    pub fn bind(&self, plugin: PluginId, sources: BTreeMap<String, SecretSource>) {
        self.sources
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(plugin, sources);
    }

    /// The sources that were set for a plugin.
    pub fn bound(&self, plugin: &PluginId) -> BTreeMap<String, SecretSource> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources.get(plugin).cloned().unwrap_or_default()
    }

    /// The source of a slot: the chosen one, or the default.
    pub fn source(&self, plugin: &PluginId, slot: &str) -> Option<SecretSource> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources
            .get(plugin)
            .and_then(|slots| slots.get(slot))
            .cloned()
            .or_else(|| SecretSource::default_of(slot))
    }

    /// Reads a slot's value. Blocks: the file system for files, and what may ask the user the first time: half a minute
    /// for a command, a minute for a keyring that is locked. Whether the plugin may use the slot is for the caller to check.
    ///
    /// # Errors
    /// Names the slot and its source.
    pub fn get(&self, plugin: &PluginId, slot: &str) -> Result<SecretText, SecretError> {
        let source = self
            .source(plugin, slot)
            .ok_or_else(|| SecretError::NoSource {
                slot: slot.to_owned(),
            })?;
        let unreadable = |why: String| SecretError::Unreadable {
            slot: slot.to_owned(),
            source_text: source.to_string(),
            why,
        };
        let value = match &source {
            SecretSource::Env(name) => self.env_value(name),
            SecretSource::File(path) => self.file_value(path),
            SecretSource::Document(path) => self.document_value(path),
            SecretSource::Auth(key) => self.auth_value(key),
            SecretSource::Command(argv) => self.command_value(argv),
            SecretSource::Inline(value) => Ok(Some(value.clone())),
            SecretSource::Keyring(entry) => self.keyring_value(entry),
            SecretSource::Login(_) => Err(
                "a login is no value for a header; only the plugin that owns it reads it"
                    .to_owned(),
            ),
            SecretSource::Unusable => Err(
                "write it as env:NAME, file:PATH, keyring:SERVICE/ACCOUNT, auth:KEY or command:PROGRAM"
                    .to_owned(),
            ),
        };
        let missing = || SecretError::Missing {
            slot: slot.to_owned(),
            source_text: source.to_string(),
        };
        value
            .map_err(unreadable)?
            .and_then(trimmed)
            .ok_or_else(missing)
    }

    /// Whether reading a slot may take long, so that an async caller moves it off its thread.
    pub fn may_wait(&self, plugin: &PluginId, slot: &str) -> bool {
        self.asked(plugin, slot).is_some()
    }

    /// Forgets what a slot's command or keyring answered, so that the next use asks again.
    pub fn forget(&self, plugin: &PluginId, slot: &str) {
        if let Some(asked) = self.asked(plugin, slot) {
            self.answered
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&asked);
        }
    }

    fn asked(&self, plugin: &PluginId, slot: &str) -> Option<Asked> {
        self.source(plugin, slot).as_ref().and_then(Asked::of)
    }

    /// The file behind a slot; none where its source is not a file.
    pub(crate) fn file_of(&self, plugin: &PluginId, slot: &str) -> Option<PathBuf> {
        match self.source(plugin, slot)? {
            SecretSource::File(path) => SecretSource::file(&path, self.home.as_deref()),
            _ => None,
        }
    }

    fn env_value(&self, name: &str) -> Result<Option<SecretText>, String> {
        let Some(value) = self.env.get(name) else {
            return Ok(None);
        };
        let text = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned())?;
        Ok(Some(SecretText::new(text.to_owned())))
    }

    fn file_value(&self, path: &Path) -> Result<Option<SecretText>, String> {
        let path = SecretSource::file(path, self.home.as_deref())
            .ok_or("the home directory is not known")?;
        read_private(&path)?.map(|bytes| utf8(&bytes)).transpose()
    }

    fn document_value(&self, path: &Path) -> Result<Option<SecretText>, String> {
        // Who has no home has nothing in it.
        let Some(path) = SecretSource::file(path, self.home.as_deref()) else {
            return Ok(None);
        };
        let bytes = read_capped(&path, MOST_DOCUMENT_BYTES)?;
        bytes.map(|bytes| utf8(&bytes)).transpose()
    }

    fn auth_value(&self, key: &str) -> Result<Option<SecretText>, String> {
        let path = self.codex_home.join("auth.json");
        let Some(bytes) = read_capped(&path, MOST_SECRET_BYTES)? else {
            return Ok(None);
        };
        let mut document: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| format!("line {} is not JSON", error.line()))?;
        let found = key
            .split('.')
            .try_fold(&document, |value, part| value.get(part));
        let value = match found {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(serde_json::Value::String(text)) => Ok(Some(SecretText::new(text.clone()))),
            Some(_) => Err("it is no text".to_owned()),
        };
        wipe(&mut document);
        value
    }

    fn command_value(&self, argv: &[String]) -> Result<Option<SecretText>, String> {
        self.once(Asked::Command(argv.to_owned()), || {
            let output = run_blocking(&self.env, argv)?;
            match output.exit_code {
                Some(0) => utf8(&Zeroizing::new(output.stdout)).map(Some),
                Some(code) => Err(format!("it ended with exit code {code}")),
                None => Err("a signal ended it".to_owned()),
            }
        })
    }

    /// The desktop's keyring, as the environment names it. Not touched yet.
    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::of_environment(|name| self.env.get(name).map(OsStr::to_owned))
    }

    fn keyring_value(&self, entry: &Entry) -> Result<Option<SecretText>, String> {
        self.once(Asked::Keyring(entry.clone()), || {
            let keyring = self.keyring();
            let value = block_on(|| async { keyring.get(entry).await.map_err(|e| e.to_string()) })?;
            match value {
                Some(value) if value.len() as u64 > MOST_SECRET_BYTES => {
                    Err(format!("it is longer than {MOST_SECRET_BYTES} bytes"))
                }
                Some(value) => utf8(&value).map(Some),
                None => Ok(None),
            }
        })
    }

    /// The answer that was given before, or a new one. What is not there may be put there, and is asked for again.
    fn once(
        &self,
        asked: Asked,
        ask: impl FnOnce() -> Result<Option<SecretText>, String>,
    ) -> Result<Option<SecretText>, String> {
        let before = self.answered.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = before.get(&asked) {
            return Ok(Some(value.clone()));
        }
        drop(before);
        let value = ask()?;
        if let Some(value) = &value {
            self.answered
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(asked, value.clone());
        }
        Ok(value)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("codex_home", &self.codex_home)
            .finish_non_exhaustive()
    }
}

/// Reads a file as it is; none where there is none.
pub(crate) fn read_whole(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    read_capped(path, MOST_SECRET_BYTES)
}

/// Reads a file that nobody else may read; none where there is none.
pub(crate) fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    match std::fs::metadata(path) {
        Ok(metadata) if private_file::is_shared(&metadata) => Err(format!(
            "other users can read it; run: chmod 600 {}",
            path.display()
        )),
        Ok(_) => read_capped(path, MOST_SECRET_BYTES),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn read_capped(path: &Path, most_bytes: u64) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    // Room for the most at once: growing would leave copies behind that nothing wipes.
    let most = usize::try_from(most_bytes).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    file.take(most_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() > most {
        return Err(format!("it is longer than {most_bytes} bytes"));
    }
    Ok(Some(bytes))
}

fn utf8(bytes: &[u8]) -> Result<SecretText, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    Ok(SecretText::new(text.to_owned()))
}

/// The value without the line end that editors and programs add; none where nothing is left.
fn trimmed(value: SecretText) -> Option<SecretText> {
    let text = value.expose().trim();
    match text.len() {
        0 => None,
        same if same == value.expose().len() => Some(value),
        _ => Some(SecretText::new(text.to_owned())),
    }
}

/// Runs a program to its end from sync code.
fn run_blocking(env: &HostEnv, argv: &[String]) -> Result<process::Output, String> {
    let process = ArgvPattern::exact(argv).into_iter().collect();
    let grant = Grant::builtin(Capabilities {
        process,
        ..Capabilities::default()
    });
    let command = Command {
        argv: argv.to_owned(),
        cwd: None,
        stdin: Vec::new(),
        timeout: Some(COMMAND_TIMEOUT),
    };
    let limit = usize::try_from(MOST_SECRET_BYTES).unwrap_or(usize::MAX);
    let output = process::run_granted(&grant, env, command, limit);
    block_on(|| async { output.await.map_err(|error| error.to_string()) })
}

/// Overwrites all text of a document that held credentials.
fn wipe(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => text.zeroize(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(wipe),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(wipe),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
