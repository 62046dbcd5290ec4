//! How a shell is told to run a command.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Shells to fall back to.
const COMMON: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// The shell commands are given to unless they name one: the configured one, the user's, or a common one.
pub(super) fn default_shell(
    configured: Option<PathBuf>,
    from_environment: Option<&OsStr>,
) -> PathBuf {
    let users = || {
        from_environment
            .map(PathBuf::from)
            .filter(|path| path.is_absolute() && path.exists())
    };
    let common = || COMMON.iter().map(PathBuf::from).find(|path| path.exists());
    configured
        .or_else(users)
        .or_else(common)
        .unwrap_or_else(|| PathBuf::from("sh"))
}

/// The argv that runs `command`.
pub(super) fn argv(shell: &Path, command: &str, login: bool) -> Vec<String> {
    let shell = shell.to_string_lossy().into_owned();
    let flag = if login { "-lc" } else { "-c" };
    vec![shell, flag.to_owned(), command.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_shell_wins_then_the_users() {
        let users = Some(OsStr::new("/bin/sh"));
        assert_eq!(
            default_shell(Some(PathBuf::from("/x/zsh")), users),
            PathBuf::from("/x/zsh")
        );
        assert_eq!(default_shell(None, users), PathBuf::from("/bin/sh"));
        assert!(default_shell(None, Some(OsStr::new("/no/such/shell"))).is_absolute());
    }

    #[test]
    fn login_shells_read_profiles() {
        assert_eq!(
            argv(Path::new("/bin/bash"), "ls | wc", true),
            ["/bin/bash", "-lc", "ls | wc"]
        );
        assert_eq!(
            argv(Path::new("/bin/bash"), "ls", false),
            ["/bin/bash", "-c", "ls"]
        );
    }
}
