//! The tools of a turn, and the calls that are going on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, poll};
use tokio::sync::RwLock;
use tokio_util::task::AbortOnDropHandle;

use crate::ids::CallId;
use crate::item::{OutputPayload, ResponseItem};
use crate::shorten::{DEFAULT_OUTPUT_TOKENS, shortened};
use crate::tool::{CallContext, CallInput, PLAIN_NAMESPACE, Tool, ToolCall, ToolOutcome, ToolSpec};
use crate::tool_search::{DeferredNamespace, ToolSearch, search_in, search_output};
use crate::verdict::{Clearance, HookChain, HookScope};

/// A tool's namespace and name.
type FullName = (Option<String>, String);

/// The tools the model is offered.
#[derive(Clone)]
pub struct Toolbox {
    by_name: Arc<HashMap<FullName, Arc<dyn Tool>>>,
    specs: Arc<[ToolSpec]>,
    /// What the model has to search for.
    deferred: Arc<[DeferredNamespace]>,
    output_tokens: u64,
}

impl Toolbox {
    /// Collects tools; the order is the one the model sees. Of two tools with one name the first stays.
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Self {
        let mut by_name = HashMap::new();
        let mut specs = Vec::new();
        for tool in tools {
            let spec = tool.spec().clone();
            let key = (spec.namespace.clone(), spec.name.clone());
            if let std::collections::hash_map::Entry::Vacant(place) = by_name.entry(key) {
                place.insert(tool);
                specs.push(spec);
            }
        }
        Self {
            by_name: Arc::new(by_name),
            specs: specs.into(),
            deferred: Arc::new([]),
            output_tokens: DEFAULT_OUTPUT_TOKENS,
        }
    }

    /// Shows the model at most so many tokens of one output, whichever tool it is of.
    pub fn with_output_tokens(self, output_tokens: u64) -> Self {
        Self {
            output_tokens,
            ..self
        }
    }

    /// Puts the tools of servers behind a search, for a model that can search. Without such tools nothing changes. A
    /// call finds its tool either way: the model may know it from before.
    #[must_use]
    pub fn deferring(self) -> Self {
        let (deferred, mut specs): (Vec<ToolSpec>, Vec<ToolSpec>) = self
            .specs
            .iter()
            .cloned()
            .partition(|spec| spec.namespace.is_some());
        if deferred.is_empty() {
            return self;
        }
        let search = ToolSearch::new(deferred);
        let deferred = search.namespaces().into();
        let spec = search.spec().clone();
        let mut by_name = HashMap::clone(&self.by_name);
        by_name.insert((None, spec.name.clone()), Arc::new(search));
        specs.push(spec);
        Self {
            by_name: Arc::new(by_name),
            specs: specs.into(),
            deferred,
            output_tokens: self.output_tokens,
        }
    }

    /// The namespaces that the model has to search.
    pub fn deferred(&self) -> &[DeferredNamespace] {
        &self.deferred
    }

    /// What the model is told.
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        Arc::clone(&self.specs)
    }

    fn find(&self, call: &ToolCall) -> Option<Arc<dyn Tool>> {
        self.by_name
            .get(&(call.namespace.clone(), call.name.clone()))
            .map(Arc::clone)
    }
}

/// What came of a call, hooks included.
#[derive(Debug)]
pub(crate) struct FinishedCall {
    pub(crate) call: ToolCall,
    pub(crate) outcome: ToolOutcome,
    /// Text from hooks for the model.
    pub(crate) context: Vec<String>,
    pub(crate) duration: Duration,
    /// Whether it had to be stopped from outside, and may have left something open.
    pub(crate) given_up: bool,
}

struct PendingCall {
    call: ToolCall,
    started: Instant,
    task: AbortOnDropHandle<(ToolOutcome, Vec<String>)>,
}

/// The calls of one response: they overlap where they may, and end in the order they were made.
pub(crate) struct RunningCalls {
    toolbox: Toolbox,
    hooks: Arc<HookChain>,
    scope: Arc<HookScope>,
    context: CallContext,
    /// Parallel-safe calls share it, others hold it alone. It is fair, so calls get it in call order.
    turnstile: Arc<RwLock<()>>,
    pending: Vec<PendingCall>,
    /// When calls that are still running are given up.
    deadline: Option<tokio::time::Instant>,
}

/// How long interrupted calls may take to end by themselves, all of them together. An interrupt has 100 ms for
/// everything; the rest is for what comes after.
const ABORT_GRACE: Duration = Duration::from_millis(80);

impl RunningCalls {
    pub(crate) fn new(
        toolbox: Toolbox,
        hooks: Arc<HookChain>,
        scope: HookScope,
        context: CallContext,
    ) -> Self {
        Self {
            toolbox,
            hooks,
            scope: Arc::new(scope),
            context,
            turnstile: Arc::new(RwLock::new(())),
            pending: Vec::new(),
            deadline: None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether a call of this id was made.
    pub(crate) fn has(&self, call_id: &CallId) -> bool {
        self.pending
            .iter()
            .any(|made| made.call.call_id == *call_id)
    }

    /// Starts a call at once, or as soon as the calls before it allow.
    pub(crate) async fn start(&mut self, call: ToolCall) {
        let started = Instant::now();
        let task = match self.toolbox.find(&call) {
            None => tokio::spawn(std::future::ready((unknown_tool(&call), Vec::new()))),
            Some(tool) => {
                let turn = self.queue(tool.spec().parallel_safe).await;
                tokio::spawn(run_call(
                    turn,
                    tool,
                    call.clone(),
                    Arc::clone(&self.hooks),
                    Arc::clone(&self.scope),
                    self.context.clone(),
                ))
            }
        };
        self.pending.push(PendingCall {
            call,
            started,
            task: AbortOnDropHandle::new(task),
        });
    }

    /// Takes a place in the queue now, so that the order of places is the order of calls.
    async fn queue(&self, shared: bool) -> BoxFuture<'static, TurnstileGuard> {
        let turnstile = Arc::clone(&self.turnstile);
        let mut place: BoxFuture<'static, TurnstileGuard> = if shared {
            turnstile.read_owned().map(TurnstileGuard::shared).boxed()
        } else {
            turnstile.write_owned().map(TurnstileGuard::alone).boxed()
        };
        // The lock queues a waiter when it is first polled.
        match poll!(&mut place) {
            std::task::Poll::Ready(guard) => std::future::ready(guard).boxed(),
            std::task::Poll::Pending => place,
        }
    }

    /// Waits for the next call, in call order. After an interrupt a call that does not end is given up.
    pub(crate) async fn next(&mut self) -> Option<FinishedCall> {
        if self.pending.is_empty() {
            return None;
        }
        let cancel = self.context.cancel.clone();
        let deadline = &mut self.deadline;
        let out_of_time = async {
            cancel.cancelled().await;
            let deadline =
                deadline.get_or_insert_with(|| tokio::time::Instant::now() + ABORT_GRACE);
            tokio::time::sleep_until(*deadline).await;
        };
        let first = &mut self.pending[0];
        let ended = tokio::select! {
            biased;
            ended = &mut first.task => Some(ended),
            () = out_of_time => None,
        };
        let first = self.pending.remove(0);
        let duration = first.started.elapsed();
        let given_up = !matches!(ended, Some(Ok(_)));
        let (outcome, context) = match ended {
            Some(Ok(ended)) => ended,
            Some(Err(error)) if error.is_panic() => (
                ToolOutcome::refused(
                    "the tool broke; this is a fault of the host, not of the call",
                ),
                Vec::new(),
            ),
            Some(Err(_)) | None => (aborted(duration), Vec::new()),
        };
        let output = match first.call.input {
            // Half a tool cannot be called.
            CallInput::Search(_) => outcome.output,
            CallInput::Function(_) | CallInput::Custom(_) => {
                shortened(outcome.output, self.toolbox.output_tokens)
            }
        };
        Some(FinishedCall {
            call: first.call,
            outcome: ToolOutcome { output, ..outcome },
            context,
            duration,
            given_up,
        })
    }
}

/// Held while a call runs; dropping it lets the next ones go.
enum TurnstileGuard {
    Shared(#[expect(dead_code, reason = "held, not read")] tokio::sync::OwnedRwLockReadGuard<()>),
    Alone(#[expect(dead_code, reason = "held, not read")] tokio::sync::OwnedRwLockWriteGuard<()>),
}

impl TurnstileGuard {
    fn shared(guard: tokio::sync::OwnedRwLockReadGuard<()>) -> Self {
        Self::Shared(guard)
    }

    fn alone(guard: tokio::sync::OwnedRwLockWriteGuard<()>) -> Self {
        Self::Alone(guard)
    }
}

async fn run_call(
    turn: BoxFuture<'static, TurnstileGuard>,
    tool: Arc<dyn Tool>,
    call: ToolCall,
    hooks: Arc<HookChain>,
    scope: Arc<HookScope>,
    context: CallContext,
) -> (ToolOutcome, Vec<String>) {
    let started = Instant::now();
    let cancel = context.cancel.clone();
    let cleared = async {
        let guard = turn.await;
        let mut report = |run| context.events.hook_ran(run);
        (
            guard,
            hooks.clear(call.clone(), &*tool, &scope, &mut report).await,
        )
    };
    let (_guard, clearance) = tokio::select! {
        biased;
        () = cancel.cancelled() => return (aborted(started.elapsed()), Vec::new()),
        cleared = cleared => cleared,
    };
    let (cleared, notes) = match clearance {
        Clearance::Refused(text) => {
            if let Some(activity) = tool.declined(&call, &text) {
                context.finished(&call.call_id, activity, started.elapsed());
            }
            return (ToolOutcome::refused(text), Vec::new());
        }
        Clearance::Cleared { call, context } => (call, context),
    };
    let made = cleared.get().clone();
    let outcome = tool.run(cleared, &context).await;
    if cancel.is_cancelled() {
        return (outcome, notes);
    }
    let mut report = |run| context.events.hook_ran(run);
    let outcome = hooks
        .after(&made, &*tool, outcome, &scope, &mut report)
        .await;
    (outcome, notes)
}

fn unknown_tool(call: &ToolCall) -> ToolOutcome {
    let name = format!(
        "{}{}",
        call.namespace.as_deref().unwrap_or_default(),
        call.name
    );
    ToolOutcome::refused(match call.input {
        CallInput::Function(_) | CallInput::Search(_) => format!("unsupported call: {name}"),
        CallInput::Custom(_) => format!("unsupported custom tool call: {name}"),
    })
}

/// What the model reads of a call that a person stopped.
pub(crate) fn aborted(after: Duration) -> ToolOutcome {
    ToolOutcome::refused(format!(
        "Wall time: {:.1} seconds\naborted by user",
        after.as_secs_f64()
    ))
}

/// The call that an item asks for, if it asks for one.
pub(crate) fn call_in(item: &ResponseItem) -> Option<ToolCall> {
    match item {
        ResponseItem::FunctionCall {
            call_id,
            name,
            namespace,
            arguments,
            ..
        } => Some(ToolCall {
            call_id: crate::ids::CallId::new(call_id.clone()),
            name: name.clone(),
            namespace: own_namespace(namespace.as_ref()),
            input: CallInput::Function(arguments.clone()),
        }),
        ResponseItem::CustomToolCall {
            call_id,
            name,
            namespace,
            input,
            ..
        } => Some(ToolCall {
            call_id: crate::ids::CallId::new(call_id.clone()),
            name: name.clone(),
            namespace: own_namespace(namespace.as_ref()),
            input: CallInput::Custom(input.clone()),
        }),
        ResponseItem::Other(fields) => search_in(fields),
        ResponseItem::Message { .. }
        | ResponseItem::Reasoning { .. }
        | ResponseItem::FunctionCallOutput { .. }
        | ResponseItem::CustomToolCallOutput { .. }
        | ResponseItem::WebSearchCall { .. } => None,
    }
}

/// The namespace that a tool was declared with.
fn own_namespace(namespace: Option<&String>) -> Option<String> {
    namespace.filter(|name| *name != PLAIN_NAMESPACE).cloned()
}

/// The item that answers a call.
pub(crate) fn output_item(call: &ToolCall, output: OutputPayload) -> ResponseItem {
    let call_id = call.call_id.as_str().to_owned();
    match call.input {
        CallInput::Function(_) => ResponseItem::FunctionCallOutput {
            id: None,
            call_id,
            output,
            metadata: None,
        },
        CallInput::Custom(_) => ResponseItem::CustomToolCallOutput {
            id: None,
            call_id,
            name: None,
            output,
            metadata: None,
        },
        CallInput::Search(_) => search_output(&call_id, &output),
    }
}
