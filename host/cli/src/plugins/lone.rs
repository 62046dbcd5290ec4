//! The one plugin that serves a provider, loaded without the rest of a session: for commands about logins.

use std::sync::Arc;

use dovetail_config::Config;
use dovetail_core::plugin::{Account, Endpoint, Scope};
use dovetail_core::secret::Egress;
use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::Runtime;
use dovetail_runtime::manifest::Kind;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::services::Services;

use super::required::Required;
use super::selection::Selection;
use super::serving::choose_provider;
use super::{compiled_dir, places, settings_of};
use crate::models::Serving;
use crate::out;
use crate::provider_choice::ProviderTable;

/// A provider's plugin, configured.
pub(crate) struct Lone {
    /// The plugin.
    pub(crate) plugin: Plugin,
    /// Where requests would go.
    pub(crate) endpoint: Endpoint,
    /// Grants and secrets.
    pub(crate) services: Arc<Services>,
    /// Whether requests are translated.
    is_translated: bool,
}

impl Lone {
    /// Loads the plugin that serves the chosen provider.
    ///
    /// # Errors
    /// Nobody serves it, or it does not accept its table.
    pub(crate) async fn load(
        config: &Config,
        table: Option<ProviderTable>,
    ) -> anyhow::Result<Self> {
        let settings = settings_of(config, table.as_ref())?;
        let mut catalogue = Catalogue::survey(&places(config), &settings);
        catalogue
            .entries
            .retain(|entry| entry.found.manifest.kinds.contains(&Kind::Provider));
        let services = Services::new(HostEnv::current(), &config.home, &config.cwd);
        let (runtime, _refused) = Runtime::new(&compiled_dir(config), services)?;
        let mut warnings = Vec::new();
        let required = Required::of(&settings, &catalogue)?;
        let mut selection =
            Selection::of(catalogue, config, table.as_ref(), required, &mut warnings)?;
        let sources = table
            .as_ref()
            .map(|table| (table.builtin.plugin(), table.sources.clone()));
        selection.give_sources(sources);
        let requests = std::mem::take(&mut selection.requests);
        let results = runtime.load_all(requests).await;
        let (loaded, _hooks) = selection.sort(results, &mut warnings);
        for warning in &warnings {
            out::stderr(&format!("warning: {warning}\n"));
        }
        let unusable = &selection.unusable_providers;
        let served = choose_provider(config, table.as_ref(), &loaded, unusable).await?;
        // Where another plugin speaks, this one has the credential.
        let plugin = loaded
            .into_iter()
            .find(|plugin| plugin.id() == served.provider.plugin())
            .ok_or_else(|| {
                anyhow::anyhow!("the plugin of provider `{}` is gone", config.model_provider)
            })?;
        Ok(Self {
            plugin,
            endpoint: served.endpoint,
            is_translated: served.wire.is_some(),
            services: Arc::clone(runtime.services()),
        })
    }

    /// Who serves the provider, for questions of this scope.
    ///
    /// # Errors
    /// The plugin is no provider.
    pub(crate) fn serving(&self, scope: Scope) -> anyhow::Result<Serving> {
        let none = || anyhow::anyhow!("plugin `{}` is no provider", self.plugin.id());
        let (account, is_builtin) = Serving::by(&self.plugin);
        Ok(Serving {
            provider: Arc::clone(self.plugin.provider().ok_or_else(none)?),
            endpoint: self.endpoint.clone(),
            account,
            egress: Arc::clone(self.services.egress()) as Arc<dyn Egress>,
            is_builtin,
            is_translated: self.is_translated,
            scope,
        })
    }

    /// The login that the plugin has, if it has one.
    pub(crate) fn account(&self) -> Option<&Arc<dyn Account>> {
        self.plugin.account()
    }
}
