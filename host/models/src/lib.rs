//! What is known of models, and where each fact comes from.
//!
//! It owns the catalogue that ships with the host, the rule by which a model's name finds its entry, and the resolver
//! that lays a person's own settings over it. It refuses to read files or to ask a server: whoever has text hands it in.

mod catalogue;
mod info;
mod resolve;
mod values;

pub use catalogue::{Catalogue, CatalogueError, Entry, Match, MatchRule};
pub use info::{ModelInfo, ModelPatch};
pub use resolve::{Field, Origin, Resolved, resolve};
pub use values::{
    PatchToolType, ReasoningLevel, ReasoningSummary, ServiceTierInfo, TruncationMode,
    TruncationPolicy, Upgrade, Verbosity, WebSearchToolType,
};
