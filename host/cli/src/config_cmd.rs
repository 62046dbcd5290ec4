//! `dovetail config`: what is in force, and who said so. Secrets are masked.

mod explain;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use dovetail_config::{Config, Place, ShownValue, Source};
use serde_json::{Value, json};

use crate::args::ConfigOverrides;
use crate::terminal_text::visible;
use crate::{exec, out};

/// `dovetail config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting in force. Secrets are masked.
    Show {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// With the file and line, or the flag, that each value comes from.
        #[arg(long)]
        origin: bool,
        /// Configuration.
        #[command(flatten)]
        overrides: ConfigOverrides,
    },
    /// Say of each value where it was set, what it overrode, and whether it does anything. Secrets are masked.
    Explain {
        /// A dotted key or a table; everything that is set where none is named.
        key: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Configuration.
        #[command(flatten)]
        overrides: ConfigOverrides,
    },
    /// Print the JSON Schema of `config.toml`, for editors.
    Schema,
}

impl ConfigArgs {
    /// The configuration that it looks at; the schema is the same for all.
    pub(crate) fn overrides(&mut self) -> Option<&mut ConfigOverrides> {
        match &mut self.command {
            ConfigCommand::Show { overrides, .. } | ConfigCommand::Explain { overrides, .. } => {
                Some(overrides)
            }
            ConfigCommand::Schema => None,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The configuration cannot be used; the error names the file and line.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let (ConfigCommand::Show { overrides, .. } | ConfigCommand::Explain { overrides, .. }) =
        &args.command
    else {
        out::stdout(&format!("{:#}\n", dovetail_config::config_schema()));
        return Ok(ExitCode::SUCCESS);
    };
    let home = dovetail_config::codex_home()?;
    let cwd = std::env::current_dir()?;
    let config = exec::load_config(&home, &cwd, overrides)?;
    out::stdout(&match &args.command {
        ConfigCommand::Show {
            json: true, origin, ..
        } => show_json(&config, *origin),
        ConfigCommand::Show { origin, .. } => show_text(&config.shown(), *origin),
        ConfigCommand::Explain { key, json, .. } => explain::text(&config, key.as_deref(), *json)?,
        ConfigCommand::Schema => String::new(),
    });
    out::stderr(&remarks(&config));
    Ok(ExitCode::SUCCESS)
}

fn show_text(values: &[ShownValue], origin: bool) -> String {
    let line = |shown: &ShownValue| visible(&format!("{} = {}", shown.key, shown.value));
    if !origin {
        return values.iter().map(|shown| line(shown) + "\n").collect();
    }
    // Origins stand in a column where most values leave room for it, and after the value where one does not.
    let column = values
        .iter()
        .map(|shown| line(shown).chars().count())
        .filter(|width| *width <= 48)
        .max()
        .unwrap_or(0);
    values
        .iter()
        .map(|shown| format!("{:<column$}  # {}\n", line(shown), place_text(&shown.place)))
        .collect()
}

/// Where a value was set, in a few words.
pub(crate) fn place_text(place: &Place) -> String {
    match &place.source {
        Source::BuiltIn => "default".to_owned(),
        Source::File { path, line } => format!(
            "{}: {}:{line}",
            place.kind.as_str(),
            visible(&path.to_string_lossy())
        ),
        Source::Flag(flag) => format!("{}: {}", place.kind.as_str(), visible(flag)),
    }
}

fn show_json(config: &Config, origin: bool) -> String {
    let value = match origin {
        false => config.shown_json(),
        true => config.shown().into_iter().map(|shown| {
            json!({"key": shown.key, "value": shown.value, "origin": place_json(&shown.place)})
        }).collect(),
    };
    format!("{value:#}\n")
}

/// The same for programs.
pub(crate) fn place_json(place: &Place) -> Value {
    let mut json = json!({"layer": place.kind.as_str()});
    match &place.source {
        Source::BuiltIn => {}
        Source::File { path, line } => {
            json["file"] = path.to_string_lossy().into();
            json["line"] = (*line).into();
        }
        Source::Flag(flag) => json["flag"] = flag.as_str().into(),
    }
    json
}

/// What has no effect, for standard error.
pub(crate) fn remarks(config: &Config) -> String {
    let mut text: String = config
        .warnings
        .iter()
        .map(|warning| format!("warning: {}\n", visible(warning)))
        .collect();
    for unknown in &config.unknown_keys {
        text.push_str(&format!("warning: {}\n", visible(&unknown.to_string())));
    }
    text
}
