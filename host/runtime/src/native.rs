//! Native plugins: shared libraries in this process, for what a sandbox cannot do. Nothing confines them.
//!
//! They fill the same ports as components, with the same conversions, deadlines, output limits, faults, quarantine and
//! counters; what they lack is everything that a sandbox gives. So they are off unless the user's own configuration
//! allows them, run only by the digest that the user granted, from files that nobody else can write, and never from a
//! project. The boundary is `plugin-api/native/include/dovetail_native.h`.

pub mod files;
pub(crate) mod judge;
pub mod mark;
pub mod outline;

mod convert;
mod hooks;
mod lane;
mod pool;
mod provider;
mod sink;
mod sys;
mod tools;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dovetail_core::plugin::{PluginError, PluginFault};
use dovetail_native_api::Opening;
use dovetail_native_api::op::Op;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::hooks::NativeHook;
use self::lane::{Lane, StartError};
use self::mark::Mark;
use self::outline::{NotALibrary, Outline};
use self::provider::NativeProvider;
use self::sink::NativeSink;
pub use self::sys::OpenError;
use self::tools::NativeTools;
use crate::drift::Watch;
use crate::inspect::{self, InspectError, Inspection};
use crate::ledger::Subject;
use crate::live::Generation;
use crate::load::{self, LoadProblem, LoadRequest, Loaded, Standing};
use crate::manifest::{Kind, Manifest};
use crate::plugin::Parts;
use crate::plugin_context::PluginContext;
use crate::services::Services;
pub use dovetail_native_api::abi::ABI;

/// What is said wherever a native plugin is shown.
pub const UNSANDBOXED: &str = "UNSANDBOXED";

/// What the user has to write to have native plugins at all.
pub const ALLOW_HINT: &str =
    "to allow native plugins: `allow_native = true` under `[dovetail]` in your own config.toml";

/// What is said where a library is another than the one that runs.
pub const NOT_REPLACED: &str =
    "native code is not replaced while dovetail runs: start dovetail again to use it as it is now";

/// What helps against a library that does not keep to the boundary.
const REBUILD: &str = "build it again with the `dovetail_native.h` of this version";

/// Why a native plugin was not loaded. Reads after ``plugin `x` ``.
#[derive(Debug, thiserror::Error)]
pub enum NativeProblem {
    /// The user did not allow any.
    #[error("is native code, which runs without a sandbox, and native plugins are not allowed")]
    NotAllowed,
    /// A project's plugin cannot be native.
    #[error("is native code, which a project's plugin cannot be")]
    OfProject,
    /// The file is no native plugin.
    #[error(transparent)]
    NoLibrary(#[from] NotALibrary),
    /// It cannot be opened, or does not keep to the boundary.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It did not finish loading; its thread is lost.
    #[error("did not finish loading within {} s", .0.as_secs())]
    Late(Duration),
    /// The system gives no thread, or the library ended it.
    #[error("lost its thread while it was loaded")]
    Thread,
    /// The manifest in its table is not the one in its file.
    #[error("has another manifest in its table than in its file")]
    TwoManifests,
    /// The library is another plugin's.
    #[error("has the library of plugin `{0}`")]
    OtherId(String),
    /// Its `open` failed.
    #[error("does not start: {0}")]
    Refused(PluginError),
}

impl NativeProblem {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAllowed => Some(ALLOW_HINT.to_owned()),
            Self::OfProject => Some("install it for yourself, or use a component".to_owned()),
            Self::NoLibrary(error) => Some(error.hint()),
            Self::Open(OpenError::Version { theirs })
                if *theirs > dovetail_native_api::abi::ABI =>
            {
                Some("update dovetail, or install an older version of the plugin".to_owned())
            }
            Self::Open(OpenError::Memory(_)) => {
                Some("it needs memfd_create, and `vm.memfd_noexec` must not be 2".to_owned())
            }
            Self::Open(OpenError::Link(_)) => {
                Some("install the library or symbol that is missing, or ask its author".to_owned())
            }
            Self::Open(OpenError::NoTable) => None,
            Self::Open(_) | Self::TwoManifests => Some(REBUILD.to_owned()),
            Self::OtherId(id) => Some(format!("name its folder and the id in plugin.toml `{id}`")),
            Self::Late(_) | Self::Thread | Self::Refused(_) => None,
        }
    }
}

/// Loads a native plugin. Runs on a thread that may block.
pub(crate) fn load(
    request: LoadRequest,
    standing: Standing,
    services: &Arc<Services>,
) -> Result<Loaded, LoadProblem> {
    let LoadRequest {
        found,
        grant,
        secrets,
        config,
        records,
    } = request;
    let watch = Watch::of(&found, grant.capabilities(), records.as_ref());
    let subject = Subject::of(&found, &config);
    load::check_health(services, &subject)?;
    let manifest = found.manifest;
    // Whoever judged the plugin has looked at both already; this is the last place before its code runs.
    if !services.allows_native() {
        return Err(NativeProblem::NotAllowed.into());
    }
    if matches!(found.scope, crate::lock::Scope::Project(_)) {
        return Err(NativeProblem::OfProject.into());
    }
    let outline = outline::check(&found.wasm.bytes).map_err(NativeProblem::from)?;
    check_outline(&outline, &manifest)?;
    let (id, grant) = (manifest.id.clone(), Arc::new(grant));
    let context = PluginContext::new(
        id.clone(),
        Arc::clone(&grant),
        manifest.limits,
        &config,
        Arc::clone(services),
        watch,
        subject,
    )?;
    let context = Arc::new(context);
    services.egress().secrets().bind(id.clone(), secrets);
    let egress = services.egress();
    let admitted = standing == Standing::First || egress.grant(&id).is_err();
    if admitted {
        egress.admit(id.clone(), grant);
    }
    let sha256 = found.wasm.sha256;
    let contract = outline.contract.clone();
    let code = Code {
        sha256,
        bytes: found.wasm.bytes,
        outline,
    };
    let parts = tokio::runtime::Handle::current()
        .block_on(code.start(&manifest, &context, services))
        .inspect_err(|_| {
            if admitted {
                egress.revoke(&id);
            }
        })?;
    let inspection = Inspection {
        kinds: manifest.kinds.clone(),
        extras: BTreeSet::new(),
        imports: BTreeSet::new(),
        contract,
    };
    let generation = Generation::new(context, manifest, found.scope, sha256, inspection, &parts);
    Ok(Loaded { generation, parts })
}

/// A library's bytes.
struct Code {
    sha256: crate::digest::Sha256,
    bytes: std::borrow::Cow<'static, [u8]>,
    outline: Outline,
}

impl Code {
    async fn start(
        self,
        manifest: &Manifest,
        context: &Arc<PluginContext>,
        services: &Services,
    ) -> Result<Parts, LoadProblem> {
        let id = &manifest.id;
        // Without a mark a crash is not reported at the next start; that is no reason not to start.
        let mark = Mark::make(&services.marks_dir(), id, &self.sha256)
            .inspect_err(
                |error| tracing::warn!(plugin = %id, "a crash of it could not be noted: {error}"),
            )
            .ok();
        let trying_out = services.outside().is_some();
        let started = lane::start(id.as_str(), self.sha256, self.bytes, mark, trying_out)
            .await
            .map_err(|error| match error {
                StartError::Open(error) => NativeProblem::Open(error),
                StartError::Late(limit) => NativeProblem::Late(limit),
                StartError::Thread => NativeProblem::Thread,
            })?;
        if started.manifest != self.outline.manifest {
            return Err(NativeProblem::TwoManifests.into());
        }
        let opening = Opening {
            config_json: context.config_json().to_owned(),
            host: concat!("dovetail ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let opening = bytes_of(&opening).map_err(NativeProblem::Refused)?;
        let lane = Lane::start(started, Arc::clone(context), opening).await;
        let lane = lane.map_err(|error| match error {
            PluginError::Fault(fault) => LoadProblem::Broke(fault),
            refused => NativeProblem::Refused(refused).into(),
        })?;
        parts(&Arc::new(Native(lane)), &manifest.kinds).await
    }
}

/// Compares what a library says of itself with its `plugin.toml`.
///
/// # Errors
/// Says what differs.
pub fn check_outline(outline: &Outline, manifest: &Manifest) -> Result<(), LoadProblem> {
    if !inspect::speaks(&outline.contract) {
        let guest = outline.contract.clone();
        return Err(InspectError::OtherContract { guest }.into());
    }
    if outline.id != manifest.id.as_str() {
        return Err(NativeProblem::OtherId(outline.id.clone()).into());
    }
    if outline.kinds != manifest.kinds {
        return Err(LoadProblem::OtherKinds {
            manifest: manifest.kinds.clone(),
            component: outline.kinds.clone(),
        });
    }
    Ok(())
}

async fn parts(native: &Arc<Native>, kinds: &BTreeSet<Kind>) -> Result<Parts, LoadProblem> {
    let failed = |error| match error {
        PluginError::Fault(fault) => LoadProblem::Broke(fault),
        refused => NativeProblem::Refused(refused).into(),
    };
    let mut parts = Parts::default();
    for kind in kinds {
        let native = Arc::clone(native);
        match kind {
            Kind::Provider => {
                let plugin = NativeProvider::load(native).await.map_err(failed)?;
                parts.provider = Some(Arc::new(plugin));
            }
            Kind::Tools => parts.tools = Some(Arc::new(NativeTools::load(native))),
            Kind::Hooks => {
                let plugin = NativeHook::load(native).await.map_err(failed)?;
                parts.hook = Some(Arc::new(plugin));
            }
            Kind::Sink => {
                let plugin = NativeSink::load(native).await.map_err(failed)?;
                parts.sink = Some(Arc::new(plugin));
            }
        }
    }
    Ok(parts)
}

/// A native plugin that is open, as its ports see it.
struct Native(Lane);

impl Native {
    fn plugin(&self) -> &PluginContext {
        self.0.plugin()
    }

    /// Calls an operation and reads its answer; none where the library does not implement it.
    async fn ask_optional<A: DeserializeOwned>(
        &self,
        op: Op,
        wall: Duration,
        input: &impl Serialize,
    ) -> Result<Option<A>, PluginError> {
        let input = bytes_of(input)?;
        self.ask_bytes(op, wall, input).await
    }

    /// The same with parameters that are written already.
    async fn ask_bytes<A: DeserializeOwned>(
        &self,
        op: Op,
        wall: Duration,
        input: Vec<u8>,
    ) -> Result<Option<A>, PluginError> {
        let Some(answer) = self.0.call(op, input, wall).await? else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&answer);
        read.map(Some).map_err(|why| {
            let detail = crate::convert::reason(&format!("its answer is not understood: {why}"));
            let fault: PluginFault = lane::trap(self.plugin(), op, &detail);
            self.plugin().faulted(&fault);
            fault.into()
        })
    }

    /// Calls an operation that every plugin of its kind has.
    async fn ask<A: DeserializeOwned>(
        &self,
        op: Op,
        wall: Duration,
        input: &impl Serialize,
    ) -> Result<A, PluginError> {
        let answer = self.ask_optional(op, wall, input).await?;
        answer.ok_or_else(|| {
            PluginError::Other(format!(
                "plugin `{}` does not implement `{}`, which its kind must",
                self.plugin().id(),
                op.name
            ))
        })
    }
}

fn bytes_of(value: &impl Serialize) -> Result<Vec<u8>, PluginError> {
    serde_json::to_vec(value)
        .map_err(|e| PluginError::Other(format!("the call cannot be written as JSON: {e}")))
}

#[cfg(test)]
mod tests;
