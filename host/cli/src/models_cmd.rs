//! `dovetail models`: which models there are, and everything that is known of one, with its source.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use dovetail_config::{Config, SandboxMode};
use dovetail_models::{ModelInfo, Origin};
use serde_json::{Value, json};

use crate::args::ConfigOverrides;
use crate::config_cmd::place_json;
use crate::model_options::{self, Chosen, ModelOptions};
use crate::models::{self, Model};
use crate::terminal_text::visible;
use crate::{exec, out};

/// `dovetail models`.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

/// What can be asked of models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the models of the catalogue and those that the configuration describes.
    List {
        /// Also those that are usually hidden.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Configuration.
        #[command(flatten)]
        overrides: ConfigOverrides,
    },
    /// Print every fact about a model and where it comes from, and what requests would ask of it.
    Explain {
        /// The model; the configured one where none is named.
        model: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Configuration.
        #[command(flatten)]
        overrides: ConfigOverrides,
    },
}

impl ModelsArgs {
    /// The configuration that it looks at.
    pub(crate) fn overrides(&mut self) -> &mut ConfigOverrides {
        let (ModelsCommand::List { overrides, .. } | ModelsCommand::Explain { overrides, .. }) =
            &mut self.command;
        overrides
    }
}

/// Runs the command.
///
/// # Errors
/// The configuration or the catalogue cannot be used.
pub(crate) fn run(args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let (ModelsCommand::List { overrides, .. } | ModelsCommand::Explain { overrides, .. }) =
        &args.command;
    let home = dovetail_config::codex_home()?;
    let config = exec::load_config(&home, &std::env::current_dir()?, overrides)?;
    match &args.command {
        ModelsCommand::List { all, json, .. } => {
            let models = listed(&config, *all)?;
            out::stdout(&match json {
                true => list_json(&config, &models),
                false => list_text(&config, &models),
            });
        }
        ModelsCommand::Explain { model, json, .. } => {
            let slug = model.as_deref().unwrap_or_else(|| models::chosen(&config));
            let model = models::resolve(&config, slug)?;
            let sandbox = config.sandbox_mode.unwrap_or(SandboxMode::ReadOnly);
            let options = model_options::decide(&config, &model, sandbox, None);
            out::stdout(&match json {
                true => explain_json(&model, &options),
                false => explain_text(&model, &options),
            });
            for warning in models::warnings(&config, &model)
                .iter()
                .chain(&options.warnings)
            {
                out::stderr(&format!("warning: {}\n", visible(warning)));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The models to list, in the order of their priority.
fn listed(config: &Config, all: bool) -> anyhow::Result<Vec<Model>> {
    let catalogue = models::catalogue(config)?;
    let mut slugs: Vec<String> = catalogue
        .entries()
        .iter()
        .map(|entry| entry.slug.clone())
        .collect();
    slugs.extend(config.described_models());
    slugs.push(models::chosen(config).to_owned());
    let mut models: Vec<Model> = Vec::new();
    for slug in slugs {
        if models.iter().any(|model| model.slug == slug) {
            continue;
        }
        let overrides = config.model_overrides(&slug);
        models.push(dovetail_models::resolve(&catalogue, &slug, overrides));
    }
    models.retain(|model| all || model.info.visibility == "list");
    models.sort_by_key(|model| model.info.priority);
    Ok(models)
}

fn list_text(config: &Config, models: &[Model]) -> String {
    let width = models
        .iter()
        .map(|model| model.slug.chars().count())
        .max()
        .unwrap_or(0)
        .max("model".len());
    let mut text = format!("  {:<width$}  {:>8}  effort\n", "model", "window");
    for model in models {
        let mark = if model.slug == models::chosen(config) {
            '*'
        } else {
            ' '
        };
        let slug = visible(&model.slug);
        let window = model.info.usable_window();
        let efforts = visible(&efforts(&model.info));
        text.push_str(format!("{mark} {slug:<width$}  {window:>8}  {efforts}").trim_end());
        text.push('\n');
    }
    text
}

/// The efforts, the default one in brackets.
fn efforts(info: &ModelInfo) -> String {
    let default = info.default_reasoning_level.as_deref();
    let mut names: Vec<String> = info
        .supported_reasoning_levels
        .iter()
        .map(|level| match Some(level.effort.as_str()) == default {
            true => format!("[{}]", level.effort),
            false => level.effort.clone(),
        })
        .collect();
    if names.is_empty() {
        names.extend(default.map(|default| format!("[{default}]")));
    }
    names.join(" ")
}

fn list_json(config: &Config, models: &[Model]) -> String {
    let list: Value = models
        .iter()
        .map(|model| {
            json!({
                "model": model.slug,
                "chosen": model.slug == models::chosen(config),
                "known": model.matched.is_some() || config.describes_model(&model.slug),
                "usable_window": model.info.usable_window(),
                "facts": model.info,
            })
        })
        .collect();
    format!("{list:#}\n")
}

fn requests(options: &ModelOptions) -> [(&'static str, &Chosen); 5] {
    [
        ("reasoning.effort", &options.effort),
        ("reasoning.summary", &options.summary),
        ("text.verbosity", &options.verbosity),
        ("service_tier", &options.service_tier),
        ("web_search", &options.web_search),
    ]
}

fn explain_text(model: &Model, options: &ModelOptions) -> String {
    let mut rows: Vec<(String, String, String)> = model
        .fields()
        .into_iter()
        .map(|field| {
            let from = models::origin_text(model, field.origin);
            (field.name.to_owned(), value_text(&field.value), from)
        })
        .collect();
    rows.push((
        "usable window".to_owned(),
        model.info.usable_window().to_string(),
        "follows from other fields".to_owned(),
    ));
    let facts = table(&rows);
    let rows: Vec<(String, String, String)> = requests(options)
        .into_iter()
        .map(|(name, chosen)| {
            let value = chosen.value.clone().unwrap_or_else(|| "–".to_owned());
            (name.to_owned(), value, chosen.from.clone())
        })
        .collect();
    let known = match &model.matched {
        Some((slug, _)) if *slug == model.slug => "in the catalogue".to_owned(),
        Some((slug, _)) => format!("known as {slug}"),
        None => "not in the catalogue".to_owned(),
    };
    visible(&format!(
        "{} · {known}\n{facts}\na request asks for\n{}",
        model.slug,
        table(&rows)
    ))
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "–".to_owned(),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::Object(fields) => fields
                    .get("effort")
                    .or_else(|| fields.get("id"))
                    .map_or_else(|| item.to_string(), value_text),
                other => value_text(other),
            })
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

fn table(rows: &[(String, String, String)]) -> String {
    let width = |column: fn(&(String, String, String)) -> &String| {
        let widths = rows.iter().map(|row| column(row).chars().count());
        widths.filter(|width| *width <= 40).max().unwrap_or(0)
    };
    let (names, values) = (width(|row| &row.0), width(|row| &row.1));
    rows.iter()
        .map(|(name, value, from)| format!("  {name:<names$}  {value:<values$}  {from}\n"))
        .collect()
}

fn explain_json(model: &Model, options: &ModelOptions) -> String {
    let fields: serde_json::Map<String, Value> = model
        .fields()
        .into_iter()
        .map(|field| {
            let origin = match field.origin {
                Origin::Fallback => json!({ "layer": "default" }),
                Origin::Derived => json!({ "layer": "derived" }),
                Origin::Catalogue => json!({ "layer": "catalogue" }),
                Origin::User(place) => place_json(place),
            };
            let described = json!({ "value": field.value, "origin": origin });
            (field.name.to_owned(), described)
        })
        .collect();
    let asked: serde_json::Map<String, Value> = requests(options)
        .into_iter()
        .map(|(name, chosen)| {
            let described = json!({ "value": chosen.value, "from": chosen.from });
            (name.to_owned(), described)
        })
        .collect();
    let whole = json!({
        "model": model.slug,
        "matched": model.matched.as_ref().map(|(slug, _)| slug),
        "usable_window": model.info.usable_window(),
        "fields": fields,
        "request": asked,
    });
    format!("{whole:#}\n")
}
