//! `dovetail plugin list`.

use dovetail_runtime::catalogue::{Catalogue, Entry};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::native::UNSANDBOXED;
use dovetail_runtime::state::State;

use super::known::Known;
use super::layout::{duration, hanging, table_with_notes};
use super::{Done, PluginContext, json, whole};
use crate::out;

/// The columns. What a plugin may do stands in a paragraph below its row: it needs the width.
const HEAD: [&str; 7] = ["plugin", "kind", "state", "calls", "p50", "p95", "faults"];

pub(super) fn run(context: &PluginContext, as_json: bool) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    if as_json {
        return Ok(Done::with(format!(
            "{:#}\n",
            json::catalogue(&catalogue, context)
        )));
    }
    for notice in &catalogue.notices {
        out::stderr(&format!("warning: {notice}\n"));
    }
    Ok(Done::with(render(&catalogue, context)))
}

/// The table, then what needs a person.
pub(super) fn render(catalogue: &Catalogue, context: &PluginContext) -> String {
    let known: Vec<(&Entry, Known)> = catalogue
        .entries
        .iter()
        .map(|entry| (entry, context.known(entry)))
        .collect();
    let broken = catalogue.problems.iter().map(|problem| {
        let cells = [problem.name.as_str(), "?", "broken", "–", "–", "–", "–"];
        (
            cells.map(str::to_owned).to_vec(),
            problem.scope.name().to_owned(),
        )
    });
    let rows: Vec<(Vec<String>, String)> = known
        .iter()
        .map(|(entry, known)| (cells(entry, known), below(entry, known)))
        .chain(broken)
        .collect();
    if rows.is_empty() {
        return "no plugins; install one with: dovetail plugin install <folder>\n".to_owned();
    }
    let mut text = table_with_notes(&HEAD, &rows);
    let notes = notes(catalogue, &known);
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    text
}

/// What a plugin may do, with the mark of native ones in front: that list is the least of it.
pub(crate) fn with_mark(granted: String, native: bool) -> String {
    match native {
        true if granted == "–" => UNSANDBOXED.to_owned(),
        true => format!("{UNSANDBOXED}, {granted}"),
        false => granted,
    }
}

fn cells(entry: &Entry, known: &Known) -> Vec<String> {
    let manifest = &entry.found.manifest;
    let kinds: Vec<&str> = manifest.kinds.iter().map(|kind| kind.name()).collect();
    let stats = known
        .activity
        .as_ref()
        .map(|known| known.stats)
        .unwrap_or_default();
    let number = |number: u64| match number {
        0 => "–".to_owned(),
        number => number.to_string(),
    };
    let time = |time: Option<std::time::Duration>| time.map_or("–".to_owned(), duration);
    vec![
        manifest.id.to_string(),
        kinds.join("+"),
        known.state(entry).to_owned(),
        number(stats.calls),
        time(stats.p50),
        time(stats.p95),
        number(stats.faults),
    ]
}

/// Where it is from, which one it is, and what it may do.
fn below(entry: &Entry, known: &Known) -> String {
    let manifest = &entry.found.manifest;
    let mut words = vec![format!("{} {}", entry.found.scope.name(), manifest.version)];
    words.extend(
        known
            .activity
            .as_ref()
            .map(|known| format!("generation {}", known.generation)),
    );
    if entry.found.scope != Scope::Builtin {
        words.push(super::known::signer(entry));
    }
    if manifest.native {
        // What follows is the least of it.
        words.push(UNSANDBOXED.to_owned());
    }
    let asks = manifest.request.summary();
    match &entry.state {
        State::Ready(grant) => {
            let granted = grant.capabilities().summary();
            if entry.found.scope != Scope::Builtin && granted != asks {
                words.push(format!("asks {asks}"));
            }
            words.push(format!("granted {granted}"));
        }
        _ => words.push(format!("asks {asks}")),
    }
    words.join(" · ")
}

fn notes(catalogue: &Catalogue, known: &[(&Entry, Known)]) -> String {
    let mut notes = String::new();
    let mut note = |sentence: &str, hint: Option<String>| {
        notes.push_str(&format!("{}\n", hanging(sentence, 0)));
        notes.extend(hint.map(|hint| format!("hint: {hint}\n")));
    };
    for (entry, known) in known {
        if let Some(refusal) = entry.state.refusal(&entry.found.manifest.id) {
            note(&refusal.sentence, Some(refusal.hint));
        }
        if let Some((sentence, hint)) = known.complaint(entry) {
            note(&sentence, Some(hint));
        }
    }
    for problem in &catalogue.problems {
        let sentence = format!("plugin `{}`: {}", problem.name, whole(&problem.error));
        note(&sentence, problem.error.hint());
    }
    for shadowed in &catalogue.shadowed {
        let (id, by, hidden) = (&shadowed.id, shadowed.by.name(), shadowed.hidden.name());
        note(
            &format!("the {by} plugin `{id}` is used in place of the {hidden} one"),
            None,
        );
    }
    notes
}
