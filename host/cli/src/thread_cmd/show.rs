//! `dovetail thread show`.

use std::path::Path;
use std::time::SystemTime;

use dovetail_store::{LoadedThread, ThreadSummary, TurnSummary};
use serde_json::{Value, json};

use super::list;
use crate::out;
use crate::plugin_cmd::layout::{WIDTH, size, table};
use crate::terminal_text::{one_line, visible};

pub(super) fn run(home: &Path, thread: &str, as_json: bool) -> anyhow::Result<()> {
    let summary = super::find(home, thread)?;
    let loaded = dovetail_store::load_thread(&summary.path)?;
    let turns = dovetail_store::list_turns(&summary.path)?;
    for damage in &loaded.damage {
        out::stderr(&format!("warning: {}: {damage}\n", damage.path.display()));
    }
    out::stdout(&if as_json {
        format!("{:#}\n", whole(&summary, &loaded, &turns))
    } else {
        render(&summary, &loaded, &turns)
    });
    Ok(())
}

fn whole(summary: &ThreadSummary, loaded: &LoadedThread, turns: &[TurnSummary]) -> Value {
    let mut value = list::as_json(summary);
    let turns: Vec<Value> = turns.iter().map(turn_json).collect();
    let fork = loaded.info.forked_from;
    let more = json!({
        "session_id": loaded.info.session_id,
        "forked_from_ordinal_exclusive": fork.and_then(|fork| fork.ordinal_exclusive),
        "window_number": loaded.window_number,
        "context_window_id": loaded.info.window_id,
        "items": loaded.items.len(),
        "usage": loaded.totals,
        "damaged_lines": loaded.damage.len(),
        "turns": turns,
    });
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn turn_json(turn: &TurnSummary) -> Value {
    json!({
        "number": turn.number,
        "id": turn.id,
        "started_at": turn.started.map(|time| format!("{time:.3}")),
        "prompt": turn.prompt,
        "answer": turn.answer,
        "ended": turn.ended,
    })
}

fn render(summary: &ThreadSummary, loaded: &LoadedThread, turns: &[TurnSummary]) -> String {
    let mut text = String::new();
    let mut field = |label: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{label:<10}{}\n", visible(&value)));
        }
    };
    field("thread", summary.id.to_string());
    field("name", summary.name.clone().unwrap_or_default());
    field(
        "state",
        if summary.archived { "archived" } else { "" }.to_owned(),
    );
    field("in", summary.cwd.display().to_string());
    field("model", model(summary));
    field("started", origin(summary));
    if let Some(fork) = loaded.info.forked_from {
        field("fork of", fork.thread_id.to_string());
    }
    if let Some(parent) = summary.parent_thread_id {
        field("for", parent.to_string());
    }
    let usage = loaded.totals;
    field(
        "tokens",
        format!(
            "{} in ({} cached), {} out; window {}",
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.output_tokens,
            loaded.window_number
        ),
    );
    field(
        "file",
        format!("{} ({})", summary.path.display(), size(summary.size)),
    );
    if turns.is_empty() {
        text.push_str("\nno turns yet\n");
    } else {
        text.push('\n');
        text.push_str(&table(&["turn", "age", "prompt"], &rows(turns)));
        text.push_str(&format!(
            "\nto go on: dovetail exec resume {id} \"…\"   ·   from a turn: dovetail exec fork {id} --at N \"…\"\n",
            id = summary.id
        ));
    }
    text
}

fn model(summary: &ThreadSummary) -> String {
    match (summary.model.as_str(), summary.provider_id.as_str()) {
        ("", provider) => provider.to_owned(),
        (model, "") => model.to_owned(),
        (model, provider) => format!("{model} ({provider})"),
    }
}

fn origin(summary: &ThreadSummary) -> String {
    let when = summary
        .created
        .map(|time| time.to_zoned(dovetail_store::local_zone()));
    let when = when.map(|time| time.strftime("%Y-%m-%d %H:%M").to_string());
    let by: Vec<&str> = [summary.source.as_str(), summary.originator.as_str()]
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect();
    format!("{} by {}", when.unwrap_or_default(), by.join(", "))
}

fn rows(turns: &[TurnSummary]) -> Vec<Vec<String>> {
    let now = SystemTime::now();
    let row = |turn: &TurnSummary| {
        let age = turn
            .started
            .map(|time| list::age(now, SystemTime::from(time)))
            .unwrap_or_default();
        let prompt = if turn.ended {
            turn.prompt.clone()
        } else {
            format!("(cut short) {}", turn.prompt)
        };
        vec![turn.number.to_string(), age, one_line(&prompt, WIDTH - 16)]
    };
    turns.iter().map(row).collect()
}
