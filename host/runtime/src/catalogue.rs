//! All plugins with what the trust records say about them: the one place that decides what may be loaded.

use std::collections::BTreeMap;

use dovetail_core::ids::PluginId;

use crate::capability::Capabilities;
use crate::discovery::{Discovery, Found, Places, Problem, Shadowed, discover};
use crate::lock::{LockError, PluginsLock, ProjectPins, Record, Scope};
use crate::secret_source::{SecretSource, SecretSourceError};
use crate::state::State;

/// A plugin and whether it may run.
#[derive(Debug)]
pub struct Entry {
    /// The plugin.
    pub found: Found,
    /// Whether it may run.
    pub state: State,
    /// Where its secrets come from, by slot, as far as the user said.
    pub secrets: BTreeMap<String, SecretSource>,
}

/// Everything that was found.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Plugins in order, by id; those that may not run too.
    pub entries: Vec<Entry>,
    /// Folders without a usable plugin.
    pub problems: Vec<Problem>,
    /// Plugins that are hidden by others.
    pub shadowed: Vec<Shadowed>,
    /// Sentences about whole sources: a project that is not trusted, a lock that cannot be read.
    pub notices: Vec<String>,
}

impl Catalogue {
    /// Finds and judges all plugins. `given` holds the grants of the built-in ones, which the caller draws from the
    /// user's configuration; a built-in plugin without one gets an empty grant.
    /// A lock that cannot be read is a notice, and grants nothing.
    pub fn survey(places: &Places, given: &BTreeMap<PluginId, Capabilities>) -> Self {
        let Discovery {
            plugins,
            problems,
            shadowed,
            skipped_project,
        } = discover(places);
        let mut notices: Vec<String> = skipped_project.into_iter().collect();
        let lock = noted(PluginsLock::load(&places.own_dir), &mut notices);
        let pins = match &places.project {
            Some(project) if project.trusted => {
                noted(ProjectPins::load(&project.root), &mut notices)
            }
            _ => Some(None),
        };
        let judge = |found: Found| judge(found, given, lock.as_ref(), pins.as_ref());
        let mut entries: Vec<Entry> = plugins.into_values().map(judge).collect();
        for entry in &mut entries {
            entry.secrets = lock
                .as_ref()
                .map(|lock| sources(entry, lock, &mut notices))
                .unwrap_or_default();
        }
        Self {
            entries,
            problems,
            shadowed,
            notices,
        }
    }

    /// The plugin of that id.
    pub fn get(&self, id: &PluginId) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.found.manifest.id == *id)
    }
}

fn judge(
    found: Found,
    given: &BTreeMap<PluginId, Capabilities>,
    lock: Option<&PluginsLock>,
    pins: Option<&Option<ProjectPins>>,
) -> Entry {
    let not_granted = || State::NotGranted {
        asks: Box::new(found.manifest.request.clone()),
    };
    let id = &found.manifest.id;
    let state = match (&found.scope, lock, pins) {
        (Scope::Builtin, Some(lock), _) => {
            State::of_builtin(id, given.get(id).cloned().unwrap_or_default(), lock)
        }
        (Scope::Builtin, None, _) => State::Ready(crate::grant::Grant::builtin(
            given.get(id).cloned().unwrap_or_default(),
        )),
        // A project's lock that cannot be read cannot be complied with either.
        (Scope::Project(_), Some(_), None) => State::Unpinned { listed: false },
        (_, Some(lock), pins) => State::of(&found, lock, pins.and_then(Option::as_ref)),
        (_, None, _) => not_granted(),
    };
    Entry {
        found,
        state,
        secrets: BTreeMap::new(),
    }
}

/// The sources that the user chose. One that is not understood leaves its slot without a source and is noted.
fn sources(
    entry: &Entry,
    lock: &PluginsLock,
    notices: &mut Vec<String>,
) -> BTreeMap<String, SecretSource> {
    let Record::Authentic(record) = lock.get(&entry.found.scope, &entry.found.manifest.id) else {
        return BTreeMap::new();
    };
    let parse = |(slot, text): (&crate::capability::SlotName, &String)| {
        let source = SecretSource::parse(text).unwrap_or_else(|error: SecretSourceError| {
            notices.push(format!(
                "secret `{slot}` of plugin `{}`: {error}",
                entry.found.manifest.id
            ));
            SecretSource::Unusable
        });
        (slot.as_str().to_owned(), source)
    };
    record.secrets.iter().map(parse).collect()
}

fn noted<T>(loaded: Result<T, LockError>, notices: &mut Vec<String>) -> Option<T> {
    match loaded {
        Ok(value) => Some(value),
        Err(error) => {
            notices.push(format!(
                "{}; plugins that need a grant from it do not run",
                chain(&error)
            ));
            None
        }
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
