//! `dovetail features`: what can be switched on and off.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use dovetail_config::Config;
use serde_json::{Value, json};

use crate::args::ConfigOverrides;
use crate::{config_cmd, exec, out};

/// `dovetail features`.
#[derive(Debug, Args)]
pub(crate) struct FeaturesArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: FeaturesCommand,
}

/// What can be asked of features.
#[derive(Debug, Subcommand)]
pub(crate) enum FeaturesCommand {
    /// List all features: name, stage, and whether each is on.
    List {
        /// As JSON, with what each does.
        #[arg(long)]
        json: bool,
        /// Configuration.
        #[command(flatten)]
        overrides: ConfigOverrides,
    },
}

impl FeaturesArgs {
    /// The configuration that it looks at.
    pub(crate) fn overrides(&mut self) -> &mut ConfigOverrides {
        let FeaturesCommand::List { overrides, .. } = &mut self.command;
        overrides
    }
}

/// Runs the command.
///
/// # Errors
/// The configuration cannot be used.
pub(crate) fn run(args: &FeaturesArgs) -> anyhow::Result<ExitCode> {
    let FeaturesCommand::List { json, overrides } = &args.command;
    let home = dovetail_config::codex_home()?;
    let config = exec::load_config(&home, &std::env::current_dir()?, overrides)?;
    out::stdout(&match json {
        true => list_json(&config),
        false => list_text(&config),
    });
    out::stderr(&config_cmd::remarks(&config));
    Ok(ExitCode::SUCCESS)
}

fn list_text(config: &Config) -> String {
    let features = config.listed_features();
    let names = features.iter().map(|feature| feature.name.len()).max();
    let stages = features.iter().map(|feature| feature.stage.as_str().len());
    let (names, stages) = (names.unwrap_or(0), stages.max().unwrap_or(0));
    features
        .iter()
        .map(|feature| {
            let (name, stage) = (feature.name, feature.stage.as_str());
            format!(
                "{name:<names$}  {stage:<stages$}  {}\n",
                config.feature(feature)
            )
        })
        .collect()
}

fn list_json(config: &Config) -> String {
    let list: Value = config
        .listed_features()
        .iter()
        .map(|feature| {
            json!({
                "name": feature.name,
                "stage": feature.stage.as_str(),
                "enabled": config.feature(feature),
                "meaning": feature.meaning,
            })
        })
        .collect();
    format!("{list:#}\n")
}
