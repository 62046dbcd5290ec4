//! `dovetail plugin grant`.

use clap::{Args, ValueEnum};
use dovetail_core::plugin::FieldClass;
use dovetail_runtime::argv::ArgvPattern;
use dovetail_runtime::capability::{Capabilities, SlotName, class_name};
use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::discovery::Places;
use dovetail_runtime::lock::{LockEntry, PluginsLock, Scope};
use dovetail_runtime::manifest::Manifest;
use dovetail_runtime::origin::OriginPattern;
use dovetail_runtime::pins::Pins;
use dovetail_runtime::secret_source::SecretSource;

use super::consent::{self, Answer, Sources};
use super::{Done, PluginContext, find, record};
use crate::fatal::Fatal;
use crate::out;

/// `dovetail plugin grant`.
#[derive(Debug, Args)]
pub(super) struct GrantArgs {
    /// The plugin's id.
    plugin: String,
    /// Grant only this, beside what it has already.
    capability: Option<Capability>,
    /// Which: an origin, a path, a command line, a name, a slot, a class.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    values: Vec<String>,
    /// Where a secret comes from, such as `acme-token=file:~/.acme/token`.
    #[arg(long, value_name = "SLOT=SOURCE")]
    secret: Vec<String>,
    /// For a project's plugin: also write the project's plugins.lock.
    #[arg(long)]
    project: bool,
    /// Grant without a question.
    #[arg(long, short = 'y')]
    yes: bool,
}

/// A key of a manifest's `[request]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Capability {
    /// An origin to send requests to.
    Net,
    /// A directory, by its path in the manifest.
    Fs,
    /// A command line.
    Process,
    /// An environment variable.
    Env,
    /// A secret slot to use in headers.
    Secrets,
    /// A secret slot to read and replace.
    Owns,
    /// A store between runs.
    Kv,
    /// Questions to the connected application.
    Client,
    /// A class of event fields.
    Classes,
    /// Going ahead when it fails.
    #[value(name = "fail_open")]
    FailOpen,
}

pub(super) fn run(context: &PluginContext, args: &GrantArgs) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    let entry = find(&catalogue, &args.plugin)?;
    check_kind(entry, args.project)?;
    context.check_native(&entry.found.manifest)?;
    let lock = PluginsLock::load(&context.places.own_dir)?;
    let earlier = record::earlier(&lock, &entry.found);
    let mut sources = sources(&entry.found.manifest, &args.secret)?;
    for (slot, source) in earlier.iter().flat_map(|earlier| &earlier.secrets) {
        sources
            .entry(slot.clone())
            .or_insert_with(|| source.clone());
    }
    let granted = match args.capability {
        Some(capability) => one_more(entry, earlier.as_ref(), capability, &args.values)?,
        None => {
            let text = consent::describe(&entry.found, &sources);
            if consent::ask(&text, args.yes, false)? == Answer::No {
                out::stderr("nothing was granted\n");
                return Ok(Done::declined());
            }
            entry.found.manifest.request.clone()
        }
    };
    let new = context.record(&entry.found, granted, sources)?;
    PluginsLock::put(&context.places.own_dir, new.clone())?;
    if let (Scope::Project(root), true) = (&entry.found.scope, args.project) {
        Pins::put(&Places::project_dir(root), &new)?;
    }
    Ok(Done::with(format!(
        "plugin `{}` is granted: {}\n",
        new.id, new.granted
    )))
}

fn check_kind(entry: &Entry, project: bool) -> anyhow::Result<()> {
    let id = &entry.found.manifest.id;
    match (&entry.found.scope, project) {
        (Scope::Builtin, _) => Err(Fatal::new(format!(
            "plugin `{id}` is part of dovetail and needs no grant"
        ))
        .hint(
            "what it may do follows from your config.toml; see: dovetail plugin inspect openai"
                .replace("openai", id.as_str()),
        )
        .into()),
        (Scope::System | Scope::User, true) => {
            Err(Fatal::new(format!("plugin `{id}` is not this project's"))
                .hint("leave out --project")
                .into())
        }
        (Scope::System | Scope::User | Scope::Project(_), _) => Ok(()),
    }
}

/// What a plugin has, and one thing more of what it asks for.
fn one_more(
    entry: &Entry,
    earlier: Option<&LockEntry>,
    capability: Capability,
    values: &[String],
) -> anyhow::Result<Capabilities> {
    let manifest = &entry.found.manifest;
    let id = &manifest.id;
    if earlier.is_some_and(|earlier| earlier.wasm != entry.found.wasm.sha256) {
        return Err(
            Fatal::new(format!("plugin `{id}` changed since it was granted"))
                .hint(format!("review it as a whole: dovetail plugin grant {id}"))
                .into(),
        );
    }
    let wanted = wanted(manifest, capability, values)?;
    if wanted.is_empty() || !manifest.request.covers(&wanted) {
        let what = if wanted.is_empty() {
            format!("{capability:?}").to_lowercase()
        } else {
            wanted.to_string()
        };
        return Err(Fatal::new(format!("plugin `{id}` does not ask for {what}"))
            .hint(format!(
                "its manifest asks for {}; if it needs more, ask its author",
                manifest.request
            ))
            .into());
    }
    let mut granted = earlier
        .map(|earlier| earlier.granted.clone())
        .unwrap_or_default();
    granted.extend(wanted);
    Ok(granted)
}

/// The capability that the command line names.
fn wanted(
    manifest: &Manifest,
    capability: Capability,
    values: &[String],
) -> anyhow::Result<Capabilities> {
    let takes_values = !matches!(
        capability,
        Capability::Kv | Capability::Client | Capability::FailOpen
    );
    let may_take_values = takes_values || capability == Capability::Kv;
    if takes_values && values.is_empty() {
        return Err(Fatal::new("say which one")
            .hint(format!("it asks for {}", manifest.request))
            .into());
    }
    if !may_take_values && !values.is_empty() {
        return Err(Fatal::new(format!("`{}` takes no value", values.join(" "))).into());
    }
    let request = &manifest.request;
    let mut wanted = Capabilities::default();
    match capability {
        Capability::Net => wanted.net = read(values, OriginPattern::parse)?,
        Capability::Fs => {
            // Mount and access are the manifest's; a path that it does not name is refused by the caller.
            wanted.fs = request
                .fs
                .iter()
                .filter(|rule| values.iter().any(|path| path == rule.path()))
                .cloned()
                .collect();
        }
        Capability::Process => {
            wanted
                .process
                .insert(ArgvPattern::parse(values).map_err(|error| Fatal::new(error.to_string()))?);
        }
        Capability::Env => wanted.env = values.iter().cloned().collect(),
        Capability::Secrets => wanted.secrets = read(values, SlotName::parse)?,
        Capability::Owns => wanted.owns = read(values, SlotName::parse)?,
        Capability::Kv => {
            let bytes = |text: &str| text.parse::<u64>();
            let bytes: Vec<u64> = read(values, bytes)?;
            wanted.kv = bytes.first().copied().unwrap_or(request.kv);
        }
        Capability::Client => wanted.client = request.client,
        Capability::Classes => wanted.classes = read(values, class)?,
        Capability::FailOpen => wanted.fail_open = request.fail_open,
    }
    Ok(wanted)
}

fn read<T, E, C>(values: &[String], parse: impl Fn(&str) -> Result<T, E>) -> anyhow::Result<C>
where
    E: std::fmt::Display,
    C: FromIterator<T>,
{
    let one = |value: &String| parse(value).map_err(|error| Fatal::new(error.to_string()).into());
    values.iter().map(one).collect()
}

fn class(text: &str) -> Result<FieldClass, String> {
    let classes = [
        FieldClass::Content,
        FieldClass::Identity,
        FieldClass::Location,
    ];
    let found = classes.into_iter().find(|class| class_name(*class) == text);
    found.ok_or_else(|| {
        format!(
            "`{}` is no field class; use content, identity, location",
            text.escape_debug()
        )
    })
}

/// Sources from `--secret SLOT=SOURCE`, checked against what the manifest asks for.
///
/// # Errors
/// The form is wrong, or the plugin has no such slot.
pub(super) fn sources(manifest: &Manifest, given: &[String]) -> anyhow::Result<Sources> {
    let one = |text: &String| {
        let Some((slot, source)) = text.split_once('=') else {
            return Err(Fatal::new("a secret is given as SLOT=SOURCE")
                .hint("such as acme-token=env:ACME_TOKEN"));
        };
        let request = &manifest.request;
        let known = request
            .secrets
            .iter()
            .chain(&request.owns)
            .find(|known| known.as_str() == slot);
        let Some(slot) = known else {
            return Err(Fatal::new(format!(
                "plugin `{}` asks for no secret `{}`",
                manifest.id,
                slot.escape_debug()
            )));
        };
        SecretSource::parse(source).map_err(|error| Fatal::new(error.to_string()))?;
        Ok((slot.clone(), source.to_owned()))
    };
    given
        .iter()
        .map(|text| one(text).map_err(Into::into))
        .collect()
}
