//! Options that stand at any level of the command line: before the command, after it, or after its subcommand.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dovetail_config::{ApprovalPolicy, Override, SandboxMode, WebSearchMode};

/// Everything that may stand at any level.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub(crate) struct RunOptions {
    /// Configuration.
    #[command(flatten)]
    pub(crate) config: ConfigOverrides,
    /// How it runs and what it prints.
    #[command(flatten)]
    pub(crate) options: ExecOptions,
}

/// Where configuration comes from besides the files.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub(crate) struct ConfigOverrides {
    /// Set a configuration value: a dotted key, and TOML or plain text.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Also read `$CODEX_HOME/<NAME>.config.toml`.
    #[arg(short = 'p', long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Fail on keys that nobody knows.
    #[arg(long)]
    pub(crate) strict_config: bool,
    /// Switch a feature on.
    #[arg(long, value_name = "FEATURE")]
    pub(crate) enable: Vec<String>,
    /// Switch a feature off.
    #[arg(long, value_name = "FEATURE")]
    pub(crate) disable: Vec<String>,
    /// Do not read the user's configuration file.
    #[arg(long)]
    pub(crate) ignore_user_config: bool,
    /// Settings that flags of a command stand for; see [`ExecOptions::settings`].
    #[arg(skip)]
    pub(crate) settings: Vec<Override>,
}

/// Options of `exec` and `resume`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub(crate) struct ExecOptions {
    /// Attach images to the prompt: PNG, JPEG, GIF or WebP. Put the prompt before this, or after `--`.
    #[arg(
        short = 'i',
        long = "image",
        value_name = "FILE",
        num_args = 1..,
    )]
    pub(crate) images: Vec<PathBuf>,
    /// The model.
    #[arg(short = 'm', long)]
    pub(crate) model: Option<String>,
    /// Ask a model server on this machine instead of a service.
    #[arg(long)]
    pub(crate) oss: bool,
    /// With `--oss`: which server.
    #[arg(long, value_name = "NAME")]
    pub(crate) local_provider: Option<LocalProvider>,
    /// What commands may do.
    #[arg(short = 's', long, value_name = "MODE")]
    pub(crate) sandbox: Option<SandboxArg>,
    /// Known to other clients; here nobody can be asked.
    #[arg(short = 'a', long, value_name = "POLICY", hide = true)]
    pub(crate) ask_for_approval: Option<ApprovalArg>,
    /// Offer the web search, beyond the service's own index. The same as `-c web_search=live`.
    #[arg(long)]
    pub(crate) search: bool,
    /// Run commands without a sandbox and ask nobody. For machines that are a sandbox themselves.
    #[arg(long, visible_alias = "yolo", conflicts_with = "sandbox")]
    pub(crate) dangerously_bypass_approvals_and_sandbox: bool,
    /// Accepted for compatibility; trust of hook plugins cannot be bypassed.
    #[arg(long, hide = true)]
    pub(crate) dangerously_bypass_hook_trust: bool,
    /// Known to other clients; refused here, since nothing reviews requests yet.
    #[arg(long, hide = true)]
    pub(crate) approve_for_me: bool,
    /// Known to other clients; refused here, since no work trees are managed yet.
    #[arg(long, hide = true)]
    pub(crate) worktree: bool,
    /// Known to other clients; one of the access programs of the provider `openai`, which are not asked for yet.
    #[arg(long, value_name = "PROGRAM", hide = true)]
    pub(crate) cyber_access_program: Option<AccessProgram>,
    /// The working directory.
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    pub(crate) cd: Option<PathBuf>,
    /// Another directory that may be written.
    #[arg(long, value_name = "DIR")]
    pub(crate) add_dir: Vec<PathBuf>,
    /// Recorded as the thread's source.
    #[arg(long, value_name = "NAME")]
    pub(crate) thread_source: Option<String>,
    /// Run outside a git work tree.
    #[arg(long)]
    pub(crate) skip_git_repo_check: bool,
    /// Trust this project from now on: its configuration and plugins are read.
    #[arg(long)]
    pub(crate) trust: bool,
    /// Keep no record of the conversation.
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Accepted for compatibility; there are no command rules yet.
    #[arg(long, hide = true)]
    pub(crate) ignore_rules: bool,
    /// A JSON Schema that the answer must match.
    #[arg(long, value_name = "FILE")]
    pub(crate) output_schema: Option<PathBuf>,
    /// When to use colours; `auto` where it is not said.
    #[arg(long, value_name = "WHEN")]
    pub(crate) color: Option<ColorArg>,
    /// Print events as JSON lines.
    #[arg(long, visible_alias = "experimental-json")]
    pub(crate) json: bool,
    /// Also write the answer to a file.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output_last_message: Option<PathBuf>,
    /// Fail if any plugin cannot be loaded.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl RunOptions {
    /// These options within others that stand further out: lists go on, of single values the inner one counts.
    pub(crate) fn within(self, outer: Self) -> Self {
        Self {
            config: self.config.within(outer.config),
            options: self.options.within(outer.options),
        }
    }
}

impl ConfigOverrides {
    /// As [`RunOptions::within`].
    pub(crate) fn within(self, outer: Self) -> Self {
        Self {
            overrides: joined(outer.overrides, self.overrides),
            profile: self.profile.or(outer.profile),
            strict_config: self.strict_config || outer.strict_config,
            enable: joined(outer.enable, self.enable),
            disable: joined(outer.disable, self.disable),
            ignore_user_config: self.ignore_user_config || outer.ignore_user_config,
            settings: joined(outer.settings, self.settings),
        }
    }
}

impl ExecOptions {
    fn within(self, outer: Self) -> Self {
        Self {
            images: joined(outer.images, self.images),
            model: self.model.or(outer.model),
            oss: self.oss || outer.oss,
            local_provider: self.local_provider.or(outer.local_provider),
            sandbox: self.sandbox.or(outer.sandbox),
            ask_for_approval: self.ask_for_approval.or(outer.ask_for_approval),
            search: self.search || outer.search,
            dangerously_bypass_approvals_and_sandbox: self.dangerously_bypass_approvals_and_sandbox
                || outer.dangerously_bypass_approvals_and_sandbox,
            dangerously_bypass_hook_trust: self.dangerously_bypass_hook_trust
                || outer.dangerously_bypass_hook_trust,
            approve_for_me: self.approve_for_me || outer.approve_for_me,
            worktree: self.worktree || outer.worktree,
            cyber_access_program: self.cyber_access_program.or(outer.cyber_access_program),
            cd: self.cd.or(outer.cd),
            add_dir: joined(outer.add_dir, self.add_dir),
            thread_source: self.thread_source.or(outer.thread_source),
            skip_git_repo_check: self.skip_git_repo_check || outer.skip_git_repo_check,
            trust: self.trust || outer.trust,
            ephemeral: self.ephemeral || outer.ephemeral,
            ignore_rules: self.ignore_rules || outer.ignore_rules,
            output_schema: self.output_schema.or(outer.output_schema),
            color: self.color.or(outer.color),
            json: self.json || outer.json,
            output_last_message: self.output_last_message.or(outer.output_last_message),
            strict: self.strict || outer.strict,
        }
    }

    /// The settings that some of them stand for. They are a layer of the configuration like `-c`, so that what an
    /// administrator decided stands above them.
    pub(crate) fn settings(&self) -> Vec<Override> {
        let flag =
            |name, key, value: Option<&str>| value.map(|value| Override::flag(name, &[key], value));
        let sandbox = self.sandbox.map(|mode| mode.mode().as_str());
        let bypass = "--dangerously-bypass-approvals-and-sandbox";
        let unbound = self
            .dangerously_bypass_approvals_and_sandbox
            .then_some(SandboxMode::DangerFullAccess.as_str());
        let approval = self.ask_for_approval.map(|policy| policy.policy().as_str());
        let search = self.search.then_some(WebSearchMode::Live.as_str());
        [
            flag("--model", "model", self.model.as_deref()),
            flag("--sandbox", "sandbox_mode", sandbox),
            flag(bypass, "sandbox_mode", unbound),
            flag("--ask-for-approval", "approval_policy", approval),
            flag("--search", "web_search", search),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn joined<T>(mut outer: Vec<T>, inner: Vec<T>) -> Vec<T> {
    outer.extend(inner);
    outer
}

/// What commands may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SandboxArg {
    /// Read all files, write none, no network.
    ReadOnly,
    /// Also write below the working directory and in temporary directories.
    WorkspaceWrite,
    /// Anything.
    DangerFullAccess,
}

impl SandboxArg {
    /// The configuration's value for it.
    fn mode(self) -> SandboxMode {
        match self {
            Self::ReadOnly => SandboxMode::ReadOnly,
            Self::WorkspaceWrite => SandboxMode::WorkspaceWrite,
            Self::DangerFullAccess => SandboxMode::DangerFullAccess,
        }
    }
}

/// When other clients ask a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ApprovalArg {
    /// Before anything that is not known to only read.
    Untrusted,
    /// After a command failed in the sandbox.
    OnFailure,
    /// Where the model asks for it.
    OnRequest,
    /// Never.
    Never,
}

impl ApprovalArg {
    /// The configuration's value for it.
    fn policy(self) -> ApprovalPolicy {
        match self {
            Self::Untrusted => ApprovalPolicy::Untrusted,
            Self::OnFailure => ApprovalPolicy::OnFailure,
            Self::OnRequest => ApprovalPolicy::OnRequest,
            Self::Never => ApprovalPolicy::Never,
        }
    }
}

/// Model servers that people run themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LocalProvider {
    /// Ollama, at port 11434.
    Ollama,
    /// LM Studio, at port 1234.
    Lmstudio,
}

/// Access programs of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum AccessProgram {
    /// What everybody has.
    Standard,
    /// Of the service's own naming.
    DaybreakBlue,
    /// Of the service's own naming.
    DaybreakRed,
}

impl AccessProgram {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::DaybreakBlue => "daybreak_blue",
            Self::DaybreakRed => "daybreak_red",
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorArg {
    /// On a terminal that wants them.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
