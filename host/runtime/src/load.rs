//! From a file to a running plugin. Everything that can be known without running guest code is checked first.

mod error;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{Account, PluginEvent};
use serde_json::Value;
use wasmtime::component::{Component, InstancePre};

use crate::cache::{Cache, CacheRefused};
use crate::capability::Capabilities;
use crate::catalogue::Entry;
use crate::discovery::{Found, Wasm};
use crate::drift::{Records, Watch};
use crate::engine::{Engine, EngineError};
use crate::grant::Grant;
use crate::guest_state::GuestState;
use crate::hooks::HookPlugin;
use crate::inspect::{self, Extra, Inspection};
use crate::instance::{self, Blueprint, Exports};
use crate::ledger::Subject;
use crate::link::{self, Linkers};
use crate::live::Generation;
use crate::manifest::Kind;
use crate::native;
use crate::plugin::{Parts, Plugin};
use crate::plugin_context::PluginContext;
use crate::provider::ProviderPlugin;
use crate::secret_source::SecretSource;
use crate::services::Services;
use crate::sink::SinkPlugin;
use crate::state::{Refusal, State};
use crate::tools::ToolsPlugin;
use crate::wire::WirePlugin;

pub use error::{LoadError, LoadProblem};

/// A plugin to load: found, and granted something by somebody.
#[derive(Debug)]
pub struct LoadRequest {
    /// The plugin.
    pub found: Found,
    /// What it may do.
    pub grant: Grant,
    /// Where its secrets come from, by slot, as far as the user said.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `[dovetail.plugins.<id>.config]`, null where there is none.
    pub config: Value,
    /// What it was judged by; none where nobody watches over it.
    pub records: Option<Records>,
}

impl LoadRequest {
    /// From an entry of the catalogue.
    ///
    /// # Errors
    /// Why the plugin may not run.
    pub fn new(entry: Entry, config: Value) -> Result<Self, Refusal> {
        let Entry {
            found,
            state,
            secrets,
            record: _,
            records,
        } = entry;
        if let Some(refusal) = state.refusal(&found.manifest.id) {
            return Err(refusal);
        }
        let State::Ready(grant) = state else {
            unreachable!("every other state has a refusal")
        };
        Ok(Self {
            found,
            grant,
            secrets,
            config,
            records,
        })
    }
}

/// Loads plugins, and holds what they share. Cheap to clone.
#[derive(Clone)]
pub struct Runtime(Arc<Shared>);

pub(crate) struct Shared {
    engine: Arc<Engine>,
    cache: Option<Cache>,
    linkers: Linkers,
    pub(crate) services: Arc<Services>,
}

/// What a component is loaded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The plugin itself: its grant counts from now on.
    First,
    /// A candidate beside the one that runs, whose grant goes on counting for what the host does on the plugin's behalf.
    Candidate,
}

/// A component that was loaded, with the ports that it fills.
pub(crate) struct Loaded {
    pub(crate) generation: Generation,
    pub(crate) parts: Parts,
}

impl Runtime {
    /// Makes the engine. `cache_dir` is where compiled plugins are kept; a directory that cannot be trusted is not
    /// used, which costs time and is returned as a warning.
    ///
    /// # Errors
    /// Where the machine cannot run the engine at all.
    pub fn new(
        cache_dir: &Path,
        services: Services,
    ) -> Result<(Self, Option<CacheRefused>), EngineError> {
        Self::sharing(cache_dir, Arc::new(services))
    }

    /// The same with services that others hold too.
    ///
    /// # Errors
    /// As [`Runtime::new`].
    pub fn sharing(
        cache_dir: &Path,
        services: Arc<Services>,
    ) -> Result<(Self, Option<CacheRefused>), EngineError> {
        let engine = Arc::new(Engine::new()?);
        let (cache, refused) = match Cache::open(cache_dir, engine.wasm()) {
            Ok(cache) => (Some(cache), None),
            Err(refused) => (None, Some(refused)),
        };
        let shared = Shared {
            engine,
            cache,
            linkers: Linkers::default(),
            services,
        };
        Ok((Self(Arc::new(shared)), refused))
    }

    /// What the host does for plugins.
    pub fn services(&self) -> &Arc<Services> {
        &self.0.services
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Compiles a component and holds it against the contract, as if it had got all that it asks for. None of it runs.
    /// What was compiled is kept for the first load. Blocks.
    ///
    /// # Errors
    /// Says why it could not be loaded.
    pub fn prepare(&self, found: &Found) -> Result<(), LoadError> {
        self.0.prepare(found).map_err(|problem| LoadError {
            plugin: found.manifest.id.clone(),
            problem,
        })
    }

    /// Loads one plugin.
    ///
    /// # Errors
    /// Says what is wrong with which plugin.
    pub async fn load(&self, request: LoadRequest) -> Result<Plugin, LoadError> {
        let plugin = request.found.manifest.id.clone();
        let mut loaded = self.load_all(vec![request]).await;
        let lost = || LoadError {
            plugin,
            problem: LoadProblem::Host("its loader ended".to_owned()),
        };
        loaded.pop().unwrap_or_else(|| Err(lost()))
    }

    /// Loads plugins in parallel, off the async threads. Results are in the order of the requests.
    pub async fn load_all(&self, requests: Vec<LoadRequest>) -> Vec<Result<Plugin, LoadError>> {
        let ids: Vec<PluginId> = requests
            .iter()
            .map(|request| request.found.manifest.id.clone())
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = cores.min(requests.len());
        let queue = Arc::new(Mutex::new(requests.into_iter().enumerate()));
        let work = |_| {
            let (shared, queue) = (Arc::clone(&self.0), Arc::clone(&queue));
            tokio::task::spawn_blocking(move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let mut loaded = Vec::new();
                while let Some((at, request)) = next() {
                    loaded.push((at, shared.load(request)));
                }
                loaded
            })
        };
        let tasks: Vec<_> = (0..workers).map(work).collect();
        let mut results: BTreeMap<usize, Result<Plugin, LoadError>> = BTreeMap::new();
        for task in tasks {
            match task.await {
                Ok(loaded) => results.extend(loaded),
                Err(error) => tracing::error!("a plugin loader ended: {error}"),
            }
        }
        let lost = |plugin| LoadError {
            plugin,
            problem: LoadProblem::Host("its loader ended".to_owned()),
        };
        ids.into_iter()
            .enumerate()
            .map(|(at, id)| results.remove(&at).unwrap_or_else(|| Err(lost(id))))
            .collect()
    }
}

/// A plugin that broke too often is not even asked what it is.
pub(crate) fn check_health(services: &Services, subject: &Subject) -> Result<(), LoadProblem> {
    match services.ledger().faults(subject) {
        Some(faults) if faults.quarantined => Err(LoadProblem::Quarantined {
            faults: faults.recent,
            last: faults.last,
        }),
        Some(_) | None => Ok(()),
    }
}

impl Shared {
    /// Runs on a thread that may block.
    fn load(&self, request: LoadRequest) -> Result<Plugin, LoadError> {
        let Loaded { generation, parts } = self.load_generation(request, Standing::First)?;
        self.services.news().tell(
            generation.context.id(),
            PluginEvent::Loaded {
                version: generation.manifest.version.to_string(),
                source: generation.scope.name(),
                sha256: generation.sha256.to_string(),
            },
        );
        Ok(Plugin::new(generation, parts))
    }

    /// Runs on a thread that may block. A failure leaves a plugin that was not running without a grant.
    pub(crate) fn load_generation(
        &self,
        request: LoadRequest,
        standing: Standing,
    ) -> Result<Loaded, LoadError> {
        let id = request.found.manifest.id.clone();
        self.try_load(request, standing)
            .map_err(|problem| LoadError {
                plugin: id,
                problem,
            })
    }

    fn try_load(&self, request: LoadRequest, standing: Standing) -> Result<Loaded, LoadProblem> {
        if request.found.manifest.native {
            return native::load(request, standing, &self.services);
        }
        let LoadRequest {
            found,
            grant,
            secrets,
            config,
            records,
        } = request;
        let watch = Watch::of(&found, grant.capabilities(), records.as_ref());
        let subject = Subject::of(&found, &config);
        check_health(&self.services, &subject)?;
        let (inspection, pre) = self.link(&found, grant.capabilities())?;
        let manifest = found.manifest;
        let grant = Arc::new(grant);
        let services = Arc::clone(&self.services);
        let context = PluginContext::new(
            manifest.id.clone(),
            Arc::clone(&grant),
            manifest.limits,
            &config,
            services,
            watch,
            subject,
        )?;
        let context = Arc::new(context);
        self.services
            .egress()
            .secrets()
            .bind(manifest.id.clone(), secrets);
        let egress = self.services.egress();
        let admitted = standing == Standing::First || egress.grant(&manifest.id).is_err();
        if admitted {
            egress.admit(manifest.id.clone(), grant);
        }
        let parts = self.parts(&inspection, &context, &pre).inspect_err(|_| {
            if admitted {
                egress.revoke(&manifest.id);
            }
        })?;
        let generation = Generation::new(
            context,
            manifest,
            found.scope,
            found.wasm.sha256,
            inspection,
            &parts,
        );
        Ok(Loaded { generation, parts })
    }

    /// Everything that can be known without running guest code, but for its exports.
    fn link(
        &self,
        found: &Found,
        granted: &Capabilities,
    ) -> Result<(Inspection, InstancePre<GuestState>), LoadProblem> {
        let manifest = &found.manifest;
        let inspection = inspect::outline(&found.wasm.bytes)?;
        if inspection.kinds != manifest.kinds {
            return Err(LoadProblem::OtherKinds {
                manifest: manifest.kinds.clone(),
                component: inspection.kinds,
            });
        }
        let linked = link::linkable(&found.scope, &manifest.request, granted);
        let interfaces = link::admit(&inspection.imports, &manifest.request, &linked)?;
        let component = self.component(&found.wasm)?;
        let contract = |error: wasmtime::Error| LoadProblem::Contract(error.into());
        let linker = self
            .linkers
            .get(self.engine.wasm(), &interfaces)
            .map_err(contract)?;
        let pre = linker.instantiate_pre(&component).map_err(contract)?;
        Ok((inspection, pre))
    }

    fn prepare(&self, found: &Found) -> Result<(), LoadProblem> {
        if found.manifest.native {
            // There is nothing to compile, and to link it is to run it. Whoever read it has looked into it.
            return Ok(());
        }
        let (inspection, pre) = self.link(found, &found.manifest.request)?;
        inspection.kinds.iter().try_for_each(|kind| {
            instance::check_exports(*kind, &pre)
                .map_err(|error| LoadProblem::Contract(error.into()))
        })
    }

    /// The compiled component: from the cache, or compiled now.
    fn component(&self, wasm: &Wasm) -> Result<Component, LoadProblem> {
        let engine = self.engine.wasm();
        if let Some(component) = self
            .cache
            .as_ref()
            .and_then(|cache| cache.load(engine, &wasm.sha256))
        {
            return Ok(component);
        }
        let compile = |error: wasmtime::Error| LoadProblem::Compile(error.into());
        let compiled = engine.precompile_component(&wasm.bytes).map_err(compile)?;
        if let Some(cache) = &self.cache {
            cache.store(&wasm.sha256, &compiled);
            // Mapped from the file it shares its memory with other processes.
            if let Some(component) = cache.load(engine, &wasm.sha256) {
                return Ok(component);
            }
        }
        // SAFETY: these bytes are what this engine made a moment ago; they never left this process.
        unsafe { Component::deserialize(engine, &compiled) }.map_err(compile)
    }

    fn parts(
        &self,
        inspection: &Inspection,
        context: &Arc<PluginContext>,
        pre: &InstancePre<GuestState>,
    ) -> Result<Parts, LoadProblem> {
        let has = |kind| inspection.kinds.contains(&kind);
        let runtime = tokio::runtime::Handle::current();
        let mut parts = Parts::default();
        runtime.block_on(async {
            if has(Kind::Provider) {
                let has_account = inspection.extras.contains(&Extra::Account);
                let plugin = ProviderPlugin::load(self.blueprint(context, pre)?, has_account).await;
                let plugin = Arc::new(plugin.map_err(LoadProblem::Broke)?);
                if inspection.extras.contains(&Extra::Wire) {
                    let blueprint = self.blueprint(context, pre)?;
                    let wire = WirePlugin::new(blueprint, plugin.configured());
                    parts.wire = Some(Arc::new(wire));
                }
                if has_account {
                    parts.account = Some(Arc::clone(&plugin) as Arc<dyn Account>);
                }
                parts.provider = Some(plugin);
            }
            if has(Kind::Tools) {
                parts.tools = Some(Arc::new(ToolsPlugin::load(self.blueprint(context, pre)?)));
            }
            if has(Kind::Hooks) {
                let plugin = HookPlugin::load(self.blueprint(context, pre)?).await;
                parts.hook = Some(Arc::new(plugin.map_err(LoadProblem::Broke)?));
            }
            if has(Kind::Sink) {
                let plugin = SinkPlugin::load(self.blueprint(context, pre)?).await;
                parts.sink = Some(Arc::new(plugin.map_err(LoadProblem::Broke)?));
            }
            Ok(parts)
        })
    }

    fn blueprint<E: Exports>(
        &self,
        context: &Arc<PluginContext>,
        pre: &InstancePre<GuestState>,
    ) -> Result<Blueprint<E>, LoadProblem> {
        Blueprint::new(Arc::clone(&self.engine), Arc::clone(context), pre.clone())
            .map_err(|error| LoadProblem::Contract(error.into()))
    }
}

/// The usual place of the cache under the host's own directory.
pub fn cache_dir(codex_home: &Path) -> PathBuf {
    codex_home.join("dovetail/cache")
}

#[cfg(test)]
#[path = "load/bounds_tests.rs"]
mod bounds_tests;
#[cfg(test)]
#[path = "load/tests.rs"]
pub(crate) mod tests;
