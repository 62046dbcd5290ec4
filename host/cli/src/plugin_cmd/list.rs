//! `dovetail plugin list`.

use dovetail_runtime::catalogue::{Catalogue, Entry};
use dovetail_runtime::state::State;

use super::layout::{hanging, table};
use super::{Done, PluginContext, json, whole};
use crate::out;

pub(super) fn run(context: &PluginContext, as_json: bool) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    if as_json {
        return Ok(Done::with(format!("{:#}\n", json::catalogue(&catalogue))));
    }
    for notice in &catalogue.notices {
        out::stderr(&format!("warning: {notice}\n"));
    }
    Ok(Done::with(render(&catalogue)))
}

/// The table, then what needs a person.
pub(super) fn render(catalogue: &Catalogue) -> String {
    let broken = catalogue.problems.iter().map(|problem| {
        let cells = [
            problem.name.as_str(),
            "?",
            problem.scope.name(),
            "?",
            "broken",
            "–",
        ];
        cells.map(str::to_owned).to_vec()
    });
    let rows: Vec<Vec<String>> = catalogue.entries.iter().map(row).chain(broken).collect();
    if rows.is_empty() {
        return "no plugins; install one with: dovetail plugin install <folder>\n".to_owned();
    }
    let mut text = table(
        &["plugin", "kind", "source", "version", "state", "granted"],
        &rows,
    );
    let mut notes = String::new();
    for entry in &catalogue.entries {
        if let Some(refusal) = entry.state.refusal(&entry.found.manifest.id) {
            notes.push_str(&format!(
                "{}\nhint: {}\n",
                hanging(&refusal.sentence, 0),
                refusal.hint
            ));
        }
    }
    for problem in &catalogue.problems {
        notes.push_str(&format!(
            "{}\n",
            hanging(
                &format!("plugin `{}`: {}", problem.name, whole(&problem.error)),
                0
            )
        ));
        notes.extend(problem.error.hint().map(|hint| format!("hint: {hint}\n")));
    }
    for shadowed in &catalogue.shadowed {
        let (id, by, hidden) = (&shadowed.id, shadowed.by.name(), shadowed.hidden.name());
        notes.push_str(&format!(
            "the {by} plugin `{id}` is used in place of the {hidden} one\n"
        ));
    }
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes);
    }
    text
}

fn row(entry: &Entry) -> Vec<String> {
    let manifest = &entry.found.manifest;
    let kinds: Vec<&str> = manifest.kinds.iter().map(|kind| kind.name()).collect();
    let granted = match &entry.state {
        State::Ready(grant) => grant.capabilities().summary(),
        _ => "–".to_owned(),
    };
    vec![
        manifest.id.to_string(),
        kinds.join("+"),
        entry.found.scope.name().to_owned(),
        manifest.version.to_string(),
        entry.state.name().to_owned(),
        granted,
    ]
}
