//! Which plugin serves the chosen provider, and what to say where none does.

use std::sync::Arc;

use dovetail_config::Config;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{Endpoint, Provider, ProviderCapabilities, Wire};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::plugin::Plugin;
use serde_json::{Value, json};

use super::spoken::Spoken;
use crate::fatal::Fatal;
use crate::provider_choice::ProviderTable;
use crate::provider_wire::{without_credential, without_wire};

/// A provider plugin that was refused or could not be loaded.
pub(super) struct UnusableProvider {
    pub(super) id: PluginId,
    pub(super) why: String,
    pub(super) hint: Option<String>,
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

/// Providers that other clients bring along. Their tables leave out what the built-in plugins need, so that those would
/// complain of something else.
const UNSERVED: [&str; 1] = ["gcp"];

/// Who serves the chosen provider.
pub(super) struct Served {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) endpoint: Endpoint,
    /// What translates requests and responses, where the service does not speak Responses.
    pub(super) wire: Option<Arc<dyn Wire>>,
}

/// The plugin that serves the chosen provider: one that names the id, else the built-in one for the user's table.
pub(super) async fn choose_provider(
    config: &Config,
    table: Option<&ProviderTable>,
    loaded: &[Plugin],
    unusable: &[UnusableProvider],
) -> anyhow::Result<Served> {
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
    if named.is_none() && UNSERVED.contains(&id) {
        return Err(Fatal::new(format!(
            "the provider `{id}` is not supported yet: no plugin that comes along signs its requests"
        ))
        .hint(format!(
            "install a plugin that serves `{id}`, or choose another `model_provider`"
        ))
        .into());
    }
    let Some(plugin) = named.or_else(builtin) else {
        let broken =
            table.and_then(|table| unusable.iter().find(|plugin| is_wanted(table, &plugin.id)));
        return Err(broken.map_or_else(
            || no_provider(config, loaded, unusable),
            UnusableProvider::fatal,
        ));
    };
    let empty = json!({});
    let given = table.map_or(&empty, |table| &table.table);
    if named.is_some() {
        return serve(id, plugin, plugin.wire(), given).await;
    }
    let Some(speaker) = table.and_then(|table| table.wire) else {
        return serve(id, plugin, None, given).await;
    };
    let speaker = loaded.iter().find(|plugin| {
        plugin.scope() == &Scope::Builtin && plugin.id().as_str() == speaker.plugin()
    });
    match speaker {
        Some(speaker) if speaker.id() == plugin.id() => {
            serve(id, plugin, speaker.wire(), given).await
        }
        Some(speaker) => serve_through(id, plugin, speaker, given).await,
        None => {
            let broken = unusable
                .iter()
                .find(|plugin| table.is_some_and(|table| is_wanted(table, &plugin.id)));
            Err(broken.map_or_else(
                || no_provider(config, loaded, unusable),
                UnusableProvider::fatal,
            ))
        }
    }
}

fn is_wanted(table: &ProviderTable, plugin: &PluginId) -> bool {
    let speaker = table.wire.map(|wire| wire.plugin());
    plugin.as_str() == table.builtin.plugin() || Some(plugin.as_str()) == speaker
}

/// One plugin does it all.
async fn serve(
    id: &str,
    plugin: &Plugin,
    wire: Option<&Arc<dyn Wire>>,
    table: &Value,
) -> anyhow::Result<Served> {
    let provider = provider_of(plugin)?;
    let mut endpoint = match wire {
        Some(_) => configured(provider, id, &without_wire(table)).await?,
        None => configured(provider, id, table).await?,
    };
    if wire.is_some() {
        let usual = provider.description().capabilities;
        let able = endpoint.capabilities.unwrap_or(usual);
        endpoint.capabilities = Some(translated(able));
    }
    Ok(Served {
        provider: Arc::clone(provider),
        endpoint,
        wire: wire.map(Arc::clone),
    })
}

/// One plugin has the credential, another speaks.
async fn serve_through(
    id: &str,
    plugin: &Plugin,
    speaker: &Plugin,
    table: &Value,
) -> anyhow::Result<Served> {
    let credential = provider_of(plugin)?;
    let mut endpoint = configured(credential, id, &without_wire(table)).await?;
    let speaking = provider_of(speaker)?;
    let spoken = configured(speaking, id, &without_credential(table)).await?;
    let usual = speaking.description().capabilities;
    endpoint.capabilities = Some(translated(spoken.capabilities.unwrap_or(usual)));
    Ok(Served {
        provider: Arc::new(Spoken {
            credential: Arc::clone(credential),
            speaker: Arc::clone(speaking),
        }),
        endpoint,
        wire: speaker.wire().map(Arc::clone),
    })
}

fn provider_of(plugin: &Plugin) -> anyhow::Result<&Arc<dyn Provider>> {
    let none = || Fatal::new(format!("plugin `{}` is no provider", plugin.id()));
    Ok(plugin.provider().ok_or_else(none)?)
}

async fn configured(
    provider: &Arc<dyn Provider>,
    id: &str,
    table: &Value,
) -> anyhow::Result<Endpoint> {
    let configured = provider.configure(id, table).await;
    Ok(configured.map_err(|error| Fatal::new(error.to_string()))?)
}

/// What is left of what a service can do where requests are translated: the rest is of Responses alone.
fn translated(able: ProviderCapabilities) -> ProviderCapabilities {
    ProviderCapabilities {
        hosted_tools: able.hosted_tools,
        ..ProviderCapabilities::default()
    }
}

/// What a local provider was called when it spoke an older API.
const OLDER_OLLAMA: &str = "ollama-chat";

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
    if id == OLDER_OLLAMA {
        fatal = fatal.hint("it is called `ollama` now: write model_provider = \"ollama\"");
    }
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
