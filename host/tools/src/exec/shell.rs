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

/// A command and the shell that is to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invocation {
    pub(super) shell: PathBuf,
    pub(super) login: bool,
    pub(super) command: String,
}

impl Invocation {
    /// The argv that runs it, which is also what people see.
    pub(super) fn argv(&self) -> Vec<String> {
        self.with_flag(if self.login { "-lc" } else { "-c" })
    }

    /// The argv that runs it without a profile.
    pub(super) fn plain_argv(&self) -> Vec<String> {
        self.with_flag("-c")
    }

    /// Whether it asks for a login shell of the user's own shell, and that is bash.
    pub(super) fn is_bash_login(&self, users: &Path) -> bool {
        let is_bash = self.shell.file_name() == Some(OsStr::new("bash"));
        self.login && is_bash && self.shell == users
    }

    fn with_flag(&self, flag: &str) -> Vec<String> {
        let shell = self.shell.to_string_lossy().into_owned();
        vec![shell, flag.to_owned(), self.command.clone()]
    }
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
        let mut invocation = Invocation {
            shell: PathBuf::from("/bin/bash"),
            login: true,
            command: "ls | wc".to_owned(),
        };
        assert_eq!(invocation.argv(), ["/bin/bash", "-lc", "ls | wc"]);
        assert_eq!(invocation.plain_argv(), ["/bin/bash", "-c", "ls | wc"]);
        assert!(invocation.is_bash_login(Path::new("/bin/bash")));
        assert!(!invocation.is_bash_login(Path::new("/bin/zsh")));
        invocation.login = false;
        assert_eq!(invocation.argv(), ["/bin/bash", "-c", "ls | wc"]);
        assert!(!invocation.is_bash_login(Path::new("/bin/bash")));
    }
}
