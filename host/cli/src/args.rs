//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::identity::LONG_VERSION;

/// An agent host whose every joint is a plugin.
#[derive(Debug, Parser)]
#[command(name = "dovetail", version = LONG_VERSION, max_term_width = 100, propagate_version = false)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one prompt to its end, without questions.
    #[command(visible_alias = "e")]
    Exec(Box<ExecArgs>),
    /// Go on with a conversation: one that is named, the newest, or one picked from a list.
    Resume(Box<ResumeArgs>),
    /// List, search, name, archive, delete, fork and check conversations.
    #[command(visible_alias = "threads")]
    Thread(crate::thread_cmd::ThreadArgs),
    /// Show everything at work on a small project, offline: no key, no network.
    Demo(DemoArgs),
    /// Serve a scripted model on loopback, to test hooks, tools, sinks and providers without a model.
    Rehearse(RehearseArgs),
    /// List, inspect, install, grant and remove plugins.
    Plugin(crate::plugin_cmd::PluginArgs),
    /// Show the configuration and where each value comes from.
    Config(crate::config_cmd::ConfigArgs),
    /// List models, and explain what is known of one.
    Models(crate::models_cmd::ModelsArgs),
    /// List features, which can be switched with `--enable` and `--disable`.
    Features(crate::features_cmd::FeaturesArgs),
    /// Check this machine, the home directory, the sandbox and the plugins.
    Doctor(crate::doctor::DoctorArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where configuration comes from besides the files.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigOverrides {
    /// Set a configuration value: a dotted key, and TOML or plain text.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", global = true)]
    pub(crate) overrides: Vec<String>,
    /// Also read `$CODEX_HOME/<NAME>.config.toml`.
    #[arg(short = 'p', long, value_name = "NAME", global = true)]
    pub(crate) profile: Option<String>,
    /// Fail on keys that nobody knows.
    #[arg(long, global = true)]
    pub(crate) strict_config: bool,
    /// Switch a feature on.
    #[arg(long, value_name = "FEATURE", global = true)]
    pub(crate) enable: Vec<String>,
    /// Switch a feature off.
    #[arg(long, value_name = "FEATURE", global = true)]
    pub(crate) disable: Vec<String>,
    /// Do not read the user's configuration file.
    #[arg(long, global = true)]
    pub(crate) ignore_user_config: bool,
}

/// `dovetail exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// `resume` or `fork`, if it is not a new conversation.
    #[command(subcommand)]
    pub(crate) command: Option<ExecCommand>,
    /// The prompt; `-` or nothing reads it from standard input.
    pub(crate) prompt: Option<String>,
    /// Configuration.
    #[command(flatten)]
    pub(crate) config: ConfigOverrides,
    /// How it runs and what it prints.
    #[command(flatten)]
    pub(crate) options: ExecOptions,
}

/// Conversations that exist already.
#[derive(Debug, Subcommand)]
pub(crate) enum ExecCommand {
    /// Go on with a conversation.
    Resume {
        /// Its id or name; with `--last` this is the prompt.
        id: Option<String>,
        /// The prompt; `-` reads it from standard input.
        prompt: Option<String>,
        /// The newest conversation of this directory.
        #[arg(long)]
        last: bool,
        /// With `--last`: of any directory.
        #[arg(long)]
        all: bool,
    },
    /// Begin a conversation with the history of another one.
    Fork {
        /// The other one's id or name.
        id: String,
        /// The prompt; `-` reads it from standard input. Without one the fork is only made.
        prompt: Option<String>,
        /// The turn to leave it after: its id, or its number as `dovetail thread show` has it.
        #[arg(long, value_name = "TURN")]
        at: Option<String>,
    },
    /// Known to other clients; refused here, since nothing reviews yet.
    #[command(hide = true)]
    Review {
        /// Whatever follows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        rest: Vec<String>,
    },
}

/// `dovetail resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// Its id or name; with `--last` this is the prompt. Without one, a list is shown.
    pub(crate) id: Option<String>,
    /// The prompt; `-` reads it from standard input.
    pub(crate) prompt: Option<String>,
    /// The newest conversation of this directory.
    #[arg(long)]
    pub(crate) last: bool,
    /// Conversations of any directory.
    #[arg(long)]
    pub(crate) all: bool,
    /// Configuration.
    #[command(flatten)]
    pub(crate) config: ConfigOverrides,
    /// How it runs and what it prints.
    #[command(flatten)]
    pub(crate) options: ExecOptions,
}

/// Options of `exec`, before or after its subcommand.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExecOptions {
    /// Attach images to the prompt: PNG, JPEG, GIF or WebP. Put the prompt before this, or after `--`.
    #[arg(
        short = 'i',
        long = "image",
        value_name = "FILE",
        num_args = 1..,
        global = true
    )]
    pub(crate) images: Vec<PathBuf>,
    /// The model.
    #[arg(short = 'm', long, global = true)]
    pub(crate) model: Option<String>,
    /// Ask a model server on this machine instead of a service.
    #[arg(long, global = true)]
    pub(crate) oss: bool,
    /// With `--oss`: which server.
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) local_provider: Option<LocalProvider>,
    /// What commands may do.
    #[arg(short = 's', long, value_name = "MODE", global = true)]
    pub(crate) sandbox: Option<SandboxArg>,
    /// Run commands without a sandbox and ask nobody. For machines that are a sandbox themselves.
    #[arg(
        long,
        visible_alias = "yolo",
        global = true,
        conflicts_with = "sandbox"
    )]
    pub(crate) dangerously_bypass_approvals_and_sandbox: bool,
    /// Accepted for compatibility; trust of hook plugins cannot be bypassed.
    #[arg(long, global = true, hide = true)]
    pub(crate) dangerously_bypass_hook_trust: bool,
    /// Known to other clients; refused here, since nothing reviews requests yet.
    #[arg(long, global = true, hide = true)]
    pub(crate) approve_for_me: bool,
    /// Known to other clients; refused here, since no work trees are managed yet.
    #[arg(long, global = true, hide = true)]
    pub(crate) worktree: bool,
    /// Known to other clients; one of the access programs of the provider `openai`, which are not asked for yet.
    #[arg(long, value_name = "PROGRAM", global = true, hide = true)]
    pub(crate) cyber_access_program: Option<AccessProgram>,
    /// The working directory.
    #[arg(short = 'C', long = "cd", value_name = "DIR", global = true)]
    pub(crate) cd: Option<PathBuf>,
    /// Another directory that may be written.
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) add_dir: Vec<PathBuf>,
    /// Recorded as the thread's source.
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) thread_source: Option<String>,
    /// Run outside a git work tree.
    #[arg(long, global = true)]
    pub(crate) skip_git_repo_check: bool,
    /// Trust this project from now on: its configuration and plugins are read.
    #[arg(long, global = true)]
    pub(crate) trust: bool,
    /// Keep no record of the conversation.
    #[arg(long, global = true)]
    pub(crate) ephemeral: bool,
    /// Accepted for compatibility; there are no command rules yet.
    #[arg(long, global = true, hide = true)]
    pub(crate) ignore_rules: bool,
    /// A JSON Schema that the answer must match.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) output_schema: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub(crate) color: ColorArg,
    /// Print events as JSON lines.
    #[arg(long, visible_alias = "experimental-json", global = true)]
    pub(crate) json: bool,
    /// Also write the answer to a file.
    #[arg(short = 'o', long, value_name = "FILE", global = true)]
    pub(crate) output_last_message: Option<PathBuf>,
    /// Fail if any plugin cannot be loaded.
    #[arg(long, global = true)]
    pub(crate) strict: bool,
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
    pub(crate) fn mode(self) -> dovetail_config::SandboxMode {
        match self {
            Self::ReadOnly => dovetail_config::SandboxMode::ReadOnly,
            Self::WorkspaceWrite => dovetail_config::SandboxMode::WorkspaceWrite,
            Self::DangerFullAccess => dovetail_config::SandboxMode::DangerFullAccess,
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

/// `dovetail demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Keep the temporary home and project, and say where they are.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print events as JSON lines instead of the transcript.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `dovetail rehearse`.
#[derive(Debug, Args)]
pub(crate) struct RehearseArgs {
    /// The script (see docs/rehearsal.md).
    #[arg(required_unless_present = "record")]
    pub(crate) script: Option<PathBuf>,
    /// The loopback port; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Write the base URL to this file once the server listens.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// Forward to a real server and write what it answers as a script.
    #[arg(
        long,
        value_name = "OUT",
        requires = "upstream",
        conflicts_with = "script"
    )]
    pub(crate) record: Option<PathBuf>,
    /// The base URL to forward to, such as `https://llm.example/v1`.
    #[arg(long, value_name = "URL", requires = "record")]
    pub(crate) upstream: Option<String>,
}
