//! Which paths may be written, as the file system stands.
//!
//! Used twice: to build a command's limits, and to check writes the host makes for the model (patches).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::policy::{PROTECTED_NAMES, SandboxMode, SandboxPolicy};

/// Writable roots and the paths below them that stay read-only. Every path is absolute and free of symbolic links,
/// except that the last part of a protected one may be a link itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    unrestricted: bool,
    roots: Vec<PathBuf>,
    protected: Vec<PathBuf>,
}

/// Why a path may not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteDenied {
    /// Nothing may be written.
    #[error("writing is blocked by read-only sandbox")]
    ReadOnly,
    /// The path lies outside.
    #[error("`{}` is outside the writable roots", .0.display())]
    Outside(PathBuf),
    /// The path is protected, or lies under one that is.
    #[error("`{}` is protected and stays read-only", .0.display())]
    Protected(PathBuf),
    /// Where the path leads cannot be told.
    #[error("cannot tell where `{}` leads: {why}", path.display())]
    Unresolved {
        /// The path.
        path: PathBuf,
        /// What is in the way.
        why: String,
    },
}

impl Layout {
    pub(crate) fn resolve(policy: &SandboxPolicy) -> Self {
        let SandboxMode::WorkspaceWrite {
            writable_roots,
            exclude_slash_tmp,
            exclude_tmpdir,
            ..
        } = &policy.mode
        else {
            let unrestricted = policy.mode == SandboxMode::DangerFullAccess;
            return Self {
                unrestricted,
                roots: Vec::new(),
                protected: Vec::new(),
            };
        };
        let declared: Vec<PathBuf> = std::iter::once(&policy.cwd)
            .chain(writable_roots)
            .filter_map(|root| fs::canonicalize(policy.cwd.join(root)).ok())
            .collect();
        let mut protected: Vec<PathBuf> = declared
            .iter()
            .flat_map(|root| protected_in(root))
            .collect();
        protected.extend(
            policy
                .protected
                .iter()
                .flat_map(|path| with_target(&policy.cwd.join(path))),
        );
        let mut roots = declared;
        roots.extend(temporary_roots(*exclude_slash_tmp, *exclude_tmpdir));
        tidy(&mut roots);
        tidy(&mut protected);
        // A root inside a protected path would open it again.
        roots.retain(|root| !protected.iter().any(|path| root.starts_with(path)));
        // What no root contains is read-only anyway.
        protected.retain(|path| roots.iter().any(|root| path.starts_with(root)));
        Self {
            unrestricted: false,
            roots,
            protected,
        }
    }

    /// Directories whose contents may be written, outer before inner.
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Paths below the roots that may not be written, whether or not they exist; outer before inner.
    pub fn protected(&self) -> &[PathBuf] {
        &self.protected
    }

    /// Whether a path may be written, and where it really leads: the path without symbolic links.
    ///
    /// # Errors
    /// Says which rule stands against it.
    pub fn check_write(&self, path: &Path) -> Result<PathBuf, WriteDenied> {
        let resolved = resolve_for_write(path).map_err(|why| WriteDenied::Unresolved {
            path: path.to_owned(),
            why,
        })?;
        if self.unrestricted {
            return Ok(resolved);
        }
        if self.roots.is_empty() {
            return Err(WriteDenied::ReadOnly);
        }
        // Both the name that was given and the place it leads to count: a protected name may be a link.
        if named_path(path).is_some_and(|named| self.is_protected(&named)) {
            return Err(WriteDenied::Protected(path.to_owned()));
        }
        self.check_place(path, resolved)
    }

    /// Whether a name may be taken away, and where it really is: the path without symbolic links but a last one, which
    /// goes itself, whatever it leads to.
    ///
    /// # Errors
    /// Says which rule stands against it.
    pub fn check_remove(&self, path: &Path) -> Result<PathBuf, WriteDenied> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return self.check_write(path);
        };
        let parent = resolve_for_write(parent).map_err(|why| WriteDenied::Unresolved {
            path: path.to_owned(),
            why,
        })?;
        if self.unrestricted {
            return Ok(parent.join(name));
        }
        if self.roots.is_empty() {
            return Err(WriteDenied::ReadOnly);
        }
        self.check_place(path, parent.join(name))
    }

    /// Whether the place that a path stands for may change.
    fn check_place(&self, path: &Path, place: PathBuf) -> Result<PathBuf, WriteDenied> {
        if self.is_protected(&place) {
            return Err(WriteDenied::Protected(path.to_owned()));
        }
        let below = |root: &PathBuf| place.starts_with(root) && place != *root;
        if self.roots.iter().any(below) {
            Ok(place)
        } else {
            Err(WriteDenied::Outside(path.to_owned()))
        }
    }

    fn is_protected(&self, place: &Path) -> bool {
        self.protected.iter().any(|path| place.starts_with(path))
    }
}

/// The names that are always protected under a root, and what those that are links or gitdir files lead to.
fn protected_in(root: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = PROTECTED_NAMES
        .iter()
        .flat_map(|name| with_target(&root.join(name)))
        .collect();
    paths.extend(linked_git_dirs(&root.join(".git")));
    paths
}

/// A path, and every place it leads to if it is a symbolic link, whether or not that place exists.
fn with_target(path: &Path) -> Vec<PathBuf> {
    // As many links in a row as the kernel follows.
    const LONGEST_CHAIN: usize = 40;
    let mut places = Vec::new();
    let mut next = named_path(path);
    while let Some(place) = next.take().filter(|place| !places.contains(place)) {
        if places.len() < LONGEST_CHAIN
            && let Ok(target) = fs::read_link(&place)
        {
            next = place
                .parent()
                .and_then(|parent| named_path(&parent.join(target)));
        }
        places.push(place);
    }
    places
}

/// The directories that a `.git` file (of a worktree or a submodule) points to: its own and the one it shares.
fn linked_git_dirs(dot_git: &Path) -> Vec<PathBuf> {
    let own = short_text(dot_git)
        .as_deref()
        .and_then(|text| text.strip_prefix("gitdir:"))
        .and_then(|target| fs::canonicalize(dot_git.parent()?.join(target.trim())).ok());
    let shared = own.as_ref().and_then(|own| {
        fs::canonicalize(own.join(short_text(&own.join("commondir"))?.trim())).ok()
    });
    own.into_iter().chain(shared).collect()
}

/// The text of a small regular file.
fn short_text(path: &Path) -> Option<String> {
    // Git's pointer files are one line; anything longer is something else.
    const LONGEST: u64 = 16 * 1024;
    fs::metadata(path)
        .ok()
        .filter(|found| found.is_file() && found.len() <= LONGEST)?;
    fs::read_to_string(path).ok()
}

fn temporary_roots(exclude_slash_tmp: bool, exclude_tmpdir: bool) -> Vec<PathBuf> {
    let slash_tmp = (!exclude_slash_tmp).then(|| PathBuf::from("/tmp"));
    let tmpdir = std::env::var_os("TMPDIR")
        .map(PathBuf::from)
        .filter(|_| !exclude_tmpdir);
    [slash_tmp, tmpdir]
        .into_iter()
        .flatten()
        .filter(|path| path.is_absolute())
        .filter_map(|path| fs::canonicalize(path).ok())
        // `TMPDIR=/` would open everything; nobody means that.
        .filter(|path| path.is_dir() && path.parent().is_some())
        .collect()
}

/// Sorts outer before inner, without duplicates.
fn tidy(paths: &mut Vec<PathBuf>) {
    paths.sort_by(|a, b| (a.components().count(), a).cmp(&(b.components().count(), b)));
    paths.dedup();
}

/// The path with every link but a last one resolved, as far as it exists.
fn named_path(path: &Path) -> Option<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Some(resolve_for_write(parent).ok()?.join(name)),
        _ => fs::canonicalize(path).ok(),
    }
}

/// Resolves every symbolic link of a path whose last parts may not exist yet.
fn resolve_for_write(path: &Path) -> Result<PathBuf, String> {
    let mut missing: Vec<OsString> = Vec::new();
    let mut existing = path.to_owned();
    loop {
        match fs::canonicalize(&existing) {
            Ok(found) => {
                let mut resolved = found;
                resolved.extend(missing.iter().rev());
                return Ok(resolved);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.to_string()),
        }
        if fs::symlink_metadata(&existing).is_ok() {
            return Err("it is a symbolic link to something that does not exist".to_owned());
        }
        match existing.components().next_back() {
            Some(Component::Normal(name)) => missing.push(name.to_owned()),
            // `missing/..` means nothing before `missing` exists.
            _ => return Err("it goes up from a directory that does not exist".to_owned()),
        }
        existing.pop();
        if existing.as_os_str().is_empty() {
            return Err("it is not absolute".to_owned());
        }
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
