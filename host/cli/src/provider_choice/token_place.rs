//! Where the processes of a user share a token that a command printed: in memory that belongs to the user alone, so that it is
//! gone with the session, or at the latest with the machine's next start.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use dovetail_config::Config;
use dovetail_runtime::digest::Sha256;
use serde_json::{Map, Value, json};

/// Memory that looks like a directory, on every Linux.
const SHARED_MEMORY: &str = "/dev/shm";
/// Variables that tell terminals and shells apart, and have no say in whose token a command prints.
const OF_TERMINALS: &[&str] = &[
    "COLUMNS",
    "LINES",
    "OLDPWD",
    "PWD",
    "SHLVL",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "STY",
    "TERM",
    "TERM_SESSION_ID",
    "TMUX",
    "TMUX_PANE",
    "WINDOWID",
    "XDG_SESSION_ID",
    "_",
];

/// The file for the token of a provider's command; none where the system has no such place. Another command, home, working
/// directory or environment may mean another person's token, and has another file.
pub(super) fn file(config: &Config, table: &Map<String, Value>) -> Option<PathBuf> {
    let name = name(config, table, std::env::vars_os().collect());
    Some(directory()?.join(format!("{name}.json")))
}

fn name(config: &Config, table: &Map<String, Value>, mut env: Vec<(OsString, OsString)>) -> Sha256 {
    env.retain(|(name, _)| !OF_TERMINALS.iter().any(|of_terminal| name == of_terminal));
    env.sort();
    let env: Vec<u8> = env
        .iter()
        .flat_map(|(name, value)| {
            let (name, value) = (name.as_encoded_bytes(), value.as_encoded_bytes());
            [name, b"=", value, b"\0"].concat()
        })
        .collect();
    let about = json!([
        config.home.to_string_lossy(),
        config.cwd.to_string_lossy(),
        config.model_provider,
        table.get("base_url"),
        table.get("auth"),
        Sha256::of(&env).to_string(),
    ]);
    Sha256::of(about.to_string().as_bytes())
}

fn directory() -> Option<PathBuf> {
    let of_session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let of_session = of_session.filter(|dir| dir.is_absolute() && is_private(dir));
    // SAFETY: `geteuid` has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    let dir = match of_session {
        Some(dir) => dir.join("dovetail"),
        None if Path::new(SHARED_MEMORY).is_dir() => {
            Path::new(SHARED_MEMORY).join(format!("dovetail-{user}"))
        }
        None => return None,
    };
    // Somebody else may have made it: then nothing is shared.
    drop(DirBuilder::new().mode(0o700).create(&dir));
    is_private(&dir).then_some(dir)
}

/// Whether a directory is one, and of this user alone. A link is none.
fn is_private(dir: &Path) -> bool {
    // SAFETY: `geteuid` has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    fs::symlink_metadata(dir).is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == user && metadata.mode() & 0o077 == 0
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn only_a_directory_of_the_user_alone_is_private() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (own, link) = (dir.path().join("own"), dir.path().join("link"));
        fs::create_dir(&own).expect("made");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).expect("changed");
        symlink(&own, &link).expect("made");
        assert!(is_private(&own) && !is_private(&link) && !is_private(&dir.path().join("none")));
        fs::set_permissions(&own, fs::Permissions::from_mode(0o750)).expect("changed");
        assert!(!is_private(&own));
    }
}
