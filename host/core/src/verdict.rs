//! Hook dispatch, and the proof that a tool call went through it.
//!
//! [`Cleared`] can be built in this file only. Executors take nothing else, so no path to a tool skips the hooks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use regex_lite::Regex;
use serde_json::{Value, json};

use crate::event::{HookResult, HookRun};
use crate::ids::{ThreadId, TurnId};
use crate::plugin::{
    Hook, HookDecision, HookEvent, HookMode, HookOutcome, HookSubscription, HookToolUse, OnFailure,
    PluginError,
};
use crate::tool::{Tool, ToolCall, ToolOutcome};

/// Proof that hooks and policy were asked about a value and none objected.
#[derive(Debug)]
pub struct Cleared<T>(T);

impl<T> Cleared<T> {
    /// Looks at the value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Takes the value out; the proof is used up.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// How often hooks may rewrite one input before it counts as a quarrel between them.
const MAX_REWRITES: usize = 8;

/// What every event of a turn has in common.
#[derive(Debug, Clone)]
pub struct HookScope {
    /// The thread.
    pub thread_id: ThreadId,
    /// Its session.
    pub session_id: ThreadId,
    /// The turn; none at session start.
    pub turn_id: Option<TurnId>,
    /// The working directory.
    pub cwd: String,
    /// The model.
    pub model: String,
    /// The rollout file, where one is kept.
    pub transcript_path: Option<String>,
    /// `default`, or `bypassPermissions` without a sandbox.
    pub permission_mode: String,
}

/// What the chain decided about a tool call.
#[derive(Debug)]
pub enum Clearance {
    /// It may run, perhaps with other input than the model wrote.
    Cleared {
        /// The call.
        call: Cleared<ToolCall>,
        /// Text that hooks want the model to see.
        context: Vec<String>,
    },
    /// It must not run; the text is for the model.
    Refused(String),
}

/// What the chain decided about something that is no tool call.
#[derive(Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Go on, with the text as hooks left it.
    Proceed {
        /// The prompt, rewritten or not; empty where there is none.
        text: String,
        /// Text that hooks want the model to see.
        context: Vec<String>,
    },
    /// Stop, for this reason.
    Stop(String),
}

/// A hook that subscribed to what is going on.
struct Entry {
    hook: Arc<dyn Hook>,
    matcher: Arc<Matcher>,
}

enum Matcher {
    All,
    Names(Vec<String>),
    Pattern(Regex),
    /// A pattern that is no regular expression: a gate must not become a hole because of a typo.
    Broken(String),
}

impl Matcher {
    fn parse(text: &str) -> Self {
        if text.is_empty() || text == "*" {
            return Self::All;
        }
        if text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '|'))
        {
            return Self::Names(text.split('|').map(str::to_owned).collect());
        }
        Regex::new(text).map_or_else(
            |error| Self::Broken(format!("matcher `{text}`: {error}")),
            Self::Pattern,
        )
    }

    fn matches(&self, subject: &str) -> bool {
        match self {
            Self::All | Self::Broken(_) => true,
            Self::Names(names) => names.iter().any(|name| name == subject),
            Self::Pattern(pattern) => pattern.is_match(subject),
        }
    }
}

impl HookSubscription {
    /// Whether an event about `subject` (a tool's name, or empty) is one of those subscribed to.
    ///
    /// # Errors
    /// The matcher is no regular expression: it then counts for every subject.
    pub fn concerns(&self, event: &str, subject: &str) -> Result<bool, String> {
        match Matcher::parse(&self.matcher) {
            Matcher::Broken(why) => Err(why),
            matcher => Ok(self.event == event && matcher.matches(subject)),
        }
    }
}

/// All hooks, in configured order.
#[derive(Default)]
pub struct HookChain {
    hooks: Vec<Arc<dyn Hook>>,
    /// Matchers by their text: a regular expression takes longer to read than to use.
    matchers: Mutex<HashMap<String, Arc<Matcher>>>,
}

/// The answers of a pass over the gates.
struct Pass {
    rewrite: Option<String>,
    denied: Option<String>,
    context: Vec<String>,
}

impl HookChain {
    /// Puts hooks in a chain; their order is the order they are asked in.
    pub fn new(hooks: Vec<Arc<dyn Hook>>) -> Self {
        Self {
            hooks,
            matchers: Mutex::default(),
        }
    }

    fn matcher(&self, text: &str) -> Arc<Matcher> {
        // Nothing panics while holding the lock; a map of matchers is usable in any state.
        let mut known = self.matchers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(matcher) = known.get(text) {
            return Arc::clone(matcher);
        }
        let matcher = Arc::new(Matcher::parse(text));
        known.insert(text.to_owned(), Arc::clone(&matcher));
        matcher
    }

    /// Whether anybody subscribed to an event.
    pub fn listens(&self, event: &str) -> bool {
        let mut subscriptions = self.hooks.iter().flat_map(|hook| hook.subscriptions());
        subscriptions.any(|subscription| subscription.event == event)
    }

    /// Asks about a tool call that is about to run. `report` gets every hook's answer.
    pub async fn clear(
        &self,
        call: ToolCall,
        tool: &dyn Tool,
        scope: &HookScope,
        report: &mut (dyn FnMut(HookRun) + Send),
    ) -> Clearance {
        if !self.listens("PreToolUse") {
            return Clearance::Cleared {
                call: Cleared(call),
                context: Vec::new(),
            };
        }
        let name = tool.hook_name();
        let mut call = call;
        let mut context = Vec::new();
        for _ in 0..MAX_REWRITES {
            let input = match tool.hook_input(&call) {
                Ok(input) => input,
                Err(text) => return Clearance::Refused(text),
            };
            let event = tool_event("PreToolUse", scope, &name, &call, input, None);
            let pass = self.gates(&event, &name, report).await;
            context.extend(pass.context);
            if let Some(reason) = pass.denied {
                self.observe(&event, &name, report).await;
                return Clearance::Refused(blocked_text(&name, &event, &reason));
            }
            let Some(rewrite) = pass.rewrite else {
                self.observe(&event, &name, report).await;
                return Clearance::Cleared {
                    call: Cleared(call),
                    context,
                };
            };
            let changed = serde_json::from_str(&rewrite)
                .map_err(|error| format!("a hook put in an input that is not JSON: {error}"))
                .and_then(|input| tool.rewrite(call, input));
            call = match changed {
                Ok(call) => call,
                Err(why) => return Clearance::Refused(blocked_text(&name, &event, &why)),
            };
        }
        Clearance::Refused(format!(
            "Tool call blocked: hooks rewrote the input {MAX_REWRITES} times without agreeing. Tool: {name}"
        ))
    }

    /// Asks about a call that has run. A denial takes the place of its output.
    pub async fn after(
        &self,
        call: &ToolCall,
        tool: &dyn Tool,
        outcome: ToolOutcome,
        scope: &HookScope,
        report: &mut (dyn FnMut(HookRun) + Send),
    ) -> ToolOutcome {
        if !self.listens("PostToolUse") {
            return outcome;
        }
        let name = tool.hook_name();
        // The call ran, so its input was understood once already.
        let input = tool.hook_input(call).unwrap_or(Value::Null);
        let event = tool_event("PostToolUse", scope, &name, call, input, Some(&outcome));
        let pass = self.gates(&event, &name, report).await;
        self.observe(&event, &name, report).await;
        match pass.denied {
            Some(reason) => ToolOutcome::refused(reason),
            None if pass.context.is_empty() => outcome,
            None => {
                let text = format!("{}\n\n{}", outcome.output.text(), pass.context.join("\n"));
                ToolOutcome {
                    output: crate::item::OutputPayload::Text(text),
                    success: outcome.success,
                }
            }
        }
    }

    /// Asks about an event that is no tool call. `text` is the prompt of `UserPromptSubmit`; for other events it is what
    /// matchers look at, such as what set a compaction off.
    pub async fn rule(
        &self,
        event: &'static str,
        text: &str,
        extra: Value,
        scope: &HookScope,
        report: &mut (dyn FnMut(HookRun) + Send),
    ) -> Ruling {
        if !self.listens(event) {
            return Ruling::Proceed {
                text: text.to_owned(),
                context: Vec::new(),
            };
        }
        let mut text = text.to_owned();
        let mut context = Vec::new();
        for _ in 0..MAX_REWRITES {
            let mut payload = base_payload(event, scope);
            merge(&mut payload, extra.clone());
            let prompt = (event == "UserPromptSubmit").then(|| text.clone());
            if let Some(prompt) = &prompt {
                merge(&mut payload, json!({ "prompt": prompt }));
            }
            let subject = match &prompt {
                Some(_) => "",
                None => text.as_str(),
            };
            let seen = hook_event(event, scope, prompt.clone(), None, payload);
            let pass = self.gates(&seen, subject, report).await;
            context.extend(pass.context);
            if pass.denied.is_some() || pass.rewrite.is_none() {
                self.observe(&seen, subject, report).await;
            }
            match (pass.denied, pass.rewrite) {
                (Some(reason), _) => return Ruling::Stop(reason),
                (None, Some(new)) => text = new,
                (None, None) => return Ruling::Proceed { text, context },
            }
        }
        Ruling::Stop(format!(
            "hooks rewrote the text {MAX_REWRITES} times without agreeing"
        ))
    }

    /// One pass over the gates, in order. Ends at the first denial (nothing is stricter) or rewrite (which starts
    /// the chain again).
    async fn gates(
        &self,
        event: &HookEvent,
        subject: &str,
        report: &mut (dyn FnMut(HookRun) + Send),
    ) -> Pass {
        let mut pass = Pass {
            rewrite: None,
            denied: None,
            context: Vec::new(),
        };
        let mut question = None;
        for entry in self.matching(event.name, subject, HookMode::Gate) {
            let started = Instant::now();
            let answer = entry.ask(event).await;
            let (result, message) = match answer {
                Ok(outcome) => {
                    pass.context.extend(outcome.context);
                    let result = match outcome.decision {
                        HookDecision::None | HookDecision::Allow => HookResult::Passed,
                        HookDecision::Ask(text) => {
                            question.get_or_insert(text);
                            HookResult::Passed
                        }
                        HookDecision::Deny(reason) => HookResult::Denied(reason),
                        HookDecision::Rewrite(text) if same_input(event, &text) => {
                            HookResult::Passed
                        }
                        HookDecision::Rewrite(text) => match not_an_input(event, &text) {
                            Some(why) => entry.failed(why),
                            None => {
                                pass.rewrite = Some(text);
                                HookResult::Rewrote
                            }
                        },
                    };
                    (result, outcome.message)
                }
                Err(error) => (entry.failed(error.to_string()), None),
            };
            pass.denied = match &result {
                HookResult::Denied(reason) => Some(reason.clone()),
                HookResult::Failed { why, closed: true } => Some(format!(
                    "hook `{}` failed and its gate is closed: {why}",
                    entry.hook.plugin()
                )),
                HookResult::Failed { closed: false, .. }
                | HookResult::Passed
                | HookResult::Rewrote => None,
            };
            report(entry.run(event, subject, result, message, started));
            if pass.denied.is_some() || pass.rewrite.is_some() {
                return pass;
            }
        }
        // Nobody can be asked yet, so a question is a no.
        pass.denied = question
            .map(|text| format!("a person must decide, and nobody can be asked here: {text}"));
        pass
    }

    /// Tells the observers. They cannot change anything; a failing one is reported and that is all.
    async fn observe(
        &self,
        event: &HookEvent,
        subject: &str,
        report: &mut (dyn FnMut(HookRun) + Send),
    ) {
        let asked = self
            .matching(event.name, subject, HookMode::Observer)
            .into_iter()
            .map(|entry| async move {
                let started = Instant::now();
                let (result, message) = match entry.ask(event).await {
                    Ok(outcome) => (HookResult::Passed, outcome.message),
                    Err(error) => (
                        HookResult::Failed {
                            why: error.to_string(),
                            closed: false,
                        },
                        None,
                    ),
                };
                entry.run(event, subject, result, message, started)
            });
        for run in futures_util::future::join_all(asked).await {
            report(run);
        }
    }

    /// Asked anew for each event: what a hook subscribes to may change with its file.
    fn matching(&self, event: &str, subject: &str, mode: HookMode) -> Vec<Entry> {
        let mut entries = Vec::new();
        for hook in &self.hooks {
            for subscription in hook.subscriptions() {
                if subscription.mode != mode || subscription.event != event {
                    continue;
                }
                let matcher = self.matcher(&subscription.matcher);
                if matcher.matches(subject) {
                    let hook = Arc::clone(hook);
                    entries.push(Entry { hook, matcher });
                }
            }
        }
        entries
    }
}

impl Entry {
    fn failed(&self, why: String) -> HookResult {
        let closed = self.hook.on_failure() == OnFailure::Deny;
        HookResult::Failed { why, closed }
    }

    async fn ask(&self, event: &HookEvent) -> Result<HookOutcome, PluginError> {
        if let Matcher::Broken(why) = self.matcher.as_ref() {
            return Err(PluginError::Invalid(why.clone()));
        }
        self.hook.handle(event).await
    }

    fn run(
        &self,
        event: &HookEvent,
        subject: &str,
        result: HookResult,
        message: Option<String>,
        started: Instant,
    ) -> HookRun {
        HookRun {
            plugin: self.hook.plugin().clone(),
            event: event.name,
            subject: event
                .tool
                .as_ref()
                .map_or_else(|| subject.to_owned(), describe_tool_use),
            result,
            message,
            duration: started.elapsed(),
        }
    }
}

/// A tool use in one line, for people.
fn describe_tool_use(tool: &HookToolUse) -> String {
    match tool.input.get("command").and_then(Value::as_str) {
        Some(command) if tool.name == "Bash" => command.to_owned(),
        _ => tool.name.clone(),
    }
}

/// Why a rewrite cannot be a tool's input; none where it can, and where it is not meant to be one.
fn not_an_input(event: &HookEvent, text: &str) -> Option<String> {
    if event.name != "PreToolUse" {
        return None;
    }
    let error = serde_json::from_str::<serde_json::Map<String, Value>>(text).err()?;
    Some(format!(
        "it put in an input that is not a JSON object: {error}"
    ))
}

/// Whether a rewrite puts in what is there already: then the chain has come to rest.
fn same_input(event: &HookEvent, text: &str) -> bool {
    match (&event.tool, &event.prompt) {
        (Some(tool), _) => {
            serde_json::from_str::<Value>(text).is_ok_and(|value| value == tool.input)
        }
        (None, Some(prompt)) => prompt == text,
        (None, None) => false,
    }
}

/// What the model reads when a hook said no, in the words existing clients use.
fn blocked_text(name: &str, event: &HookEvent, reason: &str) -> String {
    let command = event
        .tool
        .as_ref()
        .and_then(|tool| tool.input.get("command"))
        .and_then(Value::as_str);
    match command {
        Some(command) if name == "Bash" => {
            format!("Command blocked by PreToolUse hook: {reason}. Command: {command}")
        }
        _ => format!("Tool call blocked by PreToolUse hook: {reason}. Tool: {name}"),
    }
}

fn hook_event(
    name: &'static str,
    scope: &HookScope,
    prompt: Option<String>,
    tool: Option<HookToolUse>,
    payload: Value,
) -> HookEvent {
    HookEvent {
        name,
        thread_id: scope.thread_id,
        turn_id: scope.turn_id,
        cwd: scope.cwd.clone(),
        model: scope.model.clone(),
        prompt,
        tool,
        payload,
    }
}

fn tool_event(
    event: &'static str,
    scope: &HookScope,
    name: &str,
    call: &ToolCall,
    input: Value,
    outcome: Option<&ToolOutcome>,
) -> HookEvent {
    let mut payload = base_payload(event, scope);
    merge(
        &mut payload,
        json!({ "tool_name": name, "tool_input": input, "tool_use_id": call.call_id.as_str() }),
    );
    let output = outcome.map(|outcome| outcome.output.text());
    if let Some(output) = &output {
        merge(&mut payload, json!({ "tool_response": output }));
    }
    let tool = HookToolUse {
        call_id: call.call_id.clone(),
        name: name.to_owned(),
        input,
        output,
        success: outcome.map(|outcome| outcome.success),
    };
    hook_event(event, scope, None, Some(tool), payload)
}

/// The keys that every hook of the existing system finds on its standard input, in its order.
fn base_payload(event: &str, scope: &HookScope) -> Value {
    let mut payload = json!({ "session_id": scope.session_id });
    if let Some(turn) = scope.turn_id {
        merge(&mut payload, json!({ "turn_id": turn }));
    }
    merge(
        &mut payload,
        json!({
            "transcript_path": scope.transcript_path,
            "cwd": scope.cwd,
            "hook_event_name": event,
            "model": scope.model,
        }),
    );
    if !matches!(event, "PreCompact" | "PostCompact") {
        let mode = &scope.permission_mode;
        merge(&mut payload, json!({ "permission_mode": mode }));
    }
    payload
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
