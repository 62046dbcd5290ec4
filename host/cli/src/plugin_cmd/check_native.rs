//! `dovetail plugin check` for native plugins: what a shared library says of itself, read from its file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use dovetail_runtime::digest::Sha256;
use dovetail_runtime::discovery::Found;
use dovetail_runtime::manifest::{HOST_API, Limits};
use dovetail_runtime::native::outline::{self, Outline};
use dovetail_runtime::native::{ABI, ALLOW_HINT, UNSANDBOXED};
use dovetail_runtime::plugin_dir;
use serde_json::{Value, json};

use super::check::{Checked, LABELS, asks, bounds, merge};
use super::layout::{labelled, size};
use super::{dir_error, json as as_json};
use crate::fatal::Fatal;
use crate::terminal_text::visible;

/// Whether a file is meant to be a native library: by its first bytes, or else by its name.
pub(super) fn is_library(path: &Path) -> bool {
    let mut magic = [0; 4];
    let begins = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    let named = path.extension().is_some_and(|end| end == "so");
    match begins {
        Ok(()) => magic == *b"\x7fELF" || named && magic != *b"\0asm",
        // Whoever reads it says what is wrong.
        Err(_) => named,
    }
}

/// A folder with a manifest, which has been compared with the library already.
pub(super) fn folder(found: &Found) -> anyhow::Result<Checked> {
    let outline = look(
        &found.wasm.bytes,
        found.dir.as_deref().unwrap_or(Path::new(".")),
    )?;
    let manifest = &found.manifest;
    let mut text = format!("{} {}\n", manifest.id, manifest.version);
    text.push_str(&facts(&outline, &found.wasm.bytes, &manifest.limits));
    text.push_str(&labelled("asks for", LABELS, &asks(manifest)));
    text.push_str(
        "ok           it is what its manifest says; nothing keeps it from doing anything else\n",
    );
    let mut value = as_json::found(found);
    merge(&mut value, outline_json(&outline));
    Ok(Checked { text, json: value })
}

/// A library alone: what a manifest would have to say.
pub(super) fn file(path: &Path, allowed: bool) -> anyhow::Result<Checked> {
    let library = plugin_dir::read_library(path).map_err(dir_error)?;
    let outline = look(&library.bytes, path)?;
    let kinds: Vec<String> = outline
        .kinds
        .iter()
        .map(|kind| format!("{:?}", kind.name()))
        .collect();
    let mut text = format!("{}\n", path.display());
    text.push_str(&facts(&outline, &library.bytes, &Limits::default()));
    let manifest = format!(
        "none here; it needs a plugin.toml with `id = {:?}`, `api = \"^{}.{}\"`, `kinds = [{}]` and `native = true`",
        outline.id,
        outline.contract.major,
        outline.contract.minor,
        kinds.join(", ")
    );
    text.push_str(&labelled("manifest", LABELS, &manifest));
    if !allowed {
        text.push_str(&format!("hint: {ALLOW_HINT}\n"));
    }
    let mut value = json!({
        "path": path,
        "sha256": library.sha256.to_string(),
        "bytes": library.bytes.len(),
    });
    merge(&mut value, outline_json(&outline));
    Ok(Checked { text, json: value })
}

fn look(library: &[u8], path: &Path) -> anyhow::Result<Outline> {
    outline::check(library).map_err(|error| {
        Fatal::new(format!("`{}` {error}", path.display()))
            .hint(error.hint())
            .into()
    })
}

fn facts(outline: &Outline, library: &[u8], limits: &Limits) -> String {
    let mut text = String::new();
    let mut add = |label: &str, value: &str| text.push_str(&labelled(label, LABELS, value));
    let kinds: Vec<&str> = outline.kinds.iter().map(|kind| kind.name()).collect();
    add(
        "sandbox",
        &format!("none: {UNSANDBOXED} native code, which can do whatever you can"),
    );
    add("abi", &format!("{}, this host has {ABI}", outline.abi));
    add(
        "contract",
        &format!(
            "dovetail:plugin@{}, this host speaks {HOST_API}",
            outline.contract
        ),
    );
    add("id", &outline.id);
    add("kinds", &kinds.join(", "));
    add("needs", &needs(outline));
    add("size", &size(library.len() as u64));
    add("sha256", &Sha256::of(library).to_string());
    add("limits", &bounds(&outline.kinds, limits));
    text
}

/// The libraries that one needs.
pub(super) fn needs(outline: &Outline) -> String {
    match outline.needs.is_empty() {
        true => "no other library".to_owned(),
        false => visible(&outline.needs.join(", ")),
    }
}

fn outline_json(outline: &Outline) -> Value {
    json!({
        "native": true,
        "sandboxed": false,
        "mark": UNSANDBOXED,
        "abi": outline.abi,
        "host_abi": ABI,
        "contract": outline.contract.to_string(),
        "host_contract": HOST_API.to_string(),
        "library_id": outline.id,
        "exports": outline.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "needs": outline.needs,
    })
}
