//! Hook handlers.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::bindings::hooks::exports::dovetail::plugin::hooks as contract;

pub use crate::bindings::hooks::exports::dovetail::plugin::hooks::{
    Decision, Event, Mode, Outcome, Subscription, ToolUse,
};

/// Sees what the agent is about to do, and may stop or change it.
///
/// Each call gets a fresh instance, so nothing is remembered between events.
///
/// ```
/// use dovetail_plugin_api::hooks::{Event, Outcome, Subscription, deny, no_opinion};
/// use dovetail_plugin_api::{Error, Hooks, export_hooks};
///
/// #[derive(Default)]
/// struct NoForce;
///
/// impl Hooks for NoForce {
///     fn subscriptions(&self) -> Vec<Subscription> {
///         vec![Subscription::gate("PreToolUse", "Bash")]
///     }
///
///     fn handle(&mut self, event: Event) -> Result<Outcome, Error> {
///         match event.command() {
///             Some(command) if command.contains("push --force") => Ok(deny("a person pushes with force")),
///             _ => Ok(no_opinion()),
///         }
///     }
/// }
///
/// export_hooks!(NoForce);
/// ```
pub trait Hooks: Default + 'static {
    /// What this plugin wants to see. Called once, when the plugin is loaded.
    fn subscriptions(&self) -> Vec<Subscription>;

    /// Called for every event that matches, in configured order.
    ///
    /// # Errors
    /// Any error is a failure of the hook: what a gate guards does not happen, unless the manifest says otherwise.
    fn handle(&mut self, event: Event) -> Result<Outcome, Error>;
}

/// No opinion: the others decide.
pub fn no_opinion() -> Outcome {
    decide(Decision::None)
}

/// No objection. Skips the user's approval only where the user granted `can_approve`.
pub fn allow() -> Outcome {
    decide(Decision::Allow)
}

/// A person should decide; where nobody can be asked this is a deny. The text is the question.
pub fn ask(question: impl Into<String>) -> Outcome {
    decide(Decision::Ask(question.into()))
}

/// It must not happen. The reason is shown to the model and the user.
pub fn deny(reason: impl Into<String>) -> Outcome {
    decide(Decision::Deny(reason.into()))
}

/// Go on with another tool input, which must become a JSON object. The chain of hooks starts again with it.
///
/// # Errors
/// [`Error::Invalid`] if the input is not an object.
pub fn rewrite(input: &impl Serialize) -> Result<Outcome, Error> {
    match serde_json::to_value(input)? {
        Value::Object(object) => Ok(decide(Decision::Rewrite(Value::Object(object).to_string()))),
        other => Err(Error::Invalid(format!(
            "a tool input must be a JSON object, not `{other}`"
        ))),
    }
}

/// Go on with another prompt.
pub fn rewrite_prompt(prompt: impl Into<String>) -> Outcome {
    decide(Decision::Rewrite(prompt.into()))
}

fn decide(decision: Decision) -> Outcome {
    Outcome {
        decision,
        context: None,
        message: None,
    }
}

impl Outcome {
    /// Adds text for the model to the conversation.
    pub fn with_context(mut self, text: impl Into<String>) -> Self {
        self.context = Some(text.into());
        self
    }

    /// Adds text for the user.
    pub fn with_message(mut self, text: impl Into<String>) -> Self {
        self.message = Some(text.into());
        self
    }
}

impl Subscription {
    /// Decides about an event. The matcher says for which tools: empty or `*` for all, names joined with `|`, or a
    /// regular expression.
    pub fn gate(event: impl Into<String>, matcher: impl Into<String>) -> Self {
        Self {
            event: event.into(),
            matcher: matcher.into(),
            mode: Mode::Gate,
        }
    }

    /// Watches an event. The matcher is as for [`gate`](Self::gate).
    pub fn observer(event: impl Into<String>, matcher: impl Into<String>) -> Self {
        Self {
            event: event.into(),
            matcher: matcher.into(),
            mode: Mode::Observer,
        }
    }
}

impl Event {
    /// The shell command or the patch that is to run: the `command` of the tool's input. None for other events.
    pub fn command(&self) -> Option<String> {
        let input: Value = self.tool_input().ok()?; // An input without a command is no failure.
        Some(input.get("command")?.as_str()?.to_owned())
    }

    /// The tool's input as a type of the plugin's.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the event has no tool, or its input is not of that form.
    pub fn tool_input<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let tool = self
            .tool
            .as_ref()
            .ok_or_else(|| Error::Invalid(format!("`{}` concerns no tool", self.name)))?;
        serde_json::from_str(&tool.input_json)
            .map_err(|error| Error::Invalid(format!("input of `{}`: {error}", tool.name)))
    }

    /// The whole event, in the form of the existing hooks' standard input, as a type of the plugin's.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is not of that form.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.payload_json)
            .map_err(|error| Error::Invalid(format!("payload of `{}`: {error}", self.name)))
    }

    /// An event about a tool call, with everything else empty, for unit tests.
    pub fn of_tool(name: impl Into<String>, tool: impl Into<String>, input: &Value) -> Self {
        Self {
            name: name.into(),
            thread_id: String::new(),
            turn_id: String::new(),
            cwd: String::new(),
            model: String::new(),
            prompt: None,
            tool: Some(ToolUse {
                call_id: String::new(),
                name: tool.into(),
                input_json: input.to_string(),
                output: None,
                success: None,
            }),
            payload_json: "{}".to_owned(),
        }
    }
}

/// Makes a type's [`Hooks`] implementation the component's `hooks` export.
///
/// Outside of wasm it only checks that the type implements the trait, so that crates build and test natively.
#[macro_export]
macro_rules! export_hooks {
    ($plugin:ty) => {
        const _: () = {
            type DovetailExport = $crate::hooks::Adapter<$plugin>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::hooks::export!(DovetailExport with_types_in $crate::bindings::hooks);
            const _: Option<DovetailExport> = None;
        };
    };
}

/// Carries [`Hooks`] to the contract's trait.
#[doc(hidden)]
#[derive(Debug)]
pub struct Adapter<T: Hooks>(std::marker::PhantomData<T>);

impl<T: Hooks> contract::Guest for Adapter<T> {
    fn subscriptions() -> Vec<Subscription> {
        crate::instance::with(|plugin: &mut T| plugin.subscriptions())
    }

    fn handle(event: Event) -> Result<Outcome, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.handle(event)?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_command_of_a_tool_call_is_at_hand() {
        let event = Event::of_tool("PreToolUse", "Bash", &json!({ "command": "ls" }));
        assert_eq!(event.command().as_deref(), Some("ls"));
        let event = Event::of_tool("PreToolUse", "update_plan", &json!({ "plan": [] }));
        assert_eq!(event.command(), None);
    }

    #[test]
    fn only_an_object_can_be_a_tool_input() {
        let outcome = rewrite(&json!({ "command": "ls" })).expect("an object");
        assert_eq!(
            outcome.decision,
            Decision::Rewrite(r#"{"command":"ls"}"#.to_owned())
        );
        let error = rewrite(&"ls").expect_err("a text is no object");
        assert_eq!(
            error.to_string(),
            "a tool input must be a JSON object, not `\"ls\"`"
        );
    }
}
