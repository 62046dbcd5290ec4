//! All plugins with what the trust records say about them: the one place that decides what may be loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dovetail_core::ids::PluginId;

use crate::discovery::{Discovery, Found, Places, Problem, Shadowed, discover};
use crate::drift::Records;
use crate::lock::{LockEntry, LockError, PluginsLock, Record, Scope};
use crate::native;
use crate::pins::Pins;
use crate::plugin_settings::PluginSettings;
use crate::policy::Pedigree;
use crate::secret_source::{SecretSource, SecretSourceError};
use crate::stamp::Stamped;
use crate::state::{Evidence, State};

/// A plugin and whether it may run.
#[derive(Debug)]
pub struct Entry {
    /// The plugin.
    pub found: Found,
    /// Whether it may run.
    pub state: State,
    /// Where its secrets come from, by slot, as far as the user said.
    pub secrets: BTreeMap<String, SecretSource>,
    /// What this user accepted of it, whether or not it still holds.
    pub record: Option<LockEntry>,
    /// What it was judged by; none for what is part of the host.
    pub records: Option<Records>,
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
    /// Plugins that the project's lock lists and that are not there.
    pub missing: Vec<PluginId>,
    /// Why the project's plugins were not looked at, where that is so; also among the notices.
    pub skipped_project: Option<String>,
    /// Sentences about whole sources: a project that is not trusted, a lock that cannot be read.
    pub notices: Vec<String>,
}

impl Catalogue {
    /// Finds and judges all plugins. A lock that cannot be read is a notice, and grants nothing.
    pub fn survey(places: &Places, settings: &PluginSettings) -> Self {
        Self::look(places, settings, |_| true)
    }

    /// The same as if this user had decided nothing about the project's plugins: only its committed lock counts.
    pub fn by_committed_lock(places: &Places, settings: &PluginSettings) -> Self {
        Self::look(places, settings, |scope| {
            !matches!(scope, Scope::Project(_))
        })
    }

    fn look(places: &Places, settings: &PluginSettings, decided: impl Fn(&Scope) -> bool) -> Self {
        let Discovery {
            plugins,
            problems,
            shadowed,
            skipped_project,
        } = discover(places);
        let mut notices: Vec<String> = skipped_project.iter().cloned().collect();
        let project_lock = places
            .project
            .as_ref()
            .map(|project| Stamped::now(&Pins::path_in(&project.root)));
        let project = match &places.project {
            Some(project) if project.trusted => {
                noted(Pins::of_project(&project.root), &mut notices)
            }
            _ => Some(None),
        };
        // Before they are read, so that no change in between goes unnoticed.
        let own_lock = Stamped::now(&PluginsLock::path_in(&places.own_dir));
        let system_lock = Stamped::now(&Pins::path_beside(&places.system_dir));
        let mut lock = noted(PluginsLock::load(&places.own_dir), &mut notices);
        if let Some(lock) = &mut lock {
            lock.keep(&decided);
        }
        let judge = Judge {
            settings,
            own_dir: places.own_dir.clone(),
            own_lock,
            project_lock,
            system_lock,
            lock,
            project,
            system: noted(Pins::of_system(&places.system_dir), &mut notices).flatten(),
        };
        let missing = judge.missing(&plugins, &problems);
        let mut entry = |found| judge.entry(found, &mut notices);
        Self {
            entries: plugins.into_values().map(&mut entry).collect(),
            problems,
            shadowed,
            missing,
            skipped_project,
            notices,
        }
    }

    /// The environment variables that hold secrets of installed plugins. Commands of the model must not see them.
    pub fn secret_variables(&self) -> Vec<String> {
        let mut names = Vec::new();
        for entry in &self.entries {
            // Those of the built-in plugins follow from the user's configuration.
            let State::Ready(grant) = &entry.state else {
                continue;
            };
            if entry.found.scope == Scope::Builtin {
                continue;
            }
            let granted = grant.capabilities();
            for slot in granted.secrets.iter().chain(&granted.owns) {
                let chosen = entry.secrets.get(slot.as_str()).cloned();
                let source = chosen.or_else(|| SecretSource::default_of(slot.as_str()));
                if let Some(SecretSource::Env(name)) = source {
                    names.push(name);
                }
            }
        }
        names
    }

    /// The plugin of that id.
    pub fn get(&self, id: &PluginId) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.found.manifest.id == *id)
    }
}

/// What all plugins are judged by.
struct Judge<'a> {
    settings: &'a PluginSettings,
    own_dir: PathBuf,
    own_lock: Stamped,
    project_lock: Option<Stamped>,
    system_lock: Stamped,
    lock: Option<PluginsLock>,
    /// None where the project's lock cannot be read.
    project: Option<Option<Pins>>,
    system: Option<Pins>,
}

impl Judge<'_> {
    fn entry(&self, found: Found, notices: &mut Vec<String>) -> Entry {
        let record = self.record(&found);
        let pedigree = Pedigree {
            signer: record.as_ref().and_then(|record| record.signer.as_ref()),
            source: record.as_ref().and_then(|record| record.source.as_ref()),
        };
        let allowed = self.settings.allowed.as_ref();
        let mut state = match allowed.filter(|list| !list.admits(&found, pedigree)) {
            Some(list) => State::NotAllowed {
                place: list.place.clone(),
            },
            None => self.state(&found),
        };
        let allow_native = self.settings.allow_native;
        native::judge::judge(&mut state, &found, allow_native, &self.own_dir, notices);
        let secrets = record
            .as_ref()
            .map(|record| sources(record, notices))
            .unwrap_or_default();
        let records = self.records(&found.scope, record.is_some());
        Entry {
            found,
            state,
            secrets,
            record,
            records,
        }
    }

    fn records(&self, scope: &Scope, accepted: bool) -> Option<Records> {
        let (pins, beside) = match scope {
            Scope::Builtin => return None,
            Scope::User => (None, None),
            Scope::System => (self.system.clone(), Some(&self.system_lock)),
            Scope::Project(_) => (self.project.clone().flatten(), self.project_lock.as_ref()),
        };
        // What a person accepted counts more than what the machine's lock says.
        let pins = pins.filter(|_| !(accepted && *scope == Scope::System));
        let beside = beside.filter(|_| pins.is_some()).cloned();
        Some(Records {
            own_dir: self.own_dir.clone(),
            accepted,
            pins,
            files: std::iter::once(self.own_lock.clone())
                .chain(beside)
                .collect(),
        })
    }

    /// What the project's lock lists and nobody found, not even broken.
    fn missing(&self, plugins: &BTreeMap<PluginId, Found>, problems: &[Problem]) -> Vec<PluginId> {
        let pins = self
            .project
            .iter()
            .flatten()
            .flat_map(|pins| pins.entries());
        let is_there = |id: &PluginId| {
            let of_project = |scope: &Scope| matches!(scope, Scope::Project(_));
            plugins
                .get(id)
                .is_some_and(|found| of_project(&found.scope))
                || problems
                    .iter()
                    .any(|problem| problem.name == id.as_str() && of_project(&problem.scope))
        };
        pins.map(|pin| pin.id.clone())
            .filter(|id| !is_there(id))
            .collect()
    }

    fn record(&self, found: &Found) -> Option<LockEntry> {
        let lock = self.lock.as_ref()?;
        match lock.get(&found.scope, &found.manifest.id) {
            Record::Authentic(entry) => Some(entry.clone()),
            Record::Absent | Record::Forged => None,
        }
    }

    fn state(&self, found: &Found) -> State {
        let id = &found.manifest.id;
        let given = || self.settings.given.get(id).cloned().unwrap_or_default();
        let pins = match &found.scope {
            Scope::Builtin => {
                return match &self.lock {
                    Some(lock) => State::of_builtin(id, given(), lock),
                    None => State::Ready(crate::grant::Grant::builtin(given())),
                };
            }
            Scope::System => self.system.as_ref(),
            Scope::User => None,
            Scope::Project(_) => match &self.project {
                Some(pins) => pins.as_ref(),
                // A project's lock that cannot be read cannot be complied with either.
                None => return State::Unpinned { listed: false },
            },
        };
        match &self.lock {
            Some(lock) => State::of(
                found,
                &Evidence {
                    lock,
                    pins,
                    config: self.settings.config_of(id),
                    lock_is_trust: self.settings.lock_is_trust,
                },
            ),
            None => State::NotGranted {
                asks: Box::new(found.manifest.request.clone()),
            },
        }
    }
}

/// The sources that the user chose. One that is not understood leaves its slot without a source and is noted.
fn sources(record: &LockEntry, notices: &mut Vec<String>) -> BTreeMap<String, SecretSource> {
    let parse = |(slot, text): (&crate::capability::SlotName, &String)| {
        let source = SecretSource::parse(text).unwrap_or_else(|error: SecretSourceError| {
            notices.push(format!(
                "secret `{slot}` of plugin `{}`: {error}",
                record.id
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
