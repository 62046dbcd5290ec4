//! The provider port, filled by a component: one warm instance that is told its configuration after every rebuild.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    Endpoint, Failure, HeaderTemplate, PluginError, PluginFault, Prepared, Provider,
    ProviderDescription, ProviderModel, Recovery, RequestHead, Scope,
};
use serde_json::Value;
use wasmtime::Store;

use crate::convert;
use crate::guest_state::GuestState;
use crate::instance::{Blueprint, Bounds, GuestFuture};
use crate::manifest::{Kind, Limits};
use crate::provider_exports::ProviderExports;
use crate::warm::{SetUp, Warm};

/// Functions that may not wait only compute: microseconds. The limit leaves room for a busy machine.
pub(crate) const QUICK: Duration = Duration::from_secs(2);

/// What a function that may wait may compute: parsing a token, signing. The rest of its time it waits.
const WAITING_CPU: Duration = Duration::from_secs(5);

/// A list of models is a convenience, for which a session does not wait as long as for a credential; as long as for a
/// server's list.
const LISTING: Duration = Duration::from_secs(5);

/// Of an error response: more than any server's explanation, less than a guest should have to parse.
pub(crate) const MOST_EXCERPT: usize = 16 << 10;

/// A provider plugin.
pub(crate) struct ProviderPlugin {
    id: PluginId,
    limits: Limits,
    description: ProviderDescription,
    warm: Warm<ProviderExports>,
    configured: Arc<Configured>,
    has_account: bool,
}

/// The tables that were accepted, by provider id. A new instance is given them again.
#[derive(Default)]
pub(crate) struct Configured(Mutex<BTreeMap<String, String>>);

impl Configured {
    fn tables(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Nothing panics while holding the lock; a map of texts is usable in any state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table of a provider id, as JSON.
    pub(crate) fn table(&self, provider_id: &str) -> Option<String> {
        self.tables().get(provider_id).cloned()
    }
}

impl ProviderPlugin {
    /// What it was told, now and later.
    pub(crate) fn configured(&self) -> Arc<Configured> {
        Arc::clone(&self.configured)
    }

    /// Asks the plugin what it serves. `has_account` says whether it has a login of its own.
    pub(crate) async fn load(
        blueprint: Blueprint<ProviderExports>,
        has_account: bool,
    ) -> Result<Self, PluginFault> {
        let (id, limits) = (
            blueprint.plugin().id().clone(),
            *blueprint.plugin().limits(),
        );
        let bounds = quick("describe", &limits);
        let described = blueprint
            .call_fresh(bounds, |store, guest| {
                Box::pin(guest.provider.call_describe(store))
            })
            .await?;
        let configured = Arc::<Configured>::default();
        let set_up = (quick("configure", &limits), reconfigure(&configured));
        let warm = Warm::start(Arc::new(blueprint), Some(set_up));
        Ok(Self {
            id,
            limits,
            description: convert::description(described),
            warm,
            configured,
            has_account,
        })
    }

    pub(crate) fn id(&self) -> &PluginId {
        &self.id
    }

    pub(crate) fn has_account(&self) -> bool {
        self.has_account
    }

    /// Calls into the instance; after a fault once more, into a new one.
    pub(crate) async fn call<R, W>(&self, bounds: Bounds, work: W) -> Result<R, PluginError>
    where
        R: Send + 'static,
        W: for<'a> Fn(&'a mut Store<GuestState>, &'a ProviderExports) -> GuestFuture<'a, R>
            + Clone
            + Send
            + 'static,
    {
        match self.warm.call(bounds, work.clone()).await {
            Err(PluginError::Fault(fault)) if is_worth_repeating(&fault) => {
                self.warm.call(bounds, work).await
            }
            outcome => outcome,
        }
    }

    fn quick(&self, call: &'static str) -> Bounds {
        quick(call, &self.limits)
    }

    pub(crate) fn waiting(&self, call: &'static str) -> Bounds {
        let wall = self.limits.deadline(Kind::Provider);
        Bounds {
            call,
            wall,
            cpu: wall.min(WAITING_CPU),
        }
    }
}

fn quick(call: &'static str, limits: &Limits) -> Bounds {
    let wall = limits.deadline(Kind::Provider).min(QUICK);
    Bounds {
        call,
        wall,
        cpu: wall,
    }
}

/// A call that ran into a long deadline is not repeated: the user has waited once already.
pub(crate) fn is_worth_repeating(fault: &PluginFault) -> bool {
    match fault {
        PluginFault::Trap { .. } | PluginFault::Limit { .. } => true,
        PluginFault::Deadline { limit, .. } => *limit <= QUICK,
        PluginFault::Quarantined { .. }
        | PluginFault::Drifted { .. }
        | PluginFault::NotLoaded { .. } => false,
    }
}

/// Gives a new instance every table that was accepted before.
fn reconfigure(configured: &Arc<Configured>) -> SetUp<ProviderExports> {
    let configured = Arc::clone(configured);
    Arc::new(move |store, guest| {
        let tables = configured.tables().clone();
        Box::pin(async move {
            for (provider_id, table) in &tables {
                if let Err(error) = guest
                    .provider
                    .call_configure(&mut *store, provider_id, table)
                    .await?
                {
                    return Ok(Err(convert::from_guest_error(error)));
                }
            }
            Ok(Ok(()))
        })
    })
}

#[async_trait]
impl Provider for ProviderPlugin {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    fn description(&self) -> &ProviderDescription {
        &self.description
    }

    async fn configure(&self, provider_id: &str, table: &Value) -> Result<Endpoint, PluginError> {
        let given = Arc::new((provider_id.to_owned(), table.to_string()));
        let asked = Arc::clone(&given);
        let answer = self.call(self.quick("configure"), move |store, guest| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                guest
                    .provider
                    .call_configure(store, &asked.0, &asked.1)
                    .await
            })
        });
        let endpoint = answer.await?.map_err(convert::from_guest_error)?;
        let (id, table) = Arc::unwrap_or_clone(given);
        self.configured.tables().insert(id, table);
        Ok(convert::endpoint(endpoint))
    }

    async fn prepare(&self, scope: &Scope) -> Result<Prepared, PluginError> {
        let scope = Arc::new(convert::scope(scope));
        let answer = self.call(self.waiting("prepare"), move |store, guest| {
            let scope = Arc::clone(&scope);
            Box::pin(async move { guest.provider.call_prepare(store, &scope).await })
        });
        answer
            .await?
            .map(convert::prepared)
            .map_err(convert::from_guest_error)
    }

    async fn authorize(
        &self,
        scope: &Scope,
        head: &RequestHead,
        body_sha256: [u8; 32],
    ) -> Result<Vec<HeaderTemplate>, PluginError> {
        let asked = Arc::new((convert::scope(scope), convert::request_head(head)));
        let answer = self.call(self.quick("authorize"), move |store, guest| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                guest
                    .provider
                    .call_authorize(store, &asked.0, &asked.1, &body_sha256)
                    .await
            })
        });
        answer
            .await?
            .map(convert::headers)
            .map_err(convert::from_guest_error)
    }

    async fn classify(
        &self,
        status: u16,
        headers: &[(String, String)],
        excerpt: &str,
    ) -> Result<Failure, PluginError> {
        let excerpt = &excerpt[..excerpt.floor_char_boundary(MOST_EXCERPT)];
        let asked = Arc::new((convert::plain_headers(headers), excerpt.to_owned()));
        let answer = self.call(self.quick("classify"), move |store, guest| {
            let asked = Arc::clone(&asked);
            Box::pin(async move {
                guest
                    .provider
                    .call_classify(store, status, &asked.0, &asked.1)
                    .await
            })
        });
        answer.await.map(convert::failure)
    }

    async fn recover(&self, scope: &Scope, failure: &Failure) -> Result<Recovery, PluginError> {
        let asked = Arc::new((convert::scope(scope), convert::to_guest_failure(failure)));
        let answer = self.call(self.waiting("recover"), move |store, guest| {
            let asked = Arc::clone(&asked);
            Box::pin(async move { guest.provider.call_recover(store, &asked.0, &asked.1).await })
        });
        answer
            .await?
            .map(convert::recovery)
            .map_err(convert::from_guest_error)
    }

    async fn renew(&self, scope: &Scope) -> Result<Recovery, PluginError> {
        self.ask_renew(scope).await
    }

    async fn list_models(&self, scope: &Scope) -> Result<Vec<ProviderModel>, PluginError> {
        let scope = Arc::new(convert::scope(scope));
        let mut bounds = self.waiting("list-models");
        bounds.wall = bounds.wall.min(LISTING);
        let answer = self.call(bounds, move |store, guest| {
            let scope = Arc::clone(&scope);
            Box::pin(async move { guest.provider.call_list_models(store, &scope).await })
        });
        let models = answer.await?.map_err(convert::from_guest_error)?;
        Ok(models.into_iter().map(convert::model).collect())
    }
}
