//! `dovetail trust list`.

use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::lock::{LockEntry, PluginsLock, Scope};
use dovetail_runtime::native::UNSANDBOXED;
use serde_json::{Value, json};

use super::super::layout::table;
use super::super::{Done, PluginContext};
use crate::out;

/// What is shown of a record.
struct Row<'a> {
    entry: &'a LockEntry,
    state: &'static str,
    /// Whether it is native code, where it is there.
    native: Option<bool>,
    /// Why it does not hold, and what to do.
    refusal: Option<(String, String)>,
}

pub(in super::super) fn run(context: &PluginContext, as_json: bool) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    let lock = PluginsLock::load(&context.places.own_dir)?;
    let rows: Vec<Row<'_>> = lock
        .records()
        .map(|(entry, authentic)| row(&catalogue, entry, authentic))
        .collect();
    if as_json {
        let values: Vec<Value> = rows.iter().map(value).collect();
        return Ok(Done::with(format!(
            "{:#}\n",
            json!({ "records": values, "notices": catalogue.notices })
        )));
    }
    for notice in &catalogue.notices {
        out::stderr(&format!("warning: {notice}\n"));
    }
    if rows.is_empty() {
        return Ok(Done::with(
            "you accepted no plugins yet; see: dovetail plugin list\n".to_owned(),
        ));
    }
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(context, row)).collect();
    let mut text = table(
        &["plugin", "of", "version", "state", "accepted", "signer"],
        &cells,
    );
    for (sentence, hint) in rows.into_iter().filter_map(|row| row.refusal) {
        text.push_str(&format!("\n{sentence}\nhint: {hint}\n"));
    }
    Ok(Done::with(text))
}

fn row<'a>(catalogue: &Catalogue, entry: &'a LockEntry, authentic: bool) -> Row<'a> {
    let installed = catalogue
        .get(&entry.id)
        .filter(|installed| installed.found.scope == entry.scope);
    let state = match (authentic, installed) {
        (false, _) => "not authentic",
        (true, Some(installed)) => installed.state.name(),
        (true, None) => "not there",
    };
    let refusal = installed
        .and_then(|installed| installed.state.refusal(&entry.id))
        .map(|refusal| (refusal.sentence, refusal.hint));
    Row {
        entry,
        state,
        native: installed.map(|installed| installed.found.manifest.native),
        refusal,
    }
}

fn cells(context: &PluginContext, row: &Row<'_>) -> Vec<String> {
    let entry = row.entry;
    let signer = entry
        .signer
        .as_ref()
        .map_or("–".to_owned(), |key| context.key_name(key));
    vec![
        entry.id.to_string(),
        match &entry.scope {
            Scope::Project(root) => root.display().to_string(),
            scope => scope.name().to_owned(),
        },
        entry.version.clone(),
        match row.native {
            Some(true) => format!("{}, {UNSANDBOXED}", row.state),
            Some(false) | None => row.state.to_owned(),
        },
        entry.granted_at.clone(),
        signer,
    ]
}

fn value(row: &Row<'_>) -> Value {
    let entry = row.entry;
    let project = match &entry.scope {
        Scope::Project(root) => Some(root),
        Scope::Builtin | Scope::System | Scope::User => None,
    };
    json!({
        "id": entry.id,
        "scope": entry.scope.name(),
        "project": project,
        "version": entry.version,
        "sha256": entry.wasm.to_string(),
        "state": row.state,
        "sandboxed": row.native.map(|native| !native),
        "mark": row.native.unwrap_or_default().then_some(UNSANDBOXED),
        "api": entry.api,
        "config": entry.config.map(|digest| digest.to_string()),
        "source": entry.source.as_ref().map(|source| source.as_str()),
        "signer": entry.signer.as_ref().map(|key| key.as_str()),
        "granted": entry.granted.words(),
        "granted_at": entry.granted_at,
        "enabled": entry.enabled,
        "reason": row.refusal.as_ref().map(|(sentence, _)| sentence),
    })
}
