//! What idle plugins hold in memory: the growth of this process with each one that is loaded and was called.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::collections::BTreeMap;
use std::path::Path;

use dovetail_core::ids::PluginId;
use dovetail_core::plugin::{Purpose, Scope};
use dovetail_runtime::digest::Sha256;
use dovetail_runtime::discovery::{Found, Wasm};
use dovetail_runtime::grant::Grant;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::{LoadRequest, Runtime, cache_dir};
use dovetail_runtime::lock;
use dovetail_runtime::manifest::Manifest;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::services::Services;
use dovetail_tests::ACME;
use serde_json::Value;

/// The first few pay for what all share.
const WARM_UP: usize = 5;
const PLUGINS: usize = 100;

fn main() {
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let home = tempfile::tempdir().expect("a temporary directory");
    let services = Services::new(HostEnv::default(), home.path(), home.path());
    let (runtime, _) = Runtime::new(&cache_dir(home.path()), services).expect("the engine starts");
    let mut plugins = Vec::new();
    tokio.block_on(async {
        for n in 0..WARM_UP {
            plugins.push(warm(&runtime, n).await);
        }
        let (all, own) = (resident("VmRSS:"), resident("RssAnon:"));
        for n in WARM_UP..WARM_UP + PLUGINS {
            plugins.push(warm(&runtime, n).await);
        }
        let each = |before: u64, after: u64| after.saturating_sub(before) / PLUGINS as u64;
        let own = each(own, resident("RssAnon:"));
        let mapped = each(all, resident("VmRSS:")).saturating_sub(own);
        println!(
            "an idle warm plugin holds {own} KiB of its own, and maps {mapped} KiB of compiled code, which all processes share"
        );
    });
}

/// A provider that was called once, so that its instance lives.
async fn warm(runtime: &Runtime, n: usize) -> Plugin {
    let manifest = Manifest::parse(ACME.manifest, Path::new("plugin.toml")).expect("a manifest");
    let grant = Grant::intersect(&manifest.request, &manifest.request);
    let id = PluginId::parse(&format!("plugin-{n}")).expect("a valid id");
    let request = LoadRequest {
        found: Found {
            manifest: Manifest { id, ..manifest },
            scope: lock::Scope::User,
            dir: None,
            wasm: Wasm {
                sha256: Sha256::of(ACME.wasm),
                bytes: ACME.wasm.into(),
            },
            files: Vec::new(),
        },
        grant,
        secrets: BTreeMap::new(),
        config: Value::Null,
        records: None,
    };
    let plugin = runtime.load(request).await.expect("it loads");
    let scope = Scope {
        provider_id: "acme".to_owned(),
        purpose: Purpose::Turn,
        session_source: "exec".to_owned(),
        policy: "strict".to_owned(),
    };
    let provider = plugin.provider().expect("it is a provider");
    provider.prepare(&scope).await.expect("it answers");
    plugin
}

/// What this process has in memory of one kind, in KiB.
fn resident(kind: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says");
    let line = status.lines().find_map(|line| line.strip_prefix(kind));
    let words = line.expect("it has memory").split_whitespace().next();
    words
        .and_then(|number| number.parse().ok())
        .expect("a number")
}
