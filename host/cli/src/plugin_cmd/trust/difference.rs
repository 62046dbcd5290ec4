//! What differs between a plugin as it was accepted and as it is.

use dovetail_runtime::capability::Capabilities;
use dovetail_runtime::digest::Sha256;
use dovetail_runtime::discovery::Found;
use dovetail_runtime::lock::LockEntry;
use dovetail_runtime::native::UNSANDBOXED;
use serde_json::{Value, json};

use super::super::layout::labelled;

/// The column in which values start.
const LABELS: usize = 13;

/// What differs.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Difference {
    /// What is not as it was: name, before, now.
    facts: Vec<(&'static str, Option<String>, Option<String>)>,
    /// What it asks for and did not get before.
    added: Capabilities,
    /// What it got and does not ask for any more.
    removed: Capabilities,
    /// What it got and goes on asking for.
    kept: Capabilities,
    /// What it would have when this is accepted.
    granted: Capabilities,
    /// Whether its calls could go further.
    further: bool,
    /// Whether it was in the sandbox and would not be any more.
    leaves_the_sandbox: bool,
}

impl Difference {
    /// Compares what was accepted (nothing, if nobody did) with what would be accepted now.
    pub(in super::super) fn between(
        before: Option<&LockEntry>,
        found: &Found,
        now: &LockEntry,
    ) -> Self {
        let had = before
            .map(|entry| entry.granted.clone())
            .unwrap_or_default();
        let request = &found.manifest.request;
        // What was withheld of the same request stays withheld.
        let same = before.is_some_and(|entry| entry.request == now.request);
        let granted = if same { had.clone() } else { request.clone() };
        Self {
            facts: facts(before, now),
            added: granted.beyond(&had),
            removed: had.beyond(&granted),
            kept: had.meet(&granted),
            granted,
            further: before
                .and_then(|entry| entry.limits)
                .is_some_and(|limits| found.manifest.limits.goes_beyond(&limits)),
            leaves_the_sandbox: false,
        }
    }

    /// The same of a component that becomes native code.
    pub(in super::super) fn leaving_the_sandbox(mut self, leaves: bool) -> Self {
        self.leaves_the_sandbox = leaves;
        self
    }

    /// Whether all is as it was.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.added.is_empty() && self.removed.is_empty()
    }

    /// Whether it would get more than before.
    pub(in super::super) fn widens(&self) -> bool {
        self.further || self.leaves_the_sandbox || !self.added.is_empty()
    }

    /// What it would have when this is accepted.
    pub(in super::super) fn granted(&self) -> &Capabilities {
        &self.granted
    }

    /// Line by line, for people.
    pub(in super::super) fn text(&self) -> String {
        let mut text = String::new();
        for (what, before, now) in &self.facts {
            let words = match (before, now) {
                (Some(before), Some(now)) => format!("{before} → {now}"),
                (None, Some(now)) => now.clone(),
                (Some(before), None) => format!("{before} → none"),
                (None, None) => continue,
            };
            text.push_str(&labelled(&format!("  {what}"), LABELS, &words));
        }
        if self.leaves_the_sandbox {
            let words = format!("+ run {UNSANDBOXED}, with everything that you may do");
            text.push_str(&labelled("  may", LABELS, &words));
        }
        let lists = [("+", &self.added), ("-", &self.removed), ("=", &self.kept)];
        let mut label = if self.leaves_the_sandbox { "" } else { "  may" };
        for (sign, capabilities) in lists {
            for words in capabilities.words() {
                text.push_str(&labelled(label, LABELS, &format!("{sign} {words}")));
                label = "";
            }
        }
        text
    }

    /// The same for programs.
    pub(in super::super) fn json(&self) -> Value {
        let fact = |(what, before, now): &(&str, Option<String>, Option<String>)| json!({ "what": what, "before": before, "now": now });
        json!({
            "changes": self.facts.iter().map(fact).collect::<Vec<_>>(),
            "capabilities": {
                "added": self.added.words(),
                "removed": self.removed.words(),
                "kept": self.kept.words(),
            },
        })
    }
}

type Read<'a> = &'a dyn Fn(&LockEntry) -> Option<String>;
type Fact = (&'static str, Option<String>, Option<String>);

fn facts(before: Option<&LockEntry>, now: &LockEntry) -> Vec<Fact> {
    let source = |entry: &LockEntry| entry.source.as_ref().map(ToString::to_string);
    let signer = |entry: &LockEntry| entry.signer.as_ref().map(ToString::to_string);
    let config = |entry: &LockEntry| entry.config.as_ref().map(Sha256::to_string);
    let limits = |entry: &LockEntry| entry.limits.map(|limits| limits.to_string());
    let all: [(&str, Read<'_>); 7] = [
        ("version", &|entry| Some(entry.version.clone())),
        ("sha256", &|entry| Some(entry.wasm.to_string())),
        ("api", &|entry| entry.api.clone()),
        ("limits", &limits),
        ("config", &config),
        ("source", &source),
        ("signer", &signer),
    ];
    let fact = |(what, read): (&'static str, Read<'_>)| {
        let (before, now) = (before.and_then(read), read(now));
        (before != now).then_some((what, before, now))
    };
    all.into_iter().filter_map(fact).collect()
}
