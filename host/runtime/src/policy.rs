//! Which plugins may run at all, as an administrator says it: by who signed them, by their bytes, or by where they came
//! from.

use std::collections::BTreeSet;

use crate::digest::Sha256;
use crate::discovery::Found;
use crate::lock::Scope;
use crate::provenance::{PublicKey, Source, SourcePattern};

/// The plugins that may run. One of the three is enough; where all are empty, none may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    /// Signed with one of these keys.
    pub keys: BTreeSet<PublicKey>,
    /// Components with one of these digests.
    pub digests: BTreeSet<Sha256>,
    /// Installed from one of these places.
    pub sources: BTreeSet<SourcePattern>,
    /// Where the list was written, for sentences.
    pub place: String,
}

/// What is known of where a plugin came from. All of it was checked when it was installed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pedigree<'a> {
    /// Who signed its package.
    pub signer: Option<&'a PublicKey>,
    /// Where that came from.
    pub source: Option<&'a Source>,
}

impl AllowList {
    /// Whether a plugin may run. What is part of the host, and what an administrator installed, always may.
    pub fn admits(&self, found: &Found, pedigree: Pedigree<'_>) -> bool {
        match found.scope {
            Scope::Builtin | Scope::System => true,
            Scope::User | Scope::Project(_) => {
                self.digests.contains(&found.wasm.sha256)
                    || pedigree.signer.is_some_and(|key| self.keys.contains(key))
                    || pedigree.source.is_some_and(|source| {
                        self.sources.iter().any(|pattern| pattern.covers(source))
                    })
            }
        }
    }
}
