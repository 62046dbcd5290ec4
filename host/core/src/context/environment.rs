//! `<environment_context>`: where a turn runs. It is a list of lines, of which later turns say only those that changed.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{ContextFacts, said};
use crate::item::ResponseItem;

pub(super) const KIND: &str = "environments.environment_context";
pub(super) const START: &str = "<environment_context>";
const END: &str = "</environment_context>";

/// The lines that the conversation does not know yet; none where it knows them all.
pub(super) fn news(history: &[Arc<ResponseItem>], facts: &ContextFacts) -> Option<String> {
    let lines = lines(facts);
    let mut unknown: Vec<bool> = vec![true; lines.len()];
    let mut undecided = lines.len();
    for text in said(history, KIND, START) {
        for (at, line) in lines.iter().enumerate() {
            if !unknown[at] || undecided == 0 {
                continue;
            }
            // The newest text that has such a line decides.
            if let Some(known) = text.lines().find(|known| tag(known) == tag(line)) {
                undecided -= 1;
                unknown[at] = known != line;
            }
        }
        if undecided == 0 {
            break;
        }
    }
    let mut text = format!("{START}\n");
    let mut any = false;
    for (line, _) in lines.iter().zip(unknown).filter(|(_, unknown)| *unknown) {
        any = true;
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(END);
    any.then_some(text)
}

/// The name of the element that a line holds.
fn tag(line: &str) -> Option<&str> {
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
    lines
}

fn filesystem(facts: &ContextFacts) -> String {
    let root = format!(
        "<workspace_roots><root>{}</root></workspace_roots>",
        xml(&facts.cwd)
    );
    let profile = if facts.sandbox_mode == "danger-full-access" {
        "<permission_profile type=\"disabled\"></permission_profile>".to_owned()
    } else {
        let mut entries = String::from("<entry access=\"read\"><special>:root</special></entry>");
        for path in &facts.writable_roots {
            write!(
                entries,
                "<entry access=\"write\"><path>{}</path></entry>",
                xml(path)
            )
            .expect("writing to a string cannot fail");
        }
        format!(
            "<permission_profile type=\"managed\"><file_system type=\"restricted\">{entries}</file_system></permission_profile>"
        )
    };
    format!("<filesystem>{root}{profile}</filesystem>")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\n', "&#10;")
}
