//! `dovetail plugin install`.

use std::path::PathBuf;

use clap::Args;
use dovetail_core::ids::PluginId;
use dovetail_runtime::capability::Capabilities;
use dovetail_runtime::discovery::{Found, Places};
use dovetail_runtime::lock::{LockEntry, PluginsLock, Scope};
use dovetail_runtime::pins::Pins;
use dovetail_runtime::plugin_dir::PluginDirError;
use dovetail_runtime::state::State;

use super::consent::{self, Answer, Sources};
use super::incoming::{Incoming, IncomingArgs, receive};
use super::layout::labelled;
use super::package::Package;
use super::placing::{self, Placed};
use super::{Done, PluginContext, dir_error, grant, record};
use crate::fatal::Fatal;
use crate::out;

/// The column in which values start.
const LABELS: usize = 11;

/// `dovetail plugin install`.
#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// A folder with a `plugin.toml`, a `.tar.zst`, an `https://` URL of one, or an `oci://` reference.
    package: String,
    /// For a folder: the component, if it is neither beside the manifest nor where cargo builds it.
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
    /// Take a package of another signer, or of none, in place of one that was signed.
    #[arg(long)]
    change_signer: bool,
    #[command(flatten)]
    incoming: IncomingArgs,
}

/// One plugin that is about to be installed.
pub(super) struct Plan<'a> {
    pub(super) package: &'a Package,
    pub(super) granted: Capabilities,
    pub(super) sources: Sources,
}

pub(super) async fn run(context: &PluginContext, args: &InstallArgs) -> anyhow::Result<Done> {
    let wasm = args.wasm.as_ref().map(|path| context.cwd.join(path));
    let incoming = receive(context, &args.package, wasm.as_deref(), &args.incoming).await?;
    for package in &incoming.packages {
        check_policy(context, &package.found, &incoming)?;
        check_signer(context, &package.found.manifest.id, &incoming, args)?;
        context.check_native(&package.found.manifest)?;
    }
    let plans = plans(&incoming, args)?;
    let native = incoming
        .packages
        .iter()
        .find(|package| package.found.manifest.native);
    let can_project = native.is_none() && (args.project || context.trusted_project().is_ok());
    if args.project {
        context.trusted_project()?;
        if let Some(package) = native {
            return Err(dir_error(PluginDirError::NativeProject(
                package.found.manifest.id.clone(),
            )));
        }
    }
    let text: String = plans
        .iter()
        .map(|plan| describe(context, plan, &incoming))
        .collect();
    let project = match consent::ask(&text, args.yes, can_project && !args.project)? {
        Answer::No => {
            out::stderr("nothing was installed\n");
            return Ok(Done::declined());
        }
        Answer::Me => args.project,
        Answer::Project => true,
    };
    let (plugins, scope) = match project {
        true => {
            let root = context.trusted_project()?;
            (Places::project_dir(root), Scope::Project(root.to_owned()))
        }
        false => (context.places.user_dir(), Scope::User),
    };
    let installed = put(context, &incoming, plans, &plugins, &scope)?;
    let line = |found: &Found| {
        let place = found
            .dir
            .as_deref()
            .map(|dir| dir.display().to_string())
            .unwrap_or_default();
        let manifest = &found.manifest;
        format!(
            "installed {} {} in {place}\n",
            manifest.id, manifest.version
        )
    };
    Ok(Done::with(installed.iter().map(line).collect()))
}

fn plans<'a>(incoming: &'a Incoming, args: &InstallArgs) -> anyhow::Result<Vec<Plan<'a>>> {
    if incoming.packages.len() > 1 && !args.secret.is_empty() {
        return Err(
            Fatal::new("--secret is for one plugin, and this package holds several")
                .hint(
                    "name the sources afterwards: dovetail plugin grant <id> --secret SLOT=SOURCE",
                )
                .into(),
        );
    }
    let plan = |package: &'a Package| {
        let manifest = &package.found.manifest;
        Ok(Plan {
            package,
            granted: manifest.request.clone(),
            sources: grant::sources(manifest, &args.secret)?,
        })
    };
    incoming.packages.iter().map(plan).collect()
}

/// Puts plugins in their place and grants them, all or none.
///
/// # Errors
/// Something cannot be written. What was there before is then back in its place.
pub(super) fn put(
    context: &PluginContext,
    incoming: &Incoming,
    plans: Vec<Plan<'_>>,
    plugins: &std::path::Path,
    scope: &Scope,
) -> anyhow::Result<Vec<Found>> {
    let _held = placing::hold(context)?;
    let mut placed: Vec<Placed> = Vec::new();
    let mut entries: Vec<LockEntry> = Vec::new();
    for plan in plans {
        let one = plan.package.place(plugins, scope)?;
        let sources = with_earlier(context, one.found(), plan.sources)?;
        let mut entry = context.record(one.found(), plan.granted, sources)?;
        entry.source = Some(incoming.source.clone());
        entry.signer.clone_from(&incoming.signer);
        entries.push(entry);
        placed.push(one);
    }
    PluginsLock::put_all(&context.places.own_dir, entries.clone())?;
    if matches!(scope, Scope::Project(_)) {
        for entry in &entries {
            Pins::put(plugins, entry)?;
        }
    }
    Ok(placed.into_iter().map(Placed::keep).collect())
}

/// Whether an administrator's list lets it be used.
///
/// # Errors
/// It does not.
pub(super) fn check_policy(
    context: &PluginContext,
    found: &Found,
    incoming: &Incoming,
) -> anyhow::Result<()> {
    let allowed = context.settings.allowed.as_ref();
    let Some(list) = allowed.filter(|list| !list.admits(found, incoming.pedigree())) else {
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

/// A plugin that came signed does not become one of somebody else unnoticed.
fn check_signer(
    context: &PluginContext,
    id: &PluginId,
    incoming: &Incoming,
    args: &InstallArgs,
) -> anyhow::Result<()> {
    match signer_problem(context, id, incoming)? {
        Some(sentence) if !args.change_signer => Err(Fatal::untrusted(sentence)
            .hint("if you know why: the same command with --change-signer")
            .into()),
        Some(_) | None => Ok(()),
    }
}

/// What is wrong with who signed a package, given who signed what is installed.
pub(super) fn signer_problem(
    context: &PluginContext,
    id: &PluginId,
    incoming: &Incoming,
) -> anyhow::Result<Option<String>> {
    let lock = PluginsLock::load(&context.places.own_dir)?;
    let earlier = record::installed(&lock, context, id).and_then(|entry| entry.signer);
    let Some(earlier) = earlier.filter(|key| incoming.signer.as_ref() != Some(key)) else {
        return Ok(None);
    };
    let now = match &incoming.signer {
        Some(key) => format!("signed by {}", context.key_name(key)),
        None => "not signed by anybody that is known".to_owned(),
    };
    Ok(Some(format!(
        "plugin `{id}` was signed by {}, and this package is {now}",
        context.key_name(&earlier)
    )))
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

/// What a person decides on.
fn describe(context: &PluginContext, plan: &Plan<'_>, incoming: &Incoming) -> String {
    let found = &plan.package.found;
    let mut text = consent::describe(found, &plan.sources);
    text.push_str(&origin(context, incoming));
    let catalogue = context.survey();
    if let Some(entry) = catalogue.get(&found.manifest.id) {
        let old = &entry.found;
        text.push_str(&format!(
            "  instead of {} {} ({})\n",
            old.manifest.id,
            old.manifest.version,
            old.scope.name()
        ));
    }
    text
}

/// Where a package comes from and who signed it.
pub(super) fn origin(context: &PluginContext, incoming: &Incoming) -> String {
    let signed = match (&incoming.signer, &incoming.note) {
        (Some(key), _) => format!("by {}", context.key_name(key)),
        (None, Some(note)) => note.clone(),
        (None, None) => "by nobody".to_owned(),
    };
    labelled("  from", LABELS, incoming.source.as_str()) + &labelled("  signed", LABELS, &signed)
}
