//! `<environment_context>`: where a turn runs. It is a list of lines, of which later turns say only those that changed.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{ContextFacts, GitFacts, said};
use crate::item::ResponseItem;

pub(super) const KIND: &str = "environments.environment_context";
pub(super) const START: &str = "<environment_context>";
const END: &str = "</environment_context>";

/// The lines that the conversation does not know yet; none where it knows them all.
pub(super) fn news(history: &[Arc<ResponseItem>], facts: &ContextFacts) -> Option<String> {
    let lines = lines(facts);
    let mut last_said: Vec<Option<&str>> = vec![None; lines.len()];
    for text in said(history, KIND, START) {
        for (line, last) in lines.iter().zip(&mut last_said) {
            // The newest text that has such a line decides, whatever older ones say.
            if last.is_none() {
                *last = text.lines().find(|known| tag(known) == tag(line));
            }
        }
        if last_said.iter().all(Option::is_some) {
            break;
        }
    }
    let mut text = format!("{START}\n");
    let mut any = false;
    let news = lines.iter().zip(last_said);
    for (line, _) in news.filter(|(line, last)| *last != Some(line.as_str())) {
        any = true;
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(END);
    any.then_some(text)
}

/// The name of the element that a line holds.
pub(super) fn tag(line: &str) -> Option<&str> {
    let (tag, _) = line
        .trim_start()
        .strip_prefix('<')?
        .split_once(['>', ' '])?;
    Some(tag)
}

fn lines(facts: &ContextFacts) -> Vec<String> {
    let texts = [
        ("cwd", &facts.cwd),
        ("shell", &facts.shell),
        ("current_date", &facts.current_date),
        ("timezone", &facts.timezone),
    ];
    let mut lines: Vec<String> = texts
        .map(|(tag, value)| format!("  <{tag}>{}</{tag}>", xml(value)))
        .into();
    lines.push(format!("  {}", filesystem(facts)));
    lines.extend(
        facts
            .git
            .as_ref()
            .map(|git| format!("  {}", work_tree(git))),
    );
    lines
}

/// Names below a writable root that stay read-only.
pub(super) const PROTECTED: [&str; 4] = [".git", ".agents", ".codex", ".aws"];

/// Everybody words this in the same way, so that a conversation that goes on elsewhere does not hear it again.
fn work_tree(git: &GitFacts) -> String {
    let mut text = format!("<git><root>{}</root>", xml(&git.root));
    for (tag, value) in [("branch", &git.branch), ("commit", &git.commit)] {
        if let Some(value) = value {
            write!(text, "<{tag}>{}</{tag}>", xml(value)).expect("writing to a string cannot fail");
        }
    }
    text.push_str("</git>");
    text
}

fn filesystem(facts: &ContextFacts) -> String {
    let roots: Vec<String> = facts.workspace_roots.iter().map(|root| xml(root)).collect();
    let listed: String = roots
        .iter()
        .map(|root| format!("<root>{root}</root>"))
        .collect();
    let profile = match facts.sandbox_mode.as_str() {
        "danger-full-access" => {
            "<permission_profile type=\"disabled\"><file_system type=\"unrestricted\" /></permission_profile>".to_owned()
        }
        mode => {
            let entries = entries(mode == "workspace-write", &roots, facts);
            format!(
                "<permission_profile type=\"managed\"><file_system type=\"restricted\">{entries}</file_system></permission_profile>"
            )
        }
    };
    format!("<filesystem><workspace_roots>{listed}</workspace_roots>{profile}</filesystem>")
}

fn entries(writable: bool, roots: &[String], facts: &ContextFacts) -> String {
    let mut entries = String::new();
    let mut entry = |access: &str, what: &str| {
        write!(entries, "<entry access=\"{access}\">{what}</entry>")
            .expect("writing to a string cannot fail");
    };
    entry("read", "<special>:root</special>");
    if writable {
        for root in roots {
            entry("write", &format!("<path>{root}</path>"));
        }
        for (special, on) in [(":slash_tmp", facts.slash_tmp), (":tmpdir", facts.tmpdir)] {
            if on {
                entry("write", &format!("<special>{special}</special>"));
            }
        }
        for name in PROTECTED {
            for root in roots {
                entry("read", &format!("<path>{root}/{name}</path>"));
            }
        }
    }
    entries
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\n', "&#10;")
}
