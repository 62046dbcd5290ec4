//! What a guest call, a check and a start with cached plugins cost. The targets are in `docs/benchmarks.md`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use dovetail_core::ids::{CallId, PluginId, ThreadId};
use dovetail_core::plugin::{
    HeaderTemplate, HookEvent, HookToolUse, Provider, Purpose, RequestHead, Scope, ValuePart,
};
use dovetail_core::secret::Egress as _;
use dovetail_runtime::capability::SlotName;
use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::digest::Sha256;
use dovetail_runtime::discovery::{Found, Places, Wasm};
use dovetail_runtime::grant::Grant;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::{LoadRequest, Runtime};
use dovetail_runtime::lock::{self, LockEntry, PluginsLock};
use dovetail_runtime::manifest::Manifest;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::plugin_settings::PluginSettings;
use dovetail_runtime::services::Services;
use dovetail_tests::{ACME, BEDROCK, COUNTER, Guest, NO_RM, REWRITE};
use serde_json::{Value, json};

/// Calls of one measurement.
const IN_A_ROW: usize = 100;

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

/// A command that is about to run, with 1 KB beside it.
fn event() -> HookEvent {
    let text = "x".repeat(1024);
    HookEvent {
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
    }
}

/// The same plugin as it is installed, with files and a grant on disk.
fn installed(home: &Path) -> LoadRequest {
    let places = Places {
        builtins: Vec::new(),
        system_dir: home.join("none"),
        own_dir: home.join("dovetail"),
        project: None,
    };
    let dir = places.user_dir().join(NO_RM.id);
    std::fs::create_dir_all(&dir).expect("made");
    std::fs::write(dir.join("plugin.toml"), NO_RM.manifest).expect("written");
    std::fs::write(dir.join("no-rm.wasm"), NO_RM.wasm).expect("written");
    let settings = PluginSettings::default();
    let found = Catalogue::survey(&places, &settings)
        .entries
        .remove(0)
        .found;
    let entry = LockEntry {
        scope: found.scope.clone(),
        id: found.manifest.id.clone(),
        version: found.manifest.version.to_string(),
        wasm: found.wasm.sha256,
        request: found.manifest.request_digest(),
        api: Some(found.manifest.api.to_string()),
        limits: Some(found.manifest.limits),
        config: None,
        source: None,
        signer: None,
        granted: found.manifest.request.clone(),
        secrets: BTreeMap::new(),
        granted_at: "2026-01-01T00:00:00Z".to_owned(),
        enabled: true,
    };
    PluginsLock::put(&places.own_dir, entry).expect("granted");
    let entry = Catalogue::survey(&places, &settings).entries.remove(0);
    LoadRequest::new(entry, Value::Null).expect("it may run")
}

/// Beside the one below: what looking for changes before each call costs.
#[divan::bench]
fn hook_whose_files_are_watched(bencher: Bencher<'_, '_>) {
    let (tokio, home) = (tokio(), tempfile::tempdir().expect("a temporary directory"));
    let loading = runtime(home.path());
    let plugin = tokio
        .block_on(loading.load(installed(home.path())))
        .expect("it loads");
    let hook = plugin.hook().expect("it is a hook");
    let event = event();
    bencher.bench_local(|| {
        tokio
            .block_on(hook.handle(black_box(&event)))
            .expect("it answers")
    });
}

#[divan::bench]
fn hook_in_a_fresh_instance(bencher: Bencher<'_, '_>) {
    let (tokio, home) = (tokio(), tempfile::tempdir().expect("a temporary directory"));
    let plugin = load(&tokio, home.path(), NO_RM);
    let hook = plugin.hook().expect("it is a hook");
    let event = event();
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
    bench_authorize(bencher, &tokio, provider, &scope, &head, &[]);
}

/// Has requests authorized one after the other, as a turn does that runs on the runtime's threads. From outside of them each
/// call would also cost waking one up, twice.
fn bench_authorize(
    bencher: Bencher<'_, '_>,
    tokio: &tokio::runtime::Runtime,
    provider: &Arc<dyn Provider>,
    scope: &Scope,
    head: &RequestHead,
    body: &[u8],
) {
    let calls = || {
        let (provider, scope, head) = (Arc::clone(provider), scope.clone(), head.clone());
        let body = body.to_vec();
        async move {
            for _ in 0..IN_A_ROW {
                let digest = *Sha256::of(black_box(&body)).bytes();
                let call = provider.authorize(black_box(&scope), black_box(&head), digest);
                black_box(call.await.expect("it answers"));
            }
        }
    };
    bencher
        .counter(ItemsCount::new(IN_A_ROW))
        .bench_local(|| tokio.block_on(tokio.spawn(calls())).expect("it ends"));
}

/// A request of 64 KB, digested and signed as for Amazon Bedrock.
#[divan::bench]
fn provider_signature(bencher: Bencher<'_, '_>) {
    let (tokio, home) = (tokio(), tempfile::tempdir().expect("a temporary directory"));
    let env = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ]
    .map(|name| (name.into(), "wJalrXUtnFEMI".into()))
    .into_iter()
    .collect();
    let services = Services::new(env, home.path(), home.path());
    let cache = dovetail_runtime::load::cache_dir(home.path());
    let (runtime, _) = Runtime::new(&cache, services).expect("the engine starts");
    let mut request = request(BEDROCK, "bedrock");
    request.found.scope = lock::Scope::Builtin;
    let mut granted = request.found.manifest.request.clone();
    granted
        .owns
        .extend(slots(&["auth:bedrock_access_keys.access_key_id"]));
    granted.secrets.extend(slots(&[
        "auth:bedrock_api_key.api_key",
        "auth:bedrock_access_keys.access_key_id",
    ]));
    request.grant = Grant::builtin(granted);
    let plugin = tokio.block_on(runtime.load(request)).expect("it loads");
    let provider = plugin.provider().expect("it is a provider");
    let scope = Scope {
        provider_id: "amazon-bedrock".to_owned(),
        purpose: Purpose::Turn,
        session_source: "exec".to_owned(),
        policy: "strict".to_owned(),
    };
    let table = json!({ "aws": { "region": "us-east-1" } });
    let ready = async {
        provider.configure("amazon-bedrock", &table).await?;
        provider.prepare(&scope).await
    };
    tokio.block_on(ready).expect("there are credentials");
    let header = |n: usize| (format!("x-header-{n}"), "value".to_owned());
    let head = RequestHead {
        method: "POST".to_owned(),
        url: "https://bedrock-mantle.us-east-1.api.aws/openai/v1/responses".to_owned(),
        headers: (0..12).map(header).collect(),
    };
    let body = vec![b'x'; 64 << 10];
    bench_authorize(bencher, &tokio, provider, &scope, &head, &body);
}

fn slots(names: &[&str]) -> Vec<SlotName> {
    let slot = |name: &&str| SlotName::parse(name).expect("a slot");
    names.iter().map(slot).collect()
}

/// The engine, the linkers and all else that a first plugin pays for are there already.
#[divan::bench]
fn loading_one_more_cached_plugin(bencher: Bencher<'_, '_>) {
    let (tokio, home) = (tokio(), tempfile::tempdir().expect("a temporary directory"));
    let runtime = runtime(home.path());
    let load = || tokio.block_on(runtime.load(request(NO_RM, "no-rm")));
    load().expect("it loads");
    bencher.bench_local(load);
}

/// The address is checked and a secret filled in, as for each request of a plugin.
#[divan::bench]
fn egress_check(bencher: Bencher<'_, '_>) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let env = [("ACME_TOKEN".into(), "token".into())]
        .into_iter()
        .collect();
    let services = Services::new(env, home.path(), home.path());
    let manifest = Manifest::parse(ACME.manifest, Path::new("plugin.toml")).expect("a manifest");
    let grant = Grant::intersect(&manifest.request, &manifest.request);
    let egress = services.egress();
    egress.admit(manifest.id.clone(), Arc::new(grant));
    let header = HeaderTemplate {
        name: "x-acme-key".to_owned(),
        value: vec![ValuePart::Secret("acme-token".to_owned())],
        sensitive: true,
    };
    let url = "https://llm.acme.example/v1/responses";
    bencher.bench_local(|| {
        egress
            .check_url(&manifest.id, black_box(url))
            .expect("granted");
        egress
            .render(&manifest.id, url, black_box(&header))
            .expect("filled in")
    });
}

#[divan::bench(args = [20, 100])]
fn start_with_cached_plugins(bencher: Bencher<'_, '_>, count: usize) {
    let (tokio, home) = (tokio(), tempfile::tempdir().expect("a temporary directory"));
    let guests = [ACME, NO_RM, REWRITE, COUNTER];
    let requests = || -> Vec<LoadRequest> {
        let guest = |n: usize| request(guests[n % guests.len()], &format!("plugin-{n}"));
        (0..count).map(guest).collect()
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
