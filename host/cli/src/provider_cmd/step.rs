//! The steps of a test, and how they are told: as they are done to people, and all at once to programs.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::page::Page;
use crate::out;
use crate::render::Ink;
use crate::terminal_text::short_duration;

/// The steps, in their order.
pub(super) const STEPS: [&str; 10] = [
    CONFIGURATION,
    PLUGIN,
    DNS,
    TCP,
    PROXY,
    TLS,
    CREDENTIAL,
    MODELS,
    STREAM,
    TOOLS,
];
pub(super) const CONFIGURATION: &str = "configuration";
pub(super) const PLUGIN: &str = "plugin";
pub(super) const DNS: &str = "dns";
pub(super) const TCP: &str = "tcp";
pub(super) const PROXY: &str = "proxy";
pub(super) const TLS: &str = "tls";
pub(super) const CREDENTIAL: &str = "credential";
pub(super) const MODELS: &str = "models";
pub(super) const STREAM: &str = "stream";
pub(super) const TOOLS: &str = "tools";

/// Where what is known of a step begins.
const FACTS: usize = 24;

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Status {
    Ok,
    Failed,
    /// There is nothing to do.
    Skipped,
    /// One before it failed.
    NotReached,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::NotReached => "–",
        }
    }

    fn ink(self) -> Ink {
        match self {
            Self::Ok => Ink::Good,
            Self::Failed => Ink::Bad,
            Self::Skipped | Self::NotReached => Ink::Dim,
        }
    }
}

/// A step that is done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Step {
    step: &'static str,
    pub(super) status: Status,
    /// What is known now.
    fact: String,
    /// What to do, where it failed.
    fix: Vec<String>,
    /// Milliseconds; none where nothing was done.
    ms: Option<u64>,
}

/// What a step says that did not fail.
#[derive(Debug)]
pub(super) struct Told<T> {
    pub(super) value: T,
    pub(super) status: Status,
    pub(super) fact: String,
}

impl<T> Told<T> {
    pub(super) fn ok(value: T, fact: impl Into<String>) -> Self {
        Self {
            value,
            status: Status::Ok,
            fact: fact.into(),
        }
    }

    pub(super) fn skipped(value: T, fact: impl Into<String>) -> Self {
        Self {
            status: Status::Skipped,
            ..Self::ok(value, fact)
        }
    }
}

/// Why a step failed, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) fact: String,
    pub(super) fix: Vec<String>,
}

impl Failed {
    pub(super) fn new(fact: impl Into<String>, fix: Vec<String>) -> Self {
        Self {
            fact: fact.into(),
            fix,
        }
    }
}

/// What a step comes to.
pub(super) type Outcome<T> = Result<Told<T>, Failed>;

/// The steps so far.
#[derive(Debug)]
pub(super) struct Steps {
    /// Where they are told as they are done.
    page: Option<Page>,
    done: Vec<Step>,
}

impl Steps {
    pub(super) fn new(page: Option<Page>) -> Self {
        Self {
            page,
            done: Vec::new(),
        }
    }

    /// Notes what came of a step; gives its value, or its failure.
    pub(super) fn note<T>(
        &mut self,
        step: &'static str,
        took: Duration,
        outcome: Outcome<T>,
    ) -> Result<T, Failed> {
        let ms = |status| {
            let whole = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            (status != Status::Skipped).then_some(whole)
        };
        let (noted, result) = match outcome {
            Ok(Told {
                value,
                status,
                fact,
            }) => {
                let noted = Step {
                    step,
                    status,
                    fact,
                    fix: Vec::new(),
                    ms: ms(status),
                };
                (noted, Ok(value))
            }
            Err(failed) => {
                let noted = Step {
                    step,
                    status: Status::Failed,
                    fact: failed.fact.clone(),
                    fix: failed.fix.clone(),
                    ms: ms(Status::Failed),
                };
                (noted, Err(failed))
            }
        };
        self.push(noted, Some(took));
        result
    }

    /// Notes that the steps after the last one were not reached.
    pub(super) fn leave_out_the_rest(&mut self) {
        for step in STEPS.iter().skip(self.done.len()) {
            let step = Step {
                step,
                status: Status::NotReached,
                fact: "not reached".to_owned(),
                fix: Vec::new(),
                ms: None,
            };
            self.push(step, None);
        }
    }

    /// The step that failed.
    pub(super) fn failed(&self) -> Option<&'static str> {
        let mut done = self.done.iter();
        done.find(|step| step.status == Status::Failed)
            .map(|step| step.step)
    }

    pub(super) fn json(&self) -> Value {
        json!(self.done)
    }

    fn push(&mut self, step: Step, took: Option<Duration>) {
        if let Some(page) = self.page {
            out::stdout(&line(page, &step, took));
        }
        self.done.push(step);
    }
}

fn line(page: Page, step: &Step, took: Option<Duration>) -> String {
    let word = step.status.word();
    let padding = " ".repeat(9_usize.saturating_sub(word.chars().count()));
    let painted = page.style.paint(step.status.ink(), word);
    let head = format!("{painted}{padding}{}", step.step);
    let took = took.filter(|took| step.status != Status::Skipped && took.as_millis() > 0);
    let fact = match took {
        Some(took) => format!("{} ({})", step.fact, short_duration(took)),
        None => step.fact.clone(),
    };
    let mut text = page.beside(&head, 9 + step.step.len(), FACTS, &fact);
    for fix in &step.fix {
        let column = page.column(FACTS);
        let lines = page.indented(column + 2, fix);
        let arrow = format!("{}→ {}", " ".repeat(column), lines.trim_start());
        text.push_str(&arrow);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_line_with_its_fix_below() {
        let step = Step {
            step: TLS,
            status: Status::Failed,
            fact: "nobody here knows who vouches for its certificate".to_owned(),
            fix: vec!["name the authority".to_owned()],
            ms: Some(12),
        };
        let took = Some(Duration::from_millis(12));
        assert_eq!(
            line(Page::plain(80), &step, took),
            "failed   tls            nobody here knows who vouches for its certificate (12\n                        \
             ms)\n                        → name the authority\n"
        );
        assert_eq!(
            line(Page::plain(40), &step, took),
            "failed   tls\n    nobody here knows who vouches for\n    its certificate (12 ms)\n    → name the authority\n"
        );
    }
}
