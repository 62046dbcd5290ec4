//! A loaded plugin: what it is, what it may do, what it did, and the ports it fills.

use std::collections::BTreeSet;
use std::sync::Arc;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{Account, Hook, Provider, Sink, ToolServer, Wire};
use semver::Version;

use crate::digest::Sha256;
use crate::grant::Grant;
use crate::inspect::Extra;
use crate::live::{Generation, Live};
use crate::live_ports::{LiveHook, LiveProvider, LiveSink, LiveTools, LiveWire, Tables};
use crate::lock::Scope;
use crate::manifest::{Kind, Manifest};
use crate::plugin_context::PluginContext;
use crate::stats::Stats;

/// A loaded plugin. Cheap to clone; its instances end with the last clone and the last of its ports.
#[derive(Clone)]
pub struct Plugin {
    live: Arc<Live>,
    tables: Arc<Tables>,
    ports: Parts,
}

/// The ports that a plugin fills. They are all the rest of the host sees of it.
#[derive(Clone, Default)]
pub(crate) struct Parts {
    pub(crate) provider: Option<Arc<dyn Provider>>,
    pub(crate) account: Option<Arc<dyn Account>>,
    pub(crate) wire: Option<Arc<dyn Wire>>,
    pub(crate) tools: Option<Arc<dyn ToolServer>>,
    pub(crate) hook: Option<Arc<dyn Hook>>,
    pub(crate) sink: Option<Arc<dyn Sink>>,
}

impl Plugin {
    pub(crate) fn new(first: Generation, parts: Parts) -> Self {
        let tables = Arc::<Tables>::default();
        let description = parts
            .provider
            .as_ref()
            .map(|provider| provider.description().clone());
        let subscription = parts.sink.as_ref().map(|sink| sink.subscription().clone());
        let account = parts.account.clone();
        let (has_tools, has_hook) = (parts.tools.is_some(), parts.hook.is_some());
        let has_wire = parts.wire.is_some();
        let live = Arc::new(Live::new(first, parts));
        let ports = Parts {
            provider: description.map(|first| -> Arc<dyn Provider> {
                Arc::new(LiveProvider {
                    live: Arc::clone(&live),
                    first,
                    tables: Arc::clone(&tables),
                })
            }),
            // People sign in with commands of their own, which no component outlives.
            account,
            wire: has_wire.then(|| -> Arc<dyn Wire> {
                Arc::new(LiveWire {
                    live: Arc::clone(&live),
                })
            }),
            tools: has_tools.then(|| -> Arc<dyn ToolServer> {
                Arc::new(LiveTools {
                    live: Arc::clone(&live),
                })
            }),
            hook: has_hook.then(|| -> Arc<dyn Hook> {
                Arc::new(LiveHook {
                    live: Arc::clone(&live),
                })
            }),
            sink: subscription.map(|first| -> Arc<dyn Sink> {
                Arc::new(LiveSink {
                    live: Arc::clone(&live),
                    first,
                })
            }),
        };
        Self {
            live,
            tables,
            ports,
        }
    }

    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// How its provider was configured so far.
    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    fn context(&self) -> &PluginContext {
        &self.live.current().context
    }

    /// Its id.
    pub fn id(&self) -> &PluginId {
        self.live.id()
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        &self.manifest().version
    }

    /// Its manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.live.current().manifest
    }

    /// Whose it is.
    pub fn scope(&self) -> &Scope {
        &self.live.current().scope
    }

    /// The digest of its component.
    pub fn sha256(&self) -> Sha256 {
        self.live.current().sha256
    }

    /// The how-manieth component of this session it is.
    pub fn generation(&self) -> u64 {
        self.live.count()
    }

    /// What it is.
    pub fn kinds(&self) -> &BTreeSet<Kind> {
        &self.live.current().inspection.kinds
    }

    /// What it can do besides, as a provider.
    pub fn extras(&self) -> &BTreeSet<Extra> {
        &self.live.current().inspection.extras
    }

    /// What it may do. `grant().capabilities()` prints as one line.
    pub fn grant(&self) -> &Grant {
        self.context().grant()
    }

    /// What it did so far, since its component last changed.
    pub fn stats(&self) -> Stats {
        self.context().counters().snapshot()
    }

    /// How many faults put it into quarantine, if it is there.
    pub fn quarantined(&self) -> Option<u32> {
        self.context().health().record().quarantined()
    }

    /// How it broke last, in one sentence; empty where it did not lately.
    pub fn last_fault(&self) -> String {
        self.context().health().record().last_words().to_owned()
    }

    /// Why it was stopped in this session, if it was.
    pub fn stopped(&self) -> Option<String> {
        self.live.stopped()
    }

    /// How it is not what was accepted any more, where a call found that out.
    pub fn drift(&self) -> Option<String> {
        self.context().drift()
    }

    /// What it was refused in this session, in sentences; each once.
    pub fn denials(&self) -> Vec<String> {
        self.context().denials()
    }

    /// Keeps what it did for other processes to see. Blocks for a small write where it did something since the last
    /// time.
    pub fn note_activity(&self) {
        self.context().note_activity();
    }

    /// Lets it run again after quarantine.
    pub fn release(&self) {
        self.context().health().release();
    }

    /// The provider it is, if it is one.
    pub fn provider(&self) -> Option<&Arc<dyn Provider>> {
        self.ports.provider.as_ref()
    }

    /// The login that it has as a provider, if it has one: that of the component that was loaded first.
    pub fn account(&self) -> Option<&Arc<dyn Account>> {
        self.ports.account.as_ref()
    }

    /// The wire that it speaks, if it is a provider with one of its own.
    pub fn wire(&self) -> Option<&Arc<dyn Wire>> {
        self.ports.wire.as_ref()
    }

    /// The tool server it is, if it is one.
    pub fn tools(&self) -> Option<&Arc<dyn ToolServer>> {
        self.ports.tools.as_ref()
    }

    /// The hook it is, if it is one.
    pub fn hook(&self) -> Option<&Arc<dyn Hook>> {
        self.ports.hook.as_ref()
    }

    /// The sink it is, if it is one.
    pub fn sink(&self) -> Option<&Arc<dyn Sink>> {
        self.ports.sink.as_ref()
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
