//! `dovetail trust …`: what was accepted of plugins, what changed since, and whether a committed lock covers it.

mod difference;
mod key;
mod list;
mod review;
mod revoke;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

pub(super) use self::difference::Difference;
use super::{Done, PluginContext};
use crate::out;

/// `dovetail trust`.
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    #[command(subcommand)]
    pub(super) command: TrustCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TrustCommand {
    /// Show what you accepted, and whether it still holds.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what changed of a plugin since you accepted it, and ask whether that is all right.
    Review(review::ReviewArgs),
    /// Check that every plugin is as it was accepted. Ends with code 3 where one is not.
    Verify(verify::VerifyArgs),
    /// Take back what you granted a plugin. It stays installed.
    Revoke(revoke::RevokeArgs),
    /// Show where the key is kept that authenticates what you accepted, or keep it elsewhere.
    Key(key::KeyArgs),
}

/// Runs a command.
///
/// # Errors
/// What could not be done, or what is not covered, with the next step.
pub(crate) fn run(args: TrustArgs, context: &PluginContext) -> anyhow::Result<ExitCode> {
    let done = dispatch(args, context)?;
    out::stdout(&done.text);
    Ok(match done.declined {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

pub(super) fn dispatch(args: TrustArgs, context: &PluginContext) -> anyhow::Result<Done> {
    match args.command {
        TrustCommand::List { json } => list::run(context, json),
        TrustCommand::Review(args) => review::run(context, &args),
        TrustCommand::Verify(args) => verify::run(context, &args),
        TrustCommand::Revoke(args) => revoke::run(context, &args),
        TrustCommand::Key(args) => key::run(context, &args),
    }
}

#[cfg(test)]
mod tests;
