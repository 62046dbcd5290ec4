//! Which native plugin was being called when the process ended: a crash takes the process with it, so somebody else has
//! to tell.
//!
//! Each native plugin of each process has one small file, held locked as long as the process lives. The name of the call
//! is written into it before each call and taken out after; a crash adds the number of its signal. A file that nobody
//! holds and that names a call is a report, and stays one until the user enables the plugin again.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dovetail_core::ids::PluginId;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::private_file;

/// The name of the call comes first, in a field that fits all of them.
const CALL_BYTES: usize = 24;
/// Where the number of the signal is, with a line's end before and behind it.
pub(super) const SIGNAL_AT: usize = CALL_BYTES + 1;
/// Its width.
pub(super) const SIGNAL_BYTES: usize = 4;
/// Where the rest is, which never changes: JSON.
const OWNER_AT: usize = SIGNAL_AT + SIGNAL_BYTES + 1;
/// A mark is a few hundred bytes. Whatever is longer is none.
const MOST_BYTES: u64 = 4 << 10;

/// Whose mark it is.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    plugin: PluginId,
    sha256: String,
    process: u32,
}

/// The mark of one plugin in this process. Removed with it.
pub(super) struct Mark {
    file: File,
    path: PathBuf,
}

impl Mark {
    /// Makes one.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(super) fn make(dir: &Path, plugin: &PluginId, sha256: &Sha256) -> io::Result<Self> {
        let process = std::process::id();
        let owner = Owner {
            plugin: plugin.clone(),
            sha256: sha256.to_string(),
            process,
        };
        private_file::make_dir(dir)?;
        sweep(dir);
        let new = private_file::temporary_beside(&dir.join(format!("{plugin}.mark")));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.lock()?;
        // Named only now: others take a mark that is not held for one of a process that is gone.
        let path = new.with_extension(format!("{}.mark", started()));
        fs::rename(&new, &path)?;
        let mark = Self { file, path };
        let text = format!(
            "{:CALL_BYTES$}\n{:SIGNAL_BYTES$}\n{}\n",
            "",
            "",
            serde_json::to_string(&owner)?
        );
        mark.file.write_all_at(text.as_bytes(), 0)?;
        Ok(mark)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// A call begins.
    pub(super) fn enter(&self, call: &str) {
        self.write(call);
    }

    /// It has returned.
    pub(super) fn leave(&self) {
        self.write("");
    }

    fn write(&self, call: &str) {
        let field = format!("{call:CALL_BYTES$}");
        // A full disk must not keep a plugin from being called; only the report would be missing.
        drop(self.file.write_all_at(field.as_bytes(), 0));
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        // One that stays behind names no call.
        drop(fs::remove_file(&self.path));
    }
}

/// Removes marks of processes that are gone and have nothing to report. What cannot be looked at stays.
fn sweep(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let is_mark = path.extension().is_some_and(|end| end == "mark");
        let left = is_mark.then(|| Left::read(&path)).flatten();
        if left.is_some_and(|left| left.call.is_empty()) {
            drop(fs::remove_file(&path));
        }
    }
}

/// A name for this start, so that a process of the same number does not overwrite an older one's report.
fn started() -> u128 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_millis()
}

/// What a process left behind that ended in the middle of a call to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Which call.
    pub call: String,
    /// The signal that ended it; none where it was killed from outside, or the plugin ended it on purpose.
    pub signal: Option<i32>,
    /// The process.
    pub process: u32,
    /// When.
    pub when: SystemTime,
    path: PathBuf,
}

impl Ending {
    /// The name of a signal, where it has one that says something.
    pub fn signal_name(&self) -> String {
        match self.signal {
            Some(libc::SIGSEGV) => "SIGSEGV, bad memory access".to_owned(),
            Some(libc::SIGBUS) => "SIGBUS, bad memory access".to_owned(),
            Some(libc::SIGILL) => "SIGILL, bad instruction".to_owned(),
            Some(libc::SIGFPE) => "SIGFPE, bad arithmetic".to_owned(),
            Some(libc::SIGABRT) => "SIGABRT, it gave up".to_owned(),
            Some(other) => format!("signal {other}"),
            None => "no signal".to_owned(),
        }
    }
}

/// The directory of the marks in the host's own directory (`$CODEX_HOME/dovetail`).
pub fn dir_in(own_dir: &Path) -> PathBuf {
    own_dir.join("native")
}

/// What processes that are gone left behind about a library, oldest first. What cannot be read is nothing.
pub fn endings(dir: &Path, plugin: &PluginId, sha256: &Sha256) -> Vec<Ending> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut endings: Vec<Ending> = paths
        .filter_map(|path| read(&path, plugin, sha256))
        .collect();
    endings.sort_by_key(|ending| ending.when);
    endings
}

/// Forgets what was left behind about a plugin, whichever its library was.
///
/// # Errors
/// A report cannot be removed.
pub fn forget(endings: &[Ending]) -> io::Result<()> {
    for ending in endings {
        match fs::remove_file(&ending.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// None where it is no mark, another plugin's, still held, or names no call.
fn read(path: &Path, plugin: &PluginId, sha256: &Sha256) -> Option<Ending> {
    if path.extension()? != "mark" {
        return None;
    }
    let left = Left::read(path)?;
    if left.owner.plugin != *plugin || left.owner.sha256 != sha256.to_string() {
        return None;
    }
    (!left.call.is_empty()).then(|| Ending {
        call: left.call,
        signal: left.signal,
        process: left.owner.process,
        when: left.when,
        path: path.to_owned(),
    })
}

/// A mark that nobody holds any more.
struct Left {
    call: String,
    signal: Option<i32>,
    owner: Owner,
    when: SystemTime,
}

impl Left {
    fn read(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        // Shared: two that look at the same time must not take each other for the owner.
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,
        }
        let metadata = file.metadata().ok()?;
        if metadata.len() > MOST_BYTES {
            return None;
        }
        let text = io::read_to_string(&file).ok()?;
        let signal = text.get(SIGNAL_AT..SIGNAL_AT + SIGNAL_BYTES)?;
        Some(Self {
            call: text.get(..CALL_BYTES)?.trim().to_owned(),
            signal: signal.trim().parse().ok(),
            owner: serde_json::from_str(text.get(OWNER_AT..)?).ok()?,
            when: metadata.modified().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> PluginId {
        PluginId::parse("signer").expect("valid")
    }

    fn digest() -> Sha256 {
        Sha256::of(b"library")
    }

    fn left_behind(dir: &Path) -> Vec<(String, Option<i32>)> {
        endings(dir, &plugin(), &digest())
            .into_iter()
            .map(|ending| (ending.call, ending.signal))
            .collect()
    }

    /// What the end of a process does: the lock goes, the file stays.
    fn die(mark: Mark) {
        let mark = std::mem::ManuallyDrop::new(mark);
        mark.file.unlock().expect("unlocked");
    }

    #[test]
    fn a_process_that_ends_in_a_call_leaves_its_name_behind() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let dir = dir.path().join("native");
        assert_eq!(left_behind(&dir), []);
        let mark = Mark::make(&dir, &plugin(), &digest()).expect("made");
        mark.enter("call-tool");
        assert_eq!(left_behind(&dir), [], "its process lives");
        die(mark);
        assert_eq!(left_behind(&dir), [("call-tool".to_owned(), None)]);
        let all = endings(&dir, &plugin(), &digest());
        assert_eq!(all[0].process, std::process::id());
        forget(&all).expect("removed");
        assert_eq!(left_behind(&dir), []);
    }

    #[test]
    fn between_calls_and_after_a_clean_end_nothing_is_left() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mark = Mark::make(dir.path(), &plugin(), &digest()).expect("made");
        mark.enter("handle");
        mark.leave();
        die(mark);
        assert_eq!(left_behind(dir.path()), []);
        drop(Mark::make(dir.path(), &plugin(), &digest()).expect("made"));
        // The first went when the second was made, the second with its end.
        assert_eq!(fs::read_dir(dir.path()).expect("listable").count(), 0);
    }

    #[test]
    fn a_report_is_about_one_library_of_one_plugin() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mark = Mark::make(dir.path(), &plugin(), &digest()).expect("made");
        mark.enter("handle");
        mark.file
            .write_all_at(b"11", SIGNAL_AT as u64)
            .expect("written");
        die(mark);
        assert_eq!(left_behind(dir.path()), [("handle".to_owned(), Some(11))]);
        let other = PluginId::parse("other").expect("valid");
        assert_eq!(endings(dir.path(), &other, &digest()), []);
        let newer = Sha256::of(b"mended library");
        assert_eq!(endings(dir.path(), &plugin(), &newer), []);
    }

    #[test]
    fn what_is_no_mark_is_left_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let long = "x".repeat(9_000);
        for (name, text) in [
            ("a.mark", ""),
            ("b.mark", "\u{e9}\n"),
            ("c", "x"),
            ("d.mark", &long),
        ] {
            fs::write(dir.path().join(name), text).expect("written");
        }
        fs::create_dir(dir.path().join("e.mark")).expect("made");
        assert_eq!(left_behind(dir.path()), []);
    }
}
