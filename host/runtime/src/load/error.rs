//! Why a plugin was not loaded.

use std::collections::BTreeSet;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::PluginFault;

use crate::fs_rule::FsRuleError;
use crate::inspect::InspectError;
use crate::link::ImportRefused;
use crate::manifest::Kind;
use crate::native::NativeProblem;

/// Why a plugin was not loaded. The text names the plugin.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}` {problem}")]
pub struct LoadError {
    pub(super) plugin: PluginId,
    #[source]
    pub(super) problem: LoadProblem,
}

/// What was wrong. Reads after ``plugin `x` ``.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblem {
    /// The file is no plugin.
    #[error(transparent)]
    NoPlugin(#[from] InspectError),
    /// The manifest and the component disagree.
    #[error(
        "says in its manifest that it is {}, but exports {}",
        list(manifest),
        list(component)
    )]
    OtherKinds {
        /// By the manifest.
        manifest: BTreeSet<Kind>,
        /// By the exports.
        component: BTreeSet<Kind>,
    },
    /// It needs something that it does not get.
    #[error(transparent)]
    Import(#[from] ImportRefused),
    /// A granted directory cannot be used.
    #[error("cannot be given a directory")]
    Directory(#[from] FsRuleError),
    /// It does not compile.
    #[error("is damaged or uses WebAssembly features that this host does not have")]
    Compile(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An import or export has another type than the contract says.
    #[error("does not follow the contract `dovetail:plugin`")]
    Contract(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is native code, and cannot be used.
    #[error(transparent)]
    Native(#[from] NativeProblem),
    /// It broke when asked what it is or wants.
    #[error("broke while it was loaded")]
    Broke(#[source] PluginFault),
    /// It broke too often lately, in this process or others.
    #[error("is quarantined after {faults} faults in a minute, the last: {last}")]
    Quarantined {
        /// How often.
        faults: u32,
        /// How it broke last.
        last: String,
    },
    /// The host could not do its part.
    #[error("could not be loaded: {0}")]
    Host(String),
}

fn list(kinds: &BTreeSet<Kind>) -> String {
    let words: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(" and ")
    }
}

impl LoadError {
    /// Says of a plugin what is wrong with it.
    pub fn new(plugin: PluginId, problem: LoadProblem) -> Self {
        Self { plugin, problem }
    }

    /// Which plugin.
    pub fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    /// What was wrong.
    pub fn problem(&self) -> &LoadProblem {
        &self.problem
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let id = &self.plugin;
        match &self.problem {
            LoadProblem::NoPlugin(error) => Some(error.hint()),
            LoadProblem::OtherKinds { component, .. } => {
                let kinds: Vec<String> = component
                    .iter()
                    .map(|kind| format!("{:?}", kind.name()))
                    .collect();
                Some(format!(
                    "write `kinds = [{}]` in its plugin.toml",
                    kinds.join(", ")
                ))
            }
            LoadProblem::Import(refused) => Some(refused.hint(id)),
            LoadProblem::Compile(_) => {
                Some("the file may be incomplete: build or install it again".to_owned())
            }
            LoadProblem::Contract(_) => Some(format!(
                "rebuild it with the plugin API {}",
                crate::manifest::HOST_API
            )),
            LoadProblem::Quarantined { .. } => Some(format!(
                "dovetail plugin enable {id}    once it is mended, or to try again"
            )),
            LoadProblem::Broke(_) => Some(format!("dovetail plugin inspect {id}")),
            LoadProblem::Native(problem) => problem.hint(),
            LoadProblem::Directory(_) | LoadProblem::Host(_) => None,
        }
    }
}
