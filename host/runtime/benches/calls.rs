//! What a guest call and a start with cached plugins cost. Targets: a hook 100 µs, a provider call 20 µs, twenty
//! plugins 10 ms.

use std::collections::BTreeMap;
use std::path::Path;

use divan::{Bencher, black_box};
use dovetail_core::ids::{CallId, PluginId, ThreadId};
use dovetail_core::plugin::{HookEvent, HookToolUse, Purpose, RequestHead, Scope};
use dovetail_runtime::digest::Sha256;
use dovetail_runtime::discovery::{Found, Wasm};
use dovetail_runtime::grant::Grant;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::{LoadRequest, Runtime};
use dovetail_runtime::lock;
use dovetail_runtime::manifest::Manifest;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::services::Services;
use dovetail_tests::{ACME, COUNTER, Guest, NO_RM, REWRITE};
use serde_json::{Value, json};

fn main() {
    divan::main();
}

/// A runtime as `dovetail exec` has it.
fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime")
}

fn runtime(home: &Path) -> Runtime {
    let services = Services::new(HostEnv::default(), home, home);
    Runtime::new(&dovetail_runtime::load::cache_dir(home), services)
        .expect("the engine starts")
        .0
}

fn request(guest: Guest, id: &str) -> LoadRequest {
    let manifest = Manifest::parse(guest.manifest, Path::new("plugin.toml")).expect("a manifest");
    let grant = Grant::intersect(&manifest.request, &manifest.request);
    let id = PluginId::parse(id).expect("a valid id");
    let found = Found {
        manifest: Manifest { id, ..manifest },
        scope: lock::Scope::User,
        dir: None,
        // As at start: the bytes are read and digested each time.
        wasm: Wasm {
            sha256: Sha256::of(guest.wasm),
            bytes: guest.wasm.to_vec().into(),
        },
        files: Vec::new(),
    };
    LoadRequest {
        found,
        grant,
        secrets: BTreeMap::new(),
        config: Value::Null,
        records: None,
    }
}

fn load(tokio: &tokio::runtime::Runtime, home: &Path, guest: Guest) -> Plugin {
    tokio
        .block_on(runtime(home).load(request(guest, guest.id)))
        .expect("it loads")
}

#[divan::bench]
fn hook_in_a_fresh_instance(bencher: Bencher<'_, '_>) {
    let (tokio, home) = (tokio(), tempfile::tempdir().expect("a temporary directory"));
    let plugin = load(&tokio, home.path(), NO_RM);
    let hook = plugin.hook().expect("it is a hook");
    let text = "x".repeat(1024);
    let event = HookEvent {
        name: "PreToolUse",
        thread_id: ThreadId::generate(),
        turn_id: None,
        cwd: "/home/user/project".to_owned(),
        model: "gpt".to_owned(),
        prompt: None,
        tool: Some(HookToolUse {
            call_id: CallId::new("call_1"),
            name: "Bash".to_owned(),
            input: json!({ "command": "cargo test" }),
            output: None,
            success: None,
        }),
        payload: json!({ "text": text }),
    };
    bencher.bench_local(|| {
        tokio
            .block_on(hook.handle(black_box(&event)))
            .expect("it answers")
    });
}

#[divan::bench]
fn provider_call(bencher: Bencher<'_, '_>) {
    let (tokio, home) = (tokio(), tempfile::tempdir().expect("a temporary directory"));
    let plugin = load(&tokio, home.path(), ACME);
    let provider = plugin.provider().expect("it is a provider");
    let scope = Scope {
        provider_id: "acme".to_owned(),
        purpose: Purpose::Turn,
        session_source: "exec".to_owned(),
        policy: "strict".to_owned(),
    };
    let header = |n: usize| (format!("x-header-{n}"), "value".to_owned());
    let head = RequestHead {
        method: "POST".to_owned(),
        url: "https://llm.acme.example/v1/responses".to_owned(),
        headers: (0..12).map(header).collect(),
    };
    let call = || provider.authorize(black_box(&scope), black_box(&head), [7; 32]);
    bencher.bench_local(|| tokio.block_on(call()).expect("it answers"));
}

#[divan::bench]
fn start_with_twenty_cached_plugins(bencher: Bencher<'_, '_>) {
    let (tokio, home) = (tokio(), tempfile::tempdir().expect("a temporary directory"));
    let guests = [ACME, NO_RM, REWRITE, COUNTER];
    let requests = || -> Vec<LoadRequest> {
        let guest = |n: usize| request(guests[n % guests.len()], &format!("plugin-{n}"));
        (0..20).map(guest).collect()
    };
    let start = || {
        let runtime = runtime(home.path());
        let loaded = tokio.block_on(runtime.load_all(requests()));
        assert!(loaded.iter().all(Result::is_ok), "all load");
        (runtime, loaded)
    };
    start();
    bencher.bench_local(start);
}
