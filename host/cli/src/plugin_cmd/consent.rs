//! Says in plain words what a plugin asks for and what it may not do, and asks whether that is all right.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal as _};

use dovetail_core::plugin::FieldClass;
use dovetail_runtime::capability::{Capabilities, SlotName, class_name};
use dovetail_runtime::discovery::Found;
use dovetail_runtime::fs_rule::Access;
use dovetail_runtime::manifest::{Kind, Manifest};
use dovetail_runtime::secret_source::SecretSource;

use super::layout::{WIDTH, hanging, size};
use crate::fatal::Fatal;
use crate::out;

/// Where the sources of a plugin's secrets are written down, by slot.
pub(super) type Sources = BTreeMap<SlotName, String>;

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Yes, for this user.
    Me,
    /// Yes, and for the project.
    Project,
    /// No.
    No,
}

/// The whole text that a decision is made on.
pub(super) fn describe(found: &Found, sources: &Sources) -> String {
    let manifest = &found.manifest;
    let kinds: Vec<&str> = manifest.kinds.iter().map(|kind| kind.name()).collect();
    let bytes = found.wasm.bytes.len() as u64;
    let mut text = format!(
        "{} {} · {} · {}\n",
        manifest.id,
        manifest.version,
        kinds.join(", "),
        size(bytes)
    );
    if let Some(description) = &manifest.description {
        text.push_str(&format!("  {}\n", hanging(description, 2)));
    }
    let gets: Vec<String> = manifest
        .kinds
        .iter()
        .map(|kind| receives(*kind).to_owned())
        .collect();
    text.push_str(&block("  gets     ", &gets));
    text.push_str(&block("  asks to  ", &asks(manifest, sources)));
    let may_not = may_not(manifest).join(", ");
    text.push_str(&format!("  may not  {}\n", hanging(&may_not, 11)));
    text
}

/// What a plugin sees by being what it is.
fn receives(kind: Kind) -> &'static str {
    match kind {
        Kind::Provider => "the address and headers of each model request, not what it says",
        Kind::Tools => "the arguments of calls to its own tools",
        Kind::Hooks => "prompts and tool calls, and can stop or change them",
        Kind::Sink => "names, times and outcomes of what happens",
    }
}

/// One line for each thing asked for, verb first.
pub(super) fn asks(manifest: &Manifest, sources: &Sources) -> Vec<String> {
    let Capabilities {
        net,
        fs,
        process,
        env,
        secrets,
        owns,
        kv,
        client,
        classes,
        fail_open,
    } = &manifest.request;
    let mut lines = Vec::new();
    let mut ask = |verb: &str, what: String| lines.push(format!("{verb:<7} {what}"));
    for origin in net {
        let exposed = if origin.is_exposed() {
            " (not encrypted on the way)"
        } else {
            ""
        };
        ask("reach", format!("{origin}{exposed}"));
    }
    for slot in secrets {
        ask(
            "use",
            format!(
                "secret `{slot}` ({}) in requests to hosts it may reach, unseen",
                source(slot, sources)
            ),
        );
    }
    for slot in owns {
        ask(
            "see",
            format!(
                "secret `{slot}` ({}), and replace it",
                source(slot, sources)
            ),
        );
    }
    for rule in fs {
        let verb = match rule.access() {
            Access::Read => "read",
            Access::Append => "add to",
            Access::Write => "change",
        };
        ask(verb, format!("files in {}", rule.path()));
    }
    for argv in process {
        ask("run", format!("`{argv}`"));
    }
    for name in env {
        ask("see", format!("the environment variable `{name}`"));
    }
    if *kv > 0 {
        ask("keep", format!("up to {} between runs", size(*kv)));
    }
    if *client {
        ask(
            "ask",
            "the connected application for tokens and attestations".to_owned(),
        );
    }
    for class in classes {
        ask(
            "get",
            format!("{} in events ({})", contents(*class), class_name(*class)),
        );
    }
    if *fail_open {
        ask(
            "let",
            "what it guards go ahead when it breaks or is late".to_owned(),
        );
    }
    lines
}

fn source(slot: &SlotName, sources: &Sources) -> String {
    let chosen = sources.get(slot).map(|text| SecretSource::parse(text));
    match chosen {
        Some(Ok(source)) => source.to_string(),
        Some(Err(_)) => "a source that is not understood".to_owned(),
        None => SecretSource::default_of(slot.as_str()).map_or_else(
            || "no source chosen yet".to_owned(),
            |source| source.to_string(),
        ),
    }
}

fn contents(class: FieldClass) -> &'static str {
    match class {
        FieldClass::Basic => "names and outcomes",
        FieldClass::Content => "prompts, answers, commands and output",
        FieldClass::Identity => "accounts, hosts and the installation",
        FieldClass::Location => "paths and URLs",
    }
}

/// What the host keeps it from doing.
fn may_not(manifest: &Manifest) -> Vec<&'static str> {
    let Capabilities {
        net,
        fs,
        process,
        env,
        owns,
        classes,
        ..
    } = &manifest.request;
    let hears = manifest.kinds.contains(&Kind::Hooks) || classes.contains(&FieldClass::Content);
    let rules = [
        (net.is_empty(), "reach the network"),
        (!net.is_empty(), "reach other hosts"),
        (fs.is_empty(), "read or write files"),
        (!fs.is_empty(), "touch other files"),
        (process.is_empty(), "start programs"),
        (!process.is_empty(), "start other programs"),
        (env.is_empty(), "see environment variables"),
        (owns.is_empty(), "see the value of any secret"),
        (!hears, "see your conversation"),
    ];
    rules
        .into_iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, words)| words)
        .collect()
}

/// Paragraphs under one label, which stands before the first.
fn block(label: &str, paragraphs: &[String]) -> String {
    let width = label.chars().count();
    let mut text = String::new();
    for (index, paragraph) in paragraphs.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        text.push_str(&format!("{label:<width$}{}\n", hanging(paragraph, width)));
    }
    text
}

/// Whether there is somebody to ask.
pub(super) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Shows `text` and asks. `yes` is an answer given beforehand.
///
/// # Errors
/// There is nobody to ask.
pub(super) fn ask(text: &str, yes: bool, project: bool) -> anyhow::Result<Answer> {
    out::stderr(text);
    if yes {
        return Ok(Answer::Me);
    }
    if !interactive() {
        return Err(
            Fatal::new("this needs a decision, and there is no terminal to ask on")
                .hint("if what is shown above is all right, add --yes")
                .into(),
        );
    }
    let question = if project {
        "grant? [y]es for me · [p]roject (writes plugins.lock) · [n]o "
    } else {
        "grant? [y]es · [n]o "
    };
    debug_assert!(question.len() < WIDTH);
    Ok(read_answer(
        &mut std::io::stdin().lock(),
        question,
        project,
    )?)
}

fn read_answer(input: &mut dyn BufRead, question: &str, project: bool) -> std::io::Result<Answer> {
    loop {
        out::stderr(question);
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(Answer::No);
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(Answer::Me),
            "p" | "project" if project => return Ok(Answer::Project),
            "n" | "no" | "" => return Ok(Answer::No),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str, project: bool) -> Answer {
        read_answer(&mut text.as_bytes(), "", project).expect("readable")
    }

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        assert_eq!(answer("y\n", true), Answer::Me);
        assert_eq!(answer("Yes\n", false), Answer::Me);
        assert_eq!(answer("p\n", true), Answer::Project);
        assert_eq!(answer("p\nn\n", false), Answer::No);
        assert_eq!(answer("what?\ny\n", false), Answer::Me);
        assert_eq!(answer("\n", true), Answer::No);
        assert_eq!(answer("", true), Answer::No);
    }
}
