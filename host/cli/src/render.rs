//! What a person sees of `exec`: one line for each thing that happened, on standard error. The answer alone goes to
//! standard output, so that it can be piped.

mod frame;
mod style;
mod words;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_core::event::{
    ActivityStatus, Compacted, FileChange, FileChangeKind, HookResult, HookRun, Observer, PlanStep,
    ToolActivity, TurnEvent,
};
use dovetail_core::ids::{CallId, ThreadId};
use dovetail_core::item::{ResponseItem, SummaryPart};
use dovetail_core::usage::TokenUsage;
use serde_json::Value;

pub(crate) use self::frame::{Banner, farewell, prompt, warning};
pub(crate) use self::style::{Ink, Style};
pub(crate) use self::words::script;
use self::words::{SUBJECT, WIDTH, changed_lines, columns, paragraph, short_arguments};
use crate::terminal_text::{grouped, one_line, short_duration, visible};

/// Who reads the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A person, who sees the transcript too: it looks like part of it.
    Person,
    /// A program or a file: it is left as it is.
    Program,
}

/// The answer for its reader.
fn answer(text: &str, reader: Reader, style: Style) -> String {
    match reader {
        Reader::Person => format!("{}\n", paragraph(&style.paint(Ink::Bold, "•"), text)),
        Reader::Program if text.ends_with('\n') => text.to_owned(),
        Reader::Program => format!("{text}\n"),
    }
}

/// How much of the model's reasoning people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// Nothing.
    Hidden,
    /// The titles of its summaries.
    Summaries,
    /// Those, and the reasoning itself where the model sends it.
    Whole,
}

/// How a transcript looks.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) style: Style,
    pub(crate) reader: Reader,
    /// Paths below it are shown without it.
    pub(crate) cwd: PathBuf,
    pub(crate) thinking: Thinking,
}

/// Writes a line for each thing that happens.
pub(crate) struct Transcript<W, A> {
    out: W,
    answer: A,
    reader: Reader,
    style: Style,
    cwd: PathBuf,
    thinking: Thinking,
    /// The newest message of the model: shown when it turns out not to be the answer.
    held_message: Option<String>,
    /// Calls that have a line already.
    shown_calls: HashSet<CallId>,
    /// What a reviewer used, where one worked.
    reviewer_used: Option<TokenUsage>,
    /// Refusals that have a line already, and whose calls are still to be reported as failed.
    refusals: usize,
}

impl<W: Write + Send, A: Write + Send> Transcript<W, A> {
    /// Writes to `out`, which should be standard error, and the answer to `answer`, which should be standard output.
    pub(crate) fn new(out: W, answer: A, look: &Look) -> Self {
        Self {
            out,
            answer,
            reader: look.reader,
            style: look.style,
            cwd: look.cwd.clone(),
            thinking: look.thinking,
            held_message: None,
            shown_calls: HashSet::new(),
            reviewer_used: None,
            refusals: 0,
        }
    }

    /// One write for each text: lines of other writers do not get in between.
    fn write(&mut self, text: &str) {
        // A reader that went away is no error of the turn.
        drop(
            self.out
                .write_all(text.as_bytes())
                .and_then(|()| self.out.flush()),
        );
    }

    /// A line such as `  ran   sh test.sh       exit 1   12 ms`.
    fn line(&mut self, ink: Ink, label: &str, subject: &str, detail: &str) {
        self.release_message();
        let (subject, detail) = columns(subject, detail);
        let label = self.style.paint(ink, &format!("{label:<5}"));
        let line = format!("  {label} {subject}{}", self.style.paint(Ink::Dim, &detail));
        self.write(&format!("{}\n", line.trim_end()));
    }

    /// A refusal: its reason gets a line of its own where it does not fit, since it must not be cut.
    fn refusal(&mut self, subject: &str, who: &str, why: &str) {
        let detail = format!("{who}: {why}");
        if one_line(subject, SUBJECT).chars().count() + 3 + visible(&detail).chars().count()
            <= WIDTH
        {
            return self.line(Ink::Bad, "deny", subject, &detail);
        }
        self.line(Ink::Bad, "deny", subject, who);
        for line in why.lines() {
            self.write(&format!("        {}\n", visible(line)));
        }
    }

    fn release_message(&mut self) {
        if let Some(text) = self.held_message.take() {
            let text = paragraph(&self.style.paint(Ink::Bold, "•"), &text);
            self.write(&format!("{text}\n"));
        }
    }

    fn recorded(&mut self, item: &ResponseItem) {
        match item {
            ResponseItem::Reasoning {
                summary, content, ..
            } if self.thinking != Thinking::Hidden => {
                for SummaryPart::SummaryText { text } in summary {
                    let title = text.trim().lines().next().unwrap_or("").replace("**", "");
                    self.line(Ink::Dim, "think", &title, "");
                }
                if self.thinking == Thinking::Whole {
                    self.whole_reasoning(content.as_ref());
                }
            }
            ResponseItem::WebSearchCall {
                action: Some(action),
                ..
            } => {
                let query = action["query"].as_str().unwrap_or_default().to_owned();
                self.line(Ink::Dim, "web", &query, "");
            }
            item => {
                if let Some(text) = item.assistant_text() {
                    self.release_message();
                    self.held_message = Some(text);
                }
            }
        }
    }

    /// The reasoning itself, where the model sends it.
    fn whole_reasoning(&mut self, content: Option<&Value>) {
        let parts = content.and_then(Value::as_array).into_iter().flatten();
        for text in parts.filter_map(|part| part["text"].as_str()) {
            self.release_message();
            for line in text.trim().lines() {
                let line = self.style.paint(Ink::Dim, &visible(line));
                self.write(&format!("        {line}\n"));
            }
        }
    }

    fn finished(&mut self, activity: &ToolActivity, duration: Duration) {
        if self.refusals > 0 && is_declined(activity) {
            // The line that says who refused it is all there is to say.
            self.refusals -= 1;
            return;
        }
        let took = short_duration(duration);
        match activity {
            ToolActivity::Command {
                command,
                exit_code,
                status,
                ..
            } => {
                let outcome = match (exit_code, status) {
                    (_, ActivityStatus::Declined) => "declined".to_owned(),
                    (Some(code), _) => format!("exit {code}"),
                    (None, ActivityStatus::Completed | ActivityStatus::InProgress) => {
                        "running".to_owned()
                    }
                    (None, ActivityStatus::Failed) => "failed".to_owned(),
                };
                let ink = if *exit_code == Some(0) {
                    Ink::Good
                } else {
                    Ink::Note
                };
                self.line(
                    ink,
                    "ran",
                    script(command),
                    &format!("{outcome:<7}  {took}"),
                );
            }
            ToolActivity::Patch { changes, status } => {
                for change in changes {
                    self.patched(change, *status);
                }
            }
            ToolActivity::Server {
                server,
                tool,
                arguments,
                error,
                status,
                ..
            } => {
                let subject = format!("{server}.{tool}({})", short_arguments(arguments));
                let detail = match (error, status) {
                    (Some(error), _) => format!("failed: {error}"),
                    (None, ActivityStatus::Failed) => format!("failed   {took}"),
                    (None, ActivityStatus::Declined) => "declined".to_owned(),
                    (None, ActivityStatus::Completed | ActivityStatus::InProgress) => took,
                };
                let ink = if *status == ActivityStatus::Completed {
                    Ink::Good
                } else {
                    Ink::Note
                };
                self.line(ink, "tool", &subject, &detail);
            }
            ToolActivity::Plan { explanation, steps } => {
                self.line(Ink::Dim, "plan", explanation.as_deref().unwrap_or(""), "");
                for step in steps {
                    self.planned(step);
                }
            }
            ToolActivity::Image { path } => {
                let path = self.relative(path);
                self.line(Ink::Dim, "view", &path, "");
            }
        }
    }

    fn planned(&mut self, PlanStep { step, status }: &PlanStep) {
        let mark = match status.as_str() {
            "completed" => self.style.paint(Ink::Good, "✓"),
            "in_progress" => self.style.paint(Ink::Bold, "›"),
            _ => self.style.paint(Ink::Dim, "·"),
        };
        self.write(&format!("        {mark} {}\n", one_line(step, 70)));
    }

    fn patched(&mut self, change: &FileChange, status: ActivityStatus) {
        let (added, removed) = changed_lines(&change.diff);
        let counts = match change.kind {
            FileChangeKind::Add => format!("+{added}   new"),
            FileChangeKind::Delete => format!("−{removed}   removed"),
            FileChangeKind::Update => format!("+{added} −{removed}"),
        };
        let moved = change
            .moved_to
            .as_ref()
            .map(|to| format!("   → {}", self.relative(to)))
            .unwrap_or_default();
        let (ink, detail) = match status {
            ActivityStatus::Completed | ActivityStatus::InProgress => (Ink::Good, counts + &moved),
            ActivityStatus::Failed => (Ink::Note, "failed".to_owned()),
            ActivityStatus::Declined => (Ink::Bad, "declined".to_owned()),
        };
        let path = self.relative(&change.path);
        self.line(ink, "edit", &path, &detail);
    }

    fn hook_ran(&mut self, run: &HookRun) {
        let who = format!("hook `{}`", run.plugin);
        match &run.result {
            HookResult::Denied(reason) => {
                self.refusals += usize::from(run.event == "PreToolUse");
                self.refusal(&run.subject, &who, &format!("\"{reason}\""));
            }
            HookResult::Failed { why, closed: true } => {
                self.refusals += usize::from(run.event == "PreToolUse");
                self.refusal(&run.subject, &who, &format!("failed: {why}"));
            }
            HookResult::Failed { why, closed: false } => {
                self.release_message();
                self.write(&warning(
                    self.style,
                    &format!("{who} failed and was passed over: {why}"),
                ));
            }
            HookResult::Rewrote => self.line(
                Ink::Note,
                "hook",
                &run.subject,
                &format!("rewritten by `{}`", run.plugin),
            ),
            HookResult::Passed => {}
        }
        if let Some(message) = &run.message {
            self.line(Ink::Dim, "hook", message, &format!("`{}`", run.plugin));
        }
    }

    /// A line such as `  pack  context compacted     241,300 → about 9,800 tokens   3.1 s`.
    fn compacted(&mut self, compacted: &Compacted) {
        let detail = format!(
            "{} → about {} tokens   {}",
            grouped(compacted.tokens_before),
            grouped(compacted.tokens_after),
            short_duration(compacted.duration)
        );
        self.line(Ink::Note, "pack", "context compacted", &detail);
    }

    /// Calls that nothing else was said about: a tool that does not exist, arguments that make no sense.
    fn called(&mut self, call_id: &CallId, tool: &str, output: &str) {
        if self.shown_calls.contains(call_id) {
            return;
        }
        if self.refusals > 0 {
            self.refusals -= 1;
            return;
        }
        self.line(Ink::Note, "fail", tool, output);
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.cwd)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }

    fn tokens(&mut self, usage: TokenUsage) {
        let total = if usage.total_tokens > 0 {
            usage.total_tokens
        } else {
            usage.input_tokens + usage.output_tokens
        };
        let text = format!(
            "tokens used {} (in {}, of it cached {}; out {})",
            grouped(total),
            grouped(usage.input_tokens),
            grouped(usage.cached_input_tokens),
            grouped(usage.output_tokens)
        );
        let text = self.style.paint(Ink::Dim, &text);
        self.write(&format!("{text}\n"));
    }
}

impl<W: Write + Send, A: Write + Send> Transcript<W, A> {
    /// A line about the connection.
    fn note(&mut self, text: &str) {
        let text = self.style.paint(Ink::Note, text);
        self.write(&format!("{text}\n"));
    }
}

impl<W: Write + Send, A: Write + Send> Observer for Transcript<W, A> {
    fn observe(&mut self, _: ThreadId, event: &TurnEvent) {
        match event {
            TurnEvent::ItemRecorded { item, .. } => self.recorded(item),
            TurnEvent::ToolStarted { call_id, .. } => {
                self.shown_calls.insert(call_id.clone());
            }
            TurnEvent::ToolFinished {
                call_id,
                activity,
                duration,
            } => {
                self.shown_calls.insert(call_id.clone());
                self.finished(activity, *duration);
            }
            TurnEvent::ToolCalled {
                call_id,
                tool,
                success: false,
                output,
                ..
            } => self.called(call_id, tool, output),
            TurnEvent::HookRan(run) => self.hook_ran(run),
            TurnEvent::Reconnecting {
                attempt,
                max,
                reason,
                delay,
            } => {
                self.release_message();
                self.note(&format!(
                    "Reconnecting... {attempt}/{max} ({}), in {}",
                    visible(reason),
                    short_duration(*delay)
                ));
            }
            TurnEvent::WaitingForNetwork { reason } => {
                self.release_message();
                self.note(&format!(
                    "Reconnecting... waiting for network ({}), until Ctrl-C",
                    visible(reason)
                ));
            }
            TurnEvent::Compacted(compacted) => self.compacted(compacted),
            TurnEvent::Warning { message } => {
                self.release_message();
                self.write(&warning(self.style, message));
            }
            TurnEvent::TurnCompleted {
                last_message,
                thread_total,
                ..
            } => {
                if self.held_message == *last_message {
                    self.held_message = None;
                }
                self.release_message();
                if let Some(text) = last_message {
                    let text = answer(text, self.reader, self.style);
                    // As above.
                    drop(
                        self.answer
                            .write_all(text.as_bytes())
                            .and_then(|()| self.answer.flush()),
                    );
                }
                self.tokens(self.reviewer_used.unwrap_or(*thread_total));
            }
            TurnEvent::ReviewEnded { usage, .. } => self.reviewer_used = Some(*usage),
            TurnEvent::TurnFailed { message, .. } => {
                self.release_message();
                let label = self.style.paint(Ink::Bad, "error:");
                self.write(&format!("{label} {}\n", visible(message)));
            }
            TurnEvent::TurnAborted { .. } => {
                self.release_message();
                let text = self.style.paint(Ink::Note, "interrupted");
                self.write(&format!("{text}\n"));
            }
            TurnEvent::TurnStarted { .. }
            | TurnEvent::ReviewStarted { .. }
            | TurnEvent::Settings { .. }
            | TurnEvent::UserMessage { .. }
            | TurnEvent::MessageStarted { .. }
            | TurnEvent::TextDelta { .. }
            | TurnEvent::MessageAbandoned { .. }
            | TurnEvent::ReasoningDelta { .. }
            | TurnEvent::ApprovalRequested(_)
            | TurnEvent::ToolCalled { success: true, .. }
            | TurnEvent::ContextFull { .. }
            | TurnEvent::CompactionStarted { .. }
            | TurnEvent::CompactionAbandoned { .. }
            | TurnEvent::RequestCompleted { .. } => {}
        }
    }
}

fn is_declined(activity: &ToolActivity) -> bool {
    match activity {
        ToolActivity::Command { status, .. }
        | ToolActivity::Patch { status, .. }
        | ToolActivity::Server { status, .. } => *status == ActivityStatus::Declined,
        ToolActivity::Plan { .. } | ToolActivity::Image { .. } => false,
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
