//! The hook port, filled by a native plugin.

use std::sync::Arc;

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    Hook, HookEvent, HookOutcome, HookSubscription, OnFailure, PluginError,
};
use dovetail_native_api::{hooks as payload, op};

use super::Native;
use crate::bindings::exports::dovetail::plugin::hooks as contract;
use crate::convert;
use crate::manifest::Kind;

/// A hook.
pub(super) struct NativeHook {
    id: PluginId,
    native: Arc<Native>,
    subscriptions: Vec<HookSubscription>,
    on_failure: OnFailure,
}

impl NativeHook {
    /// Asks the plugin what it wants to see.
    pub(super) async fn load(native: Arc<Native>) -> Result<Self, PluginError> {
        let plugin = native.plugin();
        let id = plugin.id().clone();
        let on_failure = if plugin.grant().fails_open() {
            OnFailure::Allow
        } else {
            OnFailure::Deny
        };
        let wall = plugin.limits().deadline(Kind::Hooks);
        let wanted: Vec<payload::Subscription> =
            native.ask(op::HOOKS_SUBSCRIPTIONS, wall, &()).await?;
        let subscription = |from| convert::hook_subscription(contract::Subscription::from(from));
        Ok(Self {
            id,
            subscriptions: wanted.into_iter().map(subscription).collect(),
            on_failure,
            native,
        })
    }
}

#[async_trait]
impl Hook for NativeHook {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    fn subscriptions(&self) -> &[HookSubscription] {
        &self.subscriptions
    }

    fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    async fn handle(&self, event: &HookEvent) -> Result<HookOutcome, PluginError> {
        let asked = payload::Handle {
            event: convert::hook_event(event).into(),
        };
        let wall = self.native.plugin().limits().deadline(Kind::Hooks);
        let answer: payload::Outcome = self.native.ask(op::HOOKS_HANDLE, wall, &asked).await?;
        Ok(convert::hook_outcome(answer.into()))
    }
}
