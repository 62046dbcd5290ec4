//! `dovetail plugin update`.

use clap::Args;
use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::discovery::Places;
use dovetail_runtime::lock::{LockEntry, Scope};
use dovetail_runtime::provenance::Source;

use super::consent;
use super::incoming::{IncomingArgs, receive};
use super::install::{self, Plan};
use super::trust::Difference;
use super::{Done, PluginContext, find, mark_of};
use crate::fatal::{self, Fatal};
use crate::out;

/// `dovetail plugin update`.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// The plugins' ids; without any, every plugin of yours that was installed from a package.
    plugins: Vec<String>,
    /// Where the newer package is, if not where the installed one came from. For one plugin.
    #[arg(long, value_name = "PACKAGE")]
    from: Option<String>,
    /// Accept updates that do not ask for more without a question.
    #[arg(long, short = 'y')]
    yes: bool,
    #[command(flatten)]
    incoming: IncomingArgs,
}

pub(super) async fn run(context: &PluginContext, args: &UpdateArgs) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    let chosen: Vec<&Entry> = match args.plugins.as_slice() {
        [] => catalogue
            .entries
            .iter()
            .filter(|entry| entry.found.scope == Scope::User && source_of(entry).is_some())
            .collect(),
        ids => {
            let named = ids.iter().map(|id| find(&catalogue, id));
            named.collect::<Result<_, _>>()?
        }
    };
    if args.from.is_some() && chosen.len() != 1 {
        return Err(Fatal::new("--from is for one plugin").into());
    }
    let mut text = String::new();
    let mut failures = Vec::new();
    for entry in &chosen {
        match update(context, entry, args).await {
            Ok(line) => text.push_str(&line),
            Err(error) => failures.push(error),
        }
    }
    if chosen.is_empty() {
        text.push_str("no plugin of yours was installed from a package\n");
    }
    match failures.pop() {
        None => Ok(Done::with(text)),
        Some(last) => {
            out::stdout(&text);
            // What went wrong with one is no reason to keep quiet about the others.
            for error in failures {
                out::stderr(&fatal::text(&error));
            }
            Err(last)
        }
    }
}

fn source_of(entry: &Entry) -> Option<&Source> {
    entry.record.as_ref()?.source.as_ref()
}

async fn update(
    context: &PluginContext,
    entry: &Entry,
    args: &UpdateArgs,
) -> anyhow::Result<String> {
    let id = &entry.found.manifest.id;
    let package = place_of(entry, args.from.as_deref())?;
    let incoming = receive(context, &package, None, &args.incoming).await?;
    let held = incoming
        .packages
        .iter()
        .find(|package| package.found.manifest.id == *id);
    let Some(new) = held else {
        return Err(Fatal::new(format!(
            "`{}` does not hold plugin `{id}`",
            package.escape_debug()
        ))
        .into());
    };
    let (old_version, version) = (&entry.found.manifest.version, &new.found.manifest.version);
    let same = new.found.wasm.sha256 == entry.found.wasm.sha256
        && new.found.manifest.sha256 == entry.found.manifest.sha256;
    if same {
        return Ok(format!("{id} {version} is what its source has\n"));
    }
    if version < old_version {
        return Err(Fatal::untrusted(format!(
            "plugin `{id}` is {old_version}, and its source has the older {version}"
        ))
        .hint(format!(
            "to go back on purpose: dovetail plugin install {}",
            package.escape_debug()
        ))
        .into());
    }
    install::check_policy(context, &new.found, &incoming)?;
    context.check_native(&new.found.manifest)?;
    if let Some(sentence) = install::signer_problem(context, id, &incoming)? {
        return Err(Fatal::untrusted(sentence)
            .hint(format!(
                "nothing was changed; if you know why: dovetail plugin install {} --change-signer",
                package.escape_debug()
            ))
            .into());
    }
    let record = entry.record.as_ref();
    let sources = record
        .map(|record| record.secrets.clone())
        .unwrap_or_default();
    let mut found = new.found.clone();
    found.scope.clone_from(&entry.found.scope);
    let now = LockEntry {
        source: Some(incoming.source.clone()),
        signer: incoming.signer.clone(),
        ..context.record(&found, found.manifest.request.clone(), sources.clone())?
    };
    let difference = Difference::between(record, &found, &now)
        .leaving_the_sandbox(found.manifest.native && !entry.found.manifest.native);
    let head = format!(
        "{id} {old_version} → {version}{}\n",
        mark_of(&found.manifest)
    );
    if !decide(
        &format!("{head}{}", difference.text()),
        &difference,
        args.yes,
    )? {
        return Err(undecided(&difference, entry, &package).into());
    }
    let (plugins, scope) = match &entry.found.scope {
        Scope::Project(root) => (Places::project_dir(root), entry.found.scope.clone()),
        Scope::Builtin | Scope::System | Scope::User => (context.places.user_dir(), Scope::User),
    };
    let plan = Plan {
        package: new,
        granted: difference.granted().clone(),
        sources,
    };
    install::put(context, &incoming, vec![plan], &plugins, &scope)?;
    Ok(format!("updated {head}"))
}

/// Shows the change and asks. What asks for more is never accepted unasked.
fn decide(text: &str, difference: &Difference, yes: bool) -> anyhow::Result<bool> {
    consent::accept(text, yes && !difference.widens())
}

fn undecided(difference: &Difference, entry: &Entry, package: &str) -> Fatal {
    let id = &entry.found.manifest.id;
    let fatal = match difference.widens() {
        true => Fatal::untrusted(format!(
            "the update of plugin `{id}` asks for more than was granted"
        )),
        false => Fatal::new(format!("the update of plugin `{id}` was not accepted")),
    };
    let hint = match difference.widens() {
        true => format!(
            "nothing was changed; to accept it: dovetail plugin install {} --yes",
            package.escape_debug()
        ),
        false => "nothing was changed; to accept what is shown above, add --yes".to_owned(),
    };
    fatal.hint(hint)
}

/// Where to look for a newer version: the source without the digest of what is installed.
fn place_of(entry: &Entry, from: Option<&str>) -> anyhow::Result<String> {
    let id = &entry.found.manifest.id;
    if let Some(from) = from {
        return Ok(from.to_owned());
    }
    if let Scope::Builtin | Scope::System = entry.found.scope {
        return Err(Fatal::new(format!(
            "plugin `{id}` is {}: it is not updated from here",
            entry.found.scope.name()
        ))
        .into());
    }
    let Some(source) = source_of(entry) else {
        return Err(
            Fatal::new(format!("plugin `{id}` was not installed from a package"))
                .hint("name one: dovetail plugin update --from <package>")
                .into(),
        );
    };
    let text = source.as_str();
    for prefix in ["folder:", "file:"] {
        if let Some(path) = text.strip_prefix(prefix) {
            return Ok(path.to_owned());
        }
    }
    let Some(reference) = text.strip_prefix("oci://") else {
        return Ok(text.to_owned());
    };
    match reference.split_once('@') {
        // A tag stands behind the last part of the name; a port stands before it.
        Some((name, _))
            if name
                .rsplit('/')
                .next()
                .is_some_and(|last| last.contains(':')) =>
        {
            Ok(format!("oci://{name}"))
        }
        Some(_) => Err(Fatal::new(format!(
            "plugin `{id}` was installed by digest, which never changes"
        ))
        .hint("name a newer one: dovetail plugin update --from oci://…")
        .into()),
        None => Ok(text.to_owned()),
    }
}
