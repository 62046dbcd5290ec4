//! Instances, and bounded calls into them. Whatever ends a call early has broken the instance for good.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dovetail_core::plugin::PluginFault;
use tokio::time::error::Elapsed;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::exports::dovetail::plugin::{hooks, sink, tools};
use crate::engine::{Engine, TICK};
use crate::guest_log::Level;
use crate::guest_state::{GuestState, OutOfTicks};
use crate::manifest::Kind;
use crate::plugin_context::PluginContext;
use crate::provider_exports::ProviderExports;

/// Making an instance runs little more than a guest's initialisers. It is part of no call, so it has its own bounds.
const INSTANTIATE: Bounds = Bounds {
    call: "instantiate",
    wall: Duration::from_secs(5),
    cpu: Duration::from_secs(5),
};

/// How far one call may go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The exported function, for sentences.
    pub(crate) call: &'static str,
    /// Wall time.
    pub(crate) wall: Duration,
    /// Time in which the guest itself computes, exact to a tick.
    pub(crate) cpu: Duration,
}

/// A future of what a guest answers.
pub(crate) type GuestFuture<'a, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 'a>>;

/// The exports of one plugin kind.
pub(crate) trait Exports: Sized + Send + Sync + 'static {
    /// Where they are in a component.
    type Indices: Send + Sync + 'static;
    /// Finds them in a component.
    fn find(pre: &InstancePre<GuestState>) -> wasmtime::Result<Self::Indices>;
    /// Finds them in an instance, and checks their types.
    fn load(
        indices: &Self::Indices,
        store: &mut Store<GuestState>,
        instance: &Instance,
    ) -> wasmtime::Result<Self>;
}

macro_rules! exports {
    ($($kind:ident),*) => {$(
        impl Exports for $kind::Guest {
            type Indices = $kind::GuestIndices;

            fn find(pre: &InstancePre<GuestState>) -> wasmtime::Result<Self::Indices> {
                $kind::GuestIndices::new(pre)
            }

            fn load(
                indices: &Self::Indices,
                store: &mut Store<GuestState>,
                instance: &Instance,
            ) -> wasmtime::Result<Self> {
                indices.load(store, instance)
            }
        }
    )*};
}

exports!(tools, hooks, sink);

/// Whether a component exports a kind with the types that the contract says.
pub(crate) fn check_exports(kind: Kind, pre: &InstancePre<GuestState>) -> wasmtime::Result<()> {
    match kind {
        Kind::Provider => ProviderExports::find(pre).map(drop),
        Kind::Tools => <tools::Guest as Exports>::find(pre).map(drop),
        Kind::Hooks => <hooks::Guest as Exports>::find(pre).map(drop),
        Kind::Sink => <sink::Guest as Exports>::find(pre).map(drop),
    }
}

/// What instances of a plugin are made from.
pub(crate) struct Blueprint<E: Exports> {
    engine: Arc<Engine>,
    plugin: Arc<PluginContext>,
    pre: InstancePre<GuestState>,
    indices: E::Indices,
}

/// An instance that has not broken yet.
pub(crate) struct Live<E> {
    store: Store<GuestState>,
    exports: E,
}

impl<E> Live<E> {
    /// Lets each call give so many bytes, in place of what the plugin's manifest says.
    pub(crate) fn allow_output(&mut self, bytes: usize) {
        GuestState::allow_output(&mut self.store, bytes);
    }
}

impl<E: Exports> Blueprint<E> {
    /// Fails where the component does not export what its kind needs.
    pub(crate) fn new(
        engine: Arc<Engine>,
        plugin: Arc<PluginContext>,
        pre: InstancePre<GuestState>,
    ) -> wasmtime::Result<Self> {
        let indices = E::find(&pre)?;
        Ok(Self {
            engine,
            plugin,
            pre,
            indices,
        })
    }

    /// The plugin.
    pub(crate) fn plugin(&self) -> &Arc<PluginContext> {
        &self.plugin
    }

    /// Makes an instance, calls into it once, and drops it. Refused in quarantine; faults are noted.
    pub(crate) async fn call_fresh<R, W>(&self, bounds: Bounds, work: W) -> Result<R, PluginFault>
    where
        W: for<'a> FnOnce(&'a mut Store<GuestState>, &'a E) -> GuestFuture<'a, R> + Send,
    {
        self.plugin.admit()?;
        let answered = async {
            let mut live = self.instantiate().await?;
            self.call(&mut live, bounds, work).await
        };
        answered
            .await
            .inspect_err(|fault| self.plugin.faulted(fault))
    }

    /// Makes an instance.
    pub(crate) async fn instantiate(&self) -> Result<Live<E>, PluginFault> {
        let _ticking = self.engine.running();
        let made = GuestState::store(self.engine.wasm(), &self.plugin);
        let mut store = made.map_err(|e| self.trap(INSTANTIATE, cause(&e)))?;
        begin(&mut store, INSTANTIATE);
        let loading = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            E::load(&self.indices, &mut store, &instance)
        };
        let outcome = tokio::time::timeout(INSTANTIATE.wall, loading).await;
        let exports = self.ended(outcome, &store, INSTANTIATE)?;
        Ok(Live { store, exports })
    }

    /// Calls into an instance. After a fault, or where the future is dropped, the instance must not be used again.
    pub(crate) async fn call<R, W>(
        &self,
        live: &mut Live<E>,
        bounds: Bounds,
        work: W,
    ) -> Result<R, PluginFault>
    where
        W: for<'a> FnOnce(&'a mut Store<GuestState>, &'a E) -> GuestFuture<'a, R> + Send,
    {
        let _ticking = self.engine.running();
        let started = Instant::now();
        begin(&mut live.store, bounds);
        let outcome = tokio::time::timeout(bounds.wall, work(&mut live.store, &live.exports)).await;
        self.plugin
            .called(started.elapsed(), live.store.data().memory());
        self.ended(outcome, &live.store, bounds)
    }

    fn ended<R>(
        &self,
        outcome: Result<wasmtime::Result<R>, Elapsed>,
        store: &Store<GuestState>,
        bounds: Bounds,
    ) -> Result<R, PluginFault> {
        let state = store.data();
        match &outcome {
            Ok(Ok(_)) => state.log_output(Level::Info),
            Ok(Err(_)) | Err(_) => state.log_output(Level::Warn),
        }
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.fault(&error, state, bounds)),
            Err(Elapsed { .. }) => Err(self.late(bounds, bounds.wall)),
        }
    }

    fn fault(&self, error: &wasmtime::Error, state: &GuestState, bounds: Bounds) -> PluginFault {
        let limits = self.plugin.limits();
        if error.is::<OutOfTicks>() {
            self.late(bounds, bounds.cpu)
        } else if state.was_refused_memory() {
            self.limit(
                bounds,
                format!("{} MiB of memory", limits.memory_bytes >> 20),
            )
        } else if is_transfer_limit(error) {
            self.limit(
                bounds,
                format!("{} KiB of output", state.output_bytes() >> 10),
            )
        } else {
            self.trap(bounds, state.last_words().unwrap_or_else(|| cause(error)))
        }
    }

    fn late(&self, bounds: Bounds, limit: Duration) -> PluginFault {
        PluginFault::Deadline {
            plugin: self.plugin.id().clone(),
            call: bounds.call,
            limit,
        }
    }

    fn limit(&self, bounds: Bounds, limit: String) -> PluginFault {
        PluginFault::Limit {
            plugin: self.plugin.id().clone(),
            call: bounds.call,
            limit,
        }
    }

    fn trap(&self, bounds: Bounds, detail: String) -> PluginFault {
        PluginFault::Trap {
            plugin: self.plugin.id().clone(),
            call: bounds.call,
            detail,
        }
    }
}

fn begin(store: &mut Store<GuestState>, bounds: Bounds) {
    let ticks = bounds.cpu.as_millis() / TICK.as_millis();
    store
        .data_mut()
        .begin(u64::try_from(ticks).unwrap_or(u64::MAX));
    store.set_epoch_deadline(1);
}

/// Whether the guest gave more than its store lets through in one call. wasmtime keeps the type of this error to
/// itself; a test sees to it that the text stays the one looked for.
fn is_transfer_limit(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .to_string()
            .contains("fuel allocated for hostcalls has been exhausted")
    })
}

fn cause(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
