//! A turn's surroundings for tests of single tools.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dovetail_core::event::{EventSender, ToolActivity, TurnEvent};
use dovetail_core::ids::{CallId, ThreadId, TurnId};
use dovetail_core::tool::{CallContext, CallInput, Tool, ToolCall, ToolOutcome};
use dovetail_core::verdict::{Clearance, Cleared, HookChain, HookScope};
use dovetail_sandbox::{SandboxMode, SandboxPolicy};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::{EnvironmentPolicy, Offer, ToolOptions};

pub(crate) fn function(name: &str, arguments: &Value) -> ToolCall {
    call(name, CallInput::Function(arguments.to_string()))
}

pub(crate) fn call(name: &str, input: CallInput) -> ToolCall {
    ToolCall {
        call_id: CallId::new("call_1"),
        name: name.to_owned(),
        namespace: None,
        input,
    }
}

pub(crate) struct Bench {
    _keep: tempfile::TempDir,
    base: PathBuf,
    pub(crate) context: CallContext,
    events: UnboundedReceiver<TurnEvent>,
    pub(crate) seen: Vec<TurnEvent>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(keep.path()).unwrap();
        for directory in ["work", "home", "outside"] {
            std::fs::create_dir(base.join(directory)).unwrap();
        }
        let (sender, events) = EventSender::channel();
        let thread_id = ThreadId::generate();
        let context = CallContext {
            thread_id,
            session_id: thread_id,
            turn_id: TurnId::generate(),
            cwd: base.join("work"),
            cancel: CancellationToken::new(),
            turn_metadata: Arc::new(Value::Null),
            events: sender,
        };
        Self {
            _keep: keep,
            base,
            context,
            events,
            seen: Vec::new(),
        }
    }

    pub(crate) fn cwd(&self) -> &Path {
        &self.context.cwd
    }

    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    pub(crate) fn policy(&self, mode: SandboxMode) -> SandboxPolicy {
        SandboxPolicy {
            mode,
            cwd: self.cwd().to_owned(),
            protected: vec![],
        }
    }

    /// Workspace-write without the usual places for temporary files, since the bench is in one.
    pub(crate) fn workspace_write(&self) -> SandboxPolicy {
        self.policy(SandboxMode::WorkspaceWrite {
            writable_roots: vec![],
            network_access: false,
            exclude_slash_tmp: true,
            exclude_tmpdir: true,
        })
    }

    pub(crate) fn options(&self, sandbox: SandboxPolicy) -> ToolOptions {
        ToolOptions {
            sandbox,
            approval_policy: "never".to_owned(),
            approver: None,
            shell: Some(PathBuf::from("/bin/sh")),
            learn_profile: true,
            environment: EnvironmentPolicy::default(),
            secret_variables: vec![],
            codex_home: self.base.join("home"),
            version: "0.1.0".to_owned(),
            output_token_limit: None,
            offer: Offer::ALL,
        }
    }

    pub(crate) async fn clear(&self, tool: &dyn Tool, call: ToolCall) -> Cleared<ToolCall> {
        let scope = HookScope {
            thread_id: self.context.thread_id,
            session_id: self.context.session_id,
            turn_id: Some(self.context.turn_id),
            cwd: String::new(),
            model: String::new(),
            transcript_path: None,
            permission_mode: "default".to_owned(),
        };
        match HookChain::new(vec![])
            .clear(call, tool, &scope, &mut |_| {})
            .await
        {
            Clearance::Cleared { call, .. } => call,
            Clearance::Refused(text) => panic!("refused without hooks: {text}"),
        }
    }

    pub(crate) async fn run(&mut self, tool: &dyn Tool, call: ToolCall) -> ToolOutcome {
        let call = self.clear(tool, call).await;
        tool.run(call, &self.context).await
    }

    pub(crate) fn finished(&mut self) -> Vec<ToolActivity> {
        self.drain();
        let finished = |event: &TurnEvent| match event {
            TurnEvent::ToolFinished { activity, .. } => Some(activity.clone()),
            _ => None,
        };
        self.seen.iter().filter_map(finished).collect()
    }

    pub(crate) fn started(&mut self) -> Vec<ToolActivity> {
        self.drain();
        let started = |event: &TurnEvent| match event {
            TurnEvent::ToolStarted { activity, .. } => Some(activity.clone()),
            _ => None,
        };
        self.seen.iter().filter_map(started).collect()
    }

    fn drain(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
    }
}
