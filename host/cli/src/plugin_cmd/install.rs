//! `dovetail plugin install`.

use std::path::PathBuf;

use clap::Args;
use dovetail_runtime::discovery::{Found, Places};
use dovetail_runtime::lock::{PluginsLock, Scope};
use dovetail_runtime::pins::Pins;
use dovetail_runtime::policy::Pedigree;
use dovetail_runtime::state::State;

use super::consent::{self, Answer, Sources};
use super::package::Package;
use super::{Done, PluginContext, grant, record};
use crate::fatal::Fatal;
use crate::out;

/// `dovetail plugin install`.
#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// The folder with the plugin's `plugin.toml`.
    folder: PathBuf,
    /// The component, if it is neither beside the manifest nor where cargo builds it.
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Where a secret comes from, such as `acme-token=file:~/.acme/token`.
    #[arg(long, value_name = "SLOT=SOURCE")]
    secret: Vec<String>,
    /// Install into the project, and write its plugins.lock.
    #[arg(long)]
    project: bool,
    /// Grant what is asked for without a question.
    #[arg(long, short = 'y')]
    yes: bool,
}

pub(super) fn run(context: &PluginContext, args: &InstallArgs) -> anyhow::Result<Done> {
    let wasm = args.wasm.as_ref().map(|path| context.cwd.join(path));
    let package = Package::read(&context.cwd.join(&args.folder), wasm.as_deref())?;
    check_policy(context, &package.found, Pedigree::default())?;
    let sources = grant::sources(&package.found.manifest, &args.secret)?;
    let can_project = args.project || context.trusted_project().is_ok();
    if args.project {
        context.trusted_project()?;
    }
    let mut text = consent::describe(&package.found, &sources);
    text.push_str(&replaced(context, &package.found));
    let project = match consent::ask(&text, args.yes, can_project && !args.project)? {
        Answer::No => {
            out::stderr("nothing was installed\n");
            return Ok(Done::declined());
        }
        Answer::Me => args.project,
        Answer::Project => true,
    };
    let found = if project {
        let root = context.trusted_project()?;
        package.place(&Places::project_dir(root), Scope::Project(root.to_owned()))?
    } else {
        package.place(&context.places.user_dir(), Scope::User)?
    };
    let sources = with_earlier(context, &found, sources)?;
    let entry = context.record(&found, found.manifest.request.clone(), sources)?;
    PluginsLock::put(&context.places.own_dir, entry.clone())?;
    if let Scope::Project(root) = &found.scope {
        Pins::put(&Places::project_dir(root), &entry)?;
    }
    let place = found
        .dir
        .as_deref()
        .map(|dir| dir.display().to_string())
        .unwrap_or_default();
    let manifest = &found.manifest;
    Ok(Done::with(format!(
        "installed {} {} in {place}\n",
        manifest.id, manifest.version
    )))
}

/// Whether an administrator's list lets it be used.
fn check_policy(
    context: &PluginContext,
    found: &Found,
    pedigree: Pedigree<'_>,
) -> anyhow::Result<()> {
    let allowed = context.settings.allowed.as_ref();
    let Some(list) = allowed.filter(|list| !list.admits(found, pedigree)) else {
        return Ok(());
    };
    let state = State::NotAllowed {
        place: list.place.clone(),
    };
    match state.refusal(&found.manifest.id) {
        Some(refusal) => Err(Fatal::untrusted(refusal.sentence)
            .hint("nothing was installed; ask whoever manages that list")
            .into()),
        None => Ok(()),
    }
}

/// Sources given now, before those that an earlier version was given.
fn with_earlier(
    context: &PluginContext,
    found: &Found,
    mut sources: Sources,
) -> anyhow::Result<Sources> {
    let lock = PluginsLock::load(&context.places.own_dir)?;
    for (slot, source) in record::earlier(&lock, found)
        .map(|entry| entry.secrets)
        .unwrap_or_default()
    {
        sources.entry(slot).or_insert(source);
    }
    Ok(sources)
}

/// A line about the plugin of that id that is there already.
fn replaced(context: &PluginContext, new: &Found) -> String {
    let catalogue = context.survey();
    let Some(entry) = catalogue.get(&new.manifest.id) else {
        return String::new();
    };
    let old = &entry.found;
    format!(
        "  instead of {} {} ({})\n",
        old.manifest.id,
        old.manifest.version,
        old.scope.name()
    )
}
