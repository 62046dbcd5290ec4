//! What the tools are made from.

use std::path::PathBuf;
use std::sync::Arc;

use dovetail_core::approval::Approver;
use dovetail_core::shorten::DEFAULT_OUTPUT_TOKENS;
use dovetail_sandbox::SandboxPolicy;

use crate::environment::EnvironmentPolicy;

/// What decides whom the host trusts, below its home: plugins with their grants, configuration, credentials.
const TRUSTED_NAMES: [&str; 5] = [
    "dovetail",
    "config.toml",
    "managed_config.toml",
    "auth.json",
    "hooks.json",
];

/// Settings of the built-in tools.
#[derive(Debug, Clone)]
pub struct ToolOptions {
    /// What commands and patches may do. `codex_home` is protected besides what it names.
    pub sandbox: SandboxPolicy,
    /// The approval policy as configuration spells it: `never`, `on-request`, …
    pub approval_policy: String,
    /// Whoever can be asked to let a command out of the sandbox; none where nobody can.
    pub approver: Option<Arc<dyn Approver>>,
    /// The shell that commands are given to; none for the user's own.
    pub shell: Option<PathBuf>,
    /// Whether login shells may be spared a profile that does nothing but set variables (`features.shell_snapshot`).
    pub learn_profile: bool,
    /// Which environment variables commands see.
    pub environment: EnvironmentPolicy,
    /// Names of variables that hold credentials of the host itself. Commands never inherit them.
    pub secret_variables: Vec<String>,
    /// Where configuration, credentials and plugins live.
    pub codex_home: PathBuf,
    /// The version that commands see as `CODEX_VERSION`.
    pub version: String,
    /// The most tokens of one output, where configuration limits it.
    pub output_token_limit: Option<u64>,
    /// Which tools to make.
    pub offer: Offer,
}

impl ToolOptions {
    /// The most tokens of one output.
    pub(crate) fn output_tokens(&self) -> u64 {
        self.output_token_limit.unwrap_or(DEFAULT_OUTPUT_TOKENS)
    }

    /// The policy with the host's own files protected.
    pub(crate) fn sandbox_policy(&self) -> SandboxPolicy {
        let mut policy = self.sandbox.clone();
        if policy.cwd.starts_with(&self.codex_home) {
            // Whether or not they are there yet: whoever makes them decides what is trusted from then on.
            policy
                .protected
                .extend(TRUSTED_NAMES.map(|name| self.codex_home.join(name)));
            // Somebody works in a checkout that is kept there: its neighbours are protected instead of the whole. What
            // cannot be listed cannot be written either, since only the checkout is a writable root.
            let neighbours = std::fs::read_dir(&self.codex_home)
                .into_iter()
                .flatten()
                .flatten();
            let neighbours = neighbours.map(|entry| entry.path());
            policy.protected.extend(
                neighbours
                    .filter(|path| !self.sandbox.cwd.starts_with(path))
                    .filter(|path| TRUSTED_NAMES.iter().all(|name| !path.ends_with(name))),
            );
        } else {
            policy.protected.push(self.codex_home.clone());
        }
        policy
    }
}

/// Which tools the model is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// `exec_command` and `write_stdin`.
    pub commands: bool,
    /// `apply_patch`, and how it takes its input.
    pub patch: Option<PatchForm>,
    /// `update_plan`.
    pub plan: bool,
    /// `view_image`.
    pub image: bool,
}

impl Offer {
    /// Every tool, with patches as free text.
    pub const ALL: Self = Self {
        commands: true,
        patch: Some(PatchForm::Custom),
        plan: true,
        image: true,
    };
}

/// How `apply_patch` is described to the model. Calls of either form are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchForm {
    /// Free text in a grammar.
    Custom,
    /// A function with one argument, for models that take no free text.
    Function,
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[test]
    fn the_hosts_own_files_are_protected_wherever_the_work_is() {
        let bench = Bench::new();
        let home = bench.base().join("home");
        let options = bench.options(bench.workspace_write());
        let trusted = super::TRUSTED_NAMES.map(|name| home.join(name));
        assert_eq!(
            options.sandbox_policy().protected,
            std::slice::from_ref(&home)
        );
        let checkout = home.join("worktrees/one");
        std::fs::create_dir_all(&checkout).unwrap();
        std::fs::write(home.join("config.toml"), "").unwrap();
        std::fs::write(home.join("history.jsonl"), "").unwrap();
        let mut policy = bench.workspace_write();
        policy.cwd = checkout;
        assert_eq!(
            bench.options(policy.clone()).sandbox_policy().protected,
            [&trusted[..], &[home.join("history.jsonl")]].concat()
        );
        policy.cwd = home.join("dovetail/plugins");
        assert!(
            bench
                .options(policy)
                .sandbox_policy()
                .protected
                .contains(&home.join("dovetail")),
            "also from inside"
        );
    }
}
