//! Facts about git work trees, some of which become known only while a turn runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Facts about a git work tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkspaceFacts {
    /// Remote name to URL, credentials removed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub associated_remote_urls: BTreeMap<String, String>,
    /// The commit that is checked out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_git_commit_hash: Option<String>,
    /// Whether anything is uncommitted; none while nobody has looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_changes: Option<bool>,
}

/// The work trees of a turn. Copies share their facts, so that what is found out later shows in later requests.
#[derive(Debug, Clone, Default)]
pub struct Workspaces(Arc<Mutex<BTreeMap<String, WorkspaceFacts>>>);

impl Workspaces {
    /// Starts with what is known at once.
    pub fn new(facts: BTreeMap<String, WorkspaceFacts>) -> Self {
        Self(Arc::new(Mutex::new(facts)))
    }

    /// What is known by now.
    pub fn facts(&self) -> BTreeMap<String, WorkspaceFacts> {
        self.lock().clone()
    }

    /// Adds whether a work tree has changes. A root that is not among them is ignored.
    pub fn set_has_changes(&self, root: &str, has_changes: bool) {
        if let Some(facts) = self.lock().get_mut(root) {
            facts.has_changes = Some(has_changes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, WorkspaceFacts>> {
        // Facts are replaced whole, so a writer that panicked left nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
