//! What a call costs from its arguments to its result: a command's start and end, and a patch worked out and written.
//!
//! Commands are real, so the shell is most of it; compare the rows with each other rather than with other machines.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up says so"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dovetail_core::event::EventSender;
use dovetail_core::ids::{CallId, ThreadId, TurnId};
use dovetail_core::tool::{CallContext, CallInput, Tool, ToolCall};
use dovetail_core::verdict::{Clearance, HookChain, HookScope};
use dovetail_sandbox::{SandboxMode, SandboxPolicy};
use dovetail_tools::{BuiltinTools, EnvironmentPolicy, Offer, ToolOptions, builtin_tools};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

fn main() {
    divan::main();
}

/// Tools in a directory of their own, and a runtime like the product's.
struct Bench {
    runtime: Runtime,
    tools: BuiltinTools,
    context: CallContext,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(mode: SandboxMode) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let cwd = dir.path().canonicalize().expect("it is there");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (events, _) = EventSender::channel();
        let thread_id = ThreadId::generate();
        let context = CallContext {
            thread_id,
            session_id: thread_id,
            turn_id: TurnId::generate(),
            cwd: cwd.clone(),
            cancel: CancellationToken::new(),
            turn_metadata: Arc::new(Value::Null),
            events,
        };
        Self {
            runtime,
            tools: builtin_tools(options(mode, cwd)),
            context,
            dir,
        }
    }

    fn call(&self, name: &str, input: CallInput) -> String {
        let mut tools = self.tools.tools.iter();
        let tool = tools
            .find(|tool| tool.spec().name == name)
            .expect("it is offered");
        let (tool, context) = (Arc::clone(tool), self.context.clone());
        let call = ToolCall {
            call_id: CallId::new("call_1"),
            name: name.to_owned(),
            namespace: None,
            input,
        };
        // As in a turn, on a worker.
        let running = self
            .runtime
            .spawn(async move { run(&*tool, call, &context).await });
        self.runtime.block_on(running).expect("it does not panic")
    }

    fn command(&self, arguments: &Value) -> String {
        self.call("exec_command", CallInput::Function(arguments.to_string()))
    }

    fn patch(&self, text: &str) -> String {
        self.call("apply_patch", CallInput::Custom(text.to_owned()))
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.runtime.block_on(self.tools.manager.shutdown());
    }
}

async fn run(tool: &dyn Tool, call: ToolCall, context: &CallContext) -> String {
    let scope = HookScope {
        thread_id: context.thread_id,
        session_id: context.session_id,
        turn_id: Some(context.turn_id),
        cwd: String::new(),
        model: String::new(),
        transcript_path: None,
        permission_mode: "default".to_owned(),
    };
    let hooks = HookChain::new(Vec::new());
    match hooks.clear(call, tool, &scope, &mut |_| {}).await {
        Clearance::Cleared { call, .. } => tool.run(call, context).await.output.text(),
        Clearance::Refused(why) => why,
    }
}

fn options(mode: SandboxMode, cwd: PathBuf) -> ToolOptions {
    ToolOptions {
        sandbox: SandboxPolicy {
            mode,
            cwd,
            protected: Vec::new(),
        },
        approval_policy: "never".to_owned(),
        approver: None,
        shell: Some("/bin/bash".into()),
        learn_profile: true,
        environment: EnvironmentPolicy::default(),
        secret_variables: Vec::new(),
        codex_home: "/nonexistent".into(),
        version: "0".to_owned(),
        output_token_limit: None,
        offer: Offer::ALL,
    }
}

fn workspace() -> SandboxMode {
    SandboxMode::WorkspaceWrite {
        writable_roots: Vec::new(),
        network_access: false,
        exclude_slash_tmp: true,
        exclude_tmpdir: true,
    }
}

/// A command with a plain shell; a login shell whose profile is known costs the same.
#[divan::bench(args = ["danger-full-access", "read-only", "workspace-write"], sample_count = 200)]
fn command(bencher: divan::Bencher<'_, '_>, mode: &str) {
    let bench = Bench::new(match mode {
        "danger-full-access" => SandboxMode::DangerFullAccess,
        "read-only" => SandboxMode::ReadOnly,
        _ => workspace(),
    });
    let arguments = json!({ "cmd": "echo ok", "login": false });
    bencher.bench(|| bench.command(&arguments));
}

/// A command with a login shell, as models ask for it.
#[divan::bench(args = [true, false], sample_count = 200)]
fn login_command(bencher: divan::Bencher<'_, '_>, learn_profile: bool) {
    let mut bench = Bench::new(SandboxMode::DangerFullAccess);
    let mut options = options(SandboxMode::DangerFullAccess, bench.context.cwd.clone());
    options.learn_profile = learn_profile;
    bench.tools = builtin_tools(options);
    let arguments = json!({ "cmd": "echo ok" });
    bencher.bench(|| bench.command(&arguments));
}

/// A patch of three places in a file of so many lines, there and back.
#[divan::bench(args = [100, 10_000], sample_count = 100)]
fn patch(bencher: divan::Bencher<'_, '_>, lines: usize) {
    let bench = Bench::new(SandboxMode::DangerFullAccess);
    let text: String = (0..lines).map(|line| format!("line {line}\n")).collect();
    std::fs::write(bench.path().join("file"), text).expect("a file");
    let section = |at: usize, from: &str, to: &str| {
        let (above, below) = (at - 1, at + 1);
        format!("@@\n line {above}\n-{from} {at}\n+{to} {at}\n line {below}\n")
    };
    let whole = |from: &str, to: &str| {
        let places = [lines / 4, lines / 2, lines - 10].map(|at| section(at, from, to));
        format!(
            "*** Begin Patch\n*** Update File: file\n{}*** End Patch\n",
            places.concat()
        )
    };
    let (there, back) = (whole("line", "changed"), whole("changed", "line"));
    bencher.bench(|| {
        let answers = [bench.patch(&there), bench.patch(&back)];
        assert!(
            answers
                .iter()
                .all(|answer| answer.starts_with("Exit code: 0")),
            "{answers:?}"
        );
    });
}
