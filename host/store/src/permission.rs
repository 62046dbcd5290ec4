//! How the sandbox of a turn is written down: once as a profile of entries, once in the older form.

use std::path::{Path, PathBuf};

use dovetail_core::event::TurnSettings;
use serde_json::{Value, json};

/// Directories under a writable root that stay read-only.
const PROTECTED: &[&str] = &[".git", ".agents", ".codex", ".aws"];

/// The profile, entry by entry.
pub(crate) fn profile(settings: &TurnSettings) -> Value {
    if settings.sandbox_mode == "danger-full-access" {
        return json!({"type": "disabled"});
    }
    let mut entries = vec![entry(special("root"), "read")];
    if settings.sandbox_mode == "workspace-write" {
        let more = settings.writable_roots.iter().map(PathBuf::as_path);
        let roots: Vec<&Path> = std::iter::once(settings.cwd.as_path())
            .chain(more)
            .collect();
        entries.extend(roots.iter().map(|root| entry(path(root), "write")));
        entries.push(entry(special("slash_tmp"), "write"));
        entries.push(entry(special("tmpdir"), "write"));
        for name in PROTECTED {
            entries.extend(roots.iter().map(|root| {
                let mut protected = entry(path(&root.join(name)), "read");
                protected["missing_path_behavior"] = "skip".into();
                protected
            }));
        }
    }
    let network = if settings.network_access {
        "enabled"
    } else {
        "restricted"
    };
    json!({
        "type": "managed",
        "file_system": {"type": "restricted", "entries": entries},
        "network": network,
    })
}

/// The profile's name.
pub(crate) fn profile_id(settings: &TurnSettings) -> &'static str {
    match settings.sandbox_mode.as_str() {
        "workspace-write" => ":workspace",
        "danger-full-access" => ":danger-no-sandbox",
        _ => ":read-only",
    }
}

/// The older form.
pub(crate) fn policy(settings: &TurnSettings) -> Value {
    match settings.sandbox_mode.as_str() {
        "workspace-write" => json!({
            "type": "workspace-write",
            "writable_roots": settings.writable_roots,
            "network_access": settings.network_access,
            "exclude_tmpdir_env_var": false,
            "exclude_slash_tmp": false,
        }),
        mode => json!({"type": mode}),
    }
}

fn entry(path: Value, access: &str) -> Value {
    json!({"path": path, "access": access})
}

fn special(kind: &str) -> Value {
    json!({"type": "special", "value": {"kind": kind}})
}

fn path(path: &Path) -> Value {
    json!({"type": "path", "path": path.to_string_lossy()})
}
