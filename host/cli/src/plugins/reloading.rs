//! Keeps the plugins of a session that lasts in step with their files: a granted change takes over, one that nobody
//! granted stops the plugin, a damaged one leaves the last good component running.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use dovetail_config::Config;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{PluginEvent, PluginNews};
use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::load::{LoadRequest, Runtime};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::native::NOT_REPLACED;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::state::State;
use dovetail_runtime::watch::{Watch, was_asked};
use tokio_util::task::AbortOnDropHandle;

use super::required::Required;
use super::selection::Selection;
use super::{places, sentence, settings};

/// How often a session looks. Its first second costs nothing, and most runs end within it.
const PAUSE: Duration = Duration::from_secs(1);

/// What could not be taken up, with what to do, for the end of the session.
pub(super) type Failures = Arc<Mutex<Vec<(String, String)>>>;

/// The plugins of a session, as far as they can be replaced.
pub(super) struct Reloader {
    runtime: Runtime,
    config: Config,
    plugins: Vec<Plugin>,
    failures: Failures,
    /// When the files were last read.
    read: SystemTime,
}

/// What the files say about a plugin that runs.
enum Now {
    /// The same as before.
    Same,
    /// This may run.
    Ready(Box<LoadRequest>),
    /// It may not run.
    Refused(String),
    /// The files are damaged.
    Damaged(String),
}

impl Reloader {
    pub(super) fn new(
        runtime: Runtime,
        config: Config,
        plugins: Vec<Plugin>,
        read: SystemTime,
    ) -> (Self, Failures) {
        let failures = Failures::default();
        let reloader = Self {
            runtime,
            config,
            plugins,
            failures: Arc::clone(&failures),
            read,
        };
        (reloader, failures)
    }

    /// Looks once a second, until the handle is dropped.
    pub(super) fn start(mut self) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut watch = Watch::new(places(&self.config), self.read);
            loop {
                tokio::time::sleep(PAUSE).await;
                let looked = tokio::task::spawn_blocking(move || (watch.look(), watch)).await;
                let Ok((changed, same)) = looked else {
                    return;
                };
                watch = same;
                if changed {
                    self.take_up().await;
                }
            }
        }))
    }

    /// Brings every plugin in step with its files.
    async fn take_up(&mut self) {
        let asked = was_asked(&self.config.home.join("dovetail"), self.read);
        self.read = SystemTime::now();
        let config = self.config.clone();
        let surveyed = tokio::task::spawn_blocking(move || survey(&config)).await;
        let Ok(Ok((catalogue, requests))) = surveyed else {
            let why = "the files of plugins changed and cannot be judged; what runs goes on";
            return self.complain(why.to_owned(), "dovetail plugin list".to_owned());
        };
        let mut requests = requests;
        for plugin in self.plugins.clone() {
            if *plugin.scope() == Scope::Builtin {
                continue;
            }
            match judge(&plugin, &catalogue, &mut requests, asked) {
                Now::Same => {}
                Now::Ready(request) => self.reload(&plugin, *request).await,
                Now::Refused(why) => self.runtime.stop(&plugin, why),
                Now::Damaged(why) => self.fail(&plugin, why),
            }
        }
    }

    async fn reload(&self, plugin: &Plugin, request: LoadRequest) {
        if let Err(error) = self.runtime.reload(plugin, request).await {
            self.note(plugin.id(), &sentence(&error));
        }
    }

    fn fail(&self, plugin: &Plugin, why: String) {
        self.note(plugin.id(), &why);
        let event = PluginEvent::ReloadFailed { why };
        let news = self.runtime.services().news();
        news.add(PluginNews::now(plugin.id(), event));
    }

    fn note(&self, id: &PluginId, why: &str) {
        self.complain(
            format!("{why}; what ran before goes on"),
            format!("dovetail plugin reload {id}    once it is mended"),
        );
    }

    fn complain(&self, why: String, hint: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push((why, hint));
    }
}

/// What the files say, and what could be loaded.
fn survey(config: &Config) -> anyhow::Result<(Catalogue, Vec<LoadRequest>)> {
    let (settings, table) = settings(config)?;
    let catalogue = Catalogue::survey(&places(config), &settings);
    // A second time for the requests, which take the entries with them. Files have just changed: nobody waits.
    let again = Catalogue::survey(&places(config), &settings);
    let required = Required::of(&settings, &again)?;
    let mut selection = Selection::of(again, config, table.as_ref(), required, &mut Vec::new())?;
    Ok((catalogue, std::mem::take(&mut selection.requests)))
}

fn judge(
    plugin: &Plugin,
    catalogue: &Catalogue,
    requests: &mut Vec<LoadRequest>,
    asked: bool,
) -> Now {
    let id = plugin.id();
    let problem = catalogue
        .problems
        .iter()
        .find(|problem| problem.name == id.as_str() && problem.scope == *plugin.scope());
    if let Some(problem) = problem {
        return Now::Damaged(format!("plugin `{id}`: {}", sentence(&problem.error)));
    }
    let Some(entry) = catalogue
        .get(id)
        .filter(|entry| entry.found.scope == *plugin.scope())
    else {
        return Now::Refused("it was removed".to_owned());
    };
    if let Some(refusal) = entry.state.refusal(id) {
        return Now::Refused(match (&entry.state, entry.found.manifest.native) {
            (State::Changed { .. }, true) => format!(
                "{}; {NOT_REPLACED}, after `dovetail trust review {id}`",
                refusal.sentence
            ),
            _ => refusal.sentence,
        });
    }
    let at = requests
        .iter()
        .position(|request| request.found.manifest.id == *id);
    let Some(request) = at.map(|at| requests.swap_remove(at)) else {
        return Now::Refused("it is not wanted any more".to_owned());
    };
    let other_code = request.found.wasm.sha256 != plugin.sha256();
    if request.found.manifest.native && other_code {
        // Nothing loaded is ever unloaded, and two versions side by side are not what anybody accepted.
        return Now::Refused(format!("its library is another now; {NOT_REPLACED}"));
    }
    let same = !other_code
        && request.found.manifest == *plugin.manifest()
        && request.grant == *plugin.grant()
        && plugin.stopped().is_none();
    // Loading the same library once more would only put a copy of it beside.
    if same && (!asked || request.found.manifest.native) {
        Now::Same
    } else {
        Now::Ready(Box::new(request))
    }
}
