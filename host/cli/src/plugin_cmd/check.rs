//! `dovetail plugin check`: what a file or folder is, whether or not it is installed, without running any of it.

use std::collections::BTreeSet;
use std::path::Path;

use dovetail_runtime::digest::Sha256;
use dovetail_runtime::inspect::{self, Extra, Inspection};
use dovetail_runtime::manifest::{HOST_API, Kind, Limits, Manifest};
use dovetail_runtime::plugin_dir;
use serde_json::{Value, json};

use super::inspect::host_imports;
use super::layout::{labelled, size};
use super::package::Package;
use super::{Done, PluginContext, check_native, dir_error, json as as_json, whole};
use crate::fatal::Fatal;

/// The column in which values start.
pub(super) const LABELS: usize = 13;

pub(super) fn run(context: &PluginContext, path: &Path, json: bool) -> anyhow::Result<Done> {
    let path = context.cwd.join(path);
    let checked = if !path.is_dir() && check_native::is_library(&path) {
        check_native::file(&path, context.settings.allow_native)?
    } else if path.is_dir() {
        folder(&path)?
    } else {
        file(&path)?
    };
    Ok(Done::with(if json {
        format!("{:#}\n", checked.json)
    } else {
        checked.text
    }))
}

pub(super) struct Checked {
    pub(super) text: String,
    pub(super) json: Value,
}

/// A folder with a manifest: it has to agree with the component.
fn folder(dir: &Path) -> anyhow::Result<Checked> {
    let found = Package::read(dir, None)?.found;
    if found.manifest.native {
        return check_native::folder(&found);
    }
    let bytes = &found.wasm.bytes;
    let inspection = look(bytes, dir)?;
    let manifest = &found.manifest;
    let mut text = format!("{} {}\n", manifest.id, manifest.version);
    text.push_str(&facts(&inspection, bytes, &manifest.limits)?);
    text.push_str(&labelled("asks for", LABELS, &asks(manifest)));
    text.push_str(
        "ok           it is what its manifest says, and needs no more than it asks for\n",
    );
    let mut value = as_json::found(&found);
    merge(&mut value, component_json(&inspection, bytes)?);
    Ok(Checked { text, json: value })
}

/// What a manifest asks for, in one line.
pub(super) fn asks(manifest: &Manifest) -> String {
    match manifest.request.is_empty() {
        true => "nothing".to_owned(),
        false => manifest.request.to_string(),
    }
}

/// A component alone: what a manifest would have to say.
fn file(path: &Path) -> anyhow::Result<Checked> {
    let wasm = plugin_dir::read_component(path).map_err(dir_error)?;
    let inspection = look(&wasm.bytes, path)?;
    let limits = Limits::default();
    let mut text = format!("{}\n", path.display());
    text.push_str(&facts(&inspection, &wasm.bytes, &limits)?);
    let kinds: Vec<String> = inspection
        .kinds
        .iter()
        .map(|kind| format!("{:?}", kind.name()))
        .collect();
    text.push_str(&labelled(
        "manifest",
        LABELS,
        &format!(
            "none here; it needs a plugin.toml with `api = \"^{}.{}\"` and `kinds = [{}]`{}",
            inspection.contract.major,
            inspection.contract.minor,
            kinds.join(", "),
            requests(&inspection)
        ),
    ));
    let mut value = json!({ "path": path, "sha256": Sha256::of(&wasm.bytes).to_string(), "bytes": wasm.bytes.len() });
    merge(&mut value, component_json(&inspection, &wasm.bytes)?);
    Ok(Checked { text, json: value })
}

fn look(bytes: &[u8], path: &Path) -> anyhow::Result<Inspection> {
    inspect::check(bytes).map_err(|error| {
        Fatal::new(format!("`{}` {}", path.display(), whole(&error)))
            .hint(error.hint())
            .into()
    })
}

fn facts(inspection: &Inspection, bytes: &[u8], limits: &Limits) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut add = |label: &str, value: &str| text.push_str(&labelled(label, LABELS, value));
    add(
        "contract",
        &format!(
            "dovetail:plugin@{}, this host speaks {HOST_API}",
            inspection.contract
        ),
    );
    add("exports", &exports(inspection).join(", "));
    add("imports", &host_imports(&inspection.imports));
    let wasi = wasi(inspection);
    if !wasi.is_empty() {
        add("wasi", &wasi.join(", "));
    }
    add("size", &size(bytes.len() as u64));
    add("sha256", &Sha256::of(bytes).to_string());
    add(
        "memory",
        &format!("starts with {}", size(inspect::initial_memory(bytes)?)),
    );
    let bounds = bounds(&inspection.kinds, limits);
    add(
        "limits",
        &format!("{} of memory, {bounds}", size(limits.memory_bytes)),
    );
    Ok(text)
}

/// What a call may give and take.
pub(super) fn bounds(kinds: &BTreeSet<Kind>, limits: &Limits) -> String {
    let deadlines: Vec<String> = kinds
        .iter()
        .map(|kind| format!("{} ms ({kind})", limits.deadline(*kind).as_millis()))
        .collect();
    format!(
        "{} of output, {} a call",
        size(limits.output_bytes as u64),
        deadlines.join(", ")
    )
}

fn exports(inspection: &Inspection) -> Vec<&'static str> {
    let kinds = inspection.kinds.iter().map(|kind: &Kind| kind.name());
    let extras = inspection.extras.iter().map(|extra| match extra {
        Extra::Login => "login",
        Extra::Account => "account",
        Extra::Wire => "wire",
    });
    kinds.chain(extras).collect()
}

/// WASI packages, which give nothing by themselves.
fn wasi(inspection: &Inspection) -> Vec<String> {
    let mut packages: Vec<String> = inspection
        .imports
        .iter()
        .filter(|import| import.starts_with("wasi:"))
        .filter_map(|import| Some(import.split_once('/')?.0.to_owned()))
        .collect();
    packages.dedup();
    packages
}

/// What a manifest would have to ask for, by the imports.
fn requests(inspection: &Inspection) -> String {
    let keys = [
        ("http", "net"),
        ("process", "process"),
        ("kv", "kv"),
        ("secrets", "secrets"),
        ("credentials", "owns"),
        ("client", "client"),
    ];
    let needed: Vec<String> = keys
        .iter()
        .filter(|(interface, _)| {
            let prefix = format!("dovetail:plugin/{interface}@");
            inspection
                .imports
                .iter()
                .any(|import| import.starts_with(&prefix))
        })
        .map(|(_, key)| format!("`{key}`"))
        .collect();
    if needed.is_empty() {
        String::new()
    } else {
        format!(", and {} under [request]", needed.join(", "))
    }
}

fn component_json(inspection: &Inspection, bytes: &[u8]) -> anyhow::Result<Value> {
    Ok(json!({
        "contract": inspection.contract.to_string(),
        "host_contract": HOST_API.to_string(),
        "exports": exports(inspection),
        "imports": inspection.imports,
        "initial_memory_bytes": inspect::initial_memory(bytes)?,
    }))
}

pub(super) fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
