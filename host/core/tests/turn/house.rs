//! A thread whose model is a script, whose tools do what they are told, and whose record is a list.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use dovetail_core::compaction::CompactionOptions;
use dovetail_core::context::ContextFacts;
use dovetail_core::event::{
    ActivityStatus, Observer, RecordError, Recorder, ThreadInfo, ToolActivity, TurnEvent,
    TurnSettings,
};
use dovetail_core::ids::{PluginId, ThreadId, WindowId};
use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_core::model::{
    FailureStage, ModelClient, ModelError, ModelEvent, ModelRequest, ModelStream, ModelTraits,
};
use dovetail_core::plugin::{
    FailureKind, Hook, HookDecision, HookEvent, HookMode, HookOutcome, HookSubscription, OnFailure,
    PluginError, Recovery,
};
use dovetail_core::retry::{RecoveryStep, RetryLimits};
use dovetail_core::snapshot::{Extras, Workspaces};
use dovetail_core::tool::{
    CallContext, CallInput, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec,
};
use dovetail_core::toolbox::Toolbox;
use dovetail_core::turn::{Ports, Prompt, Thread, TurnOptions, TurnOutcome};
use dovetail_core::usage::TokenUsage;
use dovetail_core::verdict::{Cleared, HookChain};
use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify};
use tokio_util::sync::CancellationToken;

/// What the model does when it is asked.
pub(crate) enum Reply {
    Stream(Vec<Result<ModelEvent, ModelError>>),
    Refuse(ModelError),
    /// Answers with these and then says nothing more.
    Hang(Vec<ModelEvent>),
    /// Answers with some, does something, and answers with the rest.
    During {
        before: Vec<Result<ModelEvent, ModelError>>,
        act: Box<dyn FnOnce() + Send>,
        after: Vec<Result<ModelEvent, ModelError>>,
    },
}

impl Reply {
    /// Does something when all of an answer but its end is there.
    pub(crate) fn during(
        before: Vec<Result<ModelEvent, ModelError>>,
        act: impl FnOnce() + Send + 'static,
    ) -> Self {
        let act = Box::new(act);
        let after = vec![done()];
        Self::During { before, act, after }
    }
}

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) replies: Mutex<VecDeque<Reply>>,
    pub(crate) requests: Mutex<Vec<ModelRequest>>,
    pub(crate) recoveries: Mutex<u32>,
    /// What comes of the next one; none for another credential.
    pub(crate) recovery: Mutex<Option<Recovery>>,
    /// What it was told that requests begin with.
    pub(crate) warm_ups: Mutex<Vec<ModelRequest>>,
    /// Whether there is another way to it, which is not taken yet.
    pub(crate) other_way: Mutex<bool>,
}

#[async_trait]
impl ModelClient for Script {
    async fn send(
        &self,
        request: &ModelRequest,
        _: &CancellationToken,
    ) -> Result<ModelStream, ModelError> {
        use futures_util::StreamExt;
        use futures_util::stream;
        self.requests.lock().expect("lock").push(request.clone());
        match self
            .replies
            .lock()
            .expect("lock")
            .pop_front()
            .expect("the script has a reply")
        {
            Reply::Stream(events) => Ok(stream::iter(events).boxed()),
            Reply::Refuse(error) => Err(error),
            Reply::Hang(events) => Ok(stream::iter(events.into_iter().map(Ok))
                .chain(stream::pending())
                .boxed()),
            Reply::During { before, act, after } => {
                let doing = stream::once(async move { act() }).filter_map(|()| async { None });
                Ok(stream::iter(before)
                    .chain(doing)
                    .chain(stream::iter(after))
                    .boxed())
            }
        }
    }

    async fn recover(&self, _: &ModelError, step: RecoveryStep) -> Recovery {
        if step == RecoveryStep::Second {
            return Recovery::Unchanged;
        }
        *self.recoveries.lock().expect("lock") += 1;
        let recovery = self.recovery.lock().expect("lock").take();
        recovery.unwrap_or(Recovery::Changed)
    }

    fn warm_up(&self, beginning: &ModelRequest) {
        self.warm_ups.lock().expect("lock").push(beginning.clone());
    }

    fn fall_back(&self) -> bool {
        std::mem::take(&mut *self.other_way.lock().expect("lock"))
    }
}

#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<Vec<TurnEvent>>>);

impl Recorder for Log {
    fn record(&mut self, _: ThreadId, event: &TurnEvent) -> Result<(), RecordError> {
        self.0.lock().expect("lock").push(event.clone());
        Ok(())
    }
}

impl Log {
    pub(crate) fn items(&self) -> Vec<String> {
        self.0
            .lock()
            .expect("lock")
            .iter()
            .filter_map(shape)
            .collect()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let events = self.0.lock().expect("lock");
        let warnings = events.iter().filter_map(|event| match event {
            TurnEvent::Warning { message } => Some(message.clone()),
            _ => None,
        });
        warnings.collect()
    }

    pub(crate) fn notices(&self) -> usize {
        self.0
            .lock()
            .expect("lock")
            .iter()
            .filter(|e| matches!(e, TurnEvent::Reconnecting { .. }))
            .count()
    }
}

/// An item in one line, context left out.
pub(crate) fn shape(event: &TurnEvent) -> Option<String> {
    match event {
        TurnEvent::ItemRecorded { item, .. } => shape_of(item),
        _ => None,
    }
}

fn shape_of(item: &ResponseItem) -> Option<String> {
    Some(match item {
        ResponseItem::Message { role, content, .. } => match content.first()? {
            ContentItem::InputText { text } | ContentItem::OutputText { text } => {
                if dovetail_core::context::is_context_text(text)
                    && !text.starts_with("<turn_aborted>")
                {
                    return None;
                }
                format!("{role}: {}", text.lines().next().unwrap_or_default())
            }
            other => format!("{role}: {other:?}"),
        },
        ResponseItem::FunctionCall { call_id, .. } => format!("call {call_id}"),
        ResponseItem::FunctionCallOutput {
            call_id, output, ..
        } => format!("output {call_id}: {}", output.text()),
        other => panic!("unexpected item {other:?}"),
    })
}

/// A tool whose behaviour is a function of its argument text.
pub(crate) struct TestTool {
    pub(crate) spec: ToolSpec,
    pub(crate) meet: Arc<Barrier>,
    pub(crate) hung: Arc<Notify>,
}

#[async_trait]
impl Tool for TestTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }
    fn hook_name(&self) -> String {
        self.spec.name.clone()
    }
    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        match &call.input {
            CallInput::Function(text) => {
                serde_json::from_str(text).map_err(|error| error.to_string())
            }
            CallInput::Custom(text) | CallInput::Search(text) => Ok(json!({ "input": text })),
        }
    }
    fn rewrite(&self, mut call: ToolCall, input: Value) -> Result<ToolCall, String> {
        call.input = CallInput::Function(input.to_string());
        Ok(call)
    }
    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let call = call.into_inner();
        let call_id = call.call_id;
        let CallInput::Function(text) = call.input else {
            panic!("a function call")
        };
        let input: Value = serde_json::from_str(&text).expect("JSON");
        match input["do"].as_str() {
            // Ends only when a second call is in here too.
            Some("meet") => {
                self.meet.wait().await;
            }
            Some("show and hang") => {
                context.started(&call_id, activity());
                self.hung.notify_one();
                std::future::pending::<()>().await;
            }
            Some("hang") => {
                self.hung.notify_one();
                context.cancel.cancelled().await;
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        ToolOutcome::text(format!("did {}", input["do"].as_str().unwrap_or("nothing")))
    }
}

/// A command that has begun.
pub(crate) fn activity() -> ToolActivity {
    ToolActivity::Command {
        command: vec!["wait".to_owned()],
        cwd: PathBuf::from("/project"),
        process_id: None,
        output: String::new(),
        exit_code: None,
        status: ActivityStatus::InProgress,
    }
}

pub(crate) type Judge = fn(&HookEvent) -> Result<HookOutcome, PluginError>;

pub(crate) struct TestHook {
    pub(crate) id: PluginId,
    pub(crate) subscriptions: Vec<HookSubscription>,
    pub(crate) on_failure: OnFailure,
    pub(crate) judge: Judge,
}

impl TestHook {
    pub(crate) fn gate(
        id: &str,
        event: &str,
        on_failure: OnFailure,
        judge: Judge,
    ) -> Arc<dyn Hook> {
        Arc::new(Self {
            id: PluginId::parse(id).expect("an id"),
            subscriptions: vec![HookSubscription {
                event: event.to_owned(),
                matcher: String::new(),
                mode: HookMode::Gate,
            }],
            on_failure,
            judge,
        })
    }
}

#[async_trait]
impl Hook for TestHook {
    fn plugin(&self) -> &PluginId {
        &self.id
    }
    fn subscriptions(&self) -> &[HookSubscription] {
        &self.subscriptions
    }
    fn on_failure(&self) -> OnFailure {
        self.on_failure
    }
    async fn handle(&self, event: &HookEvent) -> Result<HookOutcome, PluginError> {
        (self.judge)(event)
    }
}

pub(crate) fn say(decision: HookDecision) -> Result<HookOutcome, PluginError> {
    Ok(HookOutcome {
        decision,
        context: None,
        message: None,
    })
}

pub(crate) struct House {
    pub(crate) model: Arc<Script>,
    pub(crate) log: Log,
    pub(crate) thread: Thread,
    pub(crate) hung: Arc<Notify>,
}

pub(crate) fn house(replies: Vec<Reply>, hooks: Vec<Arc<dyn Hook>>) -> House {
    let model = Arc::new(Script {
        replies: Mutex::new(replies.into()),
        ..Script::default()
    });
    let log = Log::default();
    let hung = Arc::new(Notify::new());
    let meet = Arc::new(Barrier::new(2));
    let tool = |name: &str, parallel_safe| -> Arc<dyn Tool> {
        Arc::new(TestTool {
            spec: ToolSpec {
                name: name.to_owned(),
                namespace: None,
                description: String::new(),
                input: ToolInput::Function {
                    parameters: json!({}),
                },
                parallel_safe,
            },
            meet: Arc::clone(&meet),
            hung: Arc::clone(&hung),
        })
    };
    let ports = Ports {
        model: Arc::clone(&model) as Arc<dyn ModelClient>,
        tools: Toolbox::new(vec![tool("together", true), tool("alone", false)]),
        hooks: Arc::new(HookChain::new(hooks)),
        recorder: Box::new(log.clone()),
        observers: Vec::<Box<dyn Observer>>::new(),
    };
    let thread_id = ThreadId::generate();
    let info = ThreadInfo {
        thread_id,
        session_id: thread_id,
        window_id: WindowId::generate(),
        cwd: PathBuf::from("/project"),
        originator: "test".to_owned(),
        source: "exec".to_owned(),
        thread_source: None,
        parent_thread_id: None,
        forked_from: None,
        subagent: None,
        provider_id: "test".to_owned(),
        base_instructions: "Be good.".to_owned(),
        model: "m".to_owned(),
        created: SystemTime::UNIX_EPOCH,
    };
    House {
        model,
        log,
        thread: Thread::start(info, ports),
        hung,
    }
}

pub(crate) fn options() -> TurnOptions {
    TurnOptions {
        settings: TurnSettings {
            model: "m".to_owned(),
            provider_id: "test".to_owned(),
            cwd: PathBuf::from("/project"),
            approval_policy: "never".to_owned(),
            sandbox_mode: "read-only".to_owned(),
            network_access: false,
            writable_roots: Vec::new(),
            effort: None,
            summary: None,
            service_tier: None,
            output_schema: None,
        },
        facts: ContextFacts::default(),
        reasoning: None,
        text: None,
        model: ModelTraits::default(),
        web_search: None,
        parallel_tool_calls: true,
        image_input: true,
        context_window: None,
        compaction: CompactionOptions::default(),
        installation_id: String::new(),
        turn_trigger: None,
        parent_turn: None,
        workspaces: Workspaces::default(),
        configured_extras: Extras::default(),
        extras: Extras::default(),
        retries: RetryLimits::default(),
        client_version: String::new(),
        transcript_path: None,
    }
}

impl House {
    /// Adds to the model's script.
    pub(crate) fn then(&self, reply: Reply) {
        self.model.replies.lock().expect("lock").push_back(reply);
    }

    /// What one of the requests said that people had said.
    pub(crate) fn said(&self, request: usize) -> Vec<String> {
        let requests = self.model.requests.lock().expect("lock");
        let items = requests[request].input.iter();
        items.filter_map(|item| shape_of(item)).collect()
    }

    pub(crate) async fn turn(&mut self) -> TurnOutcome {
        self.thread
            .run_turn(
                Prompt {
                    text: "go".to_owned(),
                    images: Vec::new(),
                },
                options(),
                CancellationToken::new(),
            )
            .await
    }
}

pub(crate) fn call(id: &str, tool: &str, what: &str) -> Result<ModelEvent, ModelError> {
    Ok(ModelEvent::ItemDone(Box::new(ResponseItem::FunctionCall {
        id: None,
        name: tool.to_owned(),
        namespace: None,
        arguments: json!({ "do": what }).to_string(),
        call_id: id.to_owned(),
        metadata: None,
    })))
}

pub(crate) fn message(text: &str) -> Result<ModelEvent, ModelError> {
    Ok(ModelEvent::ItemDone(Box::new(ResponseItem::Message {
        id: None,
        role: "assistant".to_owned(),
        content: vec![ContentItem::OutputText {
            text: text.to_owned(),
        }],
        phase: None,
        metadata: None,
    })))
}

pub(crate) fn prompt(text: &str) -> Prompt {
    Prompt {
        text: text.to_owned(),
        images: Vec::new(),
    }
}

/// An answer begins, and a piece of it comes in.
pub(crate) fn beginning(id: &str, delta: &str) -> Vec<ModelEvent> {
    vec![
        ModelEvent::ItemAdded {
            kind: "message".to_owned(),
            id: id.to_owned(),
        },
        ModelEvent::TextDelta(delta.to_owned()),
    ]
}

pub(crate) fn done() -> Result<ModelEvent, ModelError> {
    Ok(ModelEvent::Completed {
        response_id: "r".to_owned(),
        usage: Some(TokenUsage {
            input_tokens: 10,
            output_tokens: 1,
            total_tokens: 11,
            ..TokenUsage::default()
        }),
        end_turn: None,
    })
}

pub(crate) fn failure(stage: FailureStage, kind: FailureKind) -> ModelError {
    ModelError {
        kind,
        retry_after: Some(Duration::ZERO),
        ..ModelError::new(stage, "it failed".to_owned())
    }
}

#[track_caller]
pub(crate) fn check_answer(outcome: TurnOutcome, expected: &str) {
    match outcome {
        TurnOutcome::Completed(Some(text)) => assert_eq!(text, expected),
        other => panic!("expected an answer, got {other:?}"),
    }
}

/// A hook without an opinion that does something when it is asked.
pub(crate) struct ActingHook {
    id: PluginId,
    subscriptions: Vec<HookSubscription>,
    act: Box<dyn Fn() + Send + Sync>,
}

impl ActingHook {
    pub(crate) fn on(event: &str, act: impl Fn() + Send + Sync + 'static) -> Arc<dyn Hook> {
        Arc::new(Self {
            id: PluginId::parse("acting").expect("an id"),
            subscriptions: vec![HookSubscription {
                event: event.to_owned(),
                matcher: String::new(),
                mode: HookMode::Gate,
            }],
            act: Box::new(act),
        })
    }
}

#[async_trait]
impl Hook for ActingHook {
    fn plugin(&self) -> &PluginId {
        &self.id
    }
    fn subscriptions(&self) -> &[HookSubscription] {
        &self.subscriptions
    }
    fn on_failure(&self) -> OnFailure {
        OnFailure::Deny
    }
    async fn handle(&self, _: &HookEvent) -> Result<HookOutcome, PluginError> {
        (self.act)();
        say(HookDecision::None)
    }
}
