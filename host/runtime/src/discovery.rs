//! Finds plugins: the built-in ones and three directories, each of which can replace what an earlier one holds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use dovetail_core::ids::PluginId;

use crate::digest::Sha256;
use crate::lock::Scope;
use crate::manifest::{Kind, Manifest};
use crate::plugin_dir::{self, PluginDirError};
use crate::stamp::Stamped;

/// Where plugins of the whole machine are installed.
pub const SYSTEM_DIR: &str = "/etc/codex/dovetail/plugins";

/// A plugin that is part of the host.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// Its id.
    pub id: &'static str,
    /// Its `plugin.toml`.
    pub manifest: &'static str,
    /// Its component.
    pub wasm: &'static [u8],
}

/// A project, as far as plugins are concerned.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its root directory, canonical.
    pub root: PathBuf,
    /// Whether the user trusts it. Nothing in an untrusted project is read.
    pub trusted: bool,
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct Places {
    /// The plugins that are part of the host.
    pub builtins: Vec<Builtin>,
    /// The directory of the whole machine, see [`SYSTEM_DIR`].
    pub system_dir: PathBuf,
    /// The host's own directory of this user, `$CODEX_HOME/dovetail`.
    pub own_dir: PathBuf,
    /// The project at hand, where there is one.
    pub project: Option<Project>,
}

/// A component's bytes with their digest.
#[derive(Clone)]
pub struct Wasm {
    /// The digest.
    pub sha256: Sha256,
    /// The bytes that were digested, so that what was checked is what runs.
    pub bytes: Cow<'static, [u8]>,
}

impl std::fmt::Debug for Wasm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wasm({}, {} bytes)", self.sha256, self.bytes.len())
    }
}

/// A plugin that was found and whose manifest is in order.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its manifest.
    pub manifest: Manifest,
    /// Whose it is.
    pub scope: Scope,
    /// Its folder; none for one that is part of the host.
    pub dir: Option<PathBuf>,
    /// Its component.
    pub wasm: Wasm,
    /// Its files, with marks of when they were read; none for one that is part of the host or not installed yet.
    pub files: Vec<Stamped>,
}

/// A plugin that was found and cannot be used.
#[derive(Debug)]
pub struct Problem {
    /// The name of its folder.
    pub name: String,
    /// Whose it is.
    pub scope: Scope,
    /// What is wrong.
    pub error: PluginDirError,
}

/// A plugin that another one of the same id took the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadowed {
    /// The id of both.
    pub id: PluginId,
    /// Whose plugin is not used.
    pub hidden: Scope,
    /// Whose plugin is used instead.
    pub by: Scope,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Plugins in order, by id.
    pub plugins: BTreeMap<PluginId, Found>,
    /// Folders that hold no usable plugin.
    pub problems: Vec<Problem>,
    /// Plugins that are hidden by another.
    pub shadowed: Vec<Shadowed>,
    /// Why the project's plugins were not looked at, where that is so.
    pub skipped_project: Option<String>,
}

impl Scope {
    /// The word for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Builtin => "built-in",
            Self::System => "system",
            Self::User => "user",
            Self::Project(_) => "project",
        }
    }
}

impl Places {
    /// Where the user's plugins are installed.
    pub fn user_dir(&self) -> PathBuf {
        self.own_dir.join("plugins")
    }

    /// Where a project's plugins are.
    pub fn project_dir(root: &Path) -> PathBuf {
        root.join(".codex/dovetail/plugins")
    }
}

/// Looks everywhere. What is wrong with one plugin never hides another; a directory that is not there is empty.
pub fn discover(places: &Places) -> Discovery {
    let mut found = Discovery::default();
    for builtin in &places.builtins {
        match read_builtin(builtin) {
            Ok(plugin) => found.admit(plugin),
            Err(error) => found.refuse(builtin.id, Scope::Builtin, error),
        }
    }
    found.scan(&places.system_dir, &Scope::System);
    found.scan(&places.user_dir(), &Scope::User);
    if let Some(project) = &places.project {
        let dir = Places::project_dir(&project.root);
        if project.trusted {
            found.scan(&dir, &Scope::Project(project.root.clone()));
        } else if dir.is_dir() {
            found.skipped_project = Some(format!(
                "the plugins in `{}` are not used: the project is not trusted",
                dir.display()
            ));
        }
    }
    found
}

fn read_builtin(builtin: &Builtin) -> Result<Found, PluginDirError> {
    let file = PathBuf::from(format!("built-in:{}/plugin.toml", builtin.id));
    let manifest = Manifest::parse(builtin.manifest, &file)?;
    plugin_dir::check_name(builtin.id, &manifest)?;
    let wasm = Wasm {
        sha256: Sha256::of(builtin.wasm),
        bytes: Cow::Borrowed(builtin.wasm),
    };
    Ok(Found {
        manifest,
        scope: Scope::Builtin,
        dir: None,
        wasm,
        files: Vec::new(),
    })
}

impl Discovery {
    fn scan(&mut self, dir: &Path, scope: &Scope) {
        if let Err(error) = plugin_dir::check_directory(dir, scope) {
            return self.refuse(&dir.display().to_string(), scope.clone(), error);
        }
        let names = match folder_names(dir) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(source) => {
                let error = PluginDirError::Io {
                    action: "list",
                    path: dir.to_owned(),
                    source,
                };
                return self.refuse(&dir.display().to_string(), scope.clone(), error);
            }
        };
        for (name, read) in names.iter().zip(read_all(dir, &names, scope)) {
            match read {
                Ok(plugin) => self.admit(plugin),
                Err(error) => self.refuse(name, scope.clone(), error),
            }
        }
    }

    fn admit(&mut self, plugin: Found) {
        let id = plugin.manifest.id.clone();
        if let Some(earlier) = self.plugins.get(&id) {
            if let Some(error) = takeover(earlier, &plugin) {
                return self.refuse(id.as_str(), plugin.scope, error);
            }
            let hidden = earlier.scope.clone();
            self.shadowed.push(Shadowed {
                id: id.clone(),
                hidden,
                by: plugin.scope.clone(),
            });
        }
        self.plugins.insert(id, plugin);
    }

    fn refuse(&mut self, name: &str, scope: Scope, error: PluginDirError) {
        self.problems.push(Problem {
            name: name.to_owned(),
            scope,
            error,
        });
    }
}

/// A checked-out project must not put itself between the user and a credential, or in the place of a guard: its
/// plugins stand beside the user's providers and hooks, and never in for them.
fn takeover(earlier: &Found, later: &Found) -> Option<PluginDirError> {
    if !matches!(later.scope, Scope::Project(_)) {
        return None;
    }
    let involved =
        |kind: &Kind| earlier.manifest.kinds.contains(kind) || later.manifest.kinds.contains(kind);
    let kind = [Kind::Provider, Kind::Hooks].into_iter().find(involved)?;
    Some(PluginDirError::Takeover {
        id: later.manifest.id.clone(),
        kind,
        of: earlier.scope.name(),
    })
}

/// Folders for which another thread pays: reading and digesting one takes about 0.15 ms, starting one 0.05 ms.
const FOLDERS_PER_THREAD: usize = 4;

/// Reads folders, in order, on as many threads as pay.
fn read_all(dir: &Path, names: &[String], scope: &Scope) -> Vec<Result<Found, PluginDirError>> {
    let read = |name: &String| plugin_dir::read(&dir.join(name), scope);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(names.len().div_ceil(FOLDERS_PER_THREAD));
    if threads <= 1 {
        return names.iter().map(read).collect();
    }
    let read = &read;
    let share = names.len().div_ceil(threads);
    thread::scope(|readers| {
        let start = |names| readers.spawn(move || <[String]>::iter(names).map(read).collect());
        let running: Vec<thread::ScopedJoinHandle<'_, Vec<_>>> =
            names.chunks(share).map(start).collect();
        let finish = |reader: thread::ScopedJoinHandle<'_, Vec<_>>| {
            reader
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        running.into_iter().flat_map(finish).collect()
    })
}

/// The folders of a directory, sorted. Hidden ones and plain files are none: editors and installs leave such things.
fn folder_names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
