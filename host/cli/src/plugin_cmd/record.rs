//! Makes entries of the lock.

use dovetail_core::ids::PluginId;
use dovetail_runtime::capability::Capabilities;
use dovetail_runtime::digest::Sha256;
use dovetail_runtime::discovery::Found;
use dovetail_runtime::lock::{LockEntry, PluginsLock, Record};

use super::PluginContext;
use super::consent::Sources;

/// An entry that grants a plugin as it is now.
pub(super) fn of(
    found: &Found,
    granted: Capabilities,
    secrets: Sources,
    config: Sha256,
) -> LockEntry {
    LockEntry {
        scope: found.scope.clone(),
        id: found.manifest.id.clone(),
        version: found.manifest.version.to_string(),
        wasm: found.wasm.sha256,
        request: found.manifest.request_digest(),
        api: Some(found.manifest.api.to_string()),
        limits: Some(found.manifest.limits),
        config: Some(config),
        source: None,
        signer: None,
        granted,
        secrets,
        granted_at: now(),
        enabled: true,
    }
}

/// The entry that this user made for a plugin earlier.
pub(super) fn earlier(lock: &PluginsLock, found: &Found) -> Option<LockEntry> {
    match lock.get(&found.scope, &found.manifest.id) {
        Record::Authentic(entry) => Some(entry.clone()),
        Record::Absent | Record::Forged => None,
    }
}

/// What this user accepted of a plugin of that id, wherever it is found from here.
pub(super) fn installed(
    lock: &PluginsLock,
    context: &PluginContext,
    id: &PluginId,
) -> Option<LockEntry> {
    let catalogue = context.survey();
    earlier(lock, &catalogue.get(id)?.found)
}

/// Now, to the second.
fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
}
