//! The built-in tools: commands, patches, plans, images.
//!
//! Commands run in the sandbox of `dovetail-sandbox` or not at all; patches are applied by the host itself under the
//! same rules. [`builtin_tools`] makes them; the manager it gives back ends what commands left running.

#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a test fails by panicking"
    )
)]

mod apply_patch;
mod arguments;
mod environment;
mod exec;
mod image;
mod image_type;
mod options;
mod patch;
mod plan;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use dovetail_core::tool::Tool;

use apply_patch::ApplyPatch;
pub use environment::{EnvironmentPolicy, Inherit};
pub use exec::ExecManager;
use exec::{ExecCommand, WriteStdin};
use image::ViewImage;
pub use image_type::{UnusableImage, image_type};
pub use options::{Offer, PatchForm, ToolOptions};
pub use patch::dry_run;
use plan::UpdatePlan;

/// The tools, and what must be told when the session ends.
pub struct BuiltinTools {
    /// The tools, in the order the model sees them.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Owns the running commands.
    pub manager: Arc<ExecManager>,
    /// The most tokens of one output that the model is shown.
    pub output_tokens: u64,
}

/// Makes the built-in tools that the options ask for.
pub fn builtin_tools(options: ToolOptions) -> BuiltinTools {
    let offer = options.offer;
    let patch_policy = options.sandbox_policy();
    let output_tokens = options.output_tokens();
    let manager = Arc::new(ExecManager::new(options));
    let mut tools: Vec<Arc<dyn Tool>> = Vec::new();
    if offer.commands {
        tools.push(Arc::new(ExecCommand::new(Arc::clone(&manager))));
        tools.push(Arc::new(WriteStdin::new(Arc::clone(&manager))));
    }
    if let Some(form) = offer.patch {
        tools.push(Arc::new(ApplyPatch::new(patch_policy, form)));
    }
    if offer.plan {
        tools.push(Arc::new(UpdatePlan::new()));
    }
    if offer.image {
        tools.push(Arc::new(ViewImage::new()));
    }
    BuiltinTools {
        tools,
        manager,
        output_tokens,
    }
}
