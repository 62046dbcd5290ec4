//! Where the user's files live.

use std::path::{Path, PathBuf};

use crate::env;
use crate::error::ConfigError;

/// Finds `$CODEX_HOME`, or `~/.codex`. Nothing is created: commands that only read must leave no trace.
///
/// # Errors
/// Neither variable is set, or the working directory that a relative path needs is gone.
pub fn codex_home() -> Result<PathBuf, ConfigError> {
    if let Some(path) = env::CODEX_HOME.get_os() {
        let path = PathBuf::from(path);
        return std::path::absolute(&path)
            .map_err(|source| ConfigError::Unreadable { path, source });
    }
    let home = env::HOME.get_os().ok_or(ConfigError::NoHome)?;
    Ok(Path::new(&home).join(".codex"))
}
