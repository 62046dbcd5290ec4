//! The sink port, filled by a native plugin.

use std::sync::Arc;

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{Ack, EventRecord, PluginError, Sink, SinkSubscription};
use dovetail_native_api::{op, sink as payload};

use super::{Native, bytes_of};
use crate::bindings::exports::dovetail::plugin::sink as contract;
use crate::convert;
use crate::manifest::Kind;
use crate::sink::{CLOSE, granted_classes};

/// A sink.
pub(super) struct NativeSink {
    id: PluginId,
    native: Arc<Native>,
    subscription: SinkSubscription,
}

impl NativeSink {
    /// Asks the plugin what it wants, and cuts that to what it may have.
    pub(super) async fn load(native: Arc<Native>) -> Result<Self, PluginError> {
        let plugin = native.plugin();
        let wall = plugin.limits().deadline(Kind::Sink);
        let wanted: payload::Subscription = native.ask(op::SINK_SUBSCRIPTIONS, wall, &()).await?;
        let wanted = contract::Subscription::from(wanted);
        let subscription = SinkSubscription {
            kinds: wanted.kinds,
            classes: granted_classes(wanted.classes, plugin.grant()),
        };
        Ok(Self {
            id: plugin.id().clone(),
            subscription,
            native,
        })
    }
}

#[async_trait]
impl Sink for NativeSink {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    fn subscription(&self) -> &SinkSubscription {
        &self.subscription
    }

    async fn open(&self) -> Result<(), PluginError> {
        let plugin = self.native.plugin();
        let asked = bytes_of(&payload::Open {
            config_json: plugin.config_json().to_owned(),
        })?;
        let wall = plugin.limits().deadline(Kind::Sink);
        let opened = self.native.ask_bytes(op::SINK_OPEN, wall, asked.clone());
        opened.await?.unwrap_or(());
        self.native.0.remember(op::SINK_OPEN, "", asked);
        Ok(())
    }

    async fn deliver(&self, batch: &[Arc<EventRecord>]) -> Result<Ack, PluginError> {
        let event = |record: &Arc<EventRecord>| {
            convert::sink_event(record, &self.subscription.classes).into()
        };
        let asked = payload::Deliver {
            batch: batch.iter().map(event).collect(),
        };
        let wall = self.native.plugin().limits().deadline(Kind::Sink);
        let answer: payload::Ack = self.native.ask(op::SINK_DELIVER, wall, &asked).await?;
        Ok(convert::ack(answer.into()))
    }

    async fn close(&self) -> Result<(), PluginError> {
        let limits = self.native.plugin().limits();
        let wall = limits.deadline(Kind::Sink).min(CLOSE);
        let closed = self.native.ask_optional(op::SINK_CLOSE, wall, &());
        closed.await.map(Option::unwrap_or_default)
    }
}
