//! The turn loop on plain values: no socket, no file, no guest.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says why it fails by failing"
)]

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use dovetail_core::context::ContextFacts;
use dovetail_core::event::{Observer, RecordError, Recorder, ThreadInfo, TurnEvent, TurnSettings};
use dovetail_core::ids::{PluginId, ThreadId, WindowId};
use dovetail_core::item::{ContentItem, OutputPayload, ResponseItem};
use dovetail_core::model::{
    FailureStage, ModelClient, ModelError, ModelEvent, ModelRequest, ModelStream,
};
use dovetail_core::plugin::{
    FailureKind, Hook, HookDecision, HookEvent, HookMode, HookOutcome, HookSubscription, OnFailure,
    PluginError, PluginFault, Recovery,
};
use dovetail_core::retry::RetryLimits;
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
enum Reply {
    Stream(Vec<Result<ModelEvent, ModelError>>),
    Refuse(ModelError),
    /// Answers with these and then says nothing more.
    Hang(Vec<ModelEvent>),
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<ModelRequest>>,
    recoveries: Mutex<u32>,
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
        }
    }

    async fn recover(&self, _: &ModelError) -> Recovery {
        *self.recoveries.lock().expect("lock") += 1;
        Recovery::Changed
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<TurnEvent>>>);

impl Recorder for Log {
    fn record(&mut self, _: ThreadId, event: &TurnEvent) -> Result<(), RecordError> {
        self.0.lock().expect("lock").push(event.clone());
        Ok(())
    }
}

impl Log {
    fn items(&self) -> Vec<String> {
        self.0
            .lock()
            .expect("lock")
            .iter()
            .filter_map(shape)
            .collect()
    }

    fn notices(&self) -> usize {
        self.0
            .lock()
            .expect("lock")
            .iter()
            .filter(|e| matches!(e, TurnEvent::Reconnecting { .. }))
            .count()
    }
}

/// An item in one line, context left out.
fn shape(event: &TurnEvent) -> Option<String> {
    let TurnEvent::ItemRecorded { item, .. } = event else {
        return None;
    };
    Some(match &**item {
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
struct TestTool {
    spec: ToolSpec,
    meet: Arc<Barrier>,
    hung: Arc<Notify>,
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
            CallInput::Custom(text) => Ok(json!({ "input": text })),
        }
    }
    fn rewrite(&self, mut call: ToolCall, input: Value) -> Result<ToolCall, String> {
        call.input = CallInput::Function(input.to_string());
        Ok(call)
    }
    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let CallInput::Function(text) = call.into_inner().input else {
            panic!("a function call")
        };
        let input: Value = serde_json::from_str(&text).expect("JSON");
        match input["do"].as_str() {
            // Ends only when a second call is in here too.
            Some("meet") => {
                self.meet.wait().await;
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

type Judge = fn(&HookEvent) -> Result<HookOutcome, PluginError>;

struct TestHook {
    id: PluginId,
    subscriptions: Vec<HookSubscription>,
    on_failure: OnFailure,
    judge: Judge,
}

impl TestHook {
    fn gate(id: &str, event: &str, on_failure: OnFailure, judge: Judge) -> Arc<dyn Hook> {
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

fn say(decision: HookDecision) -> Result<HookOutcome, PluginError> {
    Ok(HookOutcome {
        decision,
        context: None,
        message: None,
    })
}

struct House {
    model: Arc<Script>,
    log: Log,
    thread: Thread,
    hung: Arc<Notify>,
}

fn house(replies: Vec<Reply>, hooks: Vec<Arc<dyn Hook>>) -> House {
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

fn options() -> TurnOptions {
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
            output_schema: None,
        },
        facts: ContextFacts::default(),
        reasoning: None,
        text: None,
        service_tier: None,
        web_search: None,
        parallel_tool_calls: true,
        context_window: None,
        installation_id: String::new(),
        turn_trigger: None,
        workspaces: BTreeMap::new(),
        extras: BTreeMap::new(),
        retries: RetryLimits::default(),
        client_version: String::new(),
        transcript_path: None,
    }
}

impl House {
    async fn turn(&mut self) -> TurnOutcome {
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

fn call(id: &str, tool: &str, what: &str) -> Result<ModelEvent, ModelError> {
    Ok(ModelEvent::ItemDone(Box::new(ResponseItem::FunctionCall {
        id: None,
        name: tool.to_owned(),
        namespace: None,
        arguments: json!({ "do": what }).to_string(),
        call_id: id.to_owned(),
        metadata: None,
    })))
}

fn message(text: &str) -> Result<ModelEvent, ModelError> {
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

fn done() -> Result<ModelEvent, ModelError> {
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

fn failure(stage: FailureStage, kind: FailureKind) -> ModelError {
    ModelError {
        stage,
        kind,
        message: "it failed".to_owned(),
        retry_after: Some(Duration::ZERO),
        transient: false,
    }
}

#[track_caller]
fn check_answer(outcome: TurnOutcome, expected: &str) {
    match outcome {
        TurnOutcome::Completed(Some(text)) => assert_eq!(text, expected),
        other => panic!("expected an answer, got {other:?}"),
    }
}

#[tokio::test]
async fn calls_that_may_overlap_do_and_results_keep_call_order() {
    let first = vec![
        call("a", "together", "meet"),
        call("b", "together", "meet"),
        call("c", "alone", "x"),
        done(),
    ];
    let mut house = house(
        vec![
            Reply::Stream(first),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items(),
        [
            "user: go",
            "call a",
            "call b",
            "call c",
            "output a: did meet",
            "output b: did meet",
            "output c: did x",
            "assistant: ok"
        ]
    );
    assert_eq!(house.thread.totals().total_tokens, 22);
}

#[tokio::test]
async fn an_unknown_tool_is_an_answer_for_the_model() {
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "nope", "x"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(house.log.items()[2], "output a: unsupported call: nope");
}

#[tokio::test]
async fn items_that_were_finished_before_a_break_are_sent_again_not_lost() {
    let broken = vec![
        message("half"),
        Err(failure(FailureStage::Stream, FailureKind::Unknown)),
    ];
    let mut house = house(
        vec![
            Reply::Stream(broken),
            Reply::Stream(vec![message("whole"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "whole");
    assert_eq!(
        house.log.items(),
        ["user: go", "assistant: half", "assistant: whole"]
    );
    assert_eq!(house.log.notices(), 1);
    let requests = house.model.requests.lock().expect("lock");
    assert_eq!(requests[1].input.len(), requests[0].input.len() + 1);
}

#[tokio::test]
async fn a_refused_credential_is_recovered_once_per_turn() {
    let refuse = || {
        Reply::Refuse(failure(
            FailureStage::Status(401),
            FailureKind::Unauthorized,
        ))
    };
    let mut house = house(vec![refuse(), refuse()], Vec::new());
    match house.turn().await {
        TurnOutcome::Failed(text) => assert_eq!(text, "it failed"),
        other => panic!("expected a failure, got {other:?}"),
    }
    assert_eq!(*house.model.recoveries.lock().expect("lock"), 1);
    assert_eq!(house.model.requests.lock().expect("lock").len(), 2);
}

#[tokio::test]
async fn a_failed_turn_leaves_the_thread_usable() {
    let bad = Reply::Refuse(failure(
        FailureStage::Status(400),
        FailureKind::InvalidRequest,
    ));
    let mut house = house(
        vec![bad, Reply::Stream(vec![message("ok"), done()])],
        Vec::new(),
    );
    assert!(matches!(house.turn().await, TurnOutcome::Failed(_)));
    check_answer(house.turn().await, "ok");
}

#[tokio::test]
async fn an_interrupt_closes_every_call_and_leaves_a_marker() {
    let hang = vec![call("a", "together", "hang").expect("an event")];
    let mut house = house(vec![Reply::Hang(hang)], Vec::new());
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let hung = Arc::clone(&house.hung);
    let stopper = tokio::spawn(async move {
        hung.notified().await;
        stop.cancel();
    });
    let outcome = house
        .thread
        .run_turn(
            Prompt {
                text: "go".to_owned(),
                images: Vec::new(),
            },
            options(),
            cancel,
        )
        .await;
    stopper.await.expect("the stopper ended");
    assert!(matches!(outcome, TurnOutcome::Interrupted));
    let items = house.log.items();
    assert!(
        items[2].starts_with("output a: Wall time: ") && items[2].ends_with("aborted by user"),
        "{items:?}"
    );
    assert_eq!(items[3], "user: <turn_aborted>");
}

#[tokio::test]
async fn a_denied_call_does_not_run_and_the_model_reads_why() {
    let hook = TestHook::gate("no", "PreToolUse", OnFailure::Deny, |_| {
        say(HookDecision::Deny("not today".to_owned()))
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "alone", "x"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        vec![hook],
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items()[2],
        "output a: Tool call blocked by PreToolUse hook: not today. Tool: alone"
    );
}

#[tokio::test]
async fn a_broken_gate_is_closed_unless_its_manifest_opens_it() {
    fn trap(_: &HookEvent) -> Result<HookOutcome, PluginError> {
        Err(PluginFault::Trap {
            plugin: PluginId::parse("bad").expect("an id"),
            call: "hooks.handle",
            detail: "boom".to_owned(),
        }
        .into())
    }
    for (on_failure, expected) in [
        (
            OnFailure::Deny,
            "output a: Tool call blocked by PreToolUse hook: hook `bad` failed and its gate is closed: plugin `bad` trapped in `hooks.handle`: boom. Tool: alone",
        ),
        (OnFailure::Allow, "output a: did x"),
    ] {
        let mut house = house(
            vec![
                Reply::Stream(vec![call("a", "alone", "x"), done()]),
                Reply::Stream(vec![message("ok"), done()]),
            ],
            vec![TestHook::gate("bad", "PreToolUse", on_failure, trap)],
        );
        check_answer(house.turn().await, "ok");
        assert_eq!(house.log.items()[2], expected);
    }
}

#[tokio::test]
async fn a_rewrite_enters_the_chain_again_so_that_an_earlier_hook_can_still_deny_it() {
    let guard = TestHook::gate("guard", "PreToolUse", OnFailure::Deny, |event| {
        let what = event.tool.as_ref().map(|tool| tool.input["do"].clone());
        say(if what == Some(json!("bad")) {
            HookDecision::Deny("bad".to_owned())
        } else {
            HookDecision::None
        })
    });
    let rewriter = TestHook::gate("rewriter", "PreToolUse", OnFailure::Deny, |_| {
        say(HookDecision::Rewrite(json!({ "do": "bad" }).to_string()))
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "alone", "good"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        vec![guard, rewriter],
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items()[2],
        "output a: Tool call blocked by PreToolUse hook: bad. Tool: alone"
    );
}

#[tokio::test]
async fn hooks_that_never_agree_are_a_refusal() {
    let flip = TestHook::gate("flip", "PreToolUse", OnFailure::Deny, |event| {
        let n = event
            .tool
            .as_ref()
            .and_then(|tool| tool.input["n"].as_u64())
            .unwrap_or(0);
        say(HookDecision::Rewrite(json!({ "n": n + 1 }).to_string()))
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "alone", "x"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        vec![flip],
    );
    check_answer(house.turn().await, "ok");
    assert_eq!(
        house.log.items()[2],
        "output a: Tool call blocked: hooks rewrote the input 8 times without agreeing. Tool: alone"
    );
}

#[tokio::test]
async fn a_question_that_nobody_can_answer_is_a_no() {
    let ask = TestHook::gate("ask", "PreToolUse", OnFailure::Deny, |_| {
        say(HookDecision::Ask("really?".to_owned()))
    });
    let allow = TestHook::gate("allow", "PreToolUse", OnFailure::Deny, |_| {
        say(HookDecision::Allow)
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![call("a", "alone", "x"), done()]),
            Reply::Stream(vec![message("ok"), done()]),
        ],
        vec![ask, allow],
    );
    check_answer(house.turn().await, "ok");
    assert!(
        house.log.items()[2]
            .contains("a person must decide, and nobody can be asked here: really?")
    );
}

#[tokio::test]
async fn a_stopped_prompt_sends_no_request() {
    let stop = TestHook::gate("stop", "UserPromptSubmit", OnFailure::Deny, |_| {
        say(HookDecision::Deny("no".to_owned()))
    });
    let mut house = house(Vec::new(), vec![stop]);
    assert!(matches!(house.turn().await, TurnOutcome::Completed(None)));
    assert!(house.model.requests.lock().expect("lock").is_empty());
}

#[tokio::test]
async fn a_stop_hook_sends_the_model_on_and_is_told_so() {
    let stop = TestHook::gate("stop", "Stop", OnFailure::Deny, |event| {
        say(if event.payload["stop_hook_active"] == json!(true) {
            HookDecision::None
        } else {
            HookDecision::Deny("run the tests".to_owned())
        })
    });
    let mut house = house(
        vec![
            Reply::Stream(vec![message("done"), done()]),
            Reply::Stream(vec![message("tested"), done()]),
        ],
        vec![stop],
    );
    check_answer(house.turn().await, "tested");
    assert_eq!(
        house.log.items()[2],
        "user: <hook_prompt hook_run_id=\"stop:1\">run the tests</hook_prompt>"
    );
}

/// Refuses from the nth event on.
struct FullDisk(u32);

impl Recorder for FullDisk {
    fn record(&mut self, _: ThreadId, _: &TurnEvent) -> Result<(), RecordError> {
        if self.0 == 0 {
            return Err(RecordError {
                message: "no space left".to_owned(),
            });
        }
        self.0 -= 1;
        Ok(())
    }
}

#[tokio::test]
async fn a_thread_that_cannot_be_recorded_stops_before_it_asks_the_model() {
    let base = house(Vec::new(), Vec::new());
    let ports = Ports {
        model: Arc::clone(&base.model) as Arc<dyn ModelClient>,
        tools: Toolbox::new(Vec::new()),
        hooks: Arc::new(HookChain::default()),
        recorder: Box::new(FullDisk(2)),
        observers: Vec::new(),
    };
    let mut thread = Thread::start(base.thread.info().clone(), ports);
    let outcome = thread
        .run_turn(
            Prompt {
                text: "go".to_owned(),
                images: Vec::new(),
            },
            options(),
            CancellationToken::new(),
        )
        .await;
    assert!(matches!(outcome, TurnOutcome::Unrecorded(_)));
    assert!(base.model.requests.lock().expect("lock").is_empty());
}

#[test]
fn text_outputs_are_whole() {
    assert_eq!(OutputPayload::Text("x".to_owned()).text(), "x");
}
