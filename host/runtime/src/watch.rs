//! Notices that files of plugins changed, by looking at them.
//!
//! Looking costs three `stat` per plugin and is done once a second by sessions that last: cheap, the same on every file
//! system, and it cannot miss the editors and installers that put a new folder in the place of the old one. A session
//! that ends within the first second never looks.

use std::collections::BTreeMap;
use std::env::consts::DLL_SUFFIX;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::discovery::Places;
use crate::ledger::Ledger;
use crate::lock::PluginsLock;

/// What a file is known by without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified_ns: i128,
    changed_ns: i128,
}

/// Everything that decides which plugins run, as it was seen at one moment.
type Sight = BTreeMap<PathBuf, Stamp>;

/// Looks at the places of plugins.
#[derive(Debug)]
pub struct Watch {
    places: Places,
    /// What was acted on last; none before the first look.
    settled: Option<Sight>,
    /// What was seen last.
    seen: Sight,
    /// Files that changed before are no news.
    since: SystemTime,
}

impl Watch {
    /// Watches from a moment on, at which the plugins were read. Looks at nothing yet.
    pub fn new(places: Places, since: SystemTime) -> Self {
        Self {
            places,
            settled: None,
            seen: Sight::new(),
            since,
        }
    }

    /// Looks again. True where something changed and has come to rest: who writes a file writes it in pieces, so what
    /// was seen twice counts.
    pub fn look(&mut self) -> bool {
        let now = sight(&self.places);
        let rests = now == self.seen;
        self.seen = now;
        match &self.settled {
            None if !self.newer_than_start() => {
                self.settled = Some(self.seen.clone());
                false
            }
            Some(settled) if *settled == self.seen => false,
            Some(_) | None if rests => {
                self.settled = Some(self.seen.clone());
                true
            }
            Some(_) | None => false,
        }
    }

    fn newer_than_start(&self) -> bool {
        let since = self
            .since
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let since = i128::try_from(since.as_nanos()).unwrap_or(i128::MAX);
        self.seen.values().any(|stamp| stamp.changed_ns >= since)
    }
}

/// Asks running sessions to load all their plugins again.
///
/// # Errors
/// Where the file that says so cannot be written.
pub fn ask_for_reload(own_dir: &Path) -> std::io::Result<()> {
    crate::private_file::replace(&Ledger::reload_file(own_dir), b"")
}

/// Whether a session has been asked since a moment.
pub fn was_asked(own_dir: &Path, since: SystemTime) -> bool {
    let asked = fs::metadata(Ledger::reload_file(own_dir)).and_then(|file| file.modified());
    asked.is_ok_and(|asked| asked > since)
}

fn sight(places: &Places) -> Sight {
    let mut sight = Sight::new();
    let mut dirs = vec![places.system_dir.clone(), places.user_dir()];
    let mut files = vec![
        PluginsLock::path_in(&places.own_dir),
        Ledger::reload_file(&places.own_dir),
    ];
    if let Some(project) = places.project.as_ref().filter(|project| project.trusted) {
        dirs.push(Places::project_dir(&project.root));
        files.push(project.root.join(".codex/dovetail/plugins.lock"));
    }
    for dir in dirs {
        // A directory that is not there holds nothing.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let dir = entry.path();
            files.push(dir.join("plugin.toml"));
            // Which of the two it has is in the manifest.
            files.extend([".wasm", DLL_SUFFIX].map(|suffix| {
                let mut code = entry.file_name();
                code.push(suffix);
                dir.join(code)
            }));
        }
    }
    for file in files {
        if let Ok(metadata) = fs::metadata(&file) {
            sight.insert(file, Stamp::of(&metadata));
        }
    }
    sight
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        let nanos =
            |seconds: i64, more: i64| i128::from(seconds) * 1_000_000_000 + i128::from(more);
        Self {
            inode: metadata.ino(),
            size: metadata.len(),
            modified_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path) -> Places {
        Places {
            builtins: Vec::new(),
            system_dir: root.join("system"),
            own_dir: root.join("own"),
            project: None,
        }
    }

    #[test]
    fn a_change_counts_once_it_rests() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let plugin = dir.path().join("own/plugins/x");
        fs::create_dir_all(&plugin).expect("made");
        let write = |file: &str, text: &str| fs::write(plugin.join(file), text).expect("written");
        write("x.wasm", "one");
        let long_after = SystemTime::now() + std::time::Duration::from_secs(3600);
        let mut watch = Watch::new(places(dir.path()), long_after);
        assert!(!watch.look() && !watch.look(), "nothing changed");
        write("x.wasm", "half of tw");
        assert!(!watch.look(), "it may still be written");
        write("x.wasm", "all of two!!");
        assert!(!watch.look(), "it was");
        assert!(watch.look(), "now it rests");
        assert!(!watch.look(), "and was told");
        fs::remove_dir_all(&plugin).expect("removed");
        assert!(!watch.look());
        assert!(watch.look(), "a plugin that is gone is a change");
    }

    #[test]
    fn what_changed_between_the_start_and_the_first_look_is_not_missed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut watch = Watch::new(places(dir.path()), SystemTime::UNIX_EPOCH);
        let plugin = dir.path().join("own/plugins/x");
        fs::create_dir_all(&plugin).expect("made");
        fs::write(plugin.join("plugin.toml"), "x").expect("written");
        assert!(!watch.look());
        assert!(watch.look());
    }

    #[test]
    fn a_library_is_looked_at_like_a_component() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let plugin = dir.path().join("own/plugins/x");
        fs::create_dir_all(&plugin).expect("made");
        let long_after = SystemTime::now() + std::time::Duration::from_secs(3600);
        let mut watch = Watch::new(places(dir.path()), long_after);
        assert!(!watch.look());
        fs::write(plugin.join(format!("x{DLL_SUFFIX}")), "one").expect("written");
        assert!(!watch.look());
        assert!(watch.look());
    }

    #[test]
    fn a_request_to_reload_is_seen() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let own = dir.path().join("own");
        assert!(!was_asked(&own, SystemTime::UNIX_EPOCH));
        let long_after = SystemTime::now() + std::time::Duration::from_secs(3600);
        let mut watch = Watch::new(places(dir.path()), long_after);
        assert!(!watch.look());
        ask_for_reload(&own).expect("written");
        assert!(!watch.look());
        assert!(watch.look());
        assert!(was_asked(&own, SystemTime::UNIX_EPOCH) && !was_asked(&own, long_after));
    }
}
