//! `dovetail trust review`.

use clap::Args;
use dovetail_core::ids::PluginId;
use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::discovery::Places;
use dovetail_runtime::lock::{LockEntry, PluginsLock, Scope};
use dovetail_runtime::native::UNSANDBOXED;
use dovetail_runtime::pins::Pins;
use dovetail_runtime::state::State;
use serde_json::{Value, json};

use super::super::consent::{self, Sources};
use super::super::{Done, PluginContext, find, mark_of};
use super::difference::Difference;
use crate::fatal::Fatal;
use crate::out;

/// `dovetail trust review`.
#[derive(Debug, Args)]
pub(in super::super) struct ReviewArgs {
    /// The plugin's id; without one, every plugin that needs it.
    plugin: Option<String>,
    /// For plugins of the project: also write what is accepted into the project's plugins.lock.
    #[arg(long)]
    write_lock: bool,
    /// Accept without a question.
    #[arg(long, short = 'y')]
    yes: bool,
    /// Print JSON, and ask nothing.
    #[arg(long)]
    json: bool,
}

/// One plugin to decide about.
struct Case<'a> {
    entry: &'a Entry,
    now: LockEntry,
    difference: Difference,
    /// Whether the project's lock is to be written as well.
    write_lock: bool,
}

pub(in super::super) fn run(context: &PluginContext, args: &ReviewArgs) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    let entries: Vec<&Entry> = match &args.plugin {
        Some(id) => vec![find(&catalogue, id)?],
        None => catalogue
            .entries
            .iter()
            .filter(|entry| is_open(entry, args.write_lock))
            .collect(),
    };
    let mut cases = Vec::new();
    for entry in entries {
        refuse_hopeless(entry)?;
        cases.extend(case(context, entry, args.write_lock)?);
    }
    if cases.is_empty() {
        let text = "every plugin is as you accepted it\n".to_owned();
        return Ok(Done::with(match args.json {
            true => format!("{:#}\n", json!({ "plugins": [] })),
            false => text,
        }));
    }
    let mut texts = Vec::new();
    let mut values = Vec::new();
    let mut open = Vec::new();
    for case in &cases {
        let accepted = match args.json {
            true => args.yes,
            false => ask(case, args.yes)?,
        };
        if accepted {
            accept(context, case)?;
            texts.push(format!("accepted {}\n", words(case)));
        } else {
            open.push(command(case));
        }
        values.push(value(case, accepted));
    }
    let text = match args.json {
        true => format!("{:#}\n", json!({ "plugins": values })),
        false => texts.concat(),
    };
    if open.is_empty() {
        return Ok(Done::with(text));
    }
    out::stdout(&text);
    let fatal = Fatal::untrusted(match open.len() {
        1 => "a plugin is not as you accepted it".to_owned(),
        count => format!("{count} plugins are not as you accepted them"),
    });
    let hint = |fatal: Fatal, command| fatal.hint(format!("to accept it as it is: {command}"));
    Err(open.into_iter().fold(fatal, hint).into())
}

/// Whether somebody has to look at a plugin.
fn is_open(entry: &Entry, write_lock: bool) -> bool {
    let of_project = matches!(entry.found.scope, Scope::Project(_));
    match entry.state {
        State::Ready(_) => write_lock && of_project,
        State::Disabled | State::NotAllowed { .. } | State::NativeOff | State::Crashed(_) => false,
        State::NotGranted { .. }
        | State::Changed { .. }
        | State::Wider { .. }
        | State::Reconfigured { .. }
        | State::Forged
        | State::Unpinned { .. } => true,
    }
}

/// What no acceptance changes.
fn refuse_hopeless(entry: &Entry) -> anyhow::Result<()> {
    let id = &entry.found.manifest.id;
    if entry.found.scope == Scope::Builtin {
        let fatal = Fatal::new(format!(
            "plugin `{id}` is part of dovetail: there is nothing to accept"
        ));
        let hint =
            format!("what it may do follows from your config.toml: dovetail plugin inspect {id}");
        return Err(fatal.hint(hint).into());
    }
    match (&entry.state, entry.state.refusal(id)) {
        (
            State::NotAllowed { .. } | State::NativeOff | State::Crashed(_) | State::Disabled,
            Some(refusal),
        ) => Err(Fatal::untrusted(refusal.sentence).hint(refusal.hint).into()),
        _ => Ok(()),
    }
}

/// What there is to decide about a plugin; none where all is as it was accepted.
fn case<'a>(
    context: &PluginContext,
    entry: &'a Entry,
    write_lock: bool,
) -> anyhow::Result<Option<Case<'a>>> {
    let found = &entry.found;
    let secrets = secrets_of(entry);
    let mut now = context.record(found, found.manifest.request.clone(), secrets)?;
    let difference = Difference::between(entry.record.as_ref(), found, &now);
    now.granted = difference.granted().clone();
    let pinned = match &found.scope {
        Scope::Project(root) => pin(root, &found.manifest.id)?,
        Scope::Builtin | Scope::System | Scope::User => None,
    };
    let of_project = matches!(found.scope, Scope::Project(_));
    let write_lock = write_lock && of_project && !is_same(pinned.as_ref(), &now);
    let unpinned = matches!(entry.state, State::Unpinned { .. });
    // What the user accepted already, and only the project's lock has otherwise.
    let difference = match difference.is_empty() && (write_lock || unpinned) {
        true => Difference::between(pinned.as_ref(), found, &now),
        false => difference,
    };
    let nothing = matches!(entry.state, State::Ready(_)) && difference.is_empty() && !write_lock;
    Ok((!nothing).then_some(Case {
        entry,
        now,
        difference,
        write_lock: write_lock || unpinned,
    }))
}

fn secrets_of(entry: &Entry) -> Sources {
    let record = entry.record.as_ref();
    record
        .map(|record| record.secrets.clone())
        .unwrap_or_default()
}

fn pin(root: &std::path::Path, id: &PluginId) -> anyhow::Result<Option<LockEntry>> {
    Ok(Pins::of_project(root)?.and_then(|pins| pins.get(id).cloned()))
}

/// Whether a project's lock says of a plugin what it would be made to say; when and by whose secrets does not count.
fn is_same(pin: Option<&LockEntry>, now: &LockEntry) -> bool {
    pin.is_some_and(|pin| {
        let now = LockEntry {
            granted_at: pin.granted_at.clone(),
            secrets: pin.secrets.clone(),
            ..now.clone()
        };
        *pin == now
    })
}

fn words(case: &Case<'_>) -> String {
    let manifest = &case.entry.found.manifest;
    format!(
        "{} {} · {}{}",
        manifest.id,
        manifest.version,
        case.entry.found.scope.name(),
        mark_of(manifest)
    )
}

fn ask(case: &Case<'_>, yes: bool) -> anyhow::Result<bool> {
    let mut text = format!("{}\n", words(case));
    if let Some(refusal) = case.entry.state.refusal(&case.entry.found.manifest.id) {
        text.push_str(&super::super::layout::labelled(
            "  why",
            13,
            &refusal.sentence,
        ));
    }
    text.push_str(&case.difference.text());
    if case.write_lock {
        text.push_str("  the project's plugins.lock is written too\n");
    }
    consent::accept(&text, yes)
}

fn accept(context: &PluginContext, case: &Case<'_>) -> anyhow::Result<()> {
    PluginsLock::put(&context.places.own_dir, case.now.clone())?;
    if let (Scope::Project(root), true) = (&case.entry.found.scope, case.write_lock) {
        Pins::put(&Places::project_dir(root), &case.now)?;
    }
    Ok(())
}

fn command(case: &Case<'_>) -> String {
    let lock = if case.write_lock { " --write-lock" } else { "" };
    format!(
        "dovetail trust review {}{lock} --yes",
        case.entry.found.manifest.id
    )
}

fn value(case: &Case<'_>, accepted: bool) -> Value {
    let id = &case.entry.found.manifest.id;
    let mut value = case.difference.json();
    value["id"] = json!(id);
    value["scope"] = json!(case.entry.found.scope.name());
    value["state"] = json!(case.entry.state.name());
    let native = case.entry.found.manifest.native;
    value["sandboxed"] = json!(!native);
    value["mark"] = json!(native.then_some(UNSANDBOXED));
    let refusal = case.entry.state.refusal(id);
    value["reason"] = json!(refusal.map(|refusal| refusal.sentence));
    value["accepted"] = json!(accepted);
    value["command"] = json!(command(case));
    value
}
