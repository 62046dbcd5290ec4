//! `dovetail plugin enable` and `disable`.

use std::collections::BTreeMap;

use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::lock::{LockEntry, PluginsLock, Scope};
use dovetail_runtime::native::mark;
use dovetail_runtime::state::State;

use super::{Done, PluginContext, find, record};
use crate::fatal::Fatal;

pub(super) fn run(context: &PluginContext, plugin: &str, enable: bool) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    let entry = find(&catalogue, plugin)?;
    let id = &entry.found.manifest.id;
    if enable && context.known(entry).is_quarantined(entry) {
        forget_endings(context, entry)?;
        context.ledger().forgive(&context.subject(entry))?;
        return Ok(Done::with(format!(
            "plugin `{id}` is called again: its faults are forgotten\n"
        )));
    }
    let is_disabled = entry.state == State::Disabled;
    let word = if enable { "enabled" } else { "disabled" };
    let forgot = enable && forget_endings(context, entry)?;
    if is_disabled != enable && forgot {
        return Ok(Done::with(format!("plugin `{id}` is {word}\n")));
    }
    if is_disabled != enable {
        return Ok(Done::with(format!("plugin `{id}` is {word} already\n")));
    }
    let own = &context.places.own_dir;
    if enable && entry.found.scope == Scope::Builtin {
        PluginsLock::remove(own, &Scope::Builtin, id)?;
    } else {
        PluginsLock::put(
            own,
            LockEntry {
                enabled: enable,
                ..current(context, entry)?
            },
        )?;
    }
    Ok(Done::with(format!("plugin `{id}` is {word}\n")))
}

/// Forgets that a native plugin took dovetail with it, and says whether it had.
fn forget_endings(context: &PluginContext, entry: &Entry) -> anyhow::Result<bool> {
    let (found, dir) = (&entry.found, mark::dir_in(&context.places.own_dir));
    let endings = mark::endings(&dir, &found.manifest.id, &found.wasm.sha256);
    mark::forget(&endings)
        .map_err(|error| Fatal::new(format!("cannot clear `{}`: {error}", dir.display())))?;
    Ok(!endings.is_empty())
}

/// The entry to change. A plugin that nobody granted has none, and gets none here: enabling it again must not be a
/// grant.
fn current(context: &PluginContext, entry: &Entry) -> anyhow::Result<LockEntry> {
    let lock = PluginsLock::load(&context.places.own_dir)?;
    if let Some(earlier) = record::earlier(&lock, &entry.found) {
        return Ok(earlier);
    }
    if entry.found.scope == Scope::Builtin {
        return context.record(&entry.found, Default::default(), BTreeMap::new());
    }
    let id = &entry.found.manifest.id;
    Err(
        Fatal::new(format!("plugin `{id}` is not granted, so it does not run"))
            .hint(format!("to remove it: dovetail plugin remove {id}"))
            .into(),
    )
}
