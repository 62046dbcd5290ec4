//! `write_stdin`: types into a running command, or looks what it has put out since.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dovetail_core::tool::{CallContext, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec};
use dovetail_core::verdict::Cleared;
use serde::Deserialize;
use serde_json::{Value, json};

use super::manager::ExecManager;
use super::report;
use super::session::Session;
use crate::arguments;

/// How long a call waits after typing, and when it only looks: at least, which is also the default, and at most.
const TYPING_RANGE_MS: (u64, u64) = (250, 30_000);
const LOOKING_RANGE_MS: (u64, u64) = (5_000, 300_000);

/// What Ctrl-C types. A command without a terminal gets the signal itself.
const CTRL_C: &str = "\u{3}";

pub(crate) struct WriteStdin {
    spec: ToolSpec,
    manager: Arc<ExecManager>,
}

#[derive(Deserialize)]
struct Arguments {
    session_id: u32,
    chars: Option<String>,
    #[serde(default, deserialize_with = "arguments::count")]
    yield_time_ms: Option<u64>,
    #[serde(default, deserialize_with = "arguments::count")]
    max_output_tokens: Option<u64>,
}

impl WriteStdin {
    pub(crate) fn new(manager: Arc<ExecManager>) -> Self {
        let parameters = json!({
            "type": "object",
            "properties": {
                "chars": {
                    "type": "string",
                    "description": "What to type; a line end is `\\n`, Ctrl-C is `\\u0003`. Nothing by default: only looks for output.",
                },
                "max_output_tokens": { "type": "number", "description": "The most output to give, in tokens; 10000 by default." },
                "session_id": { "type": "number", "description": "The session ID of the running command." },
                "yield_time_ms": {
                    "type": "number",
                    "description": "How long to wait for output: 250 to 30000 after typing, 5000 to 300000 when only looking.",
                },
            },
            "required": ["session_id"],
            "additionalProperties": false,
        });
        let spec = ToolSpec {
            name: "write_stdin".to_owned(),
            namespace: None,
            description: "Types into a command that `exec_command` left running, and gives its output since the last \
                          call. Typing needs a command that was started with `tty`."
                .to_owned(),
            input: ToolInput::Function { parameters },
            // Two calls that type into one command must keep their order.
            parallel_safe: false,
        };
        Self { spec, manager }
    }
}

#[async_trait]
impl Tool for WriteStdin {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn hook_name(&self) -> String {
        self.spec.name.clone()
    }

    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        arguments::parse(call)
    }

    fn rewrite(&self, call: ToolCall, input: Value) -> Result<ToolCall, String> {
        Ok(arguments::replace(call, &input))
    }

    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let waiting_since = Instant::now();
        let arguments: Arguments = match arguments::parse(call.get()) {
            Ok(arguments) => arguments,
            Err(text) => return ToolOutcome::refused(text),
        };
        let Some(session) = self.manager.find(arguments.session_id) else {
            let id = arguments.session_id;
            return ToolOutcome::refused(format!(
                "there is no running command with session ID {id}"
            ));
        };
        let chars = arguments.chars.unwrap_or_default();
        let wait = wait(arguments.yield_time_ms, &chars);
        let typed_and_waited = async {
            type_into(&session, &chars).await?;
            session.ended().await;
            Ok::<(), String>(())
        };
        tokio::select! {
            biased;
            result = typed_and_waited => {
                if let Err(text) = result {
                    return ToolOutcome::refused(text);
                }
            }
            // The command goes on: it outlives the turn that is interrupted.
            () = context.cancel.cancelled() => {
                return ToolOutcome::refused(report::aborted(waiting_since.elapsed()));
            }
            () = tokio::time::sleep(wait) => {}
        }
        let budget = self.manager.token_budget(arguments.max_output_tokens);
        ToolOutcome::text(self.manager.report(&session, waiting_since, budget))
    }
}

async fn type_into(session: &Session, chars: &str) -> Result<(), String> {
    if chars.is_empty() || session.has_ended() {
        return Ok(());
    }
    match session.terminal() {
        Some(terminal) => terminal
            .write_all(chars.as_bytes())
            .await
            .map_err(|error| format!("cannot type into the command: {error}")),
        None if chars == CTRL_C => {
            session.interrupt();
            Ok(())
        }
        None => Err("the command has no terminal to type into; start it with `tty`".to_owned()),
    }
}

/// How long a call waits for the command to end.
fn wait(asked: Option<u64>, chars: &str) -> Duration {
    let (least, most) = if chars.is_empty() {
        LOOKING_RANGE_MS
    } else {
        TYPING_RANGE_MS
    };
    Duration::from_millis(asked.unwrap_or(least).clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_waits_as_long_as_a_call_and_looking_up_to_five_minutes() {
        for (asked, chars, expected) in [
            (None, "x", 250),
            (Some(u64::MAX), "x", 30_000),
            (None, "", 5_000),
            (Some(1), "", 5_000),
            (Some(u64::MAX), "", 300_000),
        ] {
            let expected = Duration::from_millis(expected);
            assert_eq!(wait(asked, chars), expected, "{asked:?} {chars:?}");
        }
    }
}
