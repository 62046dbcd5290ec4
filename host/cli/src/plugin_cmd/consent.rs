//! Says in plain words what a plugin asks for and what it may not do, and asks whether that is all right.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal as _};

use dovetail_core::plugin::FieldClass;
use dovetail_runtime::capability::{Capabilities, SlotName, class_name};
use dovetail_runtime::discovery::Found;
use dovetail_runtime::fs_rule::Access;
use dovetail_runtime::host_env::looks_like_credential;
use dovetail_runtime::manifest::{Kind, Manifest};
use dovetail_runtime::native::UNSANDBOXED;
use dovetail_runtime::secret_source::SecretSource;

use super::layout::{WIDTH, hanging, labelled, size};
use crate::fatal::Fatal;
use crate::out;

/// Where the sources of a plugin's secrets are written down, by slot.
pub(super) type Sources = BTreeMap<SlotName, String>;

/// The column in which a description's values start.
const LABELS: usize = 11;

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
        "{} {} · {}{} · {}\n",
        manifest.id,
        manifest.version,
        kinds.join(", "),
        if manifest.native { " · native" } else { "" },
        size(bytes)
    );
    if let Some(description) = &manifest.description {
        text.push_str(&format!("  {}\n", hanging(description, 2)));
    }
    let gets = manifest.kinds.iter().map(|kind| receives(*kind));
    for (index, what) in gets.enumerate() {
        text.push_str(&labelled(
            if index == 0 { "  gets" } else { "" },
            LABELS,
            what,
        ));
    }
    text.push_str(&block(
        "  asks to",
        LABELS,
        &asks(manifest, parsed(sources)),
    ));
    text.push_str(&labelled(
        "  may not",
        LABELS,
        &may_not(manifest).join(", "),
    ));
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

/// Each thing asked for, as a verb and the rest.
/// `chosen` gives the source that the user chose for a slot, where they did.
pub(super) fn asks(
    manifest: &Manifest,
    chosen: impl Fn(&SlotName) -> Option<SecretSource>,
) -> Vec<(&'static str, String)> {
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
    if manifest.native {
        let what = format!("{UNSANDBOXED}, as a part of dovetail, with everything that you may do");
        lines.push(("run", what));
    }
    let mut ask = |verb: &'static str, what: String| lines.push((verb, what));
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
                "secret `{slot}` ({}), in requests to those hosts only",
                source(slot, chosen(slot))
            ),
        );
    }
    for slot in owns {
        ask(
            "see",
            format!(
                "secret `{slot}` ({}), and replace it",
                source(slot, chosen(slot))
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
        let secret = if looks_like_credential(name) {
            ", which looks like a credential"
        } else {
            ""
        };
        ask("see", format!("the environment variable `{name}`{secret}"));
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

fn source(slot: &SlotName, chosen: Option<SecretSource>) -> String {
    chosen
        .or_else(|| SecretSource::default_of(slot.as_str()))
        .map_or_else(
            || "no source chosen yet".to_owned(),
            |source| source.to_string(),
        )
}

/// Reads written sources; one that is not understood must not pass for the default.
fn parsed(sources: &Sources) -> impl Fn(&SlotName) -> Option<SecretSource> {
    |slot| {
        sources
            .get(slot)
            .map(|text| SecretSource::parse(text).unwrap_or(SecretSource::Unusable))
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
    if manifest.native {
        return vec!["– nothing is kept from it: it can read your files, keys and conversations"];
    }
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

/// Verbs in a column beside one label, which stands before the first; the rest hangs beside them.
pub(super) fn block(label: &str, width: usize, lines: &[(&str, String)]) -> String {
    const VERBS: usize = 8;
    let line = |(index, (verb, what)): (usize, &(&str, String))| {
        let label = if index == 0 { label } else { "" };
        format!(
            "{label:<width$}{verb:<VERBS$}{}\n",
            hanging(what, width + VERBS)
        )
    };
    lines.iter().enumerate().map(line).collect()
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

/// Shows `text` and asks whether to accept it. Where nobody can be asked, nothing is accepted.
///
/// # Errors
/// The answer cannot be read.
pub(super) fn accept(text: &str, yes: bool) -> anyhow::Result<bool> {
    out::stderr(text);
    if yes || !interactive() {
        return Ok(yes);
    }
    let answer = read_answer(&mut std::io::stdin().lock(), "accept? [y]es · [n]o ", false)?;
    Ok(answer != Answer::No)
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
