//! `dovetail models`: which models there are, and everything that is known of one, with its source.

mod gather;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use dovetail_config::{Config, SandboxMode};
use dovetail_models::{List, ModelInfo};
use serde_json::{Value, json};

use self::gather::Gathered;
use crate::args::ConfigOverrides;
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
    /// List the models of the catalogue, those that the provider says it has, and those that the configuration describes.
    List {
        /// Also those that are usually hidden.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Who is asked.
        #[command(flatten)]
        asking: Asking,
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
        /// Who is asked.
        #[command(flatten)]
        asking: Asking,
        /// Configuration.
        #[command(flatten)]
        overrides: ConfigOverrides,
    },
}

/// Whether the provider is asked for its own list. Where nothing is said: if there is one, and none younger than five
/// minutes is kept.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Asking {
    /// Ask the provider for its list of models, however new the kept one is.
    #[arg(long, conflicts_with = "offline")]
    refresh: bool,
    /// Ask nobody; the provider's list is the kept one, however old it is.
    #[arg(long)]
    offline: bool,
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
/// The configuration or the catalogue cannot be used, or the list that was to be asked for cannot be had.
pub(crate) async fn run(args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let (ModelsCommand::List {
        overrides, asking, ..
    }
    | ModelsCommand::Explain {
        overrides, asking, ..
    }) = &args.command;
    let home = dovetail_config::codex_home()?;
    let config = exec::load_config(&home, &std::env::current_dir()?, overrides)?;
    let gathered = gather::gather(&config, *asking).await?;
    let mut warnings = gathered.warnings.clone();
    match &args.command {
        ModelsCommand::List { all, json, .. } => {
            let models = listed(&config, &gathered, *all);
            out::stdout(&match json {
                true => list_json(&config, &gathered, &models),
                false => list_text(&config, &gathered, &models),
            });
        }
        ModelsCommand::Explain { model, json, .. } => {
            let slug = model.as_deref().unwrap_or_else(|| models::chosen(&config));
            let model = gathered.known.resolve(&config, slug);
            let sandbox = config.sandbox_mode.unwrap_or(SandboxMode::ReadOnly);
            let options = model_options::decide(&config, &model, sandbox, None);
            out::stdout(&match json {
                true => explain_json(&config, &gathered, &model, &options),
                false => explain_text(&config, &gathered, &model, &options),
            });
            warnings.extend(models::warnings(&config, &gathered.known, &model));
            warnings.extend(options.warnings);
        }
    }
    for warning in warnings {
        out::stderr(&format!("warning: {}\n", visible(&warning)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The models to list, in the order of their priority.
fn listed(config: &Config, gathered: &Gathered, all: bool) -> Vec<Model> {
    let slugs = gathered.known.slugs(config, models::chosen(config), all);
    let mut models: Vec<Model> = slugs
        .iter()
        .map(|slug| gathered.known.resolve(config, slug))
        .collect();
    let can_be_used = |model: &Model| model.info.supported_in_api || gathered.is_of_account;
    models.retain(|model| all || (model.info.visibility == "list" && can_be_used(model)));
    models.sort_by_key(|model| model.info.priority);
    models
}

/// Where it is said that there is such a model: of several, the one that says most of it.
fn source_text(config: &Config, gathered: &Gathered, model: &Model) -> String {
    if let Some(plugin) = gathered.known.offered_by(&model.slug) {
        return format!("plugin {plugin}");
    }
    match &model.matched {
        Some(matched) => models::entry_text(config, matched),
        None if config.describes_model(&model.slug) => "user".to_owned(),
        None => "–".to_owned(),
    }
}

/// The same for programs.
fn source_json(config: &Config, gathered: &Gathered, model: &Model) -> Value {
    if let Some(plugin) = gathered.known.offered_by(&model.slug) {
        return json!({ "layer": "plugin", "plugin": plugin.as_str() });
    }
    match &model.matched {
        Some(matched) => models::list_json(config, matched.list),
        None if config.describes_model(&model.slug) => json!({ "layer": "user" }),
        None => Value::Null,
    }
}

fn list_text(config: &Config, gathered: &Gathered, models: &[Model]) -> String {
    let sources: Vec<String> = models
        .iter()
        .map(|model| visible(&source_text(config, gathered, model)))
        .collect();
    let width = widest(models.iter().map(|model| model.slug.as_str()), "model");
    let from = widest(sources.iter().map(String::as_str), "from");
    let mut text = format!(
        "  {:<width$}  {:>8}  {:<from$}  effort\n",
        "model", "window", "from"
    );
    for (model, source) in models.iter().zip(&sources) {
        let mark = if model.slug == models::chosen(config) {
            '*'
        } else {
            ' '
        };
        let slug = visible(&model.slug);
        let window = model.info.usable_window();
        let efforts = visible(&efforts(&model.info));
        let line = format!("{mark} {slug:<width$}  {window:>8}  {source:<from$}  {efforts}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How wide a column is.
fn widest<'t>(texts: impl Iterator<Item = &'t str>, head: &'t str) -> usize {
    let widths = texts.chain([head]).map(|text| text.chars().count());
    widths.max().unwrap_or(0)
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

fn list_json(config: &Config, gathered: &Gathered, models: &[Model]) -> String {
    let list: Value = models
        .iter()
        .map(|model| {
            json!({
                "model": model.slug,
                "chosen": model.slug == models::chosen(config),
                "known": gathered.known.knows(config, &model.slug),
                "from": source_json(config, gathered, model),
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

fn explain_text(
    config: &Config,
    gathered: &Gathered,
    model: &Model,
    options: &ModelOptions,
) -> String {
    let mut rows: Vec<(String, String, String)> = model
        .fields()
        .into_iter()
        .map(|field| {
            let from = models::origin_text(config, model, field.origin);
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
    let offered = gathered.known.offered_by(&model.slug);
    let known = match (&model.matched, offered) {
        (_, Some(plugin)) => format!("offered by plugin {plugin}"),
        (Some(matched), None) if matched.slug == model.slug => match matched.list {
            List::Bundled | List::File => "in the catalogue".to_owned(),
            List::Online => format!("in the online list of {}", config.model_provider),
        },
        (Some(matched), None) => format!("known as {}", matched.slug),
        (None, None) => "not in the catalogue".to_owned(),
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

fn explain_json(
    config: &Config,
    gathered: &Gathered,
    model: &Model,
    options: &ModelOptions,
) -> String {
    let fields: serde_json::Map<String, Value> = model
        .fields()
        .into_iter()
        .map(|field| {
            let origin = models::origin_json(config, model, field.origin);
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
        "matched": model.matched.as_ref().map(|matched| &matched.slug),
        "from": source_json(config, gathered, model),
        "online": gathered.online_json(),
        "usable_window": model.info.usable_window(),
        "fields": fields,
        "request": asked,
    });
    format!("{whole:#}\n")
}
