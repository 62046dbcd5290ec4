//! `dovetail plugin explain`: would a plugin be let do something, and by which line.

use std::path::PathBuf;

use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::discovery::Found;
use dovetail_runtime::explain::{Action, Explanation, explain};
use dovetail_runtime::fs_rule::FsBase;
use dovetail_runtime::grant::Grant;
use dovetail_runtime::lock::Scope;
use dovetail_runtime::manifest_lines::{RequestLine, request_lines};
use dovetail_runtime::native::UNSANDBOXED;
use dovetail_runtime::state::State;
use serde_json::{Value, json};

use super::layout::{hanging, table};
use super::{Done, PluginContext, find};
use crate::fatal::Fatal;

pub(super) fn run(
    context: &PluginContext,
    plugin: &str,
    words: &[String],
    as_json: bool,
) -> anyhow::Result<Done> {
    let action = Action::parse(words).map_err(|error| {
        Fatal::new(error.to_string()).hint(
            "ask about one of: net URL · fs read|append|write PATH · process COMMAND… · env NAME · secret SLOT · owns SLOT · kv BYTES · client · class NAME",
        )
    })?;
    let catalogue = context.survey();
    let entry = find(&catalogue, plugin)?;
    let answer = Answer::of(entry, context, &action);
    Ok(Done {
        text: if as_json {
            format!("{:#}\n", answer.json())
        } else {
            answer.text()
        },
        declined: !answer.runs_and_allows(),
    })
}

struct Answer<'a> {
    entry: &'a Entry,
    action: &'a Action,
    explanation: Explanation,
    lines: Vec<RequestLine>,
    /// Why it does not run at all, and what to do.
    stopped: Option<(String, String)>,
}

impl<'a> Answer<'a> {
    fn of(entry: &'a Entry, context: &PluginContext, action: &'a Action) -> Self {
        let found = &entry.found;
        let nothing = Default::default();
        let grant = match &entry.state {
            State::Ready(grant) => grant.clone(),
            _ => Grant::intersect(&found.manifest.request, &nothing),
        };
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let base = FsBase {
            cwd: &context.cwd,
            home: home.as_deref(),
            codex_home: &context.home,
        };
        let stopped = entry
            .state
            .refusal(&found.manifest.id)
            .map(|refusal| (refusal.sentence, refusal.hint))
            .or_else(|| context.known(entry).complaint(entry));
        Self {
            explanation: explain(&found.manifest.request, &grant, &base, action),
            lines: manifest_text(found).map_or(Vec::new(), |text| request_lines(&text)),
            entry,
            action,
            stopped,
        }
    }

    fn runs_and_allows(&self) -> bool {
        (self.explanation.allowed || self.is_unconfined()) && self.stopped.is_none()
    }

    fn is_native(&self) -> bool {
        self.entry.found.manifest.native
    }

    /// Whether it can do that by itself, without dovetail: a grant is then about what dovetail does on its behalf.
    fn is_unconfined(&self) -> bool {
        let by_itself = match self.action {
            Action::Net(_) | Action::File { .. } | Action::Process(_) | Action::Env(_) => true,
            Action::Secret(_)
            | Action::Owns(_)
            | Action::Kv(_)
            | Action::Client
            | Action::Class(_) => false,
        };
        by_itself && self.is_native()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.is_native() {
            let granted = match (self.is_unconfined(), self.explanation.allowed) {
                (true, true) => "dovetail does this on its behalf, too",
                (true, false) => "dovetail itself does not do this on its behalf",
                (false, _) => "this is about what dovetail does on its behalf",
            };
            notes.push(format!(
                "it is {UNSANDBOXED} native code, which can do whatever you can; {granted}"
            ));
        }
        if self.explanation.allowed || !self.is_native() {
            notes.extend(self.explanation.notes.iter().map(ToString::to_string));
        }
        notes
    }

    /// Where a rule is written.
    fn place(&self, rule: usize) -> String {
        let rule = &self.explanation.rules[rule];
        if self.entry.found.scope == Scope::Builtin {
            return "your configuration".to_owned();
        }
        let line = self
            .lines
            .iter()
            .find(|line| line.key == self.action.key() && line.rule == rule.text);
        match line {
            Some(line) => format!("plugin.toml:{}", line.line),
            None if rule.requested => "plugin.toml".to_owned(),
            None => "plugins.lock".to_owned(),
        }
    }

    fn text(&self) -> String {
        let key = self.action.key();
        let rows: Vec<Vec<String>> = (0..self.explanation.rules.len())
            .map(|at| {
                let rule = &self.explanation.rules[at];
                let granted = if rule.granted {
                    "granted"
                } else {
                    "not granted"
                };
                let matches = if rule.matches { "matches" } else { "no match" };
                [
                    (at + 1).to_string(),
                    format!("{key} {}", rule.text),
                    self.place(at),
                    granted.to_owned(),
                    matches.to_owned(),
                ]
                .to_vec()
            })
            .collect();
        let mut text = if rows.is_empty() {
            String::new()
        } else {
            table(&["", "rule", "from", "grant", ""], &rows)
        };
        let (sentence, hint) = self.verdict();
        text.push_str(&format!("{}\n", hanging(&format!("result: {sentence}"), 8)));
        if self.runs_and_allows() || self.is_native() {
            for note in self.notes() {
                text.push_str(&format!("{}\n", hanging(&format!("note: {note}"), 6)));
            }
        }
        text.extend(hint.map(|hint| format!("hint: {hint}\n")));
        text
    }

    fn verdict(&self) -> (String, Option<String>) {
        let id = &self.entry.found.manifest.id;
        let what = self.action;
        if let Some((why, hint)) = &self.stopped {
            return (format!("no, it does not run: {why}"), Some(hint.clone()));
        }
        let by = self.explanation.by();
        if self.is_unconfined() {
            return (format!("yes, nothing keeps it from that: {what}"), None);
        }
        match (self.explanation.allowed, by) {
            (true, Some(rule)) => (format!("yes ({}), it may {what}", rule + 1), None),
            (true, None) => (format!("yes, every plugin may {what}"), None),
            (false, Some(rule)) => (
                format!(
                    "no, it asks to {what} ({}), and that is not granted",
                    rule + 1
                ),
                Some(format!(
                    "dovetail plugin grant {id}    shows what it asks for, and asks"
                )),
            ),
            (false, None) if self.entry.found.scope == Scope::Builtin => (
                format!("no, nothing in your configuration lets it {what}"),
                None,
            ),
            (false, None) => (
                format!("no, its manifest does not ask to {what}"),
                Some(format!(
                    "its author must add it to `{}` under [request] of its plugin.toml",
                    what.key()
                )),
            ),
        }
    }

    fn json(&self) -> Value {
        let rules: Vec<Value> = (0..self.explanation.rules.len())
            .map(|at| {
                let rule = &self.explanation.rules[at];
                json!({
                    "rule": rule.text,
                    "from": self.place(at),
                    "requested": rule.requested,
                    "granted": rule.granted,
                    "matches": rule.matches,
                })
            })
            .collect();
        let (sentence, hint) = self.verdict();
        json!({
            "plugin": self.entry.found.manifest.id,
            "action": self.action.key(),
            "sandboxed": !self.is_native(),
            "mark": self.is_native().then_some(UNSANDBOXED),
            "rules": rules,
            "allowed": self.runs_and_allows(),
            "by": self.explanation.by().filter(|_| self.runs_and_allows()).map(|at| at + 1),
            "result": sentence,
            "hint": hint,
            "notes": self.notes(),
        })
    }
}

/// The manifest as written; none where it cannot be read any more, and then no line numbers are known.
fn manifest_text(found: &Found) -> Option<String> {
    std::fs::read_to_string(found.dir.as_ref()?.join("plugin.toml")).ok()
}
