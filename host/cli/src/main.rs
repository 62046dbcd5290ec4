//! The command `dovetail`: arguments, wiring, rendering and exit codes. What it wires lives in the other crates.

mod args;
mod auth_cmd;
mod builtins;
mod closed_gate;
mod config_cmd;
#[cfg(test)]
mod credential_tests;
mod demo;
mod doctor;
mod exec;
mod exec_json;
mod fatal;
mod features_cmd;
mod git;
mod identity;
mod interrupt;
mod local_provider;
mod login_cmd;
mod login_grant;
mod model_options;
mod model_port;
mod models;
mod models_cmd;
mod notify;
mod out;
mod output;
mod plugin_cmd;
mod plugins;
mod prompt;
mod prompt_images;
mod provider_choice;
mod provider_cmd;
mod provider_wire;
mod rehearse;
mod render;
mod resume;
mod sink_feed;
mod status_line;
mod surroundings;
mod terminal_text;
mod thread_cmd;
mod tools;
mod turn_setup;

use std::process::ExitCode;

use crate::args::{Command, DevCommand};
use crate::fatal::Fatal;

fn main() -> ExitCode {
    let command = args::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    start_log();
    outlive_file_limits();
    let command = match command {
        // Without a runtime: what only looks at files is done by the time that one is set up.
        Command::Thread(args) => {
            return thread_cmd::run(args).unwrap_or_else(|error| fatal::report(&error));
        }
        command => command,
    };
    // Two workers: one for the turn, one so that a guest that spins between two ticks delays nobody.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            // On a worker rather than here: the thread that sees an answer come in then goes on with the turn itself,
            // instead of waking this one for every step.
            let turn = runtime.spawn(run(command));
            let result = runtime
                .block_on(turn)
                .unwrap_or_else(|error| Err(anyhow::Error::from(error)));
            // Guests and blocking reads that are still stuck must not hold the exit up.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(anyhow::Error::from(error).context("cannot start the runtime")),
    };
    let code = result.unwrap_or_else(|error| fatal::report(&error));
    match out::failure() {
        Some(why) => {
            fatal::report(&Fatal::new(format!("cannot write to standard output: {why}")).into())
        }
        None => code,
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Exec(args) => exec::run(*args, exec::Stage::default()).await,
        Command::Resume(args) => resume::run(*args).await,
        Command::Review(args) => exec::run((*args).into(), exec::Stage::default()).await,
        Command::Thread(args) => thread_cmd::run(args),
        Command::Demo(args) => demo::run(args).await,
        Command::Rehearse(args) => rehearse::run(args).await,
        Command::Dev(args) => match args.command {
            DevCommand::Session(args) => exec::session::run(*args).await,
        },
        Command::Plugin(args) => plugin_cmd::run(args, &plugins::command_context()?).await,
        Command::Trust(args) => plugin_cmd::trust::run(args, &plugins::command_context()?),
        Command::Login(args) => login_cmd::run(args).await,
        Command::Logout(args) => login_cmd::log_out(&args).await,
        Command::Auth(args) => auth_cmd::run(args).await,
        Command::Provider(args) => provider_cmd::run(*args).await,
        Command::Config(args) => config_cmd::run(&args),
        Command::Models(args) => models_cmd::run(&args).await,
        Command::Features(args) => features_cmd::run(&args),
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut args::definition(),
                "dovetail",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A file that may not grow any more (`ulimit -f`) is a failed write, as a full disk is, and not the end of the process.
/// Programs that we start are not affected: what is not ignored but handled is as it was for them.
fn outlive_file_limits() {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: the handler does nothing, which is safe at any moment, and there is one thread yet. It cannot fail for
    // a signal that exists.
    unsafe { libc::signal(libc::SIGXFSZ, handler as libc::sighandler_t) };
}

/// The log is for finding faults: off unless asked for, and always on standard error.
fn start_log() {
    let Some(filter) = dovetail_config::env::DOVETAIL_LOG.get() else {
        return;
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&filter).unwrap_or_else(|error| {
        out::stderr(&format!(
            "warning: DOVETAIL_LOG is not a log filter: {error}\n"
        ));
        tracing_subscriber::EnvFilter::new("warn")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
