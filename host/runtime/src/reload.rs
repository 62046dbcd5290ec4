//! Puts another file in the place of a plugin that is in use, or stops it.
//!
//! The new component is compiled, instantiated, asked what it is, and a provider is configured as the old one was; only
//! then does it take over. Calls in flight end on the old generation. Whatever goes wrong before leaves that one running.

use std::sync::Arc;

use dovetail_core::plugin::{PluginError, PluginEvent};

use crate::grant::Grant;
use crate::load::{LoadError, LoadRequest, Loaded, Runtime, Standing};
use crate::plugin::Plugin;
use crate::secret_source::SecretSource;

/// Why another file did not take over. The one before goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It is something else than before.
    #[error("plugin `{0}` is of other kinds now, which takes a new session")]
    OtherKinds(String),
    /// It does not pass what it is tried with.
    #[error("plugin `{plugin}` does not answer as it must: {why}")]
    Unfit {
        /// Which plugin.
        plugin: String,
        /// What it said.
        why: PluginError,
    },
    /// The host could not do its part.
    #[error("plugin `{0}` could not be loaded: its loader ended")]
    Lost(String),
}

impl Runtime {
    /// Puts what is there now in the place of a plugin. Tells sinks what came of it.
    ///
    /// # Errors
    /// Says why the one before goes on.
    pub async fn reload(&self, plugin: &Plugin, request: LoadRequest) -> Result<(), ReloadError> {
        let outcome = self.try_reload(plugin, request).await;
        let event = match &outcome {
            Ok(()) => PluginEvent::Reloaded {
                version: plugin.version().to_string(),
                sha256: plugin.sha256().to_string(),
                generation: plugin.generation(),
            },
            Err(error) => PluginEvent::ReloadFailed {
                why: error.to_string(),
            },
        };
        self.services().news().tell(plugin.id(), event);
        outcome
    }

    async fn try_reload(&self, plugin: &Plugin, request: LoadRequest) -> Result<(), ReloadError> {
        let before = Before::of(self, plugin);
        let loaded = self.load_beside(plugin, request).await.and_then(|loaded| {
            if plugin.live().fits(&loaded.generation) {
                Ok(loaded)
            } else {
                Err(ReloadError::OtherKinds(plugin.id().to_string()))
            }
        });
        let tried = match loaded {
            Ok(loaded) => try_out(plugin, &loaded).await.map(|()| loaded),
            Err(error) => Err(error),
        };
        let Loaded { generation, parts } = tried.inspect_err(|_| before.restore(self, plugin))?;
        // What it did so far is kept under its own generation.
        plugin.note_activity();
        let grant = Arc::clone(generation.context.own_grant());
        self.services().egress().admit(plugin.id().clone(), grant);
        let old = plugin.live().replace(generation, parts);
        plugin.note_activity();
        if let Some(sink) = old.and_then(|old| old.sink) {
            // It may hold events that it has not written yet. If it cannot say goodbye, its instance goes anyway.
            if let Err(error) = sink.close().await {
                tracing::debug!(plugin = %plugin.id(), "the old sink did not close: {error}");
            }
        }
        Ok(())
    }

    async fn load_beside(
        &self,
        plugin: &Plugin,
        request: LoadRequest,
    ) -> Result<Loaded, ReloadError> {
        let shared = Arc::clone(self.shared());
        let loading = tokio::task::spawn_blocking(move || {
            shared.load_generation(request, Standing::Candidate)
        });
        match loading.await {
            Ok(loaded) => Ok(loaded?),
            Err(_) => Err(ReloadError::Lost(plugin.id().to_string())),
        }
    }

    /// Ends a plugin: every call from now on is refused with the reason, and a hook's gate is closed. Reloading it
    /// starts it again.
    pub fn stop(&self, plugin: &Plugin, why: String) {
        if plugin.live().stopped().as_ref() == Some(&why) {
            return;
        }
        self.services().egress().revoke(plugin.id());
        let told = plugin.drift().is_some();
        plugin.live().stop(why.clone());
        plugin.note_activity();
        // A call may have found out first, and told.
        if !told {
            let news = self.services().news();
            news.tell(plugin.id(), PluginEvent::Stopped { why });
        }
    }
}

/// What the plugin may do while it is as it is.
struct Before {
    grant: Option<Arc<Grant>>,
    secrets: std::collections::BTreeMap<String, SecretSource>,
}

impl Before {
    fn of(runtime: &Runtime, plugin: &Plugin) -> Self {
        let egress = runtime.services().egress();
        Self {
            // One that was stopped has none.
            grant: egress.grant(plugin.id()).ok(),
            secrets: egress.secrets().bound(plugin.id()),
        }
    }

    fn restore(&self, runtime: &Runtime, plugin: &Plugin) {
        let egress = runtime.services().egress();
        egress
            .secrets()
            .bind(plugin.id().clone(), self.secrets.clone());
        match &self.grant {
            Some(grant) => egress.admit(plugin.id().clone(), Arc::clone(grant)),
            None => egress.revoke(plugin.id()),
        }
    }
}

/// What a component must do before it takes over, beyond saying what it is.
async fn try_out(plugin: &Plugin, loaded: &Loaded) -> Result<(), ReloadError> {
    let unfit = |why| ReloadError::Unfit {
        plugin: plugin.id().to_string(),
        why,
    };
    if let Some(provider) = &loaded.parts.provider {
        plugin
            .tables()
            .give(provider.as_ref())
            .await
            .map_err(unfit)?;
    }
    if let Some(tools) = &loaded.parts.tools {
        tools.list_tools().await.map_err(unfit)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "reload/tests.rs"]
mod tests;
