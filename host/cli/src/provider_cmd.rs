//! `dovetail provider`: which services can be asked, how to add one, and what is wrong with one.

mod add;
mod address;
mod attempt;
mod change;
mod checks;
mod draft;
mod find;
mod fix;
mod known;
mod list;
mod model_list;
mod network;
mod page;
mod question;
mod step;
mod talk;
mod walk;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::ConfigOverrides;

/// `dovetail provider`.
#[derive(Debug, Args)]
pub(crate) struct ProviderArgs {
    #[command(subcommand)]
    command: ProviderCommand,
}

#[derive(Debug, Subcommand)]
enum ProviderCommand {
    /// List every provider that can be chosen: built in, local, from the configuration, of plugins.
    ///
    /// Nothing is sent, no command is run, and no credential is shown. What is wrong with a provider is said beside it.
    List(ListArgs),
    /// Add a provider by its address: finds out what the server speaks, and writes its table.
    ///
    /// Asks the server with a few small requests, as a turn would: which API it speaks (Responses, Chat Completions or
    /// Messages; with and without `/v1`), which models it lists, and whether it streams and calls tools. Shows the change
    /// of config.toml, asks, and writes it; comments and order stay. No credential is ever written: a key is named by its
    /// variable.
    #[command(after_help = ADD_HELP)]
    Add(AddArgs),
    /// Test a provider step by step, with the fix for what fails.
    ///
    /// The steps: configuration, plugin, DNS, TCP, proxy, TLS, credential, list of models, a streamed answer, a tool call.
    /// What fails ends the test. There are one request for the list and three small ones to the model.
    #[command(after_help = TEST_HELP)]
    Test(TestArgs),
}

const ADD_HELP: &str = "\
Examples:
  dovetail provider add http://localhost:8080
  dovetail provider add https://llm.example.com --env-key EXAMPLE_KEY --select
  dovetail provider add https://llm.example.com/v1 --token-command \"gcloud auth print-access-token\"

Exit codes: 0 written, or shown with --dry-run; 1 not written; 2 a wrong command line.";

const TEST_HELP: &str = "\
Examples:
  dovetail provider test
  dovetail provider test ollama --model qwen3-coder

Exit codes: 0 no step failed; 1 a step failed, or it was interrupted; 2 a wrong command line.";

/// `dovetail provider list`.
#[derive(Debug, Args)]
struct ListArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigOverrides,
}

/// `dovetail provider add`.
#[derive(Debug, Args)]
struct AddArgs {
    /// Where the server is, such as `https://llm.example.com/v1`.
    #[arg(value_name = "URL")]
    url: String,
    /// The provider's id; made of the host's name where it is left out.
    #[arg(long)]
    id: Option<String>,
    /// What people call it; the host's name where it is left out.
    #[arg(long)]
    name: Option<String>,
    /// The variable that holds its key.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "token_command")]
    env_key: Option<String>,
    /// A command that prints a token, with its arguments in quotes. It is run without a shell.
    #[arg(long, value_name = "COMMAND")]
    token_command: Option<String>,
    /// What it speaks; found out where it is left out.
    #[arg(long)]
    wire: Option<WireArg>,
    /// The model to try; one that the server lists where it is left out.
    #[arg(short = 'm', long)]
    model: Option<String>,
    /// Show the change and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Also choose it, and the model that was tried, from now on.
    #[arg(long)]
    select: bool,
    /// Replace a table of this id.
    #[arg(long)]
    replace: bool,
    /// Write without asking; needed where there is no terminal.
    #[arg(short = 'y', long)]
    yes: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    config: ConfigOverrides,
}

/// `dovetail provider test`.
#[derive(Debug, Args)]
struct TestArgs {
    /// The provider; without one, that of the configuration.
    id: Option<String>,
    /// The model to ask; without one, that of the configuration, or one that the server lists.
    #[arg(short = 'm', long)]
    model: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    config: ConfigOverrides,
}

/// How long all of it may take.
#[derive(Debug, Clone, Copy, Args)]
struct Limit {
    /// How long it may take altogether, in seconds. Models on one's own machine are slow to load.
    #[arg(long = "timeout", value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

impl Limit {
    fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WireArg {
    /// Responses.
    Responses,
    /// Chat Completions.
    Chat,
    /// Messages, as Anthropic's.
    Messages,
}

impl ProviderArgs {
    /// The configuration that it looks at.
    pub(crate) fn overrides(&mut self) -> &mut ConfigOverrides {
        match &mut self.command {
            ProviderCommand::List(args) => &mut args.config,
            ProviderCommand::Add(args) => &mut args.config,
            ProviderCommand::Test(args) => &mut args.config,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// What could not be done, with what to do instead. A test that fails is an exit code.
pub(crate) async fn run(args: ProviderArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        ProviderCommand::List(args) => list::run(&args).await,
        ProviderCommand::Add(args) => add::run(args).await,
        ProviderCommand::Test(args) => walk::run(args).await,
    }
}
