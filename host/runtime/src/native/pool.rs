//! Libraries that are loaded and that nobody uses. They cannot be unloaded, but the same bytes need not be loaded again:
//! a session that ends leaves its libraries to the next.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sys::Library;
use crate::digest::Sha256;

static IDLE: Mutex<BTreeMap<Sha256, Vec<Library>>> = Mutex::new(BTreeMap::new());

fn idle() -> MutexGuard<'static, BTreeMap<Sha256, Vec<Library>>> {
    // Nothing panics while holding the lock.
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A library of these bytes that is not in use.
pub(super) fn take(sha256: &Sha256) -> Option<Library> {
    idle().get_mut(sha256)?.pop()
}

/// Gives it back. No call into it may be running.
pub(super) fn put(sha256: Sha256, library: Library) {
    idle().entry(sha256).or_default().push(library);
}
