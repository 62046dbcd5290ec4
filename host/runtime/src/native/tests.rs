//! Real libraries, loaded and called: one in Rust that panics, one in C that breaks every rule that can be broken
//! without taking the process along. What does that is in the tests of the program.

mod calls;
mod refusals;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use dovetail_core::ids::{CallId, ThreadId};
use dovetail_core::plugin::{
    Ack, EventRecord, Field, FieldClass, FieldValue, HookDecision, HookEvent, HookToolUse, Purpose,
    Scope, ToolContent,
};
use dovetail_tests::{CRUDE_MANIFEST, MOODY, crude};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::digest::Sha256;
use crate::discovery::{Found, Wasm};
use crate::grant::Grant;
use crate::host_env::HostEnv;
use crate::load::{LoadError, Runtime};
use crate::lock;
use crate::plugin::Plugin;

struct Lab {
    dir: TempDir,
    runtime: Runtime,
}

impl Lab {
    fn new() -> Self {
        Self::allowing(true)
    }

    fn allowing(native: bool) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let env: HostEnv = [("HOME".into(), "/".into())].into_iter().collect();
        let services = Services::new(env, &dir.path().join("home"), dir.path()).with_native(native);
        let (runtime, refused) =
            Runtime::new(&dir.path().join("cache"), services).expect("the engine starts");
        assert!(refused.is_none(), "{refused:?}");
        Self { dir, runtime }
    }

    /// Loads a library for an id, granted all it asks for.
    async fn try_load(
        &self,
        manifest: &str,
        library: &[u8],
        config: Value,
    ) -> Result<Plugin, LoadError> {
        let request = request(manifest, library, config);
        self.runtime.load(request).await
    }

    async fn crude(&self) -> Plugin {
        let library = own_crude();
        let loaded = self.try_load(CRUDE_MANIFEST, &library, Value::Null);
        loaded.await.expect("it loads")
    }

    async fn moody(&self, config: Value) -> Plugin {
        let loaded = self.try_load(MOODY.manifest, MOODY.wasm, config);
        loaded.await.expect("it loads")
    }

    /// Why a library compiled like this is not loaded, with the hint.
    async fn refusal(&self, arguments: &[&str]) -> String {
        self.refusal_of(CRUDE_MANIFEST, &crude(arguments)).await
    }

    async fn refusal_of(&self, manifest: &str, library: &[u8]) -> String {
        let error = self.try_load(manifest, library, Value::Null).await;
        let error = error.expect_err("it is refused");
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            let words = error.to_string();
            if !text.contains(&words) {
                text = format!("{text}: {words}");
            }
            cause = error.source();
        }
        match error.hint() {
            Some(hint) => format!("{text}\n{hint}"),
            None => text,
        }
    }
}

/// A library for this test alone: one that another test is done with would be used again, and remember.
fn own_crude() -> Vec<u8> {
    let thread = std::thread::current();
    let test = thread.name().expect("tests run in threads of their name");
    crude(&[&format!("-DTAG=\"{test}\"")])
}

fn request(manifest: &str, library: &[u8], config: Value) -> LoadRequest {
    let manifest = Manifest::parse(manifest, Path::new("plugin.toml")).expect("a manifest");
    let grant = Grant::intersect(&manifest.request, &manifest.request);
    let wasm = Wasm {
        sha256: Sha256::of(library),
        bytes: library.to_vec().into(),
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

async fn call(plugin: &Plugin, tool: &str) -> Result<String, PluginError> {
    call_with(plugin, tool, &json!({})).await
}

async fn call_with(plugin: &Plugin, tool: &str, arguments: &Value) -> Result<String, PluginError> {
    let server = plugin.tools().expect("it is a tool server");
    let result = server
        .call_tool(&CallId::new("c"), tool, arguments, &json!({}))
        .await?;
    match &result.content[..] {
        [ToolContent::Text(text)] => Ok(text.clone()),
        other => Ok(format!("{other:?}")),
    }
}

async fn broken(plugin: &Plugin, tool: &str) -> String {
    call(plugin, tool).await.expect_err("it fails").to_string()
}

fn event(command: &str) -> HookEvent {
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
            input: json!({ "command": command }),
            output: None,
            success: None,
        }),
        payload: json!({}),
    }
}

fn record() -> Arc<EventRecord> {
    let field = |name, class| Field {
        name,
        class,
        value: FieldValue::Int(1),
    };
    Arc::new(EventRecord {
        id: "e".to_owned(),
        sequence: 1,
        kind: "turn.started".to_owned(),
        version: 1,
        time: SystemTime::UNIX_EPOCH,
        thread_id: ThreadId::generate(),
        turn_id: None,
        fields: vec![
            field("basic", FieldClass::Basic),
            field("content", FieldClass::Content),
            field("location", FieldClass::Location),
        ],
    })
}

#[tokio::test]
async fn a_library_of_every_kind_fills_every_port() {
    let lab = Lab::new();
    // Classes are granted as to any other sink: it asks for two more when it runs, and gets the one in its manifest.
    let manifest = format!("{}\n[request]\nclasses = [\"content\"]\n", MOODY.manifest);
    let loaded = lab.try_load(&manifest, MOODY.wasm, Value::Null).await;
    let plugin = loaded.expect("it loads");
    assert!(plugin.manifest().native);

    let provider = plugin.provider().expect("it is a provider");
    assert_eq!(provider.description().ids, ["moody"]);
    let table = json!({ "base_url": "http://x/v1" });
    let endpoint = provider.configure("p", &table).await.expect("configured");
    assert_eq!(endpoint.base_url, "http://x/v1");
    let scope = Scope {
        provider_id: "p".to_owned(),
        purpose: Purpose::Turn,
        session_source: "exec".to_owned(),
        policy: "strict".to_owned(),
    };
    let prepared = provider.prepare(&scope).await.expect("prepared");
    assert!(prepared.headers[0].name == "x-moody" && prepared.headers[0].sensitive);
    let failure = provider.classify(429, &[], "").await.expect("classified");
    assert_eq!(
        failure.kind,
        dovetail_core::plugin::FailureKind::RateLimited
    );

    let hook = plugin.hook().expect("it is a hook");
    let denied = hook.handle(&event("rm -rf /")).await.expect("answered");
    assert_eq!(
        denied.decision,
        HookDecision::Deny("not in the mood".to_owned())
    );
    let fine = hook.handle(&event("ls")).await.expect("answered");
    assert_eq!(fine.decision, HookDecision::None);

    let tools = plugin.tools().expect("it is a tool server");
    assert_eq!(tools.list_tools().await.expect("listed").len(), 2);
    assert_eq!(call(&plugin, "count").await, Ok("1".to_owned()));

    let sink = plugin.sink().expect("it is a sink");
    assert_eq!(
        sink.subscription().classes,
        [FieldClass::Basic, FieldClass::Content]
    );
    sink.open().await.expect("opened");
    let given = sink.deliver(&[record()]).await;
    let names = vec!["basic".to_owned(), "content".to_owned()];
    assert_eq!(given, Ok(Ack::Reject(names)), "the fields that it got");
    sink.close().await.expect("closed");
    let stats = plugin.stats();
    assert!(stats.calls >= 12 && stats.faults == 0, "{stats:?}");
}

#[tokio::test]
async fn a_panic_is_a_fault_and_the_plugin_starts_anew() {
    let lab = Lab::new();
    let plugin = lab.moody(Value::Null).await;
    assert_eq!(call(&plugin, "count").await, Ok("1".to_owned()));
    let words = broken(&plugin, "panic").await;
    assert!(
        words.starts_with("plugin `moody` trapped in `call-tool`: told to, after 2 calls, "),
        "{words}"
    );
    assert_eq!(
        call(&plugin, "count").await,
        Ok("1".to_owned()),
        "a new value"
    );
    assert_eq!(plugin.stats().faults, 1);
    broken(&plugin, "panic").await;
    broken(&plugin, "panic").await;
    assert_eq!(
        broken(&plugin, "count").await,
        "plugin `moody` is quarantined after 3 faults"
    );
    plugin.release();
    assert_eq!(call(&plugin, "count").await, Ok("1".to_owned()));
}

#[tokio::test]
async fn a_plugin_that_does_not_open_says_why() {
    let lab = Lab::new();
    let refused = lab.try_load(MOODY.manifest, MOODY.wasm, json!({ "mood": "bad" }));
    let refused = refused.await.expect_err("it does not open");
    let native = std::error::Error::source(&refused).expect("there is a cause");
    assert_eq!(native.to_string(), "does not start: the mood is bad");
    let panics = lab.try_load(MOODY.manifest, MOODY.wasm, json!({ "mood": "panic" }));
    let panics = panics.await.expect_err("it panics");
    assert!(
        matches!(
            panics.problem(),
            LoadProblem::Broke(PluginFault::Trap { call: "open", .. })
        ),
        "{panics:?}"
    );
}

#[tokio::test]
async fn calls_of_a_plugin_come_from_one_thread_with_its_name() {
    let lab = Lab::new();
    let plugin = lab.moody(Value::Null).await;
    let first = call(&plugin, "thread").await.expect("answered");
    assert!(first.starts_with("native moody "), "{first}");
    let calls = [call(&plugin, "thread"), call(&plugin, "thread")];
    let both = futures_util::future::join_all(calls).await;
    assert_eq!(both, [Ok(first.clone()), Ok(first)]);
}
