//! Which plugin serves the chosen provider, and what to say where none does.

use std::sync::Arc;

use dovetail_config::Config;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{Endpoint, Provider};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::plugin::Plugin;
use serde_json::json;

use crate::fatal::Fatal;
use crate::provider_choice::ProviderTable;

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

/// The plugin that serves the chosen provider: one that names the id, else the built-in one for the user's table.
pub(super) async fn choose_provider(
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
