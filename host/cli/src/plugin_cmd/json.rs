//! The commands' answers as JSON. Keys are only ever added.

use dovetail_runtime::capability::{Capabilities, class_name};
use dovetail_runtime::catalogue::{Catalogue, Entry};
use dovetail_runtime::discovery::{Found, Problem};
use dovetail_runtime::native::UNSANDBOXED;
use dovetail_runtime::state::State;
use serde_json::{Value, json};

use super::{PluginContext, whole};

/// Everything that `plugin list` shows.
pub(super) fn catalogue(catalogue: &Catalogue, context: &PluginContext) -> Value {
    let shadowed = catalogue.shadowed.iter().map(|shadowed| {
        json!({ "id": shadowed.id, "hidden": shadowed.hidden.name(), "by": shadowed.by.name() })
    });
    json!({
        "plugins": catalogue.entries.iter().map(|entry| self::entry(entry, context)).collect::<Vec<_>>(),
        "problems": catalogue.problems.iter().map(problem).collect::<Vec<_>>(),
        "shadowed": shadowed.collect::<Vec<_>>(),
        "notices": catalogue.notices,
    })
}

/// One plugin.
pub(super) fn entry(entry: &Entry, context: &PluginContext) -> Value {
    let id = &entry.found.manifest.id;
    let refusal = entry
        .state
        .refusal(id)
        .map(|refusal| json!({ "sentence": refusal.sentence, "hint": refusal.hint }));
    let granted = match &entry.state {
        State::Ready(grant) => capabilities(grant.capabilities()),
        _ => Value::Null,
    };
    let mut value = found(&entry.found);
    value["granted"] = granted;
    value["refusal"] = json!(refusal);
    let record = entry.record.as_ref();
    value["package"] = json!({
        "source": record.and_then(|record| record.source.as_ref()).map(|source| source.as_str()),
        "signer": record.and_then(|record| record.signer.as_ref()).map(|key| key.as_str()),
    });
    context.known(entry).add_to(&mut value, entry);
    value
}

/// A plugin's file and manifest, installed or not.
pub(super) fn found(found: &Found) -> Value {
    let manifest = &found.manifest;
    let deadlines: serde_json::Map<String, Value> = manifest
        .kinds
        .iter()
        .map(|kind| {
            (
                kind.name().to_owned(),
                json!(manifest.limits.deadline(*kind).as_millis() as u64),
            )
        })
        .collect();
    json!({
        "id": manifest.id,
        "version": manifest.version.to_string(),
        "api": manifest.api.to_string(),
        "native": manifest.native,
        "sandboxed": !manifest.native,
        "mark": manifest.native.then_some(UNSANDBOXED),
        "kinds": manifest.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "description": manifest.description,
        "source": found.scope.name(),
        "path": found.dir,
        "bytes": found.wasm.bytes.len(),
        "sha256": found.wasm.sha256.to_string(),
        "requested": capabilities(&manifest.request),
        "limits": {
            "memory_bytes": manifest.limits.memory_bytes,
            "output_bytes": manifest.limits.output_bytes,
            "deadline_ms": deadlines,
        },
    })
}

fn problem(problem: &Problem) -> Value {
    json!({
        "name": problem.name,
        "source": problem.scope.name(),
        "error": whole(&problem.error),
        "hint": problem.error.hint(),
    })
}

/// A set of capabilities, with the keys of a manifest's `[request]`.
fn capabilities(set: &Capabilities) -> Value {
    let Capabilities {
        net,
        fs,
        process,
        env,
        secrets,
        owns,
        kv,
        client,
        classes,
        fail_open,
    } = set;
    let rule = |rule: &dovetail_runtime::fs_rule::FsRule| json!({ "path": rule.path(), "mount": rule.mount(), "access": rule.access().name() });
    json!({
        "net": net.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "fs": fs.iter().map(rule).collect::<Vec<_>>(),
        "process": process.iter().map(|argv| argv.parts()).collect::<Vec<_>>(),
        "env": env,
        "secrets": secrets.iter().map(|slot| slot.as_str()).collect::<Vec<_>>(),
        "owns": owns.iter().map(|slot| slot.as_str()).collect::<Vec<_>>(),
        "kv": kv,
        "client": client,
        "classes": classes.iter().map(|class| class_name(*class)).collect::<Vec<_>>(),
        "fail_open": fail_open,
    })
}
