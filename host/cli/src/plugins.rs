//! Finds, judges and loads the plugins of a session, and chooses the one that serves the provider.

mod asked;
mod complaints;
mod jsonl_sink;
mod reloading;
mod required;
mod selection;
mod serving;
mod spoken;
mod table;
mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use dovetail_config::Config;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    Endpoint, Hook, Provider, ProviderCapabilities, Scope as RequestScope, Wire,
};
use dovetail_core::server_tool::ServerTool;
use dovetail_core::tool::Tool;
use dovetail_responses::Credentials;
use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::discovery::{Builtin, Places, Project, SYSTEM_DIR};
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::{Runtime, cache_dir};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::manifest::Kind;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::plugin_settings::PluginSettings;
use dovetail_runtime::pump::SinkPump;
use dovetail_runtime::services::Services;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::asked::{Asked, ProviderPlugins};
use self::jsonl_sink::{JSONL_SINK, JsonlSink};
use self::reloading::{Failures, Reloader};
use self::required::Required;
use self::selection::{Selection, configured_sources};
use self::serving::{Served, choose_provider};
pub(crate) use self::trust::settings;
use self::trust::settings_of;
use self::trust::trusted_keys;
use crate::fatal::Fatal;
use crate::model_port::Whom;
use crate::models::Serving;
use crate::{builtins, out, plugin_cmd};

/// How long the end of a run may wait for sinks that are taking events well. What they did not take by then is kept
/// for the next run.
const SINK_GRACE: Duration = Duration::from_millis(500);
/// Keys of the user that the demo must not use.
const OWN_KEYS: &[&str] = &[
    "CODEX_API_KEY",
    "CODEX_ACCESS_TOKEN",
    "CODEX_AGENT_IDENTITY",
    "OPENAI_API_KEY",
    "OPENAI_ORGANIZATION",
    "OPENAI_PROJECT",
];

/// The plugins of a session.
pub(crate) struct House {
    /// Answers for the chosen provider.
    pub(crate) provider: Arc<dyn Provider>,
    /// Where its requests go.
    pub(crate) endpoint: Endpoint,
    /// What translates them, where its service does not speak Responses.
    pub(crate) wire: Option<Arc<dyn Wire>>,
    /// What its service can do.
    pub(crate) capabilities: ProviderCapabilities,
    /// The hooks, in order.
    pub(crate) hooks: Vec<Arc<dyn Hook>>,
    /// The tools of tool servers, in order.
    pub(crate) tools: Vec<Arc<dyn Tool>>,
    /// Feeds the sinks, where there are any.
    pub(crate) pump: Option<Arc<SinkPump>>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
    /// Grants and secrets, for the client that sends requests.
    pub(crate) services: Arc<Services>,
    /// The provider's credentials, for all who send requests to it.
    pub(crate) credentials: Credentials,
    /// Environment variables that hold secrets of plugins.
    pub(crate) secret_variables: Vec<String>,
    strict: bool,
    plugins: Vec<Plugin>,
    reload_failures: Failures,
    reloading: AbortOnDropHandle<()>,
}

/// Where plugins are looked for.
pub(crate) fn places(config: &Config) -> Places {
    Places {
        builtins: builtins::BUILTINS.to_vec(),
        system_dir: PathBuf::from(SYSTEM_DIR),
        own_dir: config.home.join("dovetail"),
        project: Some(Project {
            root: config.project.root.clone(),
            trusted: config.project.trusted(),
        }),
    }
}

fn plugin_id(text: &str) -> anyhow::Result<PluginId> {
    PluginId::parse(text).map_err(|error| Fatal::new(error.to_string()).into())
}

/// Loads everything a session needs.
///
/// # Errors
/// Nobody serves the provider, a hook has to be trusted first, or (with `strict`) any plugin was refused.
pub(crate) async fn load(
    config: &Config,
    strict: bool,
    without_keys: bool,
) -> anyhow::Result<House> {
    let read = SystemTime::now();
    let (settings, table) = settings(config)?;
    let catalogue = Catalogue::survey(&places(config), &settings);
    let strict = strict || config.dovetail.strict;
    let mut warnings = catalogue_warnings(&catalogue);
    check_trust(&catalogue, &settings)?;
    let required = Required::of(&settings, &catalogue)?;
    let secret_variables = catalogue.secret_variables();

    let env = if without_keys {
        HostEnv::current().without(OWN_KEYS)
    } else {
        HostEnv::current()
    };
    let services =
        Services::new(env, &config.home, &config.cwd).with_native(config.dovetail.allow_native);
    let (runtime, cache_refused) = Runtime::new(&compiled_dir(config), services)?;
    warnings.extend(cache_refused.map(|refused| refused.to_string()));

    complaints::tell_refusals(&catalogue, runtime.services().news());

    let mut selection = Selection::of(catalogue, config, table.as_ref(), required, &mut warnings)?;
    let sources = table
        .as_ref()
        .map(|table| (table.builtin.plugin(), table.sources.clone()));
    selection.give_sources(sources);
    let requests = std::mem::take(&mut selection.requests);
    let results = runtime.load_all(requests).await;
    complaints::tell_failures(&results, runtime.services().news());
    let (loaded, hooks) = selection.sort(results, &mut warnings);
    if strict && (selection.refused || !warnings.is_empty() && selection.refused_before) {
        return Err(strict_failure(&warnings));
    }
    selection.required.check(&loaded)?;
    let Served {
        provider,
        endpoint,
        wire,
    } = choose_provider(
        config,
        table.as_ref(),
        &loaded,
        &selection.unusable_providers,
    )
    .await?;
    let capabilities = endpoint
        .capabilities
        .unwrap_or(provider.description().capabilities);
    let tools = server_tools(&loaded, &mut warnings).await;
    let sinks: Vec<_> = loaded
        .iter()
        .filter_map(Plugin::sink)
        .map(Arc::clone)
        .collect();
    let pump = (!sinks.is_empty())
        .then(|| Arc::new(SinkPump::start(sinks, &config.home.join("dovetail/outbox"))));
    let (reloader, reload_failures) =
        Reloader::new(runtime.clone(), config.clone(), loaded.clone(), read);
    Ok(House {
        provider,
        endpoint,
        wire,
        capabilities,
        hooks,
        tools,
        pump,
        warnings,
        services: Arc::clone(runtime.services()),
        credentials: Credentials::default(),
        secret_variables,
        strict,
        plugins: loaded,
        reload_failures,
        reloading: reloader.start(),
    })
}

/// Where compiled plugins are kept.
pub(crate) fn compiled_dir(config: &Config) -> PathBuf {
    compiled_dir_of(&config.home)
}

/// The same for a home.
pub(crate) fn compiled_dir_of(home: &Path) -> PathBuf {
    dovetail_config::env::DOVETAIL_CACHE
        .get_os()
        .map_or_else(|| cache_dir(home), PathBuf::from)
}

/// Hooks that somebody has to look at first stop a headless run: without them it would not be the run that was meant.
/// Where a committed lock is trust, that goes for everything in the project.
fn check_trust(catalogue: &Catalogue, settings: &PluginSettings) -> anyhow::Result<()> {
    let by_lock = |scope: &Scope| settings.lock_is_trust && matches!(scope, Scope::Project(_));
    if settings.lock_is_trust {
        check_committed(catalogue)?;
    }
    let untrusted: Vec<_> = catalogue
        .entries
        .iter()
        .filter(|entry| {
            entry.found.manifest.kinds.contains(&Kind::Hooks) || by_lock(&entry.found.scope)
        })
        .filter_map(|entry| {
            let id = &entry.found.manifest.id;
            // A hook that the user turned off is off.
            if matches!(entry.state, dovetail_runtime::state::State::Disabled) {
                return None;
            }
            entry.state.refusal(id)
        })
        .collect();
    if untrusted.is_empty() {
        return Ok(());
    }
    let sentences: Vec<String> = untrusted
        .iter()
        .map(|refusal| refusal.sentence.clone())
        .collect();
    let mut fatal = Fatal::untrusted(sentences.join("\n"));
    for refusal in untrusted {
        fatal = fatal.hint(refusal.hint);
    }
    Err(fatal.into())
}

/// What a committed lock cannot vouch for: plugins that are gone or broken, and a project that is not trusted at all.
fn check_committed(catalogue: &Catalogue) -> anyhow::Result<()> {
    let broken = catalogue
        .problems
        .iter()
        .filter(|problem| matches!(problem.scope, Scope::Project(_)))
        .map(|problem| sentence(&problem.error));
    let gone = catalogue.missing.iter().map(|id| {
        format!("plugin `{id}` is listed in the project's plugins.lock, and is not there")
    });
    let sentences: Vec<String> = broken.chain(gone).collect();
    if !sentences.is_empty() {
        return Err(Fatal::untrusted(sentences.join("\n"))
            .hint("dovetail trust verify --ci")
            .into());
    }
    match &catalogue.skipped_project {
        Some(why) => Err(Fatal::untrusted(why)
            .hint("trust the project: dovetail exec --trust")
            .into()),
        None => Ok(()),
    }
}

fn catalogue_warnings(catalogue: &Catalogue) -> Vec<String> {
    let mut warnings = catalogue.notices.clone();
    warnings.extend(catalogue.missing.iter().map(|id| {
        format!("plugin `{id}` is listed in the project's plugins.lock, and is not there")
    }));
    for problem in &catalogue.problems {
        warnings.push(sentence(&problem.error));
        warnings.extend(problem.error.hint().map(|hint| format!("hint: {hint}")));
    }
    warnings
}

/// An error with its causes in one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

fn strict_failure(warnings: &[String]) -> anyhow::Error {
    let mut fatal = Fatal::new("not all plugins could be loaded, and `strict` is on");
    for warning in warnings {
        fatal = fatal.hint(warning.trim_start_matches("hint: "));
    }
    fatal.into()
}

async fn server_tools(loaded: &[Plugin], warnings: &mut Vec<String>) -> Vec<Arc<dyn Tool>> {
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    for plugin in loaded {
        let Some(server) = plugin.tools() else {
            continue;
        };
        match server.list_tools().await {
            Ok(listed) => {
                for tool in listed {
                    tools.push(Arc::new(ServerTool::new(Arc::clone(server), tool)));
                }
            }
            Err(error) => warnings.push(format!(
                "the tools of plugin `{}` cannot be listed: {error}",
                plugin.id()
            )),
        }
    }
    tools
}

impl House {
    /// Who serves the provider, for questions of this scope; none where its plugin is gone.
    pub(crate) fn serving(&self, scope: RequestScope) -> Option<Serving> {
        let id = self.provider.plugin();
        let plugin = self.plugins.iter().find(|plugin| plugin.id() == id)?;
        Some(Serving::of(&self.whom(), plugin, scope))
    }

    /// Who answers for requests to its models.
    pub(crate) fn whom(&self) -> Whom<'_> {
        Whom {
            provider: &self.provider,
            endpoint: &self.endpoint,
            wire: self.wire.as_ref(),
            services: &self.services,
            credentials: &self.credentials,
        }
    }

    /// Lets sinks finish, within bounds.
    pub(crate) async fn shut_down(&self) {
        self.reloading.abort();
        if let Some(pump) = &self.pump {
            pump.shutdown(SINK_GRACE).await;
        }
        dovetail_runtime::process::end_all();
        self.note_activity().await;
    }

    /// Keeps what the plugins did for `dovetail plugin list`.
    async fn note_activity(&self) {
        let plugins = self.plugins.clone();
        let noting = tokio::task::spawn_blocking(move || {
            plugins.iter().for_each(Plugin::note_activity);
        });
        // Numbers that are not kept are no reason to fail.
        drop(noting.await);
    }

    /// Says what went wrong with plugins while they were used. An error where `strict` is on.
    ///
    /// # Errors
    /// Something did, and `strict` is on.
    pub(crate) fn complain(&self) -> anyhow::Result<()> {
        let mut complaints = complaints::complaints(&self.plugins);
        let mut failures = self
            .reload_failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        complaints.append(&mut failures);
        for (sentence, hint) in &complaints {
            out::stderr(&format!("warning: {sentence}\nhint: {hint}\n"));
        }
        if self.strict && !complaints.is_empty() {
            return Err(Fatal::new(
                "a plugin was quarantined, stopped or denied something, and `strict` is on",
            )
            .into());
        }
        Ok(())
    }

    /// What each plugin is, did, and may do.
    pub(crate) fn table(&self) -> String {
        table::table(&self.plugins)
    }
}

/// Puts an embedded plugin into a home's plugin directory and grants it all it asks for.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn install_embedded(home: &Path, guest: &Builtin) -> anyhow::Result<()> {
    let own = home.join("dovetail");
    let dir = own.join("plugins").join(guest.id);
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("plugin.toml"), guest.manifest)?;
    std::fs::write(dir.join(format!("{}.wasm", guest.id)), guest.wasm)?;
    plugin_cmd::grant_all(&own, &dir)
}

/// What the `plugin` commands work on.
///
/// # Errors
/// The configuration cannot be read.
pub(crate) fn command_context() -> anyhow::Result<plugin_cmd::PluginContext> {
    let home = dovetail_config::codex_home()?;
    let cwd = std::env::current_dir()?;
    let config = crate::exec::load_config(&home, &cwd, &crate::args::ConfigOverrides::default())?;
    let (settings, table) = settings(&config)?;
    let keys = trusted_keys(&config)?;
    let mut sources = BTreeMap::new();
    if let Some(table) = table {
        sources.insert(plugin_id(table.builtin.plugin())?, table.sources);
    }
    for text in config.dovetail.plugins.keys() {
        let id = plugin_id(text)?;
        // What is wrong with a source shows where the plugin is shown: its slot has none.
        let configured = configured_sources(&config, &id, &mut Vec::new());
        sources.entry(id).or_default().extend(configured);
    }
    let mut configs = BTreeMap::new();
    for (text, settings) in &config.dovetail.plugins {
        configs.insert(
            plugin_id(text)?,
            settings.config.clone().unwrap_or_default(),
        );
    }
    if let Some(sink) = JsonlSink::of(&config)? {
        configs.insert(plugin_id(JSONL_SINK)?, sink.config);
    }
    Ok(plugin_cmd::PluginContext {
        places: places(&config),
        settings,
        keys,
        sources,
        configs,
        compiled: Some(compiled_dir_of(&home)),
        home,
        cwd,
    })
}
