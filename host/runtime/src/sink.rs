//! The sink port, filled by a component: one warm instance that is opened after every rebuild.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{
    Ack, EventRecord, FieldClass, PluginError, PluginFault, Sink, SinkSubscription,
};

use crate::bindings::exports::dovetail::plugin::sink::{Event, FieldClasses, Guest};
use crate::convert;
use crate::grant::Grant;
use crate::instance::{Blueprint, Bounds};
use crate::manifest::{Kind, Limits};
use crate::plugin_context::PluginContext;
use crate::warm::{SetUp, Warm};

/// The host is about to stop and nobody waits longer than this for a sink's farewell.
pub(crate) const CLOSE: Duration = Duration::from_millis(500);

/// What a sink may compute for one call: a hundred events take milliseconds, also in an interpreter. One that spins
/// must not have a processor to itself for long, as turns go on meanwhile.
const CPU: Duration = Duration::from_secs(1);

/// A sink plugin.
pub(crate) struct SinkPlugin {
    id: PluginId,
    limits: Limits,
    subscription: SinkSubscription,
    warm: Warm<Guest>,
}

impl SinkPlugin {
    /// Asks the plugin what it wants, and cuts that to what it may have.
    pub(crate) async fn load(blueprint: Blueprint<Guest>) -> Result<Self, PluginFault> {
        let plugin = Arc::clone(blueprint.plugin());
        let bounds = bounds("subscriptions", plugin.limits());
        let wanted = blueprint
            .call_fresh(bounds, |store, guest| {
                Box::pin(guest.call_subscriptions(store))
            })
            .await?;
        let set_up = (self::bounds("open", plugin.limits()), open(&plugin));
        let warm = Warm::start(Arc::new(blueprint), Some(set_up));
        let subscription = SinkSubscription {
            kinds: wanted.kinds,
            classes: granted_classes(wanted.classes, plugin.grant()),
        };
        Ok(Self {
            id: plugin.id().clone(),
            limits: *plugin.limits(),
            subscription,
            warm,
        })
    }
}

/// What a sink wants of what it may have. The basic fields always.
pub(crate) fn granted_classes(wanted: FieldClasses, grant: &Grant) -> Vec<FieldClass> {
    let mut classes = convert::sink_classes(wanted);
    classes.retain(|class| *class != FieldClass::Basic && grant.allows_class(*class));
    classes.insert(0, FieldClass::Basic);
    classes
}

fn bounds(call: &'static str, limits: &Limits) -> Bounds {
    let wall = limits.deadline(Kind::Sink);
    Bounds {
        call,
        wall,
        cpu: wall.min(CPU),
    }
}

fn open(plugin: &Arc<PluginContext>) -> SetUp<Guest> {
    let plugin = Arc::clone(plugin);
    Arc::new(move |store, guest| {
        let plugin = Arc::clone(&plugin);
        Box::pin(async move {
            let opened = guest.call_open(store, plugin.config_json()).await?;
            Ok(opened.map_err(convert::from_guest_error))
        })
    })
}

#[async_trait]
impl Sink for SinkPlugin {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    fn subscription(&self) -> &SinkSubscription {
        &self.subscription
    }

    /// Makes the instance, and with it calls the guest's `open`, unless that has happened.
    async fn open(&self) -> Result<(), PluginError> {
        self.warm
            .call(bounds("open", &self.limits), |_, _| {
                Box::pin(async { Ok(()) })
            })
            .await
    }

    async fn deliver(&self, batch: &[Arc<EventRecord>]) -> Result<Ack, PluginError> {
        let events: Vec<Event> = batch
            .iter()
            .map(|record| convert::sink_event(record, &self.subscription.classes))
            .collect();
        let answer = self
            .warm
            .call(bounds("deliver", &self.limits), move |store, guest| {
                Box::pin(async move { guest.call_deliver(store, &events).await })
            });
        answer
            .await?
            .map(convert::ack)
            .map_err(convert::from_guest_error)
    }

    async fn close(&self) -> Result<(), PluginError> {
        let wall = self.limits.deadline(Kind::Sink).min(CLOSE);
        let bounds = Bounds {
            call: "close",
            wall,
            cpu: wall,
        };
        let answer = self
            .warm
            .call(bounds, |store, guest| Box::pin(guest.call_close(store)));
        answer.await?.map_err(convert::from_guest_error)
    }
}
