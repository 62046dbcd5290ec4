//! Real components, loaded and called: what they may, what they must not, and what is left after they break.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use dovetail_core::ids::{CallId, ThreadId};
use dovetail_core::plugin::{
    EventRecord, HookEvent, HookOutcome, HookToolUse, OnFailure, PluginError, PluginFault,
    PluginToolResult, Purpose, Scope, ToolContent,
};
use dovetail_tests::{ACME, Guest, MISBEHAVER, NO_RM, NOTES, TOO_GREEDY};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::digest::Sha256;
use crate::host_env::HostEnv;
use crate::inspect::InspectError;
use crate::lock;
use crate::manifest::Manifest;
use crate::pump::SinkPump;

/// A home, a project and a runtime of their own.
pub(crate) struct Lab {
    dir: TempDir,
    pub(crate) runtime: Runtime,
}

impl Lab {
    /// Compiled guests stay beside the test program, so that each is compiled once and not per test.
    pub(crate) fn new() -> Self {
        let program = std::env::current_exe().expect("the test program has a path");
        Self::with_cache(&program.with_file_name("guests-of-tests"))
    }

    fn with_cache(cache: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let runtime = runtime(&dir, cache);
        Self { dir, runtime }
    }

    pub(crate) async fn load(&self, request: LoadRequest) -> Plugin {
        self.runtime.load(request).await.expect("it loads")
    }

    /// A misbehaver with orders and short deadlines.
    async fn misbehaver(&self, orders: Value) -> Plugin {
        self.load(request(
            MISBEHAVER,
            "[limits]\ndeadline_ms = 1000\nmemory_mb = 16\n",
            orders,
        ))
        .await
    }
}

fn runtime(dir: &TempDir, cache: &Path) -> Runtime {
    let env = [("GRANTED_VARIABLE", "visible"), ("OTHER", "hidden")];
    let env: HostEnv = env
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let (home, project) = (dir.path().join("home"), dir.path().join("project"));
    std::fs::create_dir_all(&project).expect("made");
    let services = Services::new(env, &home, &project);
    let (runtime, refused) = Runtime::new(cache, services).expect("the engine starts");
    assert!(refused.is_none(), "{refused:?}");
    runtime
}

/// A plugin that got all it asks for. `more` is added to its manifest.
pub(crate) fn request(guest: Guest, more: &str, config: Value) -> LoadRequest {
    let text = format!("{}\n{more}", guest.manifest);
    let manifest = Manifest::parse(&text, Path::new("plugin.toml")).expect("a manifest");
    let grant = Grant::intersect(&manifest.request, &manifest.request);
    let wasm = Wasm {
        sha256: Sha256::of(guest.wasm),
        bytes: guest.wasm.into(),
    };
    let found = Found {
        manifest,
        scope: lock::Scope::User,
        dir: None,
        wasm,
        files: Vec::new(),
    };
    LoadRequest {
        found,
        grant,
        secrets: BTreeMap::new(),
        config,
        records: None,
    }
}

pub(crate) fn with_wasm(guest: Guest, wasm: &[u8]) -> LoadRequest {
    let mut request = request(guest, "", Value::Null);
    request.found.wasm = Wasm {
        sha256: Sha256::of(wasm),
        bytes: wasm.to_vec().into(),
    };
    request
}

fn event() -> HookEvent {
    event_with(json!({ "command": "ls" }))
}

pub(crate) fn event_with(input: Value) -> HookEvent {
    HookEvent {
        name: "PreToolUse",
        thread_id: ThreadId::generate(),
        turn_id: None,
        cwd: "/".to_owned(),
        model: "m".to_owned(),
        prompt: None,
        tool: Some(HookToolUse {
            call_id: CallId::new("c"),
            name: "Bash".to_owned(),
            input,
            output: None,
            success: None,
        }),
        payload: json!({}),
    }
}

fn scope() -> Scope {
    Scope {
        provider_id: "p".to_owned(),
        purpose: Purpose::Turn,
        session_source: "exec".to_owned(),
        policy: "strict".to_owned(),
    }
}

pub(crate) fn well() -> PluginToolResult {
    PluginToolResult {
        content: vec![ToolContent::Text("well".to_owned())],
        structured: None,
        is_error: false,
    }
}

pub(crate) async fn ask_hook(plugin: &Plugin) -> Result<HookOutcome, PluginError> {
    plugin.hook().expect("it is a hook").handle(&event()).await
}

pub(crate) async fn ask_tool(plugin: &Plugin) -> Result<PluginToolResult, PluginError> {
    let tools = plugin.tools().expect("it is a tool server");
    tools
        .call_tool(&CallId::new("c"), "obey", &json!({}), &json!({}))
        .await
}

/// What a hook was let do, as text.
async fn effect(lab: &Lab, orders: Value) -> Result<String, String> {
    effect_of(lab, "", orders).await
}

async fn effect_of(lab: &Lab, manifest: &str, orders: Value) -> Result<String, String> {
    let plugin = lab.load(request(MISBEHAVER, manifest, orders)).await;
    match ask_hook(&plugin).await {
        Ok(outcome) => Ok(outcome.context.unwrap_or_default()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn a_component_of_every_kind_fills_every_port() {
    let lab = Lab::new();
    let plugin = lab.misbehaver(Value::Null).await;
    let kinds: Vec<Kind> = plugin.kinds().iter().copied().collect();
    assert_eq!(kinds, Kind::ALL);

    let provider = plugin.provider().expect("it is a provider");
    assert_eq!(provider.description().ids, ["misbehaver"]);
    let table = json!({ "base_url": "http://x/v1" });
    let endpoint = provider.configure("p", &table).await.expect("configured");
    assert_eq!(endpoint.base_url, "http://x/v1");
    let prepared = provider.prepare(&scope()).await.expect("prepared");
    assert_eq!(prepared.headers[0].name, "x-misbehaver");

    let hook = plugin.hook().expect("it is a hook");
    assert_eq!(hook.subscriptions().len(), 2);
    assert_eq!(hook.on_failure(), OnFailure::Deny);
    assert!(ask_hook(&plugin).await.is_ok());

    assert_eq!(ask_tool(&plugin).await, Ok(well()));
    let listed = plugin
        .tools()
        .expect("it is a tool server")
        .list_tools()
        .await
        .expect("listed");
    assert_eq!(listed[0].name, "obey");

    let sink = plugin.sink().expect("it is a sink");
    assert_eq!(sink.subscription().kinds, ["*"]);
    sink.open().await.expect("opened");
    assert!(sink.deliver(&[]).await.is_ok());
    sink.close().await.expect("closed");

    let stats = plugin.stats();
    assert!(
        stats.calls >= 9 && stats.faults == 0 && stats.p50.is_some(),
        "{stats:?}"
    );
}

#[tokio::test]
async fn every_way_to_break_has_its_sentence() {
    let lab = Lab::new();
    let flood = json!({ "behave": "flood-output", "amount": 2 << 20 });
    for (orders, expected) in [
        (
            json!({ "behave": "trap" }),
            "trapped in `handle`: trapped as ordered (tests/guests/misbehaver/src/deed.rs",
        ),
        (json!({ "behave": "exit" }), "trapped in `handle`: "),
        (json!({ "behave": "recurse" }), "trapped in `handle`: "),
        (
            json!({ "behave": "spin" }),
            "did not answer `handle` within 1000 ms",
        ),
        (
            json!({ "behave": "sleep", "amount": 60_000 }),
            "did not answer `handle` within 1000 ms",
        ),
        (
            json!({ "behave": "flood-stdout" }),
            "did not answer `handle` within 1000 ms",
        ),
        (
            json!({ "behave": "flood-log" }),
            "did not answer `handle` within 1000 ms",
        ),
        (
            json!({ "behave": "allocate" }),
            "passed its limit of 16 MiB of memory in `handle`",
        ),
        (flood, "passed its limit of 1024 KiB of output in `handle`"),
        (json!({ "behave": "fail" }), "failed as ordered"),
        (json!({ "behave": "deny" }), ""),
    ] {
        let plugin = lab.misbehaver(orders.clone()).await;
        let outcome = ask_hook(&plugin).await;
        let said = outcome.map_or_else(|error| error.to_string(), |_| String::new());
        let named = if said.contains("as ordered") && !said.contains("trapped") {
            String::new()
        } else {
            "plugin `misbehaver` ".to_owned()
        };
        let expected = if expected.is_empty() {
            String::new()
        } else {
            format!("{named}{expected}")
        };
        assert!(said.starts_with(&expected), "{orders}: {said}");
    }
}

#[tokio::test]
async fn a_broken_tool_call_does_not_break_the_next_instance() {
    let lab = Lab::new();
    let plugin = lab
        .misbehaver(json!({ "behave": "trap", "at": "call-tool" }))
        .await;
    let outcome = ask_tool(&plugin).await;
    assert!(
        matches!(outcome, Err(PluginError::Fault(PluginFault::Trap { .. }))),
        "{outcome:?}"
    );
    plugin
        .tools()
        .expect("it is a tool server")
        .list_tools()
        .await
        .expect("a new instance answers");
    assert_eq!(plugin.stats().faults, 1);
}

#[tokio::test]
async fn a_provider_is_asked_once_more_and_three_faults_end_in_quarantine() {
    let lab = Lab::new();
    let plugin = lab.misbehaver(json!({ "behave": "trap" })).await;
    let provider = plugin.provider().expect("it is a provider");
    let outcome = provider.prepare(&scope()).await;
    assert!(
        matches!(outcome, Err(PluginError::Fault(PluginFault::Trap { .. }))),
        "{outcome:?}"
    );
    assert_eq!(plugin.stats().faults, 2, "the call and its repetition");

    let outcome = provider.prepare(&scope()).await;
    let sentence = outcome.map_err(|error| error.to_string());
    assert_eq!(
        sentence,
        Err("plugin `misbehaver` is quarantined after 3 faults".to_owned())
    );
    assert_eq!(plugin.quarantined(), Some(3));
    let calls = plugin.stats().calls;
    assert!(ask_tool(&plugin).await.is_err(), "all of it is quarantined");
    assert_eq!(plugin.stats().calls, calls, "it is not even called");
    plugin.release();
    assert!(
        plugin
            .provider()
            .expect("as before")
            .recover(&scope(), &failure())
            .await
            .is_ok()
    );
}

fn failure() -> dovetail_core::plugin::Failure {
    let kind = dovetail_core::plugin::FailureKind::Unauthorized;
    dovetail_core::plugin::Failure {
        kind,
        message: None,
        retry_after: None,
    }
}

#[tokio::test]
async fn a_dropped_call_costs_the_instance_and_nothing_else() {
    let lab = Lab::new();
    let orders = json!({ "behave": "sleep", "at": "call-tool", "amount": 60_000 });
    let plugin = lab.load(request(MISBEHAVER, "", orders)).await;
    let abandoned = tokio::time::timeout(Duration::from_millis(50), ask_tool(&plugin)).await;
    assert!(abandoned.is_err());
    let started = Instant::now();
    plugin
        .tools()
        .expect("it is a tool server")
        .list_tools()
        .await
        .expect("a new instance answers");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "nobody waits for the old call"
    );
    assert_eq!(plugin.stats().faults, 0);
}

#[tokio::test]
async fn a_spinning_guest_leaves_the_thread_to_others() {
    // One thread: what the spinner does not give back, nobody gets.
    let lab = Lab::new();
    let spinner = lab.misbehaver(json!({ "behave": "spin" })).await;
    let other = lab.load(request(NO_RM, "", Value::Null)).await;
    let spinning = ask_hook(&spinner);
    let working = async {
        let mut answers = 0;
        for _ in 0..5 {
            answers += usize::from(ask_hook(&other).await.is_ok());
        }
        answers
    };
    let (spun, answers) = tokio::join!(spinning, working);
    assert!(spun.is_err());
    assert_eq!(answers, 5);
}

#[tokio::test]
async fn effects_end_at_the_grant() {
    let lab = Lab::new();
    let try_it = |behave: &str, target: &str, amount: u64| {
        let orders = json!({ "behave": behave, "target": target, "amount": amount });
        let lab = &lab;
        async move {
            effect(lab, orders)
                .await
                .unwrap_or_else(|error| format!("error: {error}"))
        }
    };
    assert_eq!(try_it("env", "GRANTED_VARIABLE", 0).await, "visible");
    assert_eq!(try_it("env", "OTHER", 0).await, "not visible");
    assert_eq!(try_it("env", "PATH", 0).await, "not visible");
    assert!(
        try_it("read-file", "/etc/hostname", 0)
            .await
            .starts_with("error")
    );
    assert!(try_it("write-file", "here", 0).await.starts_with("error"));
    assert_eq!(try_it("process", "true", 0).await, "Some(0): ");
    let denied = try_it("process", "false", 0).await;
    assert!(
        denied.contains("dovetail plugin grant misbehaver process false"),
        "{denied}"
    );
    let denied = try_it("http", "https://other.example/", 0).await;
    assert!(
        denied.contains("dovetail plugin grant misbehaver net https://other.example"),
        "{denied}"
    );
    assert_eq!(try_it("kv", "", 100).await, "kept 100 bytes under [\"k\"]");
    assert!(try_it("kv", "", 5000).await.starts_with("error: denied"));
    assert!(
        try_it("secret", "other-slot", 0)
            .await
            .starts_with("error: denied")
    );
}

#[tokio::test]
async fn denials_are_counted() {
    let lab = Lab::new();
    let plugin = lab
        .misbehaver(json!({ "behave": "process", "target": "false" }))
        .await;
    assert!(matches!(
        ask_hook(&plugin).await,
        Err(PluginError::Denied(_))
    ));
    assert_eq!((plugin.stats().denied, plugin.stats().faults), (1, 0));
}

#[tokio::test]
async fn directories_have_the_granted_access_and_no_more() {
    let lab = Lab::new();
    let project = lab.dir.path().join("project");
    std::fs::write(project.join("outside"), "secret").expect("written");
    for (access, file, behave, expected) in [
        ("read", "a.txt", "read-file", Ok("content")),
        ("read", "a.txt", "write-file", Err(())),
        ("read", "new.txt", "write-file", Err(())),
        ("write", "a.txt", "read-file", Ok("content")),
        ("write", "new.txt", "write-file", Ok("written")),
        ("append", "a.txt", "read-file", Err(())),
        // Rust's `fs::write` truncates, which an append-only directory must not allow.
        ("append", "a.txt", "write-file", Err(())),
        ("write", "../outside", "read-file", Err(())),
        ("write", "link", "read-file", Err(())),
    ] {
        let dir = project.join(access);
        std::fs::create_dir_all(&dir).expect("made");
        std::fs::write(dir.join("a.txt"), "content").expect("written");
        if !dir.join("link").is_symlink() {
            std::os::unix::fs::symlink("../outside", dir.join("link")).expect("linked");
        }
        let target = format!("/data/{file}");
        let orders = json!({ "behave": behave, "target": target });
        let manifest = format!(
            "[[request.fs]]\npath = \"./{access}\"\nmount = \"/data\"\naccess = \"{access}\"\n"
        );
        let outcome = effect_of(&lab, &manifest, orders).await;
        assert_eq!(
            outcome.as_deref().map_err(|_| ()),
            expected,
            "{access} {file} {behave}: {outcome:?}"
        );
        let kept = std::fs::read_to_string(dir.join("a.txt")).expect("readable");
        assert_eq!(kept, "content", "{access} {file} {behave}");
    }
}

async fn refusal(lab: &Lab, request: LoadRequest) -> (String, String) {
    let error = lab.runtime.load(request).await.expect_err("it is refused");
    (error.to_string(), error.hint().unwrap_or_default())
}

#[tokio::test]
async fn what_cannot_run_is_refused_with_a_sentence() {
    let lab = Lab::new();
    let (said, hint) = refusal(&lab, request(TOO_GREEDY, "", Value::Null)).await;
    assert!(
        said.starts_with("plugin `too-greedy` imports `dovetail:plugin/"),
        "{said}"
    );
    assert!(said.contains("but its grant has no `"), "{said}");
    assert!(
        hint.starts_with("its manifest does not ask for it; its author must add `"),
        "{hint}"
    );

    let mut ungranted = request(MISBEHAVER, "", Value::Null);
    ungranted.grant = Grant::intersect(&ungranted.found.manifest.request, &Default::default());
    let (said, hint) = refusal(&lab, ungranted).await;
    assert!(
        said.starts_with("plugin `misbehaver` imports `dovetail:plugin/"),
        "{said}"
    );
    assert!(
        hint.starts_with("dovetail plugin grant misbehaver "),
        "{hint}"
    );

    let half = &MISBEHAVER.wasm[..MISBEHAVER.wasm.len() / 2];
    let (said, hint) = refusal(&lab, with_wasm(MISBEHAVER, half)).await;
    assert_eq!(
        said,
        "plugin `misbehaver` is not a whole WebAssembly component: it ends too early"
    );
    assert!(hint.contains("incomplete"), "{hint}");

    let (said, hint) = refusal(&lab, with_wasm(MISBEHAVER, b"\0asm\x01\0\0\0")).await;
    assert_eq!(
        said,
        "plugin `misbehaver` is a core WebAssembly module, not a component"
    );
    assert!(hint.contains("wasm32-wasip2"), "{hint}");

    let (said, hint) = refusal(&lab, with_wasm(ACME, NOTES.wasm)).await;
    assert_eq!(
        said,
        "plugin `acme` says in its manifest that it is `provider`, but exports `tools`"
    );
    assert_eq!(hint, "write `kinds = [\"tools\"]` in its plugin.toml");

    let (said, _) = refusal(&lab, with_wasm(ACME, b"\0asm\x0d\0\x01\0")).await;
    assert!(said.contains("exports none of"), "{said}");

    let orders = json!({ "behave": "trap", "at": "describe" });
    let error = lab
        .runtime
        .load(request(MISBEHAVER, "", orders))
        .await
        .expect_err("it is refused");
    assert!(matches!(
        error.problem(),
        LoadProblem::Broke(PluginFault::Trap {
            call: "describe",
            ..
        })
    ));
}

#[tokio::test]
async fn one_bad_plugin_does_not_keep_others_from_loading() {
    let lab = Lab::new();
    let requests = vec![
        request(ACME, "", Value::Null),
        with_wasm(MISBEHAVER, b"garbage"),
        request(NO_RM, "", Value::Null),
    ];
    let loaded = lab.runtime.load_all(requests).await;
    let outcomes: Vec<&str> = loaded
        .iter()
        .map(|outcome| match outcome {
            Ok(plugin) => plugin.id().as_str(),
            Err(error) => error.plugin().as_str(),
        })
        .collect();
    assert_eq!(outcomes, ["acme", "misbehaver", "no-rm"]);
    assert!(loaded[0].is_ok() && loaded[1].is_err() && loaded[2].is_ok());
}

#[tokio::test]
async fn a_sink_that_spins_or_traps_delays_no_end_and_loses_nothing() {
    let lab = Lab::new();
    for (behave, kept) in [("spin", true), ("trap", true), ("well", false)] {
        let plugin = lab
            .load(request(MISBEHAVER, "", json!({ "behave": behave })))
            .await;
        let outbox = lab.dir.path().join(behave);
        let sink = Arc::clone(plugin.sink().expect("it is a sink"));
        let pump = SinkPump::start(vec![sink], &outbox);
        pump.offer(EventRecord {
            id: "evt_1".to_owned(),
            sequence: 0,
            kind: "turn.started".to_owned(),
            version: 1,
            time: std::time::SystemTime::now(),
            thread_id: ThreadId::generate(),
            turn_id: None,
            fields: vec![],
        });
        let started = Instant::now();
        let report = pump
            .shutdown(Duration::from_secs(30))
            .await
            .pop()
            .expect("one sink");
        // A tenth of a second for a call that is stuck, the rest for a busy machine.
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "{behave}: {:?}",
            started.elapsed()
        );
        let expected = if kept { (0, 1) } else { (1, 0) };
        assert_eq!(
            (report.delivered, report.spooled),
            expected,
            "{behave}: {report:?}"
        );
        assert_eq!(outbox.join("misbehaver.jsonl").is_file(), kept, "{behave}");
    }
}

fn cached(cache: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(cache).expect("listable");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .map(|path| (path.clone(), std::fs::read(path).expect("readable")))
        .collect();
    files.sort();
    files
}

async fn answers(lab: &Lab) {
    let plugin = lab.load(request(NO_RM, "", Value::Null)).await;
    assert!(ask_hook(&plugin).await.is_ok());
}

#[tokio::test]
async fn compiled_plugins_are_kept_and_damaged_ones_compiled_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let cache = cache_dir(dir.path());
    let lab = Lab::with_cache(&cache);
    answers(&lab).await;
    let good = cached(&cache);
    assert_eq!(good.len(), 1, "one entry");
    let (path, bytes) = &good[0];
    let inode =
        |path: &Path| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("there"));
    let first = inode(path);
    answers(&lab).await;
    assert_eq!(inode(path), first, "the second time it is only read");

    let mut poisoned = bytes.clone();
    let middle = poisoned.len() / 2;
    poisoned[middle] ^= 1;
    for damage in [&poisoned[..], &bytes[..middle], b"", b"\x7fELF"] {
        std::fs::remove_file(path).expect("removed");
        std::fs::write(path, damage).expect("written");
        answers(&lab).await;
        assert_eq!(cached(&cache), good, "the entry is made anew");
    }
    std::fs::remove_file(path.with_extension("sum")).expect("removed");
    answers(&lab).await;
    assert_eq!(cached(&cache), good);
}

#[test]
fn a_cache_that_others_can_write_is_refused_and_plugins_still_run() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let cache = dir.path().join("cache");
    std::fs::create_dir(&cache).expect("made");
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).expect("opened");
    let services = Services::new(HostEnv::default(), dir.path(), dir.path());
    let (runtime, refused) = Runtime::new(&cache, services).expect("the engine starts");
    assert!(
        matches!(refused, Some(CacheRefused::Open { mode: 0o777, .. })),
        "{refused:?}"
    );
    let tokio = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let loaded = tokio.block_on(runtime.load(request(NO_RM, "", Value::Null)));
    assert!(loaded.is_ok(), "{loaded:?}");
    assert_eq!(std::fs::read_dir(&cache).expect("listable").count(), 0);
}

#[test]
fn a_component_is_checked_without_compiling_it() {
    let inspection = inspect::check(NOTES.wasm).expect("it is a plugin");
    assert_eq!(inspection.kinds, BTreeSet::from([Kind::Tools]));
    assert!(
        inspection
            .imports
            .iter()
            .any(|import| import.starts_with("wasi:filesystem/"))
    );
    let mut damaged = NOTES.wasm.to_vec();
    let at = damaged.len() / 2;
    damaged[at..at + 64].fill(0xff);
    assert!(matches!(
        inspect::check(&damaged),
        Err(InspectError::Invalid(_))
    ));
}
