//! Hooks: an event in, a decision out.

use dovetail_core::ids::{CallId, ThreadId, TurnId};
use dovetail_core::plugin::{
    Hook, HookDecision, HookEvent, HookMode, HookOutcome, HookToolUse, OnFailure, PluginError,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::report::Report;
use crate::table::Placed;
use crate::text::{Text, differs};
use crate::timing::{Times, fault};

/// How often a plain event is put for the times.
const CALLS: usize = 50;

/// Events that this host has.
const EVENTS: [&str; 5] = [
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "Stop",
];

/// `[[hook]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookCase {
    pub(crate) name: Option<String>,
    #[serde(default = "pre_tool_use")]
    event: String,
    #[serde(default = "bash")]
    tool: String,
    input: Option<Value>,
    prompt: Option<String>,
    output: Option<String>,
    success: Option<bool>,
    #[serde(default = "root")]
    cwd: String,
    #[serde(default)]
    model: String,
    expect: Expected,
}

fn pre_tool_use() -> String {
    "PreToolUse".to_owned()
}

fn bash() -> String {
    "Bash".to_owned()
}

fn root() -> String {
    "/project".to_owned()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    decision: Decision,
    /// Of a deny or an ask.
    reason: Option<Text>,
    /// Of a rewrite: the new input, or the new prompt.
    rewrite: Option<Value>,
    context: Option<Text>,
    message: Option<Text>,
    /// The words of an error.
    error: Option<Text>,
}

/// What a hook is expected to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Decision {
    /// It did not subscribe to such an event.
    NotAsked,
    None,
    Allow,
    Ask,
    Deny,
    Rewrite,
    Error,
}

impl Decision {
    fn word(self) -> &'static str {
        match self {
            Self::NotAsked => "was not asked",
            Self::None => "has no opinion",
            Self::Allow => "allows it",
            Self::Ask => "asks a person",
            Self::Deny => "denies it",
            Self::Rewrite => "rewrites it",
            Self::Error => "fails",
        }
    }
}

/// Asks a hook what it subscribes to, and puts events of every sort.
pub(crate) async fn probe(hook: &dyn Hook, limit: std::time::Duration, report: &mut Report) {
    let subscriptions = hook.subscriptions();
    if subscriptions.is_empty() {
        report.find(
            "subscriptions",
            "it subscribes to nothing, so it is never asked",
        );
    }
    for subscription in subscriptions {
        let matcher = if subscription.matcher.is_empty() {
            "*"
        } else {
            &subscription.matcher
        };
        report.facts.push(format!(
            "subscribes to {} ({matcher}) as {}",
            subscription.event,
            match subscription.mode {
                HookMode::Gate => "a gate",
                HookMode::Observer => "an observer",
            }
        ));
        if !EVENTS.contains(&subscription.event.as_str()) {
            let event = &subscription.event;
            report
                .notes
                .push(format!("this host has no event `{event}`: it never comes"));
        }
        if let Err(why) = subscription.concerns(&subscription.event, "Bash") {
            report.find("subscriptions", why);
        }
    }
    if hook.on_failure() == OnFailure::Allow {
        let words = "what it guards goes ahead when it fails (`on_error = \"allow\"`)";
        report.facts.push(words.to_owned());
    }
    let mut times = Times::default();
    let plain = || {
        event(
            "PreToolUse",
            Some(tool_use("Bash", json!({ "command": "ls" }))),
        )
    };
    for _ in 0..CALLS {
        let answer = times.of(hook.handle(&plain())).await;
        if let Some(problem) = unfit(&answer) {
            report.find("handle", problem);
            break;
        }
    }
    report.time("handle", &times, limit);
    for (what, odd) in odd_events() {
        if let Some(fault) = fault(&hook.handle(&odd).await) {
            report.find("handle", format!("{what}: {fault}"));
        }
    }
}

/// Events as no well-meaning host sends them, but a model can cause.
fn odd_events() -> Vec<(&'static str, HookEvent)> {
    let tool = |input: Value| event("PreToolUse", Some(tool_use("Bash", input)));
    let long = "x".repeat(100_000);
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    vec![
        ("an input without a command", tool(json!({}))),
        (
            "a command that is no text",
            tool(json!({ "command": [1, null] })),
        ),
        ("an input that is a list", tool(json!([1, 2]))),
        (
            "an input a hundred levels deep",
            tool(json!({ "command": deep })),
        ),
        (
            "a command of 100,000 characters",
            tool(json!({ "command": long })),
        ),
        (
            "a command with control characters",
            tool(json!({ "command": "\u{0}\u{1b}[2J\u{202e}" })),
        ),
        (
            "an unknown tool",
            event("PreToolUse", Some(tool_use("mcp__a__b", json!({ "x": 1 })))),
        ),
        ("a tool event without a tool", event("PreToolUse", None)),
        ("an event it does not know", event("SomethingNew", None)),
    ]
}

fn tool_use(name: &str, input: Value) -> HookToolUse {
    HookToolUse {
        call_id: CallId::new("call_1"),
        name: name.to_owned(),
        input,
        output: None,
        success: None,
    }
}

fn event(name: &'static str, tool: Option<HookToolUse>) -> HookEvent {
    HookEvent {
        name,
        thread_id: ThreadId::generate(),
        turn_id: Some(TurnId::generate()),
        cwd: root(),
        model: "model".to_owned(),
        prompt: None,
        tool,
        payload: json!({ "hook_event_name": name }),
    }
}

/// What is wrong with an answer, whatever it is about.
fn unfit(answer: &Result<HookOutcome, PluginError>) -> Option<String> {
    match answer {
        Err(error) => Some(error.to_string()),
        Ok(HookOutcome {
            decision: HookDecision::Rewrite(text),
            ..
        }) if !serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object()) => {
            Some("it rewrites a tool's input to something that is no JSON object".to_owned())
        }
        Ok(_) => None,
    }
}

/// Runs a case. Says how it differs from what is expected, if it does.
pub(crate) async fn run(hook: &dyn Hook, placed: &Placed<HookCase>) -> Option<String> {
    let case = &placed.case;
    let expected = &case.expect;
    let is_tool = case.event.ends_with("ToolUse");
    let subject = if is_tool { case.tool.as_str() } else { "" };
    let asked = hook
        .subscriptions()
        .iter()
        .any(|subscription| subscription.concerns(&case.event, subject) == Ok(true));
    if !asked {
        return wrong_decision(Decision::NotAsked, expected, None);
    }
    let answer = hook.handle(&case.event_of(is_tool)).await;
    let outcome = match answer {
        Ok(outcome) => outcome,
        Err(error) => {
            let words = error.to_string();
            return wrong_decision(Decision::Error, expected, Some(&words))
                .or_else(|| differs(expected.error.as_ref(), "error", Some(&words)));
        }
    };
    let (decision, said, rewrite) = match &outcome.decision {
        HookDecision::None => (Decision::None, None, None),
        HookDecision::Allow => (Decision::Allow, None, None),
        HookDecision::Ask(text) => (Decision::Ask, Some(text), None),
        HookDecision::Deny(text) => (Decision::Deny, Some(text), None),
        HookDecision::Rewrite(text) => (Decision::Rewrite, None, Some(text)),
    };
    let text = said.map(String::as_str);
    wrong_decision(decision, expected, text)
        .or_else(|| differs(expected.reason.as_ref(), "reason", text))
        .or_else(|| wrong_rewrite(rewrite, expected.rewrite.as_ref()))
        .or_else(|| {
            differs(
                expected.context.as_ref(),
                "context",
                outcome.context.as_deref(),
            )
        })
        .or_else(|| {
            differs(
                expected.message.as_ref(),
                "message",
                outcome.message.as_deref(),
            )
        })
}

fn wrong_decision(found: Decision, expected: &Expected, words: Option<&str>) -> Option<String> {
    let words = words.map(|words| format!(": {words}")).unwrap_or_default();
    (found != expected.decision).then(|| {
        format!(
            "the hook {}{words}; expected that it {}",
            found.word(),
            expected.decision.word()
        )
    })
}

fn wrong_rewrite(found: Option<&String>, expected: Option<&Value>) -> Option<String> {
    let (found, expected) = (found?, expected?);
    // A tool's input is compared as JSON, a prompt as text.
    let same = match expected {
        Value::String(text) => text == found,
        value => serde_json::from_str::<Value>(found).is_ok_and(|found| found == *value),
    };
    (!same).then(|| format!("the rewrite is {found}, expected {expected}"))
}

impl HookCase {
    fn event_of(&self, is_tool: bool) -> HookEvent {
        let tool = is_tool.then(|| HookToolUse {
            output: self.output.clone(),
            success: self.success,
            ..tool_use(&self.tool, self.input.clone().unwrap_or_else(|| json!({})))
        });
        let mut payload =
            json!({ "hook_event_name": self.event, "cwd": self.cwd, "model": self.model });
        if let Some(tool) = &tool {
            payload["tool_name"] = json!(tool.name);
            payload["tool_input"] = tool.input.clone();
        }
        if let Some(prompt) = &self.prompt {
            payload["prompt"] = json!(prompt);
        }
        HookEvent {
            // Names of events live as long as the program; a table has few.
            name: self.event.clone().leak(),
            cwd: self.cwd.clone(),
            model: self.model.clone(),
            prompt: self.prompt.clone(),
            tool,
            payload,
            ..event("", None)
        }
    }
}
