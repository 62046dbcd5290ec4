//! The ports of a plugin that can be replaced: each call goes to the generation that runs when it begins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dovetail_core::ids::{CallId, PluginId};
use dovetail_core::plugin::{
    Ack, Endpoint, EventRecord, Failure, HeaderTemplate, Hook, HookEvent, HookOutcome,
    HookSubscription, OnFailure, PluginError, PluginFault, PluginTool, PluginToolResult, Prepared,
    Provider, ProviderDescription, ProviderModel, Recovery, RequestHead, Scope, Sink,
    SinkSubscription, ToolServer, Wire, WireDecoder, WireRequest,
};
use serde_json::Value;

use crate::live::Live;

/// A generation has the kinds of the one before it, so this is never seen.
fn gone(plugin: &PluginId) -> PluginError {
    PluginFault::NotLoaded {
        plugin: plugin.clone(),
        why: "it is not of that kind any more".to_owned(),
    }
    .into()
}

macro_rules! current {
    ($self:ident, $part:ident) => {
        $self
            .live
            .parts()?
            .$part
            .ok_or_else(|| gone($self.live.id()))?
    };
}

/// A hook that can be replaced.
pub(crate) struct LiveHook {
    pub(crate) live: Arc<Live>,
}

#[async_trait]
impl Hook for LiveHook {
    fn plugin(&self) -> &PluginId {
        self.live.id()
    }

    fn subscriptions(&self) -> &[HookSubscription] {
        self.live.subscriptions()
    }

    fn on_failure(&self) -> OnFailure {
        self.live.on_failure()
    }

    async fn handle(&self, event: &HookEvent) -> Result<HookOutcome, PluginError> {
        current!(self, hook).handle(event).await
    }
}

/// A tool server that can be replaced.
pub(crate) struct LiveTools {
    pub(crate) live: Arc<Live>,
}

#[async_trait]
impl ToolServer for LiveTools {
    fn plugin(&self) -> &PluginId {
        self.live.id()
    }

    async fn list_tools(&self) -> Result<Vec<PluginTool>, PluginError> {
        current!(self, tools).list_tools().await
    }

    async fn call_tool(
        &self,
        call_id: &CallId,
        name: &str,
        arguments: &Value,
        turn_metadata: &Value,
    ) -> Result<PluginToolResult, PluginError> {
        let tools = current!(self, tools);
        tools
            .call_tool(call_id, name, arguments, turn_metadata)
            .await
    }
}

/// A wire that can be replaced. A response is read by the generation that encoded its request.
pub(crate) struct LiveWire {
    pub(crate) live: Arc<Live>,
}

#[async_trait]
impl Wire for LiveWire {
    fn plugin(&self) -> &PluginId {
        self.live.id()
    }

    async fn encode(
        &self,
        provider_id: &str,
        request: Vec<u8>,
    ) -> Result<(WireRequest, Box<dyn WireDecoder>), PluginError> {
        current!(self, wire).encode(provider_id, request).await
    }
}

/// A sink that can be replaced.
pub(crate) struct LiveSink {
    pub(crate) live: Arc<Live>,
    /// For the time in which nothing runs.
    pub(crate) first: SinkSubscription,
}

#[async_trait]
impl Sink for LiveSink {
    fn plugin(&self) -> &PluginId {
        self.live.id()
    }

    fn subscription(&self) -> &SinkSubscription {
        self.live.subscription().unwrap_or(&self.first)
    }

    async fn open(&self) -> Result<(), PluginError> {
        current!(self, sink).open().await
    }

    async fn deliver(&self, batch: &[Arc<EventRecord>]) -> Result<Ack, PluginError> {
        current!(self, sink).deliver(batch).await
    }

    async fn close(&self) -> Result<(), PluginError> {
        current!(self, sink).close().await
    }
}

/// A provider that can be replaced. It remembers how it was configured, for those that come after.
pub(crate) struct LiveProvider {
    pub(crate) live: Arc<Live>,
    pub(crate) first: ProviderDescription,
    pub(crate) tables: Arc<Tables>,
}

/// The tables that were accepted, by provider id.
#[derive(Default)]
pub(crate) struct Tables(Mutex<BTreeMap<String, Value>>);

impl Tables {
    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        // Nothing panics while holding the lock; a map of tables is usable in any state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Configures another provider in the same way.
    pub(crate) async fn give(&self, provider: &dyn Provider) -> Result<(), PluginError> {
        let tables = self.held().clone();
        for (id, table) in &tables {
            provider.configure(id, table).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Provider for LiveProvider {
    fn plugin(&self) -> &PluginId {
        self.live.id()
    }

    fn description(&self) -> &ProviderDescription {
        self.live.description().unwrap_or(&self.first)
    }

    async fn configure(&self, provider_id: &str, table: &Value) -> Result<Endpoint, PluginError> {
        let endpoint = current!(self, provider)
            .configure(provider_id, table)
            .await?;
        self.tables
            .held()
            .insert(provider_id.to_owned(), table.clone());
        Ok(endpoint)
    }

    async fn prepare(&self, scope: &Scope) -> Result<Prepared, PluginError> {
        current!(self, provider).prepare(scope).await
    }

    async fn authorize(
        &self,
        scope: &Scope,
        head: &RequestHead,
        body_sha256: [u8; 32],
    ) -> Result<Vec<HeaderTemplate>, PluginError> {
        current!(self, provider)
            .authorize(scope, head, body_sha256)
            .await
    }

    async fn classify(
        &self,
        status: u16,
        headers: &[(String, String)],
        excerpt: &str,
    ) -> Result<Failure, PluginError> {
        current!(self, provider)
            .classify(status, headers, excerpt)
            .await
    }

    async fn recover(&self, scope: &Scope, failure: &Failure) -> Result<Recovery, PluginError> {
        current!(self, provider).recover(scope, failure).await
    }

    async fn renew(&self, scope: &Scope) -> Result<Recovery, PluginError> {
        current!(self, provider).renew(scope).await
    }

    async fn list_models(&self, scope: &Scope) -> Result<Vec<ProviderModel>, PluginError> {
        current!(self, provider).list_models(scope).await
    }
}
