//! `dovetail trust revoke`.

use clap::Args;
use dovetail_core::ids::PluginId;
use dovetail_runtime::discovery::Places;
use dovetail_runtime::lock::{LockEntry, PluginsLock, Scope};
use dovetail_runtime::pins::Pins;
use serde_json::json;

use super::super::{Done, PluginContext};
use crate::fatal::Fatal;

/// `dovetail trust revoke`.
#[derive(Debug, Args)]
pub(in super::super) struct RevokeArgs {
    /// The plugin's id.
    plugin: String,
    /// For a plugin of the project: also take it out of the project's plugins.lock.
    #[arg(long)]
    write_lock: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(in super::super) fn run(context: &PluginContext, args: &RevokeArgs) -> anyhow::Result<Done> {
    let id = PluginId::parse(&args.plugin).map_err(|error| Fatal::new(error.to_string()))?;
    let own = &context.places.own_dir;
    let lock = PluginsLock::load(own)?;
    let here = context.places.project.as_ref().map(|project| &project.root);
    let concerns = |entry: &&LockEntry| {
        let here = match &entry.scope {
            Scope::Project(root) => Some(root) == here,
            Scope::System | Scope::User => true,
            // That one was turned off, which is no grant to take back.
            Scope::Builtin => false,
        };
        entry.id == id && here
    };
    let scopes: Vec<Scope> = lock
        .records()
        .map(|(entry, _)| entry)
        .filter(concerns)
        .map(|entry| entry.scope.clone())
        .collect();
    let pinned = args.write_lock && unpin(context, &id)?;
    if scopes.is_empty() && !pinned {
        return Err(
            Fatal::new(format!("you accepted nothing of a plugin `{id}` here"))
                .hint("see what you accepted: dovetail trust list")
                .into(),
        );
    }
    for scope in &scopes {
        PluginsLock::remove(own, scope, &id)?;
    }
    let names: Vec<&str> = scopes.iter().map(Scope::name).collect();
    let text = match args.json {
        true => format!(
            "{:#}\n",
            json!({ "revoked": id, "scopes": names, "lock_written": pinned })
        ),
        false => format!(
            "plugin `{id}` has no grant any more, and does not run; to remove it: dovetail plugin remove {id}\n"
        ),
    };
    Ok(Done::with(text))
}

/// Takes a plugin out of the project's lock, and says whether it was in there.
fn unpin(context: &PluginContext, id: &PluginId) -> anyhow::Result<bool> {
    let root = context.trusted_project()?;
    let listed = Pins::of_project(root)?.is_some_and(|pins| pins.get(id).is_some());
    if listed {
        let scope = Scope::Project(root.to_owned());
        Pins::remove(&Places::project_dir(root), &scope, id)?;
    }
    Ok(listed)
}
