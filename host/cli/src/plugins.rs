//! Finds, judges and loads the plugins of a session, and chooses the one that serves the provider.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dovetail_config::Config;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{Endpoint, Hook, Provider, ProviderCapabilities};
use dovetail_core::server_tool::ServerTool;
use dovetail_core::tool::Tool;
use dovetail_runtime::capability::Capabilities;
use dovetail_runtime::catalogue::{Catalogue, Entry};
use dovetail_runtime::discovery::{Builtin, Places, Project, SYSTEM_DIR};
use dovetail_runtime::fs_rule::{Access, FsRule};
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::{LoadRequest, Runtime, cache_dir};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::manifest::Kind;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::pump::SinkPump;
use dovetail_runtime::secret_source::SecretSource;
use dovetail_runtime::services::Services;
use serde_json::{Value, json};

use crate::closed_gate::ClosedGate;
use crate::fatal::Fatal;
use crate::provider_choice::ProviderTable;
use crate::{builtins, plugin_cmd};

/// The built-in sink.
const JSONL_SINK: &str = "jsonl-sink";
/// How long the end of a run may wait for sinks that are taking events well. What they did not take by then is kept
/// for the next run.
const SINK_GRACE: Duration = Duration::from_millis(500);
/// Keys of the user that the demo must not use.
const OWN_KEYS: &[&str] = &[
    "CODEX_API_KEY",
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
    plugins: Vec<Plugin>,
}

/// Where plugins are looked for.
pub(crate) fn places(config: &Config) -> Places {
    Places {
        builtins: builtins::BUILTINS.to_vec(),
        system_dir: PathBuf::from(SYSTEM_DIR),
        own_dir: config.home.join("dovetail"),
        project: Some(Project {
            root: config.project.root.clone(),
            trusted: config.project.trusted,
        }),
    }
}

/// What the user's configuration grants the built-in plugins.
///
/// # Errors
/// The provider's table or a sink's settings cannot be understood.
pub(crate) fn given(
    config: &Config,
) -> anyhow::Result<(BTreeMap<PluginId, Capabilities>, Option<ProviderTable>)> {
    let mut given = BTreeMap::new();
    let table = ProviderTable::of(config)?;
    if let Some(table) = &table {
        given.insert(plugin_id(table.builtin.plugin())?, table.grant.clone());
    }
    if let Some(sink) = JsonlSink::of(config)? {
        given.insert(plugin_id(JSONL_SINK)?, sink.grant);
    }
    Ok((given, table))
}

fn plugin_id(text: &str) -> anyhow::Result<PluginId> {
    PluginId::parse(text).map_err(|error| Fatal::new(error.to_string()).into())
}

/// `[dovetail.plugins.jsonl-sink]`, where the user turned it on.
struct JsonlSink {
    grant: Capabilities,
    config: Value,
}

impl JsonlSink {
    fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(settings) = config.dovetail.plugins.get(JSONL_SINK) else {
            return Ok(None);
        };
        if settings.enabled != Some(true) {
            return Ok(None);
        }
        let mut own = settings.config.clone().unwrap_or_else(|| json!({}));
        let default = config.home.join("dovetail/events/events.jsonl");
        let path = own
            .get("path")
            .and_then(Value::as_str)
            .map_or(default, PathBuf::from);
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Fatal::new(format!(
                "`dovetail.plugins.jsonl-sink.config.path` names no file: `{}`",
                path.display()
            ))
            .into());
        };
        std::fs::create_dir_all(dir).map_err(|error| {
            Fatal::new(format!(
                "cannot make `{}` for the sink: {error}",
                dir.display()
            ))
        })?;
        let rule =
            FsRule::new(&dir.display().to_string(), "/data", Access::Append).map_err(|error| {
                Fatal::new(format!(
                    "`dovetail.plugins.jsonl-sink.config.path`: {error}"
                ))
            })?;
        own["path"] = json!(name.to_string_lossy());
        let mut grant = Capabilities::default();
        grant.fs.insert(rule);
        grant.classes = classes(&settings.table);
        Ok(Some(Self { grant, config: own }))
    }
}

/// The field classes that the user gives a built-in sink; content only where asked for.
fn classes(table: &Value) -> std::collections::BTreeSet<dovetail_core::plugin::FieldClass> {
    use dovetail_core::plugin::FieldClass;
    let names = table.get("classes").and_then(Value::as_array);
    names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter_map(|name| match name {
            "content" => Some(FieldClass::Content),
            "identity" => Some(FieldClass::Identity),
            "location" => Some(FieldClass::Location),
            _ => None,
        })
        .collect()
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
    let (given, table) = given(config)?;
    let catalogue = Catalogue::survey(&places(config), &given);
    let strict = strict || config.dovetail.strict;
    let mut warnings = catalogue_warnings(&catalogue);
    check_trust(&catalogue)?;

    let env = if without_keys {
        HostEnv::current().without(OWN_KEYS)
    } else {
        HostEnv::current()
    };
    let services = Services::new(env, &config.home, &config.cwd);
    let (runtime, cache_refused) = Runtime::new(&compiled_dir(config), services)?;
    warnings.extend(cache_refused.map(|refused| refused.to_string()));

    let mut selection = Selection::of(catalogue, config, table.as_ref(), &mut warnings)?;
    let sources = table
        .as_ref()
        .map(|table| (table.builtin.plugin(), table.sources.clone()));
    selection.give_sources(sources);
    let results = runtime.load_all(selection.requests).await;
    let mut loaded = Vec::new();
    let mut hooks: Vec<Arc<dyn Hook>> = Vec::new();
    for (result, kinds) in results.into_iter().zip(selection.kinds) {
        match result {
            Ok(plugin) => {
                hooks.extend(plugin.hook().map(Arc::clone));
                loaded.push(plugin);
            }
            Err(error) => {
                let why = sentence(&error);
                if kinds.contains(&Kind::Provider) {
                    selection.unusable_providers.push(UnusableProvider {
                        id: error.plugin().clone(),
                        why: why.clone(),
                        hint: error.hint(),
                    });
                }
                if kinds.contains(&Kind::Hooks) {
                    hooks.push(Arc::new(ClosedGate::new(
                        error.plugin().clone(),
                        why.clone(),
                    )));
                    warnings.push(format!("{why}; its gate is closed: tool calls are denied until it is mended or removed"));
                } else {
                    warnings.push(why);
                }
                warnings.extend(error.hint().map(|hint| format!("hint: {hint}")));
                selection.refused = true;
            }
        }
    }
    if strict && (selection.refused || !warnings.is_empty() && selection.refused_before) {
        return Err(strict_failure(&warnings));
    }
    let (provider, endpoint) = choose_provider(
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
    Ok(House {
        provider,
        endpoint,
        capabilities,
        hooks,
        tools,
        pump,
        warnings,
        services: Arc::clone(runtime.services()),
        plugins: loaded,
    })
}

/// Where compiled plugins are kept.
pub(crate) fn compiled_dir(config: &Config) -> PathBuf {
    dovetail_config::env::DOVETAIL_CACHE
        .get_os()
        .map_or_else(|| cache_dir(&config.home), PathBuf::from)
}

/// A provider plugin that was refused or could not be loaded.
struct UnusableProvider {
    id: PluginId,
    why: String,
    hint: Option<String>,
}

impl UnusableProvider {
    fn fatal(&self) -> anyhow::Error {
        let fatal = Fatal::new(&self.why);
        self.hint
            .iter()
            .fold(fatal, |fatal, hint| fatal.hint(hint))
            .into()
    }
}

/// What is to be loaded, and what cannot be.
struct Selection {
    requests: Vec<LoadRequest>,
    kinds: Vec<std::collections::BTreeSet<Kind>>,
    /// One of them may be the one that is wanted.
    unusable_providers: Vec<UnusableProvider>,
    refused: bool,
    refused_before: bool,
}

impl Selection {
    fn of(
        catalogue: Catalogue,
        config: &Config,
        table: Option<&ProviderTable>,
        warnings: &mut Vec<String>,
    ) -> anyhow::Result<Self> {
        let sink = JsonlSink::of(config)?;
        let mut selection = Self {
            requests: Vec::new(),
            kinds: Vec::new(),
            unusable_providers: Vec::new(),
            refused: false,
            refused_before: !catalogue.problems.is_empty(),
        };
        for entry in catalogue.entries {
            let id = entry.found.manifest.id.clone();
            if !is_needed(&entry, config, table) {
                continue;
            }
            let settings = config.dovetail.plugins.get(id.as_str());
            let mut own = settings
                .and_then(|settings| settings.config.clone())
                .unwrap_or(Value::Null);
            if entry.found.scope == Scope::Builtin && id.as_str() == JSONL_SINK {
                own = sink
                    .as_ref()
                    .map_or(Value::Null, |sink| sink.config.clone());
            }
            let kinds = entry.found.manifest.kinds.clone();
            match LoadRequest::new(entry, own) {
                Ok(mut request) => {
                    request
                        .secrets
                        .extend(configured_sources(config, &id, warnings));
                    selection.requests.push(request);
                    selection.kinds.push(kinds);
                }
                Err(refusal) => {
                    if kinds.contains(&Kind::Provider) {
                        selection.unusable_providers.push(UnusableProvider {
                            id,
                            why: refusal.sentence.clone(),
                            hint: Some(refusal.hint.clone()),
                        });
                    }
                    warnings.push(refusal.sentence);
                    warnings.push(format!("hint: {}", refusal.hint));
                    selection.refused_before = true;
                }
            }
        }
        Ok(selection)
    }

    /// Gives the chosen built-in provider its slots.
    fn give_sources(&mut self, sources: Option<(&str, BTreeMap<String, SecretSource>)>) {
        let Some((id, sources)) = sources else { return };
        let request = self.requests.iter_mut().find(|request| {
            request.found.scope == Scope::Builtin && request.found.manifest.id.as_str() == id
        });
        if let Some(request) = request {
            request.secrets.extend(sources);
        }
    }
}

/// Whether a plugin has a part in this session. Built-in ones only where the configuration calls for them; other
/// providers only where no table of the user serves the chosen id, or they might.
fn is_needed(entry: &Entry, config: &Config, table: Option<&ProviderTable>) -> bool {
    let manifest = &entry.found.manifest;
    let id = manifest.id.as_str();
    if config
        .dovetail
        .plugins
        .get(id)
        .is_some_and(|settings| settings.enabled == Some(false))
    {
        return false;
    }
    if entry.found.scope == Scope::Builtin {
        let serves = table.is_some_and(|table| table.builtin.plugin() == id);
        return serves || (id == JSONL_SINK && config.dovetail.plugins.contains_key(id));
    }
    let only_provider = manifest.kinds.len() == 1 && manifest.kinds.contains(&Kind::Provider);
    !(only_provider && config.model_provider == "openai")
}

/// Sources that the configuration names for a plugin's slots: `{ env = "NAME" }` and the like.
fn configured_sources(
    config: &Config,
    id: &PluginId,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, SecretSource> {
    let mut sources = BTreeMap::new();
    let Some(settings) = config.dovetail.plugins.get(id.as_str()) else {
        return sources;
    };
    for (slot, value) in &settings.secrets {
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Object(fields) if fields.len() == 1 => fields
                .iter()
                .next()
                .and_then(|(kind, value)| Some(format!("{kind}:{}", value.as_str()?))),
            _ => None,
        };
        let parsed = text.as_deref().map(SecretSource::parse);
        let source = match parsed {
            Some(Ok(source)) => source,
            Some(Err(error)) => {
                warnings.push(format!("`dovetail.plugins.{id}.secrets.{slot}`: {error}"));
                SecretSource::Unusable
            }
            None => {
                warnings.push(format!(
                    "`dovetail.plugins.{id}.secrets.{slot}` must name one source, such as {{ env = \"NAME\" }}"
                ));
                SecretSource::Unusable
            }
        };
        sources.insert(slot.clone(), source);
    }
    sources
}

/// Hooks that somebody has to look at first stop a headless run: without them it would not be the run that was meant.
fn check_trust(catalogue: &Catalogue) -> anyhow::Result<()> {
    let untrusted: Vec<_> = catalogue
        .entries
        .iter()
        .filter(|entry| entry.found.manifest.kinds.contains(&Kind::Hooks))
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

fn catalogue_warnings(catalogue: &Catalogue) -> Vec<String> {
    let mut warnings = catalogue.notices.clone();
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

/// The plugin that serves the chosen provider: one that names the id, else the built-in one for the user's table.
async fn choose_provider(
    config: &Config,
    table: Option<&ProviderTable>,
    loaded: &[Plugin],
    unusable: &[UnusableProvider],
) -> anyhow::Result<(Arc<dyn Provider>, Endpoint)> {
    let id = config.model_provider.as_str();
    let named = loaded.iter().find(|plugin| {
        plugin.scope() != &Scope::Builtin
            && plugin.provider().is_some_and(|provider| {
                provider.description().ids.iter().any(|served| served == id)
            })
    });
    let builtin = || {
        let wanted = table?.builtin.plugin();
        loaded
            .iter()
            .find(|plugin| plugin.scope() == &Scope::Builtin && plugin.id().as_str() == wanted)
    };
    // A plugin of that name is meant: the built-in one must not take its place with another idea of what to send.
    if let Some(wanted) = unusable
        .iter()
        .find(|plugin| named.is_none() && plugin.id.as_str() == id)
    {
        return Err(wanted.fatal());
    }
    let Some(plugin) = named.or_else(builtin) else {
        let broken = table.and_then(|table| {
            unusable
                .iter()
                .find(|plugin| plugin.id.as_str() == table.builtin.plugin())
        });
        return Err(broken.map_or_else(
            || no_provider(config, loaded, unusable),
            UnusableProvider::fatal,
        ));
    };
    let Some(provider) = plugin.provider() else {
        return Err(Fatal::new(format!("plugin `{}` is no provider", plugin.id())).into());
    };
    let empty = json!({});
    let given = table.map_or(&empty, |table| &table.table);
    let endpoint = provider
        .configure(id, given)
        .await
        .map_err(|error| Fatal::new(error.to_string()))?;
    Ok((Arc::clone(provider), endpoint))
}

fn no_provider(config: &Config, loaded: &[Plugin], unusable: &[UnusableProvider]) -> anyhow::Error {
    let id = &config.model_provider;
    let served = loaded
        .iter()
        .filter_map(Plugin::provider)
        .flat_map(|provider| provider.description().ids.clone());
    let mut known: Vec<String> = config
        .model_providers
        .keys()
        .cloned()
        .chain(served)
        .collect();
    known.extend(["openai", "ollama", "lmstudio"].map(str::to_owned));
    known.sort();
    known.dedup();
    let mut fatal = Fatal::new(format!("Model provider `{id}` not found"));
    for plugin in unusable {
        let hint = plugin
            .hint
            .as_ref()
            .map(|hint| format!("; {hint}"))
            .unwrap_or_default();
        fatal = fatal.hint(format!("{}{hint}", plugin.why));
    }
    fatal
        .hint(format!(
            "there are {}; add a table `[model_providers.{id}]` to config.toml, or install a plugin that serves it",
            known.join(", ")
        ))
        .into()
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
    /// Lets sinks finish, within bounds.
    pub(crate) async fn shut_down(&self) {
        if let Some(pump) = &self.pump {
            pump.shutdown(SINK_GRACE).await;
        }
        dovetail_runtime::process::end_all();
    }

    /// What each plugin is, did, and may do.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<14} {:<9} {:>5}  {:>8}  {}\n",
            "plugin", "kind", "calls", "p50", "granted"
        );
        for plugin in &self.plugins {
            let kinds: Vec<&str> = plugin.kinds().iter().map(|kind| kind.name()).collect();
            let stats = plugin.stats();
            let p50 = stats.p50.map_or_else(|| "–".to_owned(), duration);
            let mut granted =
                wrapped(&plugin.grant().capabilities().to_string(), GRANT_WIDTH).into_iter();
            let first = granted.next().unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:<14} {:<9} {:>5}  {p50:>8}  {first}",
                plugin.id().as_str(),
                kinds.join("+"),
                stats.calls
            );
            for line in granted {
                let _ = writeln!(text, "{:<41} {line}", "");
            }
        }
        text
    }
}

/// What is left of 80 columns for the grants.
const GRANT_WIDTH: usize = 38;

/// A list in lines that fit; an entry that does not fit alone gets a line of its own.
fn wrapped(list: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for entry in list.split(", ") {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + entry.chars().count() <= width => {
                line.push_str(", ");
                line.push_str(entry);
            }
            Some(line) => {
                line.push(',');
                lines.push(entry.to_owned());
            }
            None => lines.push(entry.to_owned()),
        }
    }
    lines
}

fn duration(time: Duration) -> String {
    let micros = time.as_micros();
    if micros < 1_000 {
        format!("{micros} µs")
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
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
    let (given, table) = given(&config)?;
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
    Ok(plugin_cmd::PluginContext {
        places: places(&config),
        given,
        sources,
        home,
        cwd,
    })
}
