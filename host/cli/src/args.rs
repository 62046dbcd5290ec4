//! The command line.

mod options;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::identity::LONG_VERSION;

pub(crate) use options::{
    ColorArg, ConfigOverrides, ExecOptions, LocalProvider, RunOptions, SandboxArg,
};

/// What the main help says instead of listing the options of two commands.
const BEFORE_THE_COMMAND: &str = "Options of `exec`, `resume` and `review` may also stand before the command: \
     `dovetail -m gpt-5.5 exec …`.";

/// An agent host whose every joint is a plugin.
#[derive(Debug, Parser)]
#[command(name = "dovetail", version = LONG_VERSION, max_term_width = 100, propagate_version = false)]
#[command(after_help = BEFORE_THE_COMMAND)]
struct Cli {
    /// Options before the command.
    #[command(flatten)]
    run: RunOptions,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// The whole command line, for parsing, help and completions.
pub(crate) fn definition() -> clap::Command {
    Cli::command().mut_args(|arg| arg.hide(true))
}

/// Reads a command line, the program's own name first.
///
/// # Errors
/// It is wrong, or asks for help or the version.
pub(crate) fn parse(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Command, clap::Error> {
    let matches = definition().try_get_matches_from(args).map_err(with_tip)?;
    let Cli { run, command } = Cli::from_arg_matches(&matches)?;
    command.within(run)
}

/// A prompt where a command should be is what other clients take without one.
fn with_tip(mut error: clap::Error) -> clap::Error {
    let is_prompt = matches!(
        error.get(ContextKind::InvalidSubcommand),
        Some(ContextValue::String(word)) if word.contains(' ')
    );
    if is_prompt {
        let tip = "to run a prompt, put `exec` before it".into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

impl Command {
    /// Hands the options before the command on to it.
    fn within(mut self, outer: RunOptions) -> Result<Self, clap::Error> {
        match &mut self {
            Self::Exec(args) => args.gather(outer)?,
            Self::Review(args) => {
                args.run = std::mem::take(&mut args.run).within(outer);
                check(&args.run.options)?;
            }
            Self::Resume(args) => {
                args.run = std::mem::take(&mut args.run).within(outer);
                check(&args.run.options)?;
            }
            Self::Dev(DevArgs {
                command: DevCommand::Session(args),
            }) => {
                args.run = std::mem::take(&mut args.run).within(outer);
                check(&args.run.options)?;
            }
            Self::Config(_)
            | Self::Models(_)
            | Self::Features(_)
            | Self::Doctor(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Auth(_)
            | Self::Provider(_)
                if outer.options == ExecOptions::default() =>
            {
                if let Some(config) = self.config() {
                    *config = std::mem::take(config).within(outer.config);
                }
            }
            Self::Thread(_)
            | Self::Demo(_)
            | Self::Rehearse(_)
            | Self::Plugin(_)
            | Self::Trust(_)
            | Self::Config(_)
            | Self::Models(_)
            | Self::Features(_)
            | Self::Doctor(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Auth(_)
            | Self::Provider(_)
            | Self::Completions { .. } => {
                if outer != RunOptions::default() {
                    return Err(wrong("this command does not take the options before it"));
                }
            }
        }
        Ok(self)
    }

    /// The configuration that a command looks at.
    fn config(&mut self) -> Option<&mut ConfigOverrides> {
        match self {
            Self::Config(args) => args.overrides(),
            Self::Models(args) => Some(args.overrides()),
            Self::Features(args) => Some(args.overrides()),
            Self::Doctor(args) => Some(&mut args.config),
            Self::Login(args) => Some(args.overrides()),
            Self::Logout(args) => Some(&mut args.config),
            Self::Auth(args) => Some(args.overrides()),
            Self::Provider(args) => Some(args.overrides()),
            Self::Exec(_)
            | Self::Resume(_)
            | Self::Review(_)
            | Self::Thread(_)
            | Self::Demo(_)
            | Self::Rehearse(_)
            | Self::Dev(_)
            | Self::Plugin(_)
            | Self::Trust(_)
            | Self::Completions { .. } => None,
        }
    }
}

impl From<ReviewArgs> for ExecArgs {
    fn from(mut review: ReviewArgs) -> Self {
        Self {
            run: std::mem::take(&mut review.run),
            command: Some(ExecCommand::Review(Box::new(review))),
            prompt: None,
        }
    }
}

impl ExecArgs {
    /// Brings the options of all levels together.
    fn gather(&mut self, outer: RunOptions) -> Result<(), clap::Error> {
        let inner = match &mut self.command {
            Some(ExecCommand::Resume { run, .. } | ExecCommand::Fork { run, .. }) => {
                std::mem::take(&mut **run)
            }
            Some(ExecCommand::Review(review)) => std::mem::take(&mut review.run),
            None => RunOptions::default(),
        };
        let here = std::mem::take(&mut self.run);
        self.run = inner.within(here.within(outer));
        check(&self.run.options)
    }
}

/// What cannot be seen at one level alone.
fn check(options: &ExecOptions) -> Result<(), clap::Error> {
    if options.sandbox.is_some() && options.dangerously_bypass_approvals_and_sandbox {
        return Err(wrong(
            "the argument '--sandbox <MODE>' cannot be used with '--dangerously-bypass-approvals-and-sandbox'",
        ));
    }
    Ok(())
}

fn wrong(message: &str) -> clap::Error {
    definition().error(ErrorKind::ArgumentConflict, message)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run one prompt to its end, without questions.
    #[command(visible_alias = "e")]
    Exec(Box<ExecArgs>),
    /// Go on with a conversation: one that is named, the newest, or one picked from a list.
    Resume(Box<ResumeArgs>),
    /// Have changes reviewed; the same as `exec review`.
    Review(Box<ReviewArgs>),
    /// List, search, name, archive, delete, fork and check conversations.
    #[command(visible_alias = "threads")]
    Thread(crate::thread_cmd::ThreadArgs),
    /// Show everything at work on a small project, offline: no key, no network.
    Demo(DemoArgs),
    /// Serve a scripted model on loopback, to test hooks, tools, sinks and providers without a model.
    Rehearse(RehearseArgs),
    /// Tools for those who work on the host or on its clients.
    #[command(hide = true)]
    Dev(DevArgs),
    /// Sign in: in a browser, with a code, or with a key or token from standard input.
    Login(crate::login_cmd::LoginArgs),
    /// Sign out: forget the stored login, and have it revoked.
    Logout(crate::login_cmd::LogoutArgs),
    /// Explain which credential goes where.
    Auth(crate::auth_cmd::AuthArgs),
    /// List providers of models, add one by its address, and test one step by step.
    Provider(Box<crate::provider_cmd::ProviderArgs>),
    /// List, inspect, install, grant and remove plugins.
    Plugin(crate::plugin_cmd::PluginArgs),
    /// Show, review, verify and take back what you accepted of plugins.
    Trust(crate::plugin_cmd::trust::TrustArgs),
    /// Show the configuration and where each value comes from.
    Config(crate::config_cmd::ConfigArgs),
    /// List models, and explain what is known of one.
    Models(crate::models_cmd::ModelsArgs),
    /// List features, which can be switched with `--enable` and `--disable`.
    Features(crate::features_cmd::FeaturesArgs),
    /// Check this machine, the home directory, the sandbox and the plugins.
    Doctor(crate::doctor::DoctorArgs),
    /// Print a completion script for a shell.
    #[command(alias = "completion")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// `dovetail exec`.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// `resume`, `fork` or `review`, if it is not simply a new conversation.
    #[command(subcommand)]
    pub(crate) command: Option<ExecCommand>,
    /// The prompt; `-` or nothing reads it from standard input.
    pub(crate) prompt: Option<String>,
    /// Options.
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

/// Conversations that exist already, and reviews.
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
        /// Options.
        #[command(flatten)]
        run: Box<RunOptions>,
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
        /// Options.
        #[command(flatten)]
        run: Box<RunOptions>,
    },
    /// Have changes reviewed, in a conversation of their own.
    Review(Box<ReviewArgs>),
}

/// `dovetail exec review`, and `dovetail review`.
#[derive(Debug, Default, Args)]
pub(crate) struct ReviewArgs {
    /// What to review, in your own words; `-` reads it from standard input.
    #[arg(conflicts_with_all = ["uncommitted", "base", "commit"])]
    pub(crate) prompt: Option<String>,
    /// What is not committed: staged, unstaged and untracked files.
    #[arg(long, conflicts_with_all = ["base", "commit"])]
    pub(crate) uncommitted: bool,
    /// What the work would bring to a branch.
    #[arg(long, value_name = "BRANCH", conflicts_with = "commit")]
    pub(crate) base: Option<String>,
    /// What a commit changed.
    #[arg(long, value_name = "SHA")]
    pub(crate) commit: Option<String>,
    /// With `--commit`: its title, for people.
    #[arg(long, requires = "commit", conflicts_with_all = ["uncommitted", "base", "prompt"])]
    pub(crate) title: Option<String>,
    /// Options.
    #[command(flatten)]
    pub(crate) run: RunOptions,
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
    /// Options.
    #[command(flatten)]
    pub(crate) run: RunOptions,
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

/// `dovetail dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Which tool.
    #[command(subcommand)]
    pub(crate) command: DevCommand,
}

/// The tools of `dovetail dev`.
#[derive(Debug, Subcommand)]
pub(crate) enum DevCommand {
    /// Carry on a conversation as a client does, told by JSON lines on standard input.
    Session(Box<SessionArgs>),
}

/// `dovetail dev session`.
#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// The client's name, as requests tell it.
    #[arg(long, value_name = "NAME", default_value = "dovetail_session", value_parser = client_name)]
    pub(crate) client: String,
    /// The service that the client starts the conversation for.
    #[arg(long, value_name = "NAME")]
    pub(crate) service_name: Option<String>,
    /// Options, as `exec` has them.
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

/// The name goes into headers.
fn client_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    match text.trim() {
        name if !name.is_empty() && name.bytes().all(plain) => Ok(name.to_owned()),
        _ => Err("a header cannot hold it"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[track_caller]
    fn exec(line: &str) -> ExecArgs {
        let command = parse(line.split_whitespace()).expect("a command line");
        let exec = match command {
            Command::Exec(args) => Some(*args),
            _ => None,
        };
        exec.expect("the command is `exec`")
    }

    /// The options of a command line, written in any order and at any level, against those of another.
    #[track_caller]
    fn same(line: &str, plain: &str) {
        assert_eq!(exec(line).run, exec(plain).run, "{line}");
    }

    #[test]
    fn options_hold_wherever_they_stand() {
        let plain = "dovetail exec -c a=1 -c b=2 -m x --json p";
        same("dovetail -c a=1 -c b=2 -m x exec --json p", plain);
        same("dovetail -c a=1 exec -c b=2 --json -m x p", plain);
        let resumed = "dovetail exec resume --last -c a=1 -c b=2 -m x --json p";
        same(
            "dovetail -c a=1 exec -m x resume -c b=2 --json --last p",
            resumed,
        );
        same(
            "dovetail exec -c a=1 resume --last -c b=2 -m x p --json",
            resumed,
        );
    }

    #[test]
    fn lists_go_on_and_of_single_values_the_inner_one_counts() {
        let args = exec(
            "dovetail -m outer --enable a -i 1.png --add-dir x exec -i 2.png --enable b -m inner \
             resume --last --add-dir y -i 3.png",
        );
        let RunOptions { config, options } = args.run;
        assert_eq!(config.enable, ["a", "b"]);
        assert_eq!(options.model.as_deref(), Some("inner"));
        assert_eq!(
            options.images,
            ["1.png", "2.png", "3.png"].map(PathBuf::from)
        );
        assert_eq!(options.add_dir, ["x", "y"].map(PathBuf::from));
    }

    #[test]
    fn what_looks_at_the_configuration_takes_it_from_before_the_command() {
        let line = "dovetail -c a=1 --enable x features list -c b=2";
        let mut command = parse(line.split(' ')).expect("a command line");
        let config = command.config().expect("it looks at the configuration");
        assert_eq!(config.overrides, ["a=1", "b=2"]);
        assert_eq!(config.enable, ["x"]);
    }

    #[test]
    fn options_that_a_command_does_not_have_are_refused() {
        for line in [
            "dovetail -m x thread list",
            "dovetail -c a=1 demo",
            "dovetail -m x config show",
            "dovetail -s read-only exec --yolo p",
            "dovetail exec --yolo resume --last -s read-only p",
        ] {
            let error = parse(line.split(' ')).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_prompt_without_a_command_is_told_where_to_go() {
        let tip = |args: [&str; 2]| {
            let error = parse(args).expect_err("there is no such command");
            error.to_string().contains("put `exec` before it")
        };
        assert!(tip(["dovetail", "fix the test"]));
        assert!(!tip(["dovetail", "exce"]));
    }

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }
}
