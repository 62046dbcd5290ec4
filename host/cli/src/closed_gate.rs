//! What stands in for a hook that cannot be loaded: a gate that stays shut.
//!
//! A hook that is missing because its file is damaged must not become a hole. Everything it might have guarded is
//! refused, with the reason, until it is mended or removed.

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    Hook, HookEvent, HookMode, HookOutcome, HookSubscription, OnFailure, PluginError, PluginFault,
};

/// A hook plugin that is not running.
pub(crate) struct ClosedGate {
    plugin: PluginId,
    why: String,
    subscriptions: Vec<HookSubscription>,
}

impl ClosedGate {
    /// Takes the place of a hook that could not be loaded. What it would have subscribed to is not known, so it
    /// guards every tool call.
    pub(crate) fn new(plugin: PluginId, why: String) -> Self {
        let every_call = HookSubscription {
            event: "PreToolUse".to_owned(),
            matcher: String::new(),
            mode: HookMode::Gate,
        };
        Self {
            plugin,
            why,
            subscriptions: vec![every_call],
        }
    }
}

#[async_trait]
impl Hook for ClosedGate {
    fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    fn subscriptions(&self) -> &[HookSubscription] {
        &self.subscriptions
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Deny
    }

    async fn handle(&self, _event: &HookEvent) -> Result<HookOutcome, PluginError> {
        Err(PluginFault::NotLoaded {
            plugin: self.plugin.clone(),
            why: self.why.clone(),
        }
        .into())
    }
}
