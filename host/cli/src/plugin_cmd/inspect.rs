//! `dovetail plugin inspect`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dovetail_core::ids::PluginId;
use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::discovery::Found;
use dovetail_runtime::grant::Grant;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::inspect::{self, Extra};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::native::{UNSANDBOXED, outline};
use dovetail_runtime::secret_source::SecretSource;
use dovetail_runtime::secrets::Secrets;
use dovetail_runtime::state::State;
use serde_json::json;

use super::consent::{asks, block};
use super::known::Known;
use super::layout::{duration, hanging, labelled, size};
use super::package::Package;
use super::{Done, PluginContext, check_native, find, json, whole};

/// The column in which values start.
const LABELS: usize = 13;

pub(super) fn run(context: &PluginContext, plugin: &str, as_json: bool) -> anyhow::Result<Done> {
    // An id has no slash; a folder that could be taken for one is written `./x`.
    if plugin.contains('/') || plugin == "." {
        let package = Package::read(&context.cwd.join(plugin), None)?;
        let mut value = json::found(&package.found);
        value["source"] = json!("folder");
        let text = file(&package.found) + &requested(&package.found, &BTreeMap::new());
        return Ok(Done::with(if as_json {
            format!("{value:#}\n")
        } else {
            text
        }));
    }
    let catalogue = context.survey();
    let entry = find(&catalogue, plugin)?;
    Ok(Done::with(if as_json {
        format!("{:#}\n", json::entry(entry, context))
    } else {
        render(entry, context)
    }))
}

fn render(entry: &Entry, context: &PluginContext) -> String {
    let found = &entry.found;
    let mut text = file(found);
    let known = context.known(entry);
    text.push_str(&labelled("state", LABELS, known.state(entry)));
    text.push_str(&history(&known));
    if let Some(record) = &entry.record {
        let source = record.source.as_ref().map(|source| source.as_str());
        let signer = record.signer.as_ref().map(|key| context.key_name(key));
        source
            .iter()
            .for_each(|source| text.push_str(&labelled("package", LABELS, source)));
        signer
            .iter()
            .for_each(|signer| text.push_str(&labelled("signed by", LABELS, signer)));
    }
    let sources = context.sources_of(entry);
    if found.scope == Scope::Builtin {
        let words = "what follows from your configuration; it is part of dovetail";
        text.push_str(&labelled("asks to", LABELS, words));
    } else {
        text.push_str(&requested(found, &sources));
    }
    if let State::Ready(grant) = &entry.state {
        text.push_str(&labelled(
            "granted",
            LABELS,
            &grant.capabilities().to_string(),
        ));
        let withheld = found.manifest.request.beyond(grant.capabilities());
        if found.scope != Scope::Builtin && !withheld.is_empty() {
            text.push_str(&labelled("withheld", LABELS, &withheld.to_string()));
        }
        text.push_str(&secrets(&found.manifest.id, grant, sources, context));
    }
    if let Some((sentence, hint)) = known.complaint(entry) {
        text.push_str(&format!("\n{}\nhint: {hint}\n", hanging(&sentence, 0)));
    }
    if let Some(refusal) = entry.state.refusal(&found.manifest.id) {
        text.push_str(&format!("\n{}\nhint: {}\n", refusal.sentence, refusal.hint));
    }
    text
}

/// What it did in all sessions since its component last changed.
fn history(known: &Known) -> String {
    let Some(activity) = &known.activity else {
        return labelled("calls", LABELS, "none yet");
    };
    let stats = &activity.stats;
    let time = |time: Option<std::time::Duration>| time.map_or("–".to_owned(), duration);
    let mut text = labelled(
        "calls",
        LABELS,
        &format!(
            "{}, half within {}, 95 % within {}; {} faults, {} denials; last {}",
            stats.calls,
            time(stats.p50),
            time(stats.p95),
            stats.faults,
            stats.denied,
            super::known::time(activity.last_unix_ms)
        ),
    );
    let generation = activity.generation.to_string();
    text.push_str(&labelled("generation", LABELS, &generation));
    text.push_str(&labelled(
        "memory",
        LABELS,
        &format!("at most {} in a call", size(stats.most_memory)),
    ));
    if let Some(faults) = known.faults.as_ref().filter(|faults| !faults.quarantined) {
        let when = super::known::time(faults.last_unix_ms);
        text.push_str(&labelled(
            "last fault",
            LABELS,
            &format!("{} ({when})", faults.last),
        ));
    }
    text
}

/// What the file is, whoever granted it what.
fn file(found: &Found) -> String {
    let manifest = &found.manifest;
    let kinds: Vec<&str> = manifest.kinds.iter().map(|kind| kind.name()).collect();
    let limits = &manifest.limits;
    let deadlines: Vec<String> = manifest
        .kinds
        .iter()
        .map(|kind| format!("{} ms ({kind})", limits.deadline(*kind).as_millis()))
        .collect();
    let place = found
        .dir
        .as_deref()
        .map_or("part of dovetail".to_owned(), |dir| {
            dir.display().to_string()
        });
    let mut text = format!("{} {}\n", manifest.id, manifest.version);
    let mut add = |label: &str, value: &str| text.push_str(&labelled(label, LABELS, value));
    manifest
        .description
        .iter()
        .for_each(|words| add("about", words));
    add("kind", &kinds.join(", "));
    add("source", &format!("{} · {place}", found.scope.name()));
    add("api", &manifest.api.to_string());
    add("size", &size(found.wasm.bytes.len() as u64));
    add("sha256", &found.wasm.sha256.to_string());
    let bounds = format!(
        "{} of output, {} a call",
        size(limits.output_bytes as u64),
        deadlines.join(", ")
    );
    if manifest.native {
        add(
            "sandbox",
            &format!("none: {UNSANDBOXED} native code, which can do whatever you can"),
        );
        add("library", &library(found));
        add("limits", &bounds);
    } else {
        add("component", &component(found));
        let memory = size(limits.memory_bytes);
        add("limits", &format!("{memory} of memory, {bounds}"));
    }
    text
}

/// What the component says about itself.
fn component(found: &Found) -> String {
    match inspect::check(&found.wasm.bytes) {
        Ok(inspection) => {
            let kinds = inspection.kinds.iter().map(|kind| kind.name());
            let extras = inspection.extras.iter().map(|extra| match extra {
                Extra::Login => "login",
                Extra::Account => "account",
                Extra::Wire => "wire",
            });
            let exports: Vec<&str> = kinds.chain(extras).collect();
            let imports = host_imports(&inspection.imports);
            format!("exports {}; imports {imports}", exports.join(", "))
        }
        Err(error) => whole(&error),
    }
}

/// What the library says about itself without running.
fn library(found: &Found) -> String {
    match outline::check(&found.wasm.bytes) {
        Ok(outline) => format!(
            "native interface {}; needs {}",
            outline.abi,
            check_native::needs(&outline)
        ),
        Err(error) => error.to_string(),
    }
}

/// The imports that need the host, less the one that only holds types.
pub(super) fn host_imports(imports: &BTreeSet<String>) -> String {
    let ours = imports
        .iter()
        .filter_map(|import| import.strip_prefix("dovetail:plugin/"));
    let names: Vec<&str> = ours
        .filter_map(|name| name.split('@').next())
        .filter(|name| *name != "types")
        .collect();
    if names.is_empty() {
        "nothing of the host".to_owned()
    } else {
        names.join(", ")
    }
}

fn requested(found: &Found, sources: &BTreeMap<String, SecretSource>) -> String {
    let asks = asks(&found.manifest, |slot| sources.get(slot.as_str()).cloned());
    if asks.is_empty() {
        return labelled("asks to", LABELS, "nothing");
    }
    block("asks to", LABELS, &asks)
}

/// Where each granted secret comes from and whether it is there; never what it is.
fn secrets(
    id: &PluginId,
    grant: &Grant,
    sources: BTreeMap<String, SecretSource>,
    context: &PluginContext,
) -> String {
    let secrets = Secrets::new(Arc::new(HostEnv::current()), context.home.clone());
    secrets.bind(id.clone(), sources);
    let slots = grant
        .capabilities()
        .secrets
        .union(&grant.capabilities().owns);
    let line = |slot: &dovetail_runtime::capability::SlotName| {
        let state = match secrets.source(id, slot.as_str()) {
            // Looking would run it, and it may ask for a fingerprint.
            Some(source) if secrets.may_wait(id, slot.as_str()) => format!("{source}"),
            Some(source) if secrets.get(id, slot.as_str()).is_ok() => format!("{source}, set"),
            Some(source) => format!("{source}, not set"),
            None => "no source".to_owned(),
        };
        labelled("secret", LABELS, &format!("`{slot}`: {state}"))
    };
    slots.map(line).collect()
}
