//! What the host keeps beside one instance: its WASI, its limits, and what it may reach.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::capture::Capture;
use crate::fs_guard::{AppendOnly, GuardedFs};
use crate::guest_log::Level;
use crate::plugin_context::PluginContext;
use crate::wasi_http::EgressHooks;

/// Core instances, tables and memories of one component. A Rust guest has about 10, 3 and 1, one with a JavaScript
/// engine twice that.
const MOST_INSTANCES: usize = 128;
const MOST_TABLES: usize = 64;
const MOST_MEMORIES: usize = 16;

/// Elements of a table. Engines compiled to wasm keep a few ten thousand function pointers.
const MOST_TABLE_ELEMENTS: usize = 1 << 20;

/// Open files, streams and locks of one instance.
const MOST_RESOURCES: usize = 1_000;

/// A guest moves at least this much in one call, however small its output limit: host calls count too.
const LEAST_TRANSFER: usize = 64 << 10;

/// Beside one instance.
pub(crate) struct GuestState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    http_hooks: EgressHooks,
    table: ResourceTable,
    append_only: AppendOnly,
    bounds: Bounds,
    ticks_left: u64,
    /// What one call may give.
    output_bytes: usize,
    output: Capture,
    plugin: Arc<PluginContext>,
}

/// The guest used up its ticks.
#[derive(Debug, thiserror::Error)]
#[error("used more processor time than it may")]
pub(crate) struct OutOfTicks;

impl GuestState {
    /// A store for a new instance, with all limits set. Opens the granted directories.
    pub(crate) fn store(
        engine: &wasmtime::Engine,
        plugin: &Arc<PluginContext>,
    ) -> wasmtime::Result<Store<Self>> {
        let output = Capture::default();
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(output.clone())
            .stderr(output.clone())
            .envs(plugin.env())
            // What some guests import unasked is there and closed; the network is reached over HTTP alone.
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        let append_only = plugin.mount(&mut wasi)?;
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_RESOURCES);
        let limits = plugin.limits();
        let state = Self {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            http_hooks: EgressHooks::new(Arc::clone(plugin)),
            table,
            append_only,
            bounds: Bounds {
                memory: 0,
                most_memory: limits.memory_bytes,
                refused: false,
            },
            ticks_left: 0,
            output_bytes: limits.output_bytes,
            output,
            plugin: Arc::clone(plugin),
        };
        let mut store = Store::try_new(engine, state)?;
        store.limiter(|state| &mut state.bounds);
        store.epoch_deadline_callback(Self::tick);
        store.set_hostcall_fuel(limits.output_bytes.max(LEAST_TRANSFER));
        store.set_max_component_handles(MOST_RESOURCES);
        Ok(store)
    }

    /// Called when the guest has run into the next tick: lets others run, and counts.
    fn tick(mut store: StoreContextMut<'_, Self>) -> wasmtime::Result<UpdateDeadline> {
        let state = store.data_mut();
        state.ticks_left = state.ticks_left.checked_sub(1).ok_or(OutOfTicks)?;
        Ok(UpdateDeadline::Yield(1))
    }

    /// Starts a call: gives the guest its processor time and forgets what the last call left behind.
    pub(crate) fn begin(&mut self, ticks: u64) {
        self.ticks_left = ticks;
        self.bounds.refused = false;
        self.output.clear();
    }

    /// Whether the guest asked for more memory than it may have.
    pub(crate) fn was_refused_memory(&self) -> bool {
        self.bounds.refused
    }

    /// What one call may give, in bytes.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output_bytes
    }

    /// Changes that, for an instance whose answers are as large as the questions.
    pub(crate) fn allow_output(store: &mut Store<Self>, bytes: usize) {
        store.data_mut().output_bytes = bytes;
        store.set_hostcall_fuel(bytes.max(LEAST_TRANSFER));
    }

    /// What it wrote last to its standard output or error.
    pub(crate) fn last_words(&self) -> Option<String> {
        self.output.last_words()
    }

    /// How much memory it has.
    pub(crate) fn memory(&self) -> u64 {
        self.bounds.memory
    }

    /// Passes on to the plugin's log what it wrote in this call to its standard output or error.
    pub(crate) fn log_output(&self, level: Level) {
        for line in self.output.lines() {
            self.plugin.log().write(level, &line);
        }
    }

    /// The plugin whose instance this is.
    pub(crate) fn plugin(&self) -> &Arc<PluginContext> {
        &self.plugin
    }

    /// The resources that the guest holds.
    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// The filesystem as the guest may use it.
    pub(crate) fn guarded_fs(&mut self) -> GuardedFs<'_> {
        let wasi = WasiFilesystemCtxView {
            ctx: self.wasi.filesystem(),
            table: &mut self.table,
        };
        GuardedFs {
            wasi,
            append_only: &mut self.append_only,
        }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http_hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Memory and tables of one instance. Refusing to grow is not a trap: a guest may cope, and if it does not, its
/// abort is reported as passing this limit.
struct Bounds {
    memory: u64,
    most_memory: u64,
    refused: bool,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let memory = self
            .memory
            .saturating_add(desired.saturating_sub(current) as u64);
        let granted = memory <= self.most_memory;
        if granted {
            self.memory = memory;
        }
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MOST_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MOST_INSTANCES
    }

    fn tables(&self) -> usize {
        MOST_TABLES
    }

    fn memories(&self) -> usize {
        MOST_MEMORIES
    }
}

#[cfg(test)]
#[path = "guest_state/tests.rs"]
mod tests;
