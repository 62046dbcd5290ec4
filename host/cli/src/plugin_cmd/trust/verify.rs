//! `dovetail trust verify`: whether every plugin is as it was accepted, by this user or (in CI) by a committed lock.

use clap::Args;
use dovetail_runtime::catalogue::{Catalogue, Entry};
use dovetail_runtime::discovery::{Places, Project};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::plugin_settings::PluginSettings;
use dovetail_runtime::state::State;
use serde_json::{Value, json};

use super::super::layout::hanging;
use super::super::{Done, PluginContext, whole};
use crate::fatal::Fatal;
use crate::out;

/// `dovetail trust verify`.
#[derive(Debug, Args)]
pub(in super::super) struct VerifyArgs {
    /// Judge the project's plugins by its committed plugins.lock alone, whether or not the project is trusted here.
    #[arg(long)]
    ci: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What came of one plugin.
struct Verdict {
    plugin: String,
    of: &'static str,
    ok: bool,
    words: String,
    hint: Option<String>,
}

pub(in super::super) fn run(context: &PluginContext, args: &VerifyArgs) -> anyhow::Result<Done> {
    let catalogue = match args.ci {
        true => of_committed_lock(context),
        false => context.survey(),
    };
    let verdicts = verdicts(&catalogue);
    let failed = verdicts.iter().filter(|verdict| !verdict.ok).count();
    let text = match args.json {
        true => format!(
            "{:#}\n",
            json!({ "ok": failed == 0, "plugins": verdicts.iter().map(value).collect::<Vec<_>>() })
        ),
        false => render(&verdicts),
    };
    if failed == 0 {
        return Ok(Done::with(text));
    }
    out::stdout(&text);
    let covered_by = match args.ci {
        true => "the committed .codex/dovetail/plugins.lock",
        false => "what you accepted",
    };
    let fatal = Fatal::untrusted(match failed {
        1 => format!("1 plugin is not covered by {covered_by}"),
        count => format!("{count} plugins are not covered by {covered_by}"),
    });
    let hint = match args.ci {
        true => "review and commit the lock: dovetail trust review --write-lock",
        false => "review what changed: dovetail trust review",
    };
    Err(fatal.hint(hint).into())
}

/// Looks at the project as CI does: nobody was asked there, and nobody can be.
fn of_committed_lock(context: &PluginContext) -> Catalogue {
    let project = context.places.project.as_ref().map(|project| Project {
        root: project.root.clone(),
        trusted: true,
    });
    let places = Places {
        project,
        ..context.places.clone()
    };
    let settings = PluginSettings {
        lock_is_trust: true,
        ..context.settings.clone()
    };
    Catalogue::by_committed_lock(&places, &settings)
}

fn verdicts(catalogue: &Catalogue) -> Vec<Verdict> {
    let installed = catalogue.entries.iter().filter_map(of_entry);
    let broken = catalogue.problems.iter().map(|problem| Verdict {
        plugin: problem.name.clone(),
        of: problem.scope.name(),
        ok: false,
        words: whole(&problem.error),
        hint: problem.error.hint(),
    });
    let missing = catalogue.missing.iter().map(|id| Verdict {
        plugin: id.to_string(),
        of: "project",
        ok: false,
        words: format!("plugin `{id}` is listed in the project's plugins.lock, and is not there"),
        hint: Some(format!(
            "restore it, or take it out: dovetail trust revoke {id} --write-lock"
        )),
    });
    // A source that cannot be looked at is no source without plugins.
    let notices = catalogue.notices.iter().map(|notice| Verdict {
        plugin: "–".to_owned(),
        of: "–",
        ok: false,
        words: notice.clone(),
        hint: None,
    });
    installed
        .chain(broken)
        .chain(missing)
        .chain(notices)
        .collect()
}

/// Plugins that are part of the host are not asked about.
fn of_entry(entry: &Entry) -> Option<Verdict> {
    let manifest = &entry.found.manifest;
    let of = entry.found.scope.name();
    if entry.found.scope == Scope::Builtin {
        return None;
    }
    let plugin = manifest.id.to_string();
    Some(match (&entry.state, entry.state.refusal(&manifest.id)) {
        (State::Disabled, _) | (_, None) => Verdict {
            words: format!(
                "{} {}, sha256 {}",
                entry.state.name(),
                manifest.version,
                entry.found.wasm.sha256.short()
            ),
            plugin,
            of,
            ok: true,
            hint: None,
        },
        (_, Some(refusal)) => Verdict {
            plugin,
            of,
            ok: false,
            words: refusal.sentence,
            hint: Some(refusal.hint),
        },
    })
}

fn render(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return "there are no plugins to verify\n".to_owned();
    }
    let line = |verdict: &Verdict| {
        let mark = if verdict.ok { "ok" } else { "fail" };
        let head = format!("{mark:<5} {:<16} {:<8} ", verdict.plugin, verdict.of);
        let mut text = format!("{head}{}\n", hanging(&verdict.words, head.chars().count()));
        if let Some(hint) = &verdict.hint {
            text.push_str(&format!("      hint: {hint}\n"));
        }
        text
    };
    verdicts.iter().map(line).collect()
}

fn value(verdict: &Verdict) -> Value {
    json!({
        "id": verdict.plugin,
        "scope": verdict.of,
        "ok": verdict.ok,
        "words": verdict.words,
        "hint": verdict.hint,
    })
}
