//! The hook port, filled by a component: a fresh instance per event, so that no event can prepare the next one's
//! answer and calls may overlap.

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    Hook, HookEvent, HookOutcome, HookSubscription, OnFailure, PluginError, PluginFault,
};

use crate::bindings::exports::dovetail::plugin::hooks::Guest;
use crate::convert;
use crate::instance::{Blueprint, Bounds};
use crate::manifest::Kind;

/// A hook plugin.
pub(crate) struct HookPlugin {
    id: PluginId,
    blueprint: Blueprint<Guest>,
    subscriptions: Vec<HookSubscription>,
    on_failure: OnFailure,
}

impl HookPlugin {
    /// Asks the plugin what it wants to see.
    pub(crate) async fn load(blueprint: Blueprint<Guest>) -> Result<Self, PluginFault> {
        let plugin = blueprint.plugin();
        let id = plugin.id().clone();
        let on_failure = if plugin.grant().fails_open() {
            OnFailure::Allow
        } else {
            OnFailure::Deny
        };
        let bounds = bounds(&blueprint, "subscriptions");
        let asked = blueprint.call_fresh(bounds, |store, guest| {
            Box::pin(guest.call_subscriptions(store))
        });
        let subscriptions = asked
            .await?
            .into_iter()
            .map(convert::hook_subscription)
            .collect();
        Ok(Self {
            id,
            blueprint,
            subscriptions,
            on_failure,
        })
    }
}

fn bounds(blueprint: &Blueprint<Guest>, call: &'static str) -> Bounds {
    let wall = blueprint.plugin().limits().deadline(Kind::Hooks);
    Bounds {
        call,
        wall,
        cpu: wall,
    }
}

#[async_trait]
impl Hook for HookPlugin {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    fn subscriptions(&self) -> &[HookSubscription] {
        &self.subscriptions
    }

    fn on_failure(&self) -> OnFailure {
        // What was granted to fail open is what was accepted; this is something else.
        match self.blueprint.plugin().has_drifted() {
            true => OnFailure::Deny,
            false => self.on_failure,
        }
    }

    async fn handle(&self, event: &HookEvent) -> Result<HookOutcome, PluginError> {
        let event = convert::hook_event(event);
        let answer = self
            .blueprint
            .call_fresh(bounds(&self.blueprint, "handle"), move |store, guest| {
                Box::pin(async move { guest.call_handle(store, &event).await })
            });
        answer
            .await?
            .map(convert::hook_outcome)
            .map_err(convert::from_guest_error)
    }
}
