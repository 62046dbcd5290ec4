//! A plugin's manifest: what it is, which contract it speaks, what it asks for and how far it may go.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use dovetail_core::ids::PluginId;
use semver::{Comparator, Op, Version, VersionReq};

use crate::capability::Capabilities;
use crate::digest::Sha256;
use crate::manifest_file;
use crate::toml_reader::Located;

/// The version of the contract (`package dovetail:plugin`) that this host speaks.
pub const HOST_API: Version = Version::new(0, 1, 0);

/// What a plugin can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A model provider.
    Provider,
    /// A tool server.
    Tools,
    /// A hook handler.
    Hooks,
    /// An analytics sink.
    Sink,
}

/// A manifest that has been read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The plugin's id; also the name of its folder.
    pub id: PluginId,
    /// The plugin's own version.
    pub version: Version,
    /// Versions of the contract it works with.
    pub api: VersionReq,
    /// What it says it is. The exports of its component decide.
    pub kinds: BTreeSet<Kind>,
    /// One sentence for people.
    pub description: Option<String>,
    /// What it asks for.
    pub request: Capabilities,
    /// How far one call may go.
    pub limits: Limits,
    /// The digest of the file as written.
    pub sha256: Sha256,
    /// Whether its code is a shared library, which nothing confines, instead of a component.
    pub native: bool,
}

/// Bounds of one guest call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance.
    pub memory_bytes: u64,
    /// Wall time of a call, where the manifest sets it.
    deadline: Option<Duration>,
    /// What a call may return or read from the network or a program.
    pub output_bytes: usize,
}

/// Why a manifest was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Something in the file is wrong.
    #[error(transparent)]
    At(#[from] Located),
    /// It needs another version of the contract.
    #[error(transparent)]
    Api(#[from] ApiMismatch),
}

/// The plugin and the host speak different versions of the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin `{plugin}` needs plugin API `{wants}`, this host speaks {HOST_API}: {verdict}")]
pub struct ApiMismatch {
    plugin: PluginId,
    wants: VersionReq,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    HostOlder,
    PluginOlder,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Provider, Self::Tools, Self::Hooks, Self::Sink];

    /// The word used in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Tools => "tools",
            Self::Hooks => "hooks",
            Self::Sink => "sink",
        }
    }

    /// Wall time of a call where the manifest sets none.
    fn default_deadline(self) -> Duration {
        match self {
            // A hook stands in the way of every tool call.
            Self::Hooks => Duration::from_millis(1000),
            // A login command may ask a slow token service.
            Self::Provider => Duration::from_secs(30),
            Self::Tools => Duration::from_secs(60),
            // Nobody waits for a sink, but its batch is held in memory.
            Self::Sink => Duration::from_secs(5),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Limits {
    /// Memory where the manifest sets none: small plugins use 1–2 MiB, interpreters 20–40.
    pub const DEFAULT_MEMORY_MB: u64 = 64;
    /// The most a manifest can ask for.
    pub const MOST_MEMORY_MB: u64 = 1024;
    /// Output where the manifest sets none; more than a model reads.
    pub const DEFAULT_OUTPUT_KB: u64 = 1024;
    /// The most a manifest can ask for.
    pub const MOST_OUTPUT_KB: u64 = 65_536;
    /// The longest deadline: ten minutes, which outlasts interactive logins.
    pub const MOST_DEADLINE_MS: u64 = 600_000;

    pub(crate) fn new(
        memory_mb: Option<u64>,
        deadline_ms: Option<u64>,
        output_kb: Option<u64>,
    ) -> Self {
        let output_kb = output_kb
            .unwrap_or(Self::DEFAULT_OUTPUT_KB)
            .min(Self::MOST_OUTPUT_KB);
        Self {
            memory_bytes: memory_mb
                .unwrap_or(Self::DEFAULT_MEMORY_MB)
                .min(Self::MOST_MEMORY_MB)
                << 20,
            deadline: deadline_ms.map(|ms| Duration::from_millis(ms.min(Self::MOST_DEADLINE_MS))),
            output_bytes: usize::try_from(output_kb << 10).unwrap_or(usize::MAX),
        }
    }

    /// Wall time of a call as the manifest sets it; none where each kind has its own.
    pub(crate) fn set_deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether something goes further than in `other`.
    pub fn goes_beyond(&self, other: &Self) -> bool {
        self.beyond(other).is_some()
    }

    /// What goes further than in `other`, in words; none where nothing does.
    pub(crate) fn beyond(&self, other: &Self) -> Option<String> {
        let deadline = Kind::ALL
            .into_iter()
            .map(|kind| (self.deadline(kind), other.deadline(kind)))
            .find(|(new, old)| new > old);
        let parts = [
            (self.memory_bytes > other.memory_bytes)
                .then(|| format!("{} MB of memory", self.memory_bytes >> 20)),
            (self.output_bytes > other.output_bytes)
                .then(|| format!("{} KB of output", self.output_bytes >> 10)),
            deadline.map(|(new, _)| format!("{} ms a call", new.as_millis())),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Wall time of a call to a plugin's functions of one kind.
    pub fn deadline(&self, kind: Kind) -> Duration {
        self.deadline.unwrap_or_else(|| kind.default_deadline())
    }
}

/// Such as `64 MB of memory, 1024 KB of output`.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, output) = (self.memory_bytes >> 20, self.output_bytes >> 10);
        write!(f, "{memory} MB of memory, {output} KB of output")?;
        match self.deadline {
            Some(deadline) => write!(f, ", {} ms a call", deadline.as_millis()),
            None => Ok(()),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(None, None, None)
    }
}

impl Manifest {
    /// Reads a manifest; `file` is named in errors. Checks the contract's version first, so that a manifest written
    /// for another one says so instead of complaining about its keys.
    ///
    /// # Errors
    /// Names the file, the line and the nearest known key; or says which of host and plugin is older.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        manifest_file::read(text, file)
    }

    /// A digest of what the manifest asks for. Changes whenever the request does, and only then.
    pub fn request_digest(&self) -> Sha256 {
        crate::capability_toml::digest(&self.request)
    }

    pub(crate) fn check_api(plugin: &PluginId, wants: &VersionReq) -> Result<(), ApiMismatch> {
        if wants.matches(&HOST_API) {
            return Ok(());
        }
        Err(ApiMismatch {
            plugin: plugin.clone(),
            wants: wants.clone(),
            verdict: verdict(wants),
        })
    }
}

impl ApiMismatch {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self.verdict {
            Verdict::HostOlder => format!("update dovetail, or install an older `{}`", self.plugin),
            Verdict::PluginOlder => {
                format!(
                    "update `{}`, or rebuild it with the plugin API {HOST_API}",
                    self.plugin
                )
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostOlder => "the host is older than the plugin",
            Self::PluginOlder => "the plugin is older than the host",
        })
    }
}

/// Which side is older. The plugin is, unless something it wants starts above the host's version.
fn verdict(wants: &VersionReq) -> Verdict {
    let host = (HOST_API.major, HOST_API.minor, HOST_API.patch);
    let starts_above = |c: &Comparator| {
        let least = (c.major, c.minor.unwrap_or(0), c.patch.unwrap_or(0));
        match c.op {
            Op::Less | Op::LessEq => false,
            Op::Greater => least >= host,
            _ => least > host,
        }
    };
    if wants.comparators.iter().any(starts_above) {
        Verdict::HostOlder
    } else {
        Verdict::PluginOlder
    }
}

#[cfg(test)]
mod tests;
