//! A loaded plugin: what it is, what it may do, what it did, and the ports it fills.

use std::collections::BTreeSet;
use std::sync::Arc;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{Hook, Provider, Sink, ToolServer};
use semver::Version;

use crate::grant::Grant;
use crate::inspect::{Extra, Inspection};
use crate::lock::Scope;
use crate::manifest::{Kind, Manifest};
use crate::plugin_context::PluginContext;
use crate::stats::Stats;

/// A loaded plugin. Cheap to clone; its instances end with the last clone and the last of its ports.
#[derive(Clone)]
pub struct Plugin {
    context: Arc<PluginContext>,
    manifest: Arc<Manifest>,
    scope: Scope,
    inspection: Arc<Inspection>,
    parts: Parts,
}

/// The ports that a plugin fills. They are all the rest of the host sees of it.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    pub(crate) provider: Option<Arc<dyn Provider>>,
    pub(crate) tools: Option<Arc<dyn ToolServer>>,
    pub(crate) hook: Option<Arc<dyn Hook>>,
    pub(crate) sink: Option<Arc<dyn Sink>>,
}

impl Plugin {
    pub(crate) fn new(
        context: Arc<PluginContext>,
        manifest: Manifest,
        scope: Scope,
        inspection: Inspection,
        parts: Parts,
    ) -> Self {
        Self {
            context,
            manifest: Arc::new(manifest),
            scope,
            inspection: Arc::new(inspection),
            parts,
        }
    }

    /// Its id.
    pub fn id(&self) -> &PluginId {
        self.context.id()
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        &self.manifest.version
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whose it is.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What it is.
    pub fn kinds(&self) -> &BTreeSet<Kind> {
        &self.inspection.kinds
    }

    /// What it can do besides, as a provider.
    pub fn extras(&self) -> &BTreeSet<Extra> {
        &self.inspection.extras
    }

    /// What it may do. `grant().capabilities()` prints as one line.
    pub fn grant(&self) -> &Grant {
        self.context.grant()
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.context.counters().snapshot()
    }

    /// How many faults put it into quarantine, if it is there.
    pub fn quarantined(&self) -> Option<u32> {
        self.context.health().quarantined()
    }

    /// Lets it run again after quarantine.
    pub fn release(&self) {
        self.context.health().release();
    }

    /// The provider it is, if it is one.
    pub fn provider(&self) -> Option<&Arc<dyn Provider>> {
        self.parts.provider.as_ref()
    }

    /// The tool server it is, if it is one.
    pub fn tools(&self) -> Option<&Arc<dyn ToolServer>> {
        self.parts.tools.as_ref()
    }

    /// The hook it is, if it is one.
    pub fn hook(&self) -> Option<&Arc<dyn Hook>> {
        self.parts.hook.as_ref()
    }

    /// The sink it is, if it is one.
    pub fn sink(&self) -> Option<&Arc<dyn Sink>> {
        self.parts.sink.as_ref()
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("id", self.id())
            .field("kinds", self.kinds())
            .finish_non_exhaustive()
    }
}
