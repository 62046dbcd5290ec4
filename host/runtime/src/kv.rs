//! A small store per plugin that outlives the process.
//!
//! Each plugin has one file, read and written whole: stores are small, and a whole file can be replaced in one step.
//! A second file is locked while one is being changed, so that two processes do not undo each other's writes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::PluginError;

use crate::private_file;

/// Keys are names, not documents.
const MOST_KEY_BYTES: usize = 1024;
const MAGIC: &[u8] = b"dovetail-kv 1\n";

type Entries = BTreeMap<String, Vec<u8>>;

/// The stores of all plugins.
#[derive(Debug, Clone)]
pub struct Kv {
    dir: Arc<PathBuf>,
}

impl Kv {
    /// Uses a directory, which is made when it is first needed.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir: Arc::new(dir) }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `Other` where the store cannot be read.
    pub async fn get(
        &self,
        plugin: &PluginId,
        key: String,
    ) -> Result<Option<Vec<u8>>, PluginError> {
        self.read(plugin, move |mut entries| entries.remove(&key))
            .await
    }

    /// The keys that start with a prefix, sorted.
    ///
    /// # Errors
    /// `Other` where the store cannot be read.
    pub async fn keys(
        &self,
        plugin: &PluginId,
        prefix: String,
    ) -> Result<Vec<String>, PluginError> {
        self.read(plugin, move |entries| {
            entries
                .into_keys()
                .filter(|key| key.starts_with(&prefix))
                .collect()
        })
        .await
    }

    /// Sets a key. `quota` is the most that keys and values may be together, in bytes.
    ///
    /// # Errors
    /// `Denied` past the quota, `Invalid` for a key that is too long, `Other` where the store cannot be written.
    pub async fn set(
        &self,
        plugin: &PluginId,
        quota: u64,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), PluginError> {
        if key.len() > MOST_KEY_BYTES {
            return Err(PluginError::Invalid(format!(
                "a key has at most {MOST_KEY_BYTES} bytes"
            )));
        }
        let name = plugin.clone();
        self.change(plugin, move |entries| {
            entries.insert(key, value);
            let size = size(entries);
            if size > quota {
                return Err(PluginError::Denied(format!(
                    "plugin `{name}` may keep {quota} bytes, this makes {size}"
                )));
            }
            Ok(())
        })
        .await
    }

    /// Removes a key; one that is not there is no error.
    ///
    /// # Errors
    /// `Other` where the store cannot be written.
    pub async fn delete(&self, plugin: &PluginId, key: String) -> Result<(), PluginError> {
        self.change(plugin, move |entries| {
            entries.remove(&key);
            Ok(())
        })
        .await
    }

    /// Removes all that a plugin keeps.
    ///
    /// # Errors
    /// Where the file is there and cannot be removed.
    pub fn purge(&self, plugin: &PluginId) -> io::Result<()> {
        match fs::remove_file(self.store(plugin)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        plugin: &PluginId,
        then: impl FnOnce(Entries) -> T + Send + 'static,
    ) -> Result<T, PluginError> {
        let (path, plugin) = (self.store(plugin), plugin.clone());
        blocking(move || {
            load(&path)
                .map(then)
                .map_err(|error| broken(&plugin, &error))
        })
        .await
    }

    async fn change(
        &self,
        plugin: &PluginId,
        edit: impl FnOnce(&mut Entries) -> Result<(), PluginError> + Send + 'static,
    ) -> Result<(), PluginError> {
        let (path, lock) = (self.store(plugin), self.dir.join(format!("{plugin}.lock")));
        let plugin = plugin.clone();
        blocking(move || {
            let broken = |error| broken(&plugin, &error);
            let guard = private_file::open_lock(&lock).map_err(broken)?;
            guard.lock().map_err(broken)?;
            let mut entries = load(&path).map_err(broken)?;
            let before = entries.clone();
            edit(&mut entries)?;
            if entries == before {
                return Ok(());
            }
            private_file::replace(&path, &encode(&entries)).map_err(broken)
        })
        .await
    }

    /// Both suffixes make a file name of any plugin id, and no id makes one plugin's store another's lock.
    fn store(&self, plugin: &PluginId) -> PathBuf {
        self.dir.join(format!("{plugin}.kv"))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PluginError> + Send + 'static,
) -> Result<T, PluginError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(PluginError::Other("the store could not be used".to_owned())))
}

fn broken(plugin: &PluginId, error: &io::Error) -> PluginError {
    PluginError::Other(format!(
        "the store of plugin `{plugin}` cannot be used: {error}"
    ))
}

fn size(entries: &Entries) -> u64 {
    entries
        .iter()
        .map(|(key, value)| key.len() as u64 + value.len() as u64)
        .sum()
}

fn load(path: &std::path::Path) -> io::Result<Entries> {
    match fs::read(path) {
        Ok(bytes) => decode(&bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the file is damaged")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Entries::new()),
        Err(error) => Err(error),
    }
}

/// Each text as its length in four little-endian bytes and then itself, keys and values in turn.
fn encode(entries: &Entries) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for text in entries
        .iter()
        .flat_map(|(key, value)| [key.as_bytes(), value.as_slice()])
    {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Entries> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut entries = Entries::new();
    while !rest.is_empty() {
        let key = String::from_utf8(next(&mut rest)?.to_vec()).ok()?;
        entries.insert(key, next(&mut rest)?.to_vec());
    }
    Some(entries)
}

fn next<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) =
        after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(text)
}

#[cfg(test)]
mod tests;
