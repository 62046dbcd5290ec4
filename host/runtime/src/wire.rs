//! The wire port, filled by a component: an instance for each request, which encodes it and reads its response. So no
//! response can prepare the reading of the next, and a decoder that breaks takes nothing with it but its own request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{PluginError, PluginFault, Wire, WireDecoder, WireEvent, WireRequest};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, ResourceAny};

use crate::bindings::exports::dovetail::plugin::{provider, wire};
use crate::convert;
use crate::guest_state::GuestState;
use crate::instance::{Blueprint, Bounds, Exports, Live};
use crate::manifest::Kind;
use crate::provider::Configured;

/// A conversation is read and written whole; its images are most of it. Parsing 100 MB takes about a second.
const ENCODE: Duration = Duration::from_secs(10);

/// A few events are microseconds. The limit leaves room for a busy machine.
const DECODE: Duration = Duration::from_secs(2);

/// What a request may grow by when it is put into another form: names of keys, escapes of escapes.
const GROWTH: usize = 4;

/// The least that a decoder may give in one call: a whole answer with an image in it.
const LEAST_OUTPUT: usize = 32 << 20;

/// Both halves of a plugin that speaks a wire of its own.
pub(crate) struct Speaker {
    provider: provider::Guest,
    wire: wire::Guest,
}

impl Exports for Speaker {
    type Indices = (provider::GuestIndices, wire::GuestIndices);

    fn find(pre: &InstancePre<GuestState>) -> wasmtime::Result<Self::Indices> {
        Ok((
            provider::GuestIndices::new(pre)?,
            wire::GuestIndices::new(pre)?,
        ))
    }

    fn load(
        (provider, wire): &Self::Indices,
        store: &mut Store<GuestState>,
        instance: &Instance,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            provider: provider.load(&mut *store, instance)?,
            wire: wire.load(store, instance)?,
        })
    }
}

/// A plugin's wire.
pub(crate) struct WirePlugin {
    blueprint: Arc<Blueprint<Speaker>>,
    configured: Arc<Configured>,
}

impl WirePlugin {
    /// Runs nothing yet. `configured` is what the provider beside it was told.
    pub(crate) fn new(blueprint: Blueprint<Speaker>, configured: Arc<Configured>) -> Self {
        Self {
            blueprint: Arc::new(blueprint),
            configured,
        }
    }

    async fn begin(
        &self,
        provider_id: &str,
        request: Vec<u8>,
    ) -> Result<(WireRequest, Decoder), PluginError> {
        let request = String::from_utf8(request)
            .map_err(|_| PluginError::Invalid("the request is not UTF-8".to_owned()))?;
        self.blueprint.plugin().admit()?;
        let mut live = self.noted(self.blueprint.instantiate().await)?;
        let limit = self.blueprint.plugin().limits().output_bytes;
        live.allow_output(
            limit
                .max(LEAST_OUTPUT)
                .max(request.len().saturating_mul(GROWTH)),
        );
        if let Some(table) = self.configured.table(provider_id) {
            let bounds = self.bounds("configure", DECODE);
            let id = provider_id.to_owned();
            let told = self.blueprint.call(&mut live, bounds, |store, speaker| {
                Box::pin(async move { speaker.provider.call_configure(store, &id, &table).await })
            });
            self.noted(told.await)?.map_err(convert::from_guest_error)?;
        }
        let bounds = self.bounds("encode", ENCODE);
        let encoded = self.blueprint.call(&mut live, bounds, |store, speaker| {
            Box::pin(async move { speaker.wire.call_encode(store, &request).await })
        });
        let encoded = self
            .noted(encoded.await)?
            .map_err(convert::from_guest_error)?;
        let bounds = self.bounds("decoder", DECODE);
        let made = self.blueprint.call(&mut live, bounds, |store, speaker| {
            Box::pin(async move { speaker.wire.decoder().call_constructor(store).await })
        });
        let decoder = Decoder {
            resource: self.noted(made.await)?,
            live,
            blueprint: Arc::clone(&self.blueprint),
        };
        Ok((convert::wire_request(encoded), decoder))
    }

    fn bounds(&self, call: &'static str, most: Duration) -> Bounds {
        bounds(&self.blueprint, call, most)
    }

    fn noted<R>(&self, outcome: Result<R, PluginFault>) -> Result<R, PluginFault> {
        outcome.inspect_err(|fault| self.blueprint.plugin().faulted(fault))
    }
}

fn bounds(blueprint: &Blueprint<Speaker>, call: &'static str, most: Duration) -> Bounds {
    let wall = blueprint
        .plugin()
        .limits()
        .deadline(Kind::Provider)
        .min(most);
    Bounds {
        call,
        wall,
        cpu: wall,
    }
}

#[async_trait]
impl Wire for WirePlugin {
    fn plugin(&self) -> &PluginId {
        self.blueprint.plugin().id()
    }

    async fn encode(
        &self,
        provider_id: &str,
        request: Vec<u8>,
    ) -> Result<(WireRequest, Box<dyn WireDecoder>), PluginError> {
        let (request, decoder) = self.begin(provider_id, request).await?;
        Ok((request, Box::new(decoder)))
    }
}

/// A decoder in its instance. The resource ends with the instance.
struct Decoder {
    live: Live<Speaker>,
    resource: ResourceAny,
    blueprint: Arc<Blueprint<Speaker>>,
}

type Told = Result<Vec<String>, wire::Error>;

impl Decoder {
    fn told(&self, outcome: Result<Told, PluginFault>) -> Result<Vec<String>, PluginError> {
        let told = outcome.inspect_err(|fault| self.blueprint.plugin().faulted(fault))?;
        told.map_err(convert::from_guest_error)
    }
}

#[async_trait]
impl WireDecoder for Decoder {
    async fn push(&mut self, events: Vec<WireEvent>) -> Result<Vec<String>, PluginError> {
        let bounds = bounds(&self.blueprint, "push", DECODE);
        let resource = self.resource;
        let outcome = self
            .blueprint
            .call(&mut self.live, bounds, |store, speaker| {
                Box::pin(async move {
                    let mut all = Vec::new();
                    for event in events {
                        let event = convert::wire_event(event);
                        let decoder = speaker.wire.decoder();
                        match decoder.call_push(&mut *store, resource, &event).await? {
                            Ok(told) => all.extend(told),
                            Err(error) => return Ok(Err(error)),
                        }
                    }
                    Ok(Ok(all))
                })
            })
            .await;
        self.told(outcome)
    }

    async fn finish(&mut self) -> Result<Vec<String>, PluginError> {
        let bounds = bounds(&self.blueprint, "finish", DECODE);
        let resource = self.resource;
        let outcome = self
            .blueprint
            .call(&mut self.live, bounds, |store, speaker| {
                Box::pin(async move { speaker.wire.decoder().call_finish(store, resource).await })
            })
            .await;
        self.told(outcome)
    }
}
