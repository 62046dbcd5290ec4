//! `dovetail plugin remove`.

use clap::Args;
use dovetail_core::ids::PluginId;
use dovetail_runtime::discovery::Places;
use dovetail_runtime::kv::Kv;
use dovetail_runtime::lock::{PluginsLock, Scope};

use super::{Done, PluginContext, placing};
use crate::fatal::Fatal;

/// `dovetail plugin remove`.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The plugin's id.
    plugin: String,
    /// Remove it from the project instead of from your own plugins.
    #[arg(long)]
    project: bool,
    /// Also remove what it keeps between runs.
    #[arg(long)]
    purge: bool,
}

pub(super) fn run(context: &PluginContext, args: &RemoveArgs) -> anyhow::Result<Done> {
    let id = PluginId::parse(&args.plugin).map_err(|error| Fatal::new(error.to_string()))?;
    let (plugins, scope) = if args.project {
        let root = context.trusted_project()?;
        (Places::project_dir(root), Scope::Project(root.to_owned()))
    } else {
        (context.places.user_dir(), Scope::User)
    };
    let dir = plugins.join(id.as_str());
    // An id may consist of dots alone, which would be another directory.
    let is_child = dir.file_name().is_some_and(|name| name == id.as_str());
    if !is_child || dir.symlink_metadata().is_err() {
        return Err(not_there(context, &id, args.project));
    }
    // The grant goes first: a folder without one does nothing.
    PluginsLock::remove(&context.places.own_dir, &scope, &id)?;
    placing::remove(&dir)
        .map_err(|error| Fatal::new(format!("cannot remove `{}`: {error}", dir.display())))?;
    if args.purge {
        let kv = Kv::new(context.places.own_dir.join("kv"));
        kv.purge(&id).map_err(|error| {
            Fatal::new(format!("cannot remove what plugin `{id}` keeps: {error}"))
        })?;
    }
    Ok(Done::with(format!("removed {}\n", dir.display())))
}

fn not_there(context: &PluginContext, id: &PluginId, project: bool) -> anyhow::Error {
    let whose = if project {
        "in this project"
    } else {
        "among your plugins"
    };
    let fatal = Fatal::new(format!("there is no plugin `{id}` {whose}"));
    let catalogue = context.survey();
    match catalogue.get(id).map(|entry| &entry.found.scope) {
        Some(Scope::Builtin) => fatal.hint(format!(
            "it is part of dovetail; to turn it off: dovetail plugin disable {id}"
        )),
        Some(Scope::System) => fatal.hint(format!(
            "it is installed for the whole machine; to turn it off: dovetail plugin disable {id}"
        )),
        Some(Scope::Project(_)) => fatal.hint(format!(
            "it is the project's: dovetail plugin remove {id} --project"
        )),
        Some(Scope::User) => fatal.hint("leave out --project"),
        None => fatal.hint("dovetail plugin list"),
    }
    .into()
}
