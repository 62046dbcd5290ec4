//! The turn loop: prompt in, answer out, tools in between.
//!
//! It reads like the protocol. Everything that waits is under the turn's cancellation, everything that happens is
//! recorded before anybody else sees it, and a failure ends the turn, never the thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::context::{ContextFacts, context_items};
use crate::event::{
    AbortReason, EventSender, Observer, RateLimits, RecordError, Recorder, ThreadInfo, TurnEvent,
    TurnSettings,
};
use crate::history::History;
use crate::ids::TurnId;
use crate::item::{ContentItem, ResponseItem};
use crate::model::{
    FailureStage, ModelClient, ModelError, ModelEvent, ModelRequest, Reasoning, TextOptions,
    WebSearch,
};
use crate::plugin::{FailureKind, Recovery};
use crate::retry::{NextStep, RetryBudget, RetryLimits};
use crate::snapshot::{HistoryInitialization, RequestKind, RequestSnapshot, WorkspaceFacts};
use crate::tool::CallContext;
use crate::toolbox::{RunningCalls, Toolbox, call_in, output_item};
use crate::usage::TokenUsage;
use crate::verdict::{HookChain, HookScope, Ruling};

/// How often Stop hooks may send the model on before they count as never content.
const MAX_STOP_CONTINUATIONS: u32 = 8;

/// What a turn needs from outside.
pub struct Ports {
    /// The model.
    pub model: Arc<dyn ModelClient>,
    /// The tools.
    pub tools: Toolbox,
    /// The hooks.
    pub hooks: Arc<HookChain>,
    /// Keeps the thread.
    pub recorder: Box<dyn Recorder>,
    /// Watch the thread.
    pub observers: Vec<Box<dyn Observer>>,
}

/// What the user said.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// Images that came with it.
    pub images: Vec<ContentItem>,
}

/// How a turn is to run.
#[derive(Debug, Clone)]
pub struct TurnOptions {
    /// For the record and the model's context.
    pub settings: TurnSettings,
    /// The surroundings.
    pub facts: ContextFacts,
    /// Reasoning options; none leaves the key out.
    pub reasoning: Option<Reasoning>,
    /// Text options.
    pub text: Option<TextOptions>,
    /// `priority` or `flex`.
    pub service_tier: Option<String>,
    /// The hosted web search, where offered.
    pub web_search: Option<WebSearch>,
    /// Whether the model may ask for several calls at once.
    pub parallel_tool_calls: bool,
    /// Tokens of context that may be used.
    pub context_window: Option<u64>,
    /// Stable per home directory.
    pub installation_id: String,
    /// What made the turn, such as `exec`.
    pub turn_trigger: Option<String>,
    /// Git work trees, by root.
    pub workspaces: BTreeMap<String, WorkspaceFacts>,
    /// Client extras for the metadata blob.
    pub extras: BTreeMap<String, Value>,
    /// How often to try.
    pub retries: RetryLimits,
    /// The client version that MCP calls carry.
    pub client_version: String,
    /// The rollout file, where one is kept.
    pub transcript_path: Option<String>,
}

/// How a turn ended.
#[derive(Debug)]
pub enum TurnOutcome {
    /// Well; with the answer, if there was one.
    Completed(Option<String>),
    /// With an error for the user.
    Failed(String),
    /// A person stopped it.
    Interrupted,
    /// The thread could not be written any more.
    Unrecorded(RecordError),
}

/// Why the loop was left early.
enum Halt {
    Failed(String),
    Interrupted,
    Unrecorded(RecordError),
}

impl From<RecordError> for Halt {
    fn from(error: RecordError) -> Self {
        Self::Unrecorded(error)
    }
}

/// Why a request was not answered to its end.
enum Lost {
    Model(ModelError),
    Halt(Halt),
}

impl From<RecordError> for Lost {
    fn from(error: RecordError) -> Self {
        Self::Halt(Halt::Unrecorded(error))
    }
}

/// A conversation in this process.
pub struct Thread {
    info: ThreadInfo,
    history: History,
    window_number: u64,
    initialization: HistoryInitialization,
    instructions: Arc<ResponseItem>,
    totals: TokenUsage,
    rate_limits: RateLimits,
    session_started: bool,
    ports: Ports,
}

/// What a thread brings along from disk.
#[derive(Debug, Clone, Default)]
pub struct Resumed {
    /// The items.
    pub items: Vec<ResponseItem>,
    /// What was used so far.
    pub totals: TokenUsage,
    /// How many compactions there were.
    pub window_number: u64,
}

/// A turn that is going on.
struct Turn {
    id: TurnId,
    started: SystemTime,
    clock: Instant,
    first_token: Option<Duration>,
    options: TurnOptions,
    cancel: CancellationToken,
    budget: RetryBudget,
    turn_state: Option<String>,
    used: TokenUsage,
    warned_model: bool,
    events: mpsc::UnboundedReceiver<TurnEvent>,
    sender: EventSender,
}

/// What a request brought.
struct Sampled {
    follow_up: bool,
    message: Option<String>,
}

impl Thread {
    /// Starts a new conversation.
    pub fn start(info: ThreadInfo, ports: Ports) -> Self {
        Self::build(
            info,
            History::default(),
            Resumed::default(),
            HistoryInitialization::New,
            ports,
        )
    }

    /// Takes up a conversation.
    pub fn resume(info: ThreadInfo, mut resumed: Resumed, ports: Ports) -> Self {
        let history = History::resume(std::mem::take(&mut resumed.items));
        Self::build(
            info,
            history,
            resumed,
            HistoryInitialization::ColdResume,
            ports,
        )
    }

    fn build(
        info: ThreadInfo,
        history: History,
        resumed: Resumed,
        initialization: HistoryInitialization,
        ports: Ports,
    ) -> Self {
        let instructions = Arc::new(base_message(&info));
        Self {
            history,
            window_number: resumed.window_number,
            initialization,
            instructions,
            totals: resumed.totals,
            rate_limits: RateLimits::default(),
            session_started: false,
            info,
            ports,
        }
    }

    /// What the thread is.
    pub fn info(&self) -> &ThreadInfo {
        &self.info
    }

    /// What it used so far.
    pub fn totals(&self) -> TokenUsage {
        self.totals
    }

    /// Runs one turn to its end. The thread stays usable whatever the outcome, unless it could not be recorded.
    pub async fn run_turn(
        &mut self,
        prompt: Prompt,
        options: TurnOptions,
        cancel: CancellationToken,
    ) -> TurnOutcome {
        let mut turn = Turn::new(options, cancel);
        let end = self.drive(&mut turn, prompt).await;
        match self.close(&mut turn, end) {
            Ok(outcome) => outcome,
            Err(error) => TurnOutcome::Unrecorded(error),
        }
    }

    async fn drive(&mut self, turn: &mut Turn, prompt: Prompt) -> Result<Option<String>, Halt> {
        self.emit(TurnEvent::TurnStarted {
            turn_id: turn.id,
            at: turn.started,
            context_window: turn.options.context_window,
        })?;
        let mut notes = self.session_start(turn).await?;
        let text = match self
            .rule(turn, "UserPromptSubmit", &prompt.text, json!({}))
            .await?
        {
            Ruling::Proceed { text, context } => {
                notes.extend(context);
                text
            }
            Ruling::Stop(reason) => {
                self.emit(TurnEvent::Warning {
                    message: format!("a hook stopped the prompt: {reason}"),
                })?;
                return Ok(None);
            }
        };
        self.record_input(turn, text, prompt.images, notes)?;
        let mut last_message = None;
        let mut continuations = 0;
        loop {
            let sampled = self.sample_until_done(turn).await?;
            last_message = sampled.message.or(last_message);
            if sampled.follow_up {
                continue;
            }
            let Some(reason) = self
                .stop_hooks(turn, last_message.as_deref(), continuations)
                .await?
            else {
                return Ok(last_message);
            };
            continuations += 1;
            let text =
                format!("<hook_prompt hook_run_id=\"stop:{continuations}\">{reason}</hook_prompt>");
            self.record(turn, user_text(text, "generic.hook_prompt"))?;
        }
    }

    /// Writes the last event of a turn.
    fn close(
        &mut self,
        turn: &mut Turn,
        end: Result<Option<String>, Halt>,
    ) -> Result<TurnOutcome, RecordError> {
        while let Ok(event) = turn.events.try_recv() {
            self.emit(event)?;
        }
        let (turn_id, started, duration) = (turn.id, turn.started, turn.clock.elapsed());
        match end {
            Ok(last_message) => {
                self.emit(TurnEvent::TurnCompleted {
                    turn_id,
                    last_message: last_message.clone(),
                    started,
                    duration,
                    time_to_first_token: turn.first_token,
                    thread_total: self.totals,
                })?;
                Ok(TurnOutcome::Completed(last_message))
            }
            Err(Halt::Failed(message)) => {
                self.emit(TurnEvent::TurnFailed {
                    turn_id,
                    message: message.clone(),
                    started,
                    duration,
                })?;
                Ok(TurnOutcome::Failed(message))
            }
            Err(Halt::Interrupted) => {
                self.record(
                    turn,
                    user_text(ABORT_MARKER.to_owned(), "generic.turn_aborted"),
                )?;
                self.emit(TurnEvent::TurnAborted {
                    turn_id,
                    reason: AbortReason::Interrupted,
                    started,
                    duration,
                })?;
                Ok(TurnOutcome::Interrupted)
            }
            Err(Halt::Unrecorded(error)) => Err(error),
        }
    }

    fn emit(&mut self, event: TurnEvent) -> Result<(), RecordError> {
        self.ports.recorder.record(self.info.thread_id, &event)?;
        for observer in &mut self.ports.observers {
            observer.observe(self.info.thread_id, &event);
        }
        Ok(())
    }

    fn record(
        &mut self,
        turn: &Turn,
        item: ResponseItem,
    ) -> Result<Arc<ResponseItem>, RecordError> {
        let item = self.history.push(item, turn.id, SystemTime::now());
        self.emit(TurnEvent::ItemRecorded {
            turn_id: turn.id,
            item: Arc::clone(&item),
        })?;
        Ok(item)
    }

    async fn session_start(&mut self, turn: &mut Turn) -> Result<Vec<String>, Halt> {
        if std::mem::replace(&mut self.session_started, true) {
            return Ok(Vec::new());
        }
        let source = match self.initialization {
            HistoryInitialization::New => "startup",
            HistoryInitialization::ColdResume | HistoryInitialization::ColdFork => "resume",
        };
        match self
            .rule(turn, "SessionStart", "", json!({ "source": source }))
            .await?
        {
            Ruling::Proceed { context, .. } => Ok(context),
            Ruling::Stop(reason) => Err(Halt::Failed(format!(
                "a hook stopped the session: {reason}"
            ))),
        }
    }

    /// Asks hooks about something that is no tool call; an interrupt ends the wait.
    async fn rule(
        &mut self,
        turn: &mut Turn,
        event: &'static str,
        text: &str,
        extra: Value,
    ) -> Result<Ruling, Halt> {
        let hooks = Arc::clone(&self.ports.hooks);
        let mut scope = self.hook_scope(turn);
        if event == "SessionStart" {
            scope.turn_id = None;
        }
        let sender = turn.sender.clone();
        let mut report = |run| sender.hook_ran(run);
        let ruling = tokio::select! {
            biased;
            () = turn.cancel.cancelled() => return Err(Halt::Interrupted),
            ruling = hooks.rule(event, text, extra, &scope, &mut report) => ruling,
        };
        while let Ok(event) = turn.events.try_recv() {
            self.emit(event)?;
        }
        Ok(ruling)
    }

    /// Records what the model must know, then what the user said.
    fn record_input(
        &mut self,
        turn: &Turn,
        text: String,
        images: Vec<ContentItem>,
        notes: Vec<String>,
    ) -> Result<(), RecordError> {
        for item in context_items(self.history.items(), &turn.options.facts) {
            self.record(turn, item)?;
        }
        self.emit(TurnEvent::Settings {
            turn_id: turn.id,
            settings: Box::new(turn.options.settings.clone()),
        })?;
        let shown = (text.clone(), images.len());
        let mut content = vec![ContentItem::InputText { text }];
        content.extend(images);
        let kinds: Vec<&str> = std::iter::once("user.text")
            .chain(std::iter::repeat_n("user.image", shown.1))
            .collect();
        self.record(turn, ResponseItem::message("user", content, &kinds))?;
        self.emit(TurnEvent::UserMessage {
            turn_id: turn.id,
            text: shown.0,
            images: shown.1,
        })?;
        self.record_notes(turn, notes)
    }

    fn record_notes(&mut self, turn: &Turn, notes: Vec<String>) -> Result<(), RecordError> {
        if notes.is_empty() {
            return Ok(());
        }
        let kinds = vec!["hooks.additional_context"; notes.len()];
        let content = notes
            .into_iter()
            .map(|text| ContentItem::InputText { text })
            .collect();
        self.record(turn, ResponseItem::message("developer", content, &kinds))?;
        Ok(())
    }

    /// Asks Stop hooks; a reason means that the model has to go on.
    async fn stop_hooks(
        &mut self,
        turn: &mut Turn,
        last_message: Option<&str>,
        continuations: u32,
    ) -> Result<Option<String>, Halt> {
        let extra = json!({ "stop_hook_active": continuations > 0, "last_assistant_message": last_message });
        match self.rule(turn, "Stop", "", extra).await? {
            Ruling::Proceed { .. } => Ok(None),
            Ruling::Stop(_) if continuations >= MAX_STOP_CONTINUATIONS => {
                self.emit(TurnEvent::Warning {
                    message: format!(
                        "a Stop hook sent the model on {continuations} times; it is not asked again"
                    ),
                })?;
                Ok(None)
            }
            Ruling::Stop(reason) => Ok(Some(reason)),
        }
    }

    /// Sends the conversation and repeats what may be repeated. Items that were finished stay: a repeat sends them.
    async fn sample_until_done(&mut self, turn: &mut Turn) -> Result<Sampled, Halt> {
        loop {
            let error = match self.sample(turn).await {
                Ok(sampled) => {
                    turn.budget.succeeded();
                    return Ok(sampled);
                }
                Err(Lost::Halt(halt)) => return Err(halt),
                Err(Lost::Model(error)) => error,
            };
            match turn.budget.next(&error, jitter()) {
                NextStep::Fail => return Err(Halt::Failed(error.message)),
                NextStep::Quiet(delay) => turn.pause(delay).await?,
                NextStep::Reconnect {
                    delay,
                    attempt,
                    max,
                } => {
                    self.emit(TurnEvent::Reconnecting {
                        attempt,
                        max,
                        reason: error.message,
                        delay,
                    })?;
                    turn.pause(delay).await?;
                }
                NextStep::Recover => self.recover(turn, error).await?,
            }
        }
    }

    async fn recover(&mut self, turn: &Turn, error: ModelError) -> Result<(), Halt> {
        let recovery = tokio::select! {
            biased;
            () = turn.cancel.cancelled() => return Err(Halt::Interrupted),
            recovery = self.ports.model.recover(&error) => recovery,
        };
        match recovery {
            Recovery::Changed => Ok(()),
            Recovery::Unchanged => Err(Halt::Failed(error.message)),
            Recovery::Permanent(why) | Recovery::Transient(why) => {
                Err(Halt::Failed(format!("{why} ({})", error.message)))
            }
        }
    }

    /// One request: its items are recorded as they end, its calls run as they come.
    async fn sample(&mut self, turn: &mut Turn) -> Result<Sampled, Lost> {
        let request = self.request(turn);
        let sent = Instant::now();
        let model = Arc::clone(&self.ports.model);
        let opened = tokio::select! {
            biased;
            () = turn.cancel.cancelled() => return Err(Lost::Halt(Halt::Interrupted)),
            opened = model.send(&request, &turn.cancel) => opened,
        };
        let mut stream = opened.map_err(Lost::Model)?;
        let mut answer = Answer::new(self.running_calls(turn, &request));
        let ended = loop {
            tokio::select! {
                biased;
                () = turn.cancel.cancelled() => break Err(Lost::Halt(Halt::Interrupted)),
                event = turn.events.recv() => {
                    if let Some(event) = event {
                        self.emit(event)?;
                    }
                }
                next = stream.next() => match next {
                    Some(Ok(ModelEvent::Completed { response_id, usage, end_turn })) => {
                        break Ok((response_id, usage, end_turn));
                    }
                    Some(Ok(event)) => self.take(turn, &mut answer, event, sent).await?,
                    Some(Err(error)) => break Err(Lost::Model(error)),
                    None => break Err(Lost::Model(cut_off())),
                },
            }
        };
        drop(stream);
        if let Ok((response_id, usage, _)) = &ended {
            self.count(turn, response_id, usage.unwrap_or_default(), &answer, sent)?;
        }
        let called = !answer.calls.is_empty();
        self.finish_calls(turn, answer.calls).await?;
        match ended {
            Ok(_) if turn.cancel.is_cancelled() => Err(Lost::Halt(Halt::Interrupted)),
            Ok((_, _, end_turn)) => Ok(Sampled {
                follow_up: called || end_turn == Some(false),
                message: answer.message,
            }),
            Err(lost) => Err(lost),
        }
    }

    /// Takes one event of the stream.
    async fn take(
        &mut self,
        turn: &mut Turn,
        answer: &mut Answer,
        event: ModelEvent,
        sent: Instant,
    ) -> Result<(), RecordError> {
        answer.first_event.get_or_insert_with(|| sent.elapsed());
        match event {
            ModelEvent::Created | ModelEvent::Completed { .. } => Ok(()),
            ModelEvent::TurnState(state) => {
                turn.turn_state = Some(state);
                Ok(())
            }
            ModelEvent::RateLimits(limits) => {
                self.rate_limits = limits;
                Ok(())
            }
            ModelEvent::ServerModel(model) => self.warn_other_model(turn, &model),
            ModelEvent::ItemAdded { kind, id } if kind == "message" => {
                self.emit(TurnEvent::MessageStarted { item_id: id })
            }
            ModelEvent::ItemAdded { .. } => Ok(()),
            ModelEvent::TextDelta(delta) => {
                turn.first_token.get_or_insert_with(|| turn.clock.elapsed());
                self.emit(TurnEvent::TextDelta { delta })
            }
            ModelEvent::ReasoningDelta(delta) => self.emit(TurnEvent::ReasoningDelta { delta }),
            ModelEvent::ItemDone(item) => self.take_item(turn, answer, *item).await,
        }
    }

    async fn take_item(
        &mut self,
        turn: &mut Turn,
        answer: &mut Answer,
        item: ResponseItem,
    ) -> Result<(), RecordError> {
        turn.first_token.get_or_insert_with(|| turn.clock.elapsed());
        let item = self.record(turn, item)?;
        if let Some(text) = item.assistant_text() {
            answer.message = Some(text);
        }
        if let Some(call) = call_in(&item) {
            answer.calls.start(call).await;
        }
        Ok(())
    }

    fn warn_other_model(&mut self, turn: &mut Turn, model: &str) -> Result<(), RecordError> {
        if model == turn.options.settings.model || std::mem::replace(&mut turn.warned_model, true) {
            return Ok(());
        }
        let message = format!(
            "the server answered with model `{model}` instead of `{}`",
            turn.options.settings.model
        );
        self.emit(TurnEvent::Warning { message })
    }

    fn count(
        &mut self,
        turn: &mut Turn,
        response_id: &str,
        usage: TokenUsage,
        answer: &Answer,
        sent: Instant,
    ) -> Result<(), RecordError> {
        turn.used += usage;
        self.totals += usage;
        self.emit(TurnEvent::RequestCompleted {
            response_id: response_id.to_owned(),
            usage,
            turn_total: turn.used,
            thread_total: self.totals,
            rate_limits: self.rate_limits.clone(),
            turn_id: turn.id,
            time_to_first_event: answer.first_event.unwrap_or_default(),
            duration: sent.elapsed(),
        })
    }

    /// Waits for all calls and records their outputs in call order, in one batch.
    async fn finish_calls(
        &mut self,
        turn: &mut Turn,
        mut calls: RunningCalls,
    ) -> Result<(), RecordError> {
        let mut finished = Vec::new();
        loop {
            tokio::select! {
                biased;
                event = turn.events.recv() => {
                    if let Some(event) = event {
                        self.emit(event)?;
                    }
                }
                next = calls.next() => match next {
                    Some(call) => finished.push(call),
                    None => break,
                },
            }
        }
        while let Ok(event) = turn.events.try_recv() {
            self.emit(event)?;
        }
        let mut notes = Vec::new();
        for call in finished {
            let tool = call.call.namespace.as_ref().map_or_else(
                || call.call.name.clone(),
                |namespace| format!("{namespace}__{}", call.call.name),
            );
            let output = call.outcome.output.text();
            self.record(turn, output_item(&call.call, call.outcome.output))?;
            self.emit(TurnEvent::ToolCalled {
                call_id: call.call.call_id,
                tool,
                success: call.outcome.success,
                duration: call.duration,
                output,
            })?;
            notes.extend(call.context);
        }
        self.record_notes(turn, notes)
    }

    fn request(&self, turn: &Turn) -> ModelRequest {
        let options = &turn.options;
        ModelRequest {
            model: options.settings.model.clone(),
            instructions: Arc::clone(&self.instructions),
            input: self.history.for_request(),
            tools: self.ports.tools.specs(),
            web_search: options.web_search.clone(),
            parallel_tool_calls: options.parallel_tool_calls,
            reasoning: options.reasoning.clone(),
            text: options.text.clone(),
            service_tier: options.service_tier.clone(),
            prompt_cache_key: self.info.session_id.to_string(),
            metadata: Arc::new(self.snapshot(turn)),
            turn_state: turn.turn_state.clone(),
        }
    }

    fn snapshot(&self, turn: &Turn) -> RequestSnapshot {
        let options = &turn.options;
        RequestSnapshot {
            installation_id: options.installation_id.clone(),
            session_id: self.info.session_id,
            thread_id: self.info.thread_id,
            turn_id: turn.id,
            window_number: self.window_number,
            context_window_id: self.info.window_id,
            request_kind: RequestKind::Turn,
            history_initialization: self.initialization,
            thread_source: self.info.thread_source.clone(),
            turn_trigger: options.turn_trigger.clone(),
            sandbox: if options.settings.sandbox_mode == "danger-full-access" {
                "none"
            } else {
                "seccomp"
            },
            sandbox_mode: options.settings.sandbox_mode.clone(),
            workspaces: options.workspaces.clone(),
            turn_started_at: turn.started,
            model: options.settings.model.clone(),
            reasoning_effort: options
                .reasoning
                .as_ref()
                .and_then(|reasoning| reasoning.effort.clone()),
            extras: options.extras.clone(),
        }
    }

    fn running_calls(&self, turn: &Turn, request: &ModelRequest) -> RunningCalls {
        let context = CallContext {
            thread_id: self.info.thread_id,
            session_id: self.info.session_id,
            turn_id: turn.id,
            cwd: turn.options.settings.cwd.clone(),
            cancel: turn.cancel.clone(),
            turn_metadata: Arc::new(request.metadata.mcp_metadata(&turn.options.client_version)),
            events: turn.sender.clone(),
        };
        RunningCalls::new(
            self.ports.tools.clone(),
            Arc::clone(&self.ports.hooks),
            self.hook_scope(turn),
            context,
        )
    }

    fn hook_scope(&self, turn: &Turn) -> HookScope {
        let settings = &turn.options.settings;
        HookScope {
            thread_id: self.info.thread_id,
            session_id: self.info.session_id,
            turn_id: Some(turn.id),
            cwd: settings.cwd.display().to_string(),
            model: settings.model.clone(),
            transcript_path: turn.options.transcript_path.clone(),
            permission_mode: if settings.approval_policy == "never" {
                "bypassPermissions"
            } else {
                "default"
            }
            .to_owned(),
        }
    }
}

/// What one response has brought so far.
struct Answer {
    calls: RunningCalls,
    message: Option<String>,
    first_event: Option<Duration>,
}

impl Answer {
    fn new(calls: RunningCalls) -> Self {
        Self {
            calls,
            message: None,
            first_event: None,
        }
    }
}

impl Turn {
    fn new(options: TurnOptions, cancel: CancellationToken) -> Self {
        let (sender, events) = EventSender::channel();
        Self {
            id: TurnId::generate(),
            started: SystemTime::now(),
            clock: Instant::now(),
            first_token: None,
            budget: RetryBudget::new(options.retries),
            options,
            cancel,
            turn_state: None,
            used: TokenUsage::default(),
            warned_model: false,
            events,
            sender,
        }
    }

    async fn pause(&self, delay: Duration) -> Result<(), Halt> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Halt::Interrupted),
            () = tokio::time::sleep(delay) => Ok(()),
        }
    }
}

/// What the model reads where a turn was cut short.
const ABORT_MARKER: &str = "<turn_aborted>\nThe user interrupted this turn. Commands that were running have been stopped and may have done part of their work; check before going on.\n</turn_aborted>";

fn user_text(text: String, kind: &str) -> ResponseItem {
    ResponseItem::message("user", vec![ContentItem::InputText { text }], &[kind])
}

/// The first item of every request. Its id depends on thread and text alone, so that caches recognise it.
fn base_message(info: &ThreadInfo) -> ResponseItem {
    let id = Uuid::new_v5(&info.thread_id.uuid(), info.base_instructions.as_bytes());
    ResponseItem::Message {
        id: Some(format!("msg_{}", id.hyphenated())),
        role: "developer".to_owned(),
        content: vec![ContentItem::InputText {
            text: info.base_instructions.clone(),
        }],
        phase: None,
        metadata: None,
    }
}

fn cut_off() -> ModelError {
    ModelError {
        stage: FailureStage::Stream,
        kind: FailureKind::Unknown,
        message: "stream disconnected before completion: stream closed before response.completed"
            .to_owned(),
        retry_after: None,
        transient: false,
    }
}

/// Enough randomness to keep clients from repeating in step.
fn jitter() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}
