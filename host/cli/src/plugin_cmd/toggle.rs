//! `dovetail plugin enable` and `disable`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::lock::{LockEntry, PluginsLock, Scope};
use dovetail_runtime::state::State;

use super::{PluginContext, find, record};
use crate::fatal::Fatal;
use crate::out;

pub(super) fn run(context: &PluginContext, plugin: &str, enable: bool) -> anyhow::Result<ExitCode> {
    let catalogue = context.survey();
    let entry = find(&catalogue, plugin)?;
    let id = &entry.found.manifest.id;
    let is_disabled = entry.state == State::Disabled;
    if is_disabled != enable {
        let word = if enable { "enabled" } else { "disabled" };
        out::stdout(&format!("plugin `{id}` is {word} already\n"));
        return Ok(ExitCode::SUCCESS);
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
    out::stdout(&format!(
        "plugin `{id}` is {}\n",
        if enable { "enabled" } else { "disabled" }
    ));
    Ok(ExitCode::SUCCESS)
}

/// The entry to change. A plugin that nobody granted has none, and gets none here: enabling it again must not be a
/// grant.
fn current(context: &PluginContext, entry: &Entry) -> anyhow::Result<LockEntry> {
    let lock = PluginsLock::load(&context.places.own_dir)?;
    if let Some(earlier) = record::earlier(&lock, &entry.found) {
        return Ok(earlier);
    }
    if entry.found.scope == Scope::Builtin {
        return Ok(record::of(
            &entry.found,
            Default::default(),
            BTreeMap::new(),
        ));
    }
    let id = &entry.found.manifest.id;
    Err(
        Fatal::new(format!("plugin `{id}` is not granted, so it does not run"))
            .hint(format!("to remove it: dovetail plugin remove {id}"))
            .into(),
    )
}
