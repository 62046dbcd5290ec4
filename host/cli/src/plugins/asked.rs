//! The plugins that serve one provider, loaded without the rest of a session: for commands that look at providers. They are
//! chosen as for a turn.

use std::sync::Arc;

use dovetail_config::Config;
use dovetail_core::plugin::{Account, Endpoint, Provider, Scope, Wire};
use dovetail_responses::Credentials;
use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::Runtime;
use dovetail_runtime::manifest::Kind;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::services::Services;

use super::required::Required;
use super::selection::Selection;
use super::serving::{Served, choose_provider};
use super::{compiled_dir, places, settings_of};
use crate::model_port::Whom;
use crate::models::Serving;
use crate::out;
use crate::provider_choice::ProviderTable;

/// A provider that can be asked.
pub(crate) struct Asked {
    /// Answers for it.
    pub(crate) provider: Arc<dyn Provider>,
    /// Where its requests go.
    pub(crate) endpoint: Endpoint,
    /// What translates them, where its service does not speak Responses.
    pub(crate) wire: Option<Arc<dyn Wire>>,
    /// The plugin that has the credential.
    pub(crate) plugin: Plugin,
    /// Grants and secrets.
    pub(crate) services: Arc<Services>,
    credentials: Credentials,
}

impl Asked {
    /// Loads the one that serves the chosen provider, and says on standard error what else could not be loaded.
    ///
    /// # Errors
    /// Nobody serves it, or its table is refused.
    pub(crate) async fn load(
        config: &Config,
        table: Option<ProviderTable>,
    ) -> anyhow::Result<Self> {
        let plugins = ProviderPlugins::load_for(config, table).await?;
        for warning in &plugins.warnings {
            out::stderr(&format!("warning: {warning}\n"));
        }
        plugins.choose(config).await
    }

    /// The login that its plugin has, if it has one.
    pub(crate) fn account(&self) -> Option<&Arc<dyn Account>> {
        self.plugin.account()
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

    /// Who serves the provider, for questions of this scope.
    pub(crate) fn serving(&self, scope: Scope) -> Serving {
        Serving::of(&self.whom(), &self.plugin, scope)
    }
}

/// The provider plugins of a configuration.
pub(crate) struct ProviderPlugins {
    table: Option<ProviderTable>,
    loaded: Vec<Plugin>,
    selection: Selection,
    services: Arc<Services>,
    /// What cannot be loaded, and why.
    warnings: Vec<String>,
}

impl ProviderPlugins {
    /// Loads those that may serve the chosen provider. What cannot be loaded is said where it is wanted, and by
    /// `plugin list`.
    ///
    /// # Errors
    /// The provider's table is wrong, or nothing can be loaded at all.
    pub(crate) async fn load(config: &Config) -> anyhow::Result<Self> {
        Self::load_for(config, ProviderTable::of(config)?).await
    }

    async fn load_for(config: &Config, table: Option<ProviderTable>) -> anyhow::Result<Self> {
        let settings = settings_of(config, table.as_ref())?;
        let mut catalogue = Catalogue::survey(&places(config), &settings);
        catalogue
            .entries
            .retain(|entry| entry.found.manifest.kinds.contains(&Kind::Provider));
        let services = Services::new(HostEnv::current(), &config.home, &config.cwd)
            .with_native(config.dovetail.allow_native);
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
        Ok(Self {
            table,
            loaded,
            selection,
            services: Arc::clone(runtime.services()),
            warnings,
        })
    }

    /// The ids that installed plugins serve, each with its plugin.
    pub(crate) fn served_ids(&self) -> impl Iterator<Item = (&str, &Plugin)> {
        let providers = self.loaded.iter().filter_map(|plugin| {
            let ids = &plugin.provider()?.description().ids;
            Some((ids, plugin))
        });
        providers.flat_map(|(ids, plugin)| ids.iter().map(move |id| (id.as_str(), plugin)))
    }

    /// The one that serves the chosen provider, with its table accepted.
    ///
    /// # Errors
    /// Nobody serves it, or its table is refused.
    pub(crate) async fn choose(&self, config: &Config) -> anyhow::Result<Asked> {
        let unusable = &self.selection.unusable_providers;
        let served = choose_provider(config, self.table.as_ref(), &self.loaded, unusable).await?;
        let Served {
            provider,
            endpoint,
            wire,
        } = served;
        // Where another plugin speaks for it, the id is still that of the one with the credential.
        let mut plugins = self.loaded.iter();
        let plugin = plugins.find(|plugin| plugin.id() == provider.plugin());
        let plugin = plugin.cloned().ok_or_else(|| {
            anyhow::anyhow!("the plugin of provider `{}` is gone", config.model_provider)
        })?;
        Ok(Asked {
            provider,
            endpoint,
            wire,
            plugin,
            services: Arc::clone(&self.services),
            credentials: Credentials::default(),
        })
    }
}
