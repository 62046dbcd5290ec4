//! `exec_command`: runs a shell command.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dovetail_core::approval::{ApprovalDecision, ApprovalRequest, Approver};
use dovetail_core::event::{ActivityStatus, ToolActivity};
use dovetail_core::tool::{CallContext, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec};
use dovetail_core::verdict::Cleared;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::life::Life;
use super::manager::{ExecManager, Order};
use super::report::{self, State};
use super::session::Session;
use super::shell::Invocation;
use crate::arguments;

/// How long a call waits for its command by default, at least, and at most.
const YIELD_MS: u64 = 10_000;
const YIELD_RANGE_MS: (u64, u64) = (250, 30_000);

/// How long a killed command is waited for when a person interrupts: less than a call may take to end.
const INTERRUPT_GRACE: Duration = Duration::from_millis(80);

const ESCALATION_UNDER_NEVER: &str = "approval policy is Never; reject command — you cannot ask for escalated \
                                      permissions if the approval policy is Never";

/// What a call reads whose command a person did not want outside of the sandbox.
const DECLINED: &str = "the user did not let this command run outside of the sandbox; nothing was run. Go on without \
                        it, or within the sandbox.";

/// What a call reads that wants the shell to apply a patch. Carried out here, the patch would pass the hooks that watch
/// patches by.
const PATCH_IN_SHELL: &str = "`apply_patch` is a tool here, not a program; nothing was run. Call the tool `apply_patch` \
                              with the patch as its input.";

pub(crate) struct ExecCommand {
    spec: ToolSpec,
    manager: Arc<ExecManager>,
}

#[derive(Deserialize)]
struct Arguments {
    cmd: String,
    workdir: Option<PathBuf>,
    shell: Option<PathBuf>,
    login: Option<bool>,
    tty: Option<bool>,
    #[serde(default, deserialize_with = "arguments::count")]
    yield_time_ms: Option<u64>,
    #[serde(default, deserialize_with = "arguments::count")]
    max_output_tokens: Option<u64>,
    sandbox_permissions: Option<Permissions>,
    justification: Option<String>,
}

impl Arguments {
    fn escalated(&self) -> bool {
        self.sandbox_permissions == Some(Permissions::RequireEscalated)
    }
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Permissions {
    UseDefault,
    RequireEscalated,
}

impl ExecCommand {
    pub(crate) fn new(manager: Arc<ExecManager>) -> Self {
        let spec = ToolSpec {
            name: "exec_command".to_owned(),
            namespace: None,
            description: "Runs a shell command and gives its output. A command that takes longer than the wait goes \
                          on in the background under a session ID, for `write_stdin`."
                .to_owned(),
            input: ToolInput::Function { parameters: parameters() },
            parallel_safe: true,
        };
        Self { spec, manager }
    }

    fn invocation(&self, arguments: &Arguments) -> Invocation {
        let shell = arguments.shell.as_deref().unwrap_or(self.manager.shell());
        Invocation {
            shell: shell.to_owned(),
            login: arguments.login.unwrap_or(true),
            command: arguments.cmd.clone(),
        }
    }

    /// Why the call may not be made, if it asks for more than the sandbox gives.
    fn refusal(&self, arguments: &Arguments) -> Option<&'static str> {
        let refused = arguments.escalated() && self.manager.approver().is_none();
        refused.then(|| match self.manager.approval_policy() {
            "never" => ESCALATION_UNDER_NEVER,
            _ => "nobody can be asked for escalated permissions here; run the command without them",
        })
    }

    /// Asks whether a command may run outside of the sandbox, which is shown from then on: as what is returned. Where it
    /// may not run, it has ended, and the text is for the model.
    async fn ask(
        &self,
        approver: &dyn Approver,
        request: ApprovalRequest,
        context: &CallContext,
    ) -> Result<ToolActivity, String> {
        let call_id = request.call_id.clone();
        let shown = |status| ToolActivity::Command {
            command: request.command.clone(),
            cwd: request.cwd.clone(),
            process_id: None,
            output: String::new(),
            exit_code: None,
            status,
        };
        let waiting = shown(ActivityStatus::InProgress);
        context.started(&call_id, waiting.clone());
        let asked = Instant::now();
        let answer = approver.ask(&request);
        context.events.approval_requested(request.clone());
        let decision = tokio::select! {
            biased;
            () = context.cancel.cancelled() => None,
            answer = answer => Some(answer.unwrap_or(ApprovalDecision::Decline)),
        };
        let told = match decision {
            Some(ApprovalDecision::Accept) => return Ok(waiting),
            Some(ApprovalDecision::Decline) => DECLINED.to_owned(),
            Some(ApprovalDecision::Cancel) | None => report::aborted(asked.elapsed()),
        };
        context.finished(&call_id, shown(ActivityStatus::Declined), asked.elapsed());
        if decision == Some(ApprovalDecision::Cancel) {
            context.cancel.cancel();
        }
        Err(told)
    }
}

#[async_trait]
impl Tool for ExecCommand {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn hook_name(&self) -> String {
        "Bash".to_owned()
    }

    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        let arguments: Arguments = arguments::parse(call)?;
        Ok(json!({ "command": arguments.cmd }))
    }

    fn rewrite(&self, call: ToolCall, input: Value) -> Result<ToolCall, String> {
        let Some(command) = input.get("command").and_then(Value::as_str) else {
            return Err("the rewritten input has no text `command`".to_owned());
        };
        let mut fields: Map<String, Value> = arguments::parse(&call)?;
        fields.insert("cmd".to_owned(), Value::String(command.to_owned()));
        Ok(arguments::replace(call, &Value::Object(fields)))
    }

    fn declined(&self, call: &ToolCall, reason: &str) -> Option<ToolActivity> {
        // Arguments that make no sense are not a command that anybody could have run.
        let arguments: Arguments = arguments::parse(call).ok()?;
        Some(ToolActivity::Command {
            command: self.invocation(&arguments).argv(),
            cwd: self
                .manager
                .directory()
                .join(arguments.workdir.unwrap_or_default()),
            process_id: None,
            output: reason.to_owned(),
            exit_code: None,
            status: ActivityStatus::Declined,
        })
    }

    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let call = call.into_inner();
        let arguments: Arguments = match arguments::parse(&call) {
            Ok(arguments) => arguments,
            Err(text) => return ToolOutcome::refused(text),
        };
        if let Some(refusal) = self.refusal(&arguments) {
            return ToolOutcome::refused(refusal);
        }
        if is_patch(&arguments.cmd) {
            return ToolOutcome::refused(PATCH_IN_SHELL);
        }
        let invocation = self.invocation(&arguments);
        let approver = self.manager.approver().filter(|_| arguments.escalated());
        let directory = arguments
            .workdir
            .map_or_else(|| context.cwd.clone(), |path| context.cwd.join(path));
        let wait = wait(arguments.yield_time_ms);
        let mut shown = None;
        if let Some(approver) = approver {
            let request = ApprovalRequest {
                thread_id: context.thread_id,
                turn_id: context.turn_id,
                call_id: call.call_id.clone(),
                command: invocation.argv(),
                cwd: directory.clone(),
                reason: arguments.justification,
            };
            match self.ask(approver, request, context).await {
                Ok(waiting) => shown = Some(waiting),
                Err(told) => return ToolOutcome::refused(told),
            }
        }
        let waiting_since = Instant::now();
        let order = Order {
            invocation,
            directory,
            terminal: arguments.tty.unwrap_or(false),
            approved: shown.is_some(),
        };
        let started = tokio::select! {
            biased;
            place = self.manager.place(wait) => place
                .and_then(|place| self.manager.start(place, order, context, &call.call_id))
                .map_err(|error| not_run(&error)),
            () = context.cancel.cancelled() => Err(report::aborted(waiting_since.elapsed())),
        };
        let (session, mut life) = match started {
            Ok(started) => started,
            Err(told) => {
                if let Some(waiting) = shown {
                    let waited = waiting_since.elapsed();
                    context.finished(&call.call_id, waiting.given_up(), waited);
                }
                return ToolOutcome::refused(told);
            }
        };
        tokio::select! {
            biased;
            () = life.until_end_of(&session) => {}
            () = context.cancel.cancelled() => {
                return self.interrupt(&session, &mut life, waiting_since).await;
            }
            () = tokio::time::sleep(wait) => {}
        }
        let budget = self.manager.token_budget(arguments.max_output_tokens);
        ToolOutcome::text(self.manager.report(&session, waiting_since, budget))
    }
}

impl ExecCommand {
    async fn interrupt(
        &self,
        session: &Session,
        life: &mut Life,
        waiting_since: Instant,
    ) -> ToolOutcome {
        let killed = async {
            session.kill().await;
            life.until_end_of(session).await;
        };
        // If even a kill takes longer, the command's end is shown late; the turn does not wait for it.
        tokio::time::timeout(INTERRUPT_GRACE, killed).await.ok();
        self.manager.forget(session.id);
        ToolOutcome::refused(report::aborted(waiting_since.elapsed()))
    }
}

impl ExecManager {
    /// What the model reads of a session after a wait. A session that has ended is forgotten.
    pub(super) fn report(&self, session: &Session, waiting_since: Instant, budget: u64) -> String {
        let (output, exit) = session.take_output();
        let state = exit.map_or(State::Running(session.id), State::Exited);
        if exit.is_some() {
            self.forget(session.id);
        }
        report::report(waiting_since.elapsed(), state, &output, budget)
    }
}

/// How long a call waits, first for a place among the running commands, then for its own to end.
fn wait(asked: Option<u64>) -> Duration {
    let (least, most) = YIELD_RANGE_MS;
    Duration::from_millis(asked.unwrap_or(YIELD_MS).clamp(least, most))
}

/// Whether a command is a patch in shell's clothing: `apply_patch` with an envelope, at most after going somewhere.
fn is_patch(command: &str) -> bool {
    let mut command = command.trim_start();
    if command.starts_with("cd ")
        && let Some((_, rest)) = command.split_once("&&")
    {
        command = rest.trim_start();
    }
    let program = command
        .split(|c: char| c.is_whitespace() || c == '<')
        .next();
    matches!(program, Some("apply_patch" | "applypatch")) && command.contains("*** Begin Patch")
}

/// An error with its causes, for the model.
fn not_run(error: &dyn std::error::Error) -> String {
    let mut text = format!("the command was not run: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "cmd": { "type": "string", "description": "The command, in the shell's language." },
            "justification": {
                "type": "string",
                "description": "With `require_escalated`: what to ask the user, as one question.",
            },
            "login": { "type": "boolean", "description": "Whether the shell reads the user's profile; true by default." },
            "max_output_tokens": { "type": "number", "description": "The most output to give, in tokens; 10000 by default." },
            "prefix_rule": {
                "type": "array",
                "description": "With `require_escalated`: the first words of commands like this one that may be approved together.",
                "items": { "type": "string" },
            },
            "sandbox_permissions": {
                "type": "string",
                "description": "`require_escalated` asks to run outside the sandbox; `use_default` by default.",
                "enum": ["use_default", "require_escalated"],
            },
            "shell": { "type": "string", "description": "The shell's path; the user's shell by default." },
            "tty": { "type": "boolean", "description": "Whether the command gets a terminal, so that you can type into it; false by default." },
            "workdir": { "type": "string", "description": "Where to run it; the working directory of the turn by default." },
            "yield_time_ms": { "type": "number", "description": "How long to wait for it to end, 250 to 30000; 10000 by default." },
        },
        "required": ["cmd"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_a_quarter_of_a_second_to_half_a_minute() {
        for (asked, expected) in [
            (None, 10_000),
            (Some(0), 250),
            (Some(251), 251),
            (Some(30_000), 30_000),
            (Some(u64::MAX), 30_000),
        ] {
            assert_eq!(wait(asked), Duration::from_millis(expected), "{asked:?}");
        }
    }

    #[test]
    fn a_patch_for_the_shell_is_recognised() {
        let patch = "*** Begin Patch\n*** Delete File: a\n*** End Patch";
        for (command, expected) in [
            (format!("apply_patch <<'EOF'\n{patch}\nEOF"), true),
            (format!("apply_patch<<EOF\n{patch}\nEOF"), true),
            (format!("  cd sub/dir && apply_patch '{patch}'"), true),
            (format!("applypatch \"{patch}\""), true),
            (format!("cat <<'EOF'\n{patch}\nEOF"), false),
            ("apply_patch --help".to_owned(), false),
            ("apply_patches '*** Begin Patch'".to_owned(), false),
            ("cd sub".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_patch(&command), expected, "{command}");
        }
    }
}
