//! `dovetail provider list`.

use std::process::ExitCode;

use dovetail_config::load_without_broken_providers;
use serde_json::{Value, json};

use super::ListArgs;
use super::known::{self, Kind, Known, Server, Source, Usable};
use super::page::Page;
use crate::config_cmd::{place_json, place_text};
use crate::render::Ink;
use crate::terminal_text::visible;
use crate::{exec, out};

/// The widest column of ids.
const WIDEST_ID: usize = 24;

pub(super) async fn run(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let home = dovetail_config::codex_home()?;
    let cwd = std::env::current_dir()?;
    let (config, broken) =
        exec::load_config_by(&home, &cwd, &args.config, load_without_broken_providers)?;
    let all = known::all(&config, &broken).await;
    out::stdout(&match args.json {
        true => {
            let providers: Vec<Value> = all.iter().map(as_json).collect();
            format!(
                "{:#}\n",
                json!({ "selected": config.model_provider, "providers": providers })
            )
        }
        false => as_text(Page::of_stdout(), &all),
    });
    Ok(ExitCode::SUCCESS)
}

fn as_text(page: Page, all: &[Known]) -> String {
    let longest = all.iter().map(|known| known.id.chars().count()).max();
    let column = 4 + longest.unwrap_or_default().min(WIDEST_ID);
    all.iter().map(|known| entry(page, column, known)).collect()
}

fn entry(page: Page, column: usize, known: &Known) -> String {
    let mark = if known.selected { "*" } else { " " };
    let head = format!(
        "{mark} {}",
        page.style.paint(Ink::Bold, &visible(&known.id))
    );
    let width = 2 + visible(&known.id).chars().count();
    let mut lines = match &known.state {
        Ok(usable) => facts(usable),
        Err(problem) => {
            let what = match known.kind {
                Kind::Table => "broken",
                Kind::BuiltIn | Kind::Local | Kind::Plugin => "cannot be used yet",
            };
            let mut lines = vec![format!("{what}: {}", problem.words)];
            lines.extend(problem.hints.iter().map(|hint| format!("→ {hint}")));
            lines
        }
    };
    lines.extend(known.place.as_ref().map(place_text));
    let first = page.beside(&head, width, column, &lines.remove(0));
    let rest = lines
        .iter()
        .map(|line| page.indented(page.column(column), line));
    std::iter::once(first).chain(rest).collect()
}

fn facts(usable: &Usable) -> Vec<String> {
    let credential = match &usable.credential {
        None => "no credential".to_owned(),
        Some(Source { text, is_there }) => match is_there {
            Some(false) if is_a_place(text) => format!("credential: {text}, not set"),
            Some(_) | None => format!("credential: {text}"),
        },
    };
    vec![
        format!(
            "{} · {} · {}",
            usable.name,
            usable.speaks.name(),
            usable.base_url
        ),
        credential,
        format!("served by {}", usable.server.text()),
    ]
}

/// Whether a text names where a credential comes from, rather than saying why there is none.
fn is_a_place(text: &str) -> bool {
    text.starts_with("the ") || text.starts_with("secret ")
}

fn as_json(known: &Known) -> Value {
    let usable = known.state.as_ref().ok();
    let problem = known.state.as_ref().err();
    let credential = usable.and_then(|usable| usable.credential.as_ref());
    json!({
        "id": known.id,
        "kind": known.kind.word(),
        "selected": known.selected,
        "name": usable.map(|usable| &usable.name),
        "wire": usable.map(|usable| usable.speaks.word()),
        "base_url": usable.map(|usable| &usable.base_url),
        "credential": credential.map(|source| json!({ "source": source.text, "is_there": source.is_there })),
        "plugin": usable.map(|usable| server_json(&usable.server)),
        "origin": known.place.as_ref().map(place_json),
        "problem": problem.map(|problem| json!({ "message": problem.words, "hints": problem.hints })),
    })
}

fn server_json(server: &Server) -> Value {
    json!({
        "id": server.plugin,
        "version": server.version,
        "scope": server.scope,
        "sandboxed": server.sandboxed,
        "speaker": server.speaker,
    })
}
