//! A directory that a plugin may see, and where it sees it.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::capability::Meet;

/// What a plugin may do in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// List and read.
    Read,
    /// Make files and add to them, without reading what is there.
    Append,
    /// Read, write, make and remove.
    Write,
}

impl Access {
    /// The word used in manifests and locks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Write => "write",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Read, Self::Append, Self::Write]
            .into_iter()
            .find(|access| access.name() == name)
    }

    fn meet(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Write, access) | (access, Self::Write) => Some(access),
            (Self::Read, Self::Read) | (Self::Append, Self::Append) => Some(self),
            (Self::Read, Self::Append) | (Self::Append, Self::Read) => None,
        }
    }
}

/// A directory of the host, mounted for a guest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FsRule {
    path: String,
    mount: String,
    access: Access,
}

/// Why a path or mount cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FsRuleError {
    /// The text is not a usable path.
    #[error("`{path}` cannot be granted: {why}")]
    Path {
        /// As written.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The directory holds the host's own secrets or trust records.
    #[error("`{path}` cannot be granted: it holds `{guarded}`, which no plugin may see", guarded = guarded.display())]
    Guarded {
        /// As written.
        path: String,
        /// What must stay out of reach.
        guarded: PathBuf,
    },
    /// A path starts with `~` and there is no home.
    #[error("`{path}` cannot be resolved: the home directory is not known")]
    NoHome {
        /// As written.
        path: String,
    },
}

/// Where paths of rules start, and what they may never reach.
#[derive(Debug, Clone, Copy)]
pub struct FsBase<'a> {
    /// The working directory of the session.
    pub cwd: &'a Path,
    /// What `~` stands for.
    pub home: Option<&'a Path>,
    /// The host's own directory, `$CODEX_HOME`.
    pub codex_home: &'a Path,
}

/// What lies in `$CODEX_HOME` and is the host's alone.
const GUARDED: &[&str] = &["auth.json", "config.toml", "hooks.json", "sessions"];
/// The same for `$CODEX_HOME/dovetail`.
const GUARDED_OWN: &[&str] = &[
    "plugins",
    "plugins.lock",
    "lock.key",
    "locks",
    "kv",
    "cache",
    "outbox",
    "state",
];

impl FsRule {
    /// Checks the parts of a rule. `path` is relative to the working directory, absolute, or starts with `~/`.
    ///
    /// # Errors
    /// Says what a path or mount may not be.
    pub fn new(path: &str, mount: &str, access: Access) -> Result<Self, FsRuleError> {
        for text in [path, mount] {
            let error = |why| FsRuleError::Path {
                path: text.to_owned(),
                why,
            };
            if text.is_empty() || text.contains('\0') {
                return Err(error("it is empty or holds a zero byte"));
            }
            if Path::new(text)
                .components()
                .any(|part| part == Component::ParentDir)
            {
                return Err(error("`..` is not allowed; write the path from `~` or `/`"));
            }
        }
        if path.starts_with('~') && path != "~" && !path.starts_with("~/") {
            return Err(FsRuleError::Path {
                path: path.to_owned(),
                why: "only `~/` is known, not other users' homes",
            });
        }
        Ok(Self {
            path: path.to_owned(),
            mount: mount.to_owned(),
            access,
        })
    }

    /// The path as written.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where the guest sees it.
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// What the guest may do there.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The directory on this machine, with symbolic links followed as far as it exists.
    ///
    /// # Errors
    /// Where the directory is, holds, or lies in something that is the host's alone.
    pub fn resolve(&self, base: &FsBase<'_>) -> Result<PathBuf, FsRuleError> {
        let written = match self.path.strip_prefix('~') {
            Some(rest) => {
                let home = base.home.ok_or_else(|| FsRuleError::NoHome {
                    path: self.path.clone(),
                })?;
                home.join(rest.trim_start_matches('/'))
            }
            None => base.cwd.join(&self.path),
        };
        let real = follow(&written);
        let codex_home = follow(base.codex_home);
        let own = codex_home.join("dovetail");
        let guarded = GUARDED
            .iter()
            .map(|name| codex_home.join(name))
            .chain(GUARDED_OWN.iter().map(|name| own.join(name)));
        for guarded in guarded {
            if real.starts_with(&guarded) || guarded.starts_with(&real) {
                return Err(FsRuleError::Guarded {
                    path: self.path.clone(),
                    guarded,
                });
            }
        }
        Ok(real)
    }
}

impl Meet for FsRule {
    fn meet(&self, other: &Self) -> Option<Self> {
        let access = self.access.meet(other.access)?;
        (self.path == other.path && self.mount == other.mount).then(|| Self {
            access,
            ..self.clone()
        })
    }
}

impl fmt::Display for FsRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path, self.access.name())
    }
}

/// Follows links in the longest part of a path that exists, and keeps the rest: a directory may be made later.
pub(crate) fn follow(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            return match path.strip_prefix(ancestor) {
                Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
                Ok(_) | Err(_) => real,
            };
        }
    }
    path.to_owned()
}

/// A path as a person writes it, from the root and without `.` and `..`.
pub(crate) fn expanded(path: &Path, base: &FsBase<'_>) -> PathBuf {
    let written = match (path.strip_prefix("~"), base.home) {
        (Ok(rest), Some(home)) => home.join(rest),
        (Ok(_), None) | (Err(_), _) => base.cwd.join(path),
    };
    let mut whole = PathBuf::new();
    for part in written.components() {
        match part {
            Component::ParentDir => _ = whole.pop(),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => whole.push(part),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, access: Access) -> FsRule {
        FsRule::new(path, "/data", access).expect("the rule is valid")
    }

    #[test]
    fn paths_resolve_from_the_cwd_home_or_root() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().canonicalize().expect("it exists");
        let (cwd, home, codex) = (
            root.join("project"),
            root.join("home"),
            root.join("home/.codex"),
        );
        let base = FsBase {
            cwd: &cwd,
            home: Some(&home),
            codex_home: &codex,
        };
        let check = |path: &str, expected: &Path| {
            assert_eq!(
                rule(path, Access::Read).resolve(&base).as_deref(),
                Ok(expected),
                "{path}"
            );
        };
        check("notes", &cwd.join("notes"));
        check("~/notes", &home.join("notes"));
        check("/srv/data", Path::new("/srv/data"));
        check("~/.codex/dovetail/events", &codex.join("dovetail/events"));
    }

    #[test]
    fn what_holds_the_hosts_secrets_cannot_be_granted() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path().canonicalize().expect("it exists");
        let codex = root.join(".codex");
        std::fs::create_dir_all(codex.join("dovetail/kv")).expect("made");
        std::os::unix::fs::symlink(&codex, root.join("innocent")).expect("linked");
        let base = FsBase {
            cwd: &root,
            home: Some(&root),
            codex_home: &codex,
        };
        for path in [
            "~",
            "/",
            ".",
            ".codex",
            "~/.codex/dovetail",
            "~/.codex/dovetail/kv",
            "innocent",
            ".codex/auth.json",
        ] {
            let outcome = rule(path, Access::Read).resolve(&base);
            assert!(
                matches!(outcome, Err(FsRuleError::Guarded { .. })),
                "{path}: {outcome:?}"
            );
        }
    }

    #[test]
    fn odd_paths_are_refused() {
        for path in ["", "../up", "a/../../b", "~root/x", "a\0b"] {
            assert!(FsRule::new(path, "/m", Access::Read).is_err(), "{path}");
        }
        assert!(FsRule::new("a", "../m", Access::Read).is_err());
        let rule = rule("~/x", Access::Read);
        let base = FsBase {
            cwd: Path::new("/"),
            home: None,
            codex_home: Path::new("/none/.codex"),
        };
        assert_eq!(
            rule.resolve(&base),
            Err(FsRuleError::NoHome {
                path: "~/x".to_owned()
            })
        );
    }

    #[test]
    fn write_covers_read_and_append_which_share_nothing() {
        let (read, append, write) = (
            rule("a", Access::Read),
            rule("a", Access::Append),
            rule("a", Access::Write),
        );
        assert_eq!(write.meet(&read), Some(read.clone()));
        assert_eq!(append.meet(&write), Some(append.clone()));
        assert_eq!(read.meet(&append), None);
        assert_eq!(read.meet(&rule("b", Access::Read)), None);
        assert!(write.covers(&append) && !append.covers(&write));
    }
}
