//! Finds and ends what commands left running.
//!
//! A process can leave its process group and its session, but not its mount namespace, which names our mark as the
//! source of a mount.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::sys;

/// Rounds of looking. A process that forks while we look is found in the next round.
const ROUNDS: usize = 20;

/// A name that no other sandbox on this machine has.
pub(super) fn new_mark() -> CString {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // A clock before 1970 still leaves the process id and the count.
    let moment = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let text = format!("dovetail-{}-{count}-{moment:x}", std::process::id());
    CString::new(text).expect("digits, letters and dashes hold no zero byte")
}

/// Kills every process whose namespace has the mark.
pub(super) fn end(mark: &CStr) {
    let Ok(own) = fs::metadata("/proc/self/ns/mnt") else {
        return;
    };
    for _ in 0..ROUNDS {
        if !end_found(mark, own.ino()) {
            return;
        }
    }
}

/// One round; whether anything was found.
fn end_found(mark: &CStr, own_namespace: u64) -> bool {
    let mut found = false;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        if is_marked(&entry.path(), mark, own_namespace)
            // Opened, then looked at again: by now the number could mean another process.
            && let Ok(process) = sys::open_process(pid)
            && is_marked(&entry.path(), mark, own_namespace)
        {
            // A process that is gone already needs no killing.
            found |= sys::kill_process(&process).is_ok();
        }
    }
    found
}

fn is_marked(process: &Path, mark: &CStr, own_namespace: u64) -> bool {
    let elsewhere =
        fs::metadata(process.join("ns/mnt")).is_ok_and(|found| found.ino() != own_namespace);
    elsewhere
        && fs::read(process.join("mountinfo")).is_ok_and(|mounts| {
            let mut words = mounts.split(|byte| matches!(byte, b' ' | b'\n'));
            words.any(|word| word == mark.to_bytes())
        })
}
