//! What is known of models, and where each fact comes from.
//!
//! It owns the catalogue that ships with the host, the reading of servers' lists and the form in which they are kept, the
//! rule by which a model's name finds its entry, and the resolver that lays a person's own settings over it. It refuses to
//! read files or to ask a server: whoever has text hands it in.

mod catalogue;
mod info;
mod kept;
pub mod listed;
mod resolve;
mod values;

pub use catalogue::{Catalogue, CatalogueError, Entry, List, Match, MatchRule};
pub use info::{ModelInfo, ModelPatch};
pub use kept::{KeptList, Whose, identity};
pub use resolve::{Field, Matched, Origin, Resolved, resolve};
pub use values::{
    PatchToolType, ReasoningLevel, ReasoningSummary, ServiceTierInfo, TruncationMode,
    TruncationPolicy, Upgrade, Verbosity, WebSearchToolType,
};
