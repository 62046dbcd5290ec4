//! What the model is told before the user speaks: rules, permissions, surroundings.
//!
//! Facts come in as plain values; this file only words them. On later turns and after a resume only what changed is
//! said again.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::item::{ContentItem, ResponseItem};

/// The base instructions that are used where the user sets none.
pub const BASE_INSTRUCTIONS: &str = include_str!("instructions.md");

/// Facts about the surroundings of a turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContextFacts {
    /// The working directory.
    pub cwd: String,
    /// The user's shell, such as `bash`.
    pub shell: String,
    /// The local date, `YYYY-MM-DD`.
    pub current_date: String,
    /// The time zone's name.
    pub timezone: String,
    /// `read-only`, `workspace-write` or `danger-full-access`.
    pub sandbox_mode: String,
    /// `never`, `on-request`, ….
    pub approval_policy: String,
    /// Whether commands may use the network.
    pub network_access: bool,
    /// Directories that may be written, the working directory first.
    pub writable_roots: Vec<String>,
    /// The text of all AGENTS.md files, joined.
    pub agents_md: Option<String>,
    /// The user's own developer instructions.
    pub developer_instructions: Option<String>,
}

const PERMISSIONS: (&str, &str) = ("permissions.instructions", "<permissions instructions>");
const DEVELOPER: (&str, &str) = ("developer.instructions", "<developer_instructions>");
const AGENTS: (&str, &str) = ("agents_md.instructions", "# AGENTS.md instructions");
const ENVIRONMENT: (&str, &str) = ("environments.environment_context", "<environment_context>");

/// The messages that bring a conversation up to date with the facts: all of them for a new one, otherwise only what
/// is worded differently than the last time.
pub fn context_items(history: &[Arc<ResponseItem>], facts: &ContextFacts) -> Vec<ResponseItem> {
    let developer = [
        (PERMISSIONS, Some(permissions(facts))),
        (
            DEVELOPER,
            facts
                .developer_instructions
                .as_ref()
                .map(|text| tagged("developer_instructions", text)),
        ),
    ];
    let user = [
        (
            AGENTS,
            facts
                .agents_md
                .as_ref()
                .map(|text| agents_block(&facts.cwd, text)),
        ),
        (ENVIRONMENT, Some(environment(facts))),
    ];
    ["developer", "user"]
        .into_iter()
        .zip([developer, user])
        .filter_map(|(role, parts)| changed_message(history, role, &parts))
        .collect()
}

/// Whether a text is context of ours rather than something a person said.
pub fn is_context_text(text: &str) -> bool {
    [PERMISSIONS, DEVELOPER, AGENTS, ENVIRONMENT]
        .iter()
        .any(|(_, start)| text.starts_with(start))
        || text.starts_with("<turn_aborted>")
}

type Part = ((&'static str, &'static str), Option<String>);

fn changed_message(
    history: &[Arc<ResponseItem>],
    role: &str,
    parts: &[Part],
) -> Option<ResponseItem> {
    let changed: Vec<(&str, &String)> = parts
        .iter()
        .filter_map(|((kind, start), text)| {
            let text = text.as_ref()?;
            (newest(history, start) != Some(text)).then_some((*kind, text))
        })
        .collect();
    if changed.is_empty() {
        return None;
    }
    let content = changed
        .iter()
        .map(|(_, text)| ContentItem::InputText {
            text: (*text).clone(),
        })
        .collect();
    let kinds: Vec<&str> = changed.iter().map(|(kind, _)| *kind).collect();
    Some(ResponseItem::message(role, content, &kinds))
}

fn newest<'a>(history: &'a [Arc<ResponseItem>], start: &str) -> Option<&'a String> {
    history.iter().rev().find_map(|item| match &**item {
        ResponseItem::Message { role, content, .. } if role != "assistant" => {
            content.iter().find_map(|part| match part {
                ContentItem::InputText { text } if text.starts_with(start) => Some(text),
                _ => None,
            })
        }
        _ => None,
    })
}

fn tagged(tag: &str, text: &str) -> String {
    format!("<{tag}>\n{}\n</{tag}>", text.trim())
}

fn agents_block(cwd: &str, text: &str) -> String {
    format!("# AGENTS.md instructions for {cwd}\n\n<INSTRUCTIONS>\n{text}\n</INSTRUCTIONS>")
}

fn permissions(facts: &ContextFacts) -> String {
    let files = match facts.sandbox_mode.as_str() {
        "danger-full-access" => {
            "Commands run without a sandbox and may change any file.".to_owned()
        }
        "workspace-write" => format!(
            "Commands may read all files and write below: {}. `.git`, `.codex` and plugin files stay read-only.",
            facts.writable_roots.join(", ")
        ),
        _ => "Commands may read all files and write none.".to_owned(),
    };
    let network = if facts.network_access {
        "The network may be used."
    } else {
        "The network is off."
    };
    let approvals = match facts.approval_policy.as_str() {
        "never" => "Nobody can approve more: do not ask for it, work within this.",
        _ => {
            "More can be asked for with `sandbox_permissions` and a justification, when the task needs it."
        }
    };
    tagged(
        "permissions instructions",
        &format!(
            "`sandbox_mode` is `{}`. {files} {network} {approvals}",
            facts.sandbox_mode
        ),
    )
}

fn environment(facts: &ContextFacts) -> String {
    let mut text = String::from("<environment_context>\n");
    for (tag, value) in [
        ("cwd", &facts.cwd),
        ("shell", &facts.shell),
        ("current_date", &facts.current_date),
        ("timezone", &facts.timezone),
    ] {
        writeln!(text, "  <{tag}>{}</{tag}>", xml(value)).expect("writing to a string cannot fail");
    }
    writeln!(text, "  {}", filesystem(facts)).expect("writing to a string cannot fail");
    text.push_str("</environment_context>");
    text
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ContextFacts {
        ContextFacts {
            cwd: "/home/user/proj".to_owned(),
            shell: "bash".to_owned(),
            current_date: "2026-11-20".to_owned(),
            timezone: "Etc/UTC".to_owned(),
            sandbox_mode: "read-only".to_owned(),
            approval_policy: "never".to_owned(),
            ..ContextFacts::default()
        }
    }

    fn texts(items: &[ResponseItem]) -> Vec<String> {
        items
            .iter()
            .flat_map(|item| match item {
                ResponseItem::Message { content, .. } => content.clone(),
                _ => Vec::new(),
            })
            .filter_map(|part| match part {
                ContentItem::InputText { text } => Some(text),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_new_conversation_is_told_everything_and_the_next_turn_nothing() {
        let first = context_items(&[], &facts());
        assert_eq!(
            texts(&first)[1],
            "<environment_context>\n  <cwd>/home/user/proj</cwd>\n  <shell>bash</shell>\n  <current_date>2026-11-20</current_date>\n  <timezone>Etc/UTC</timezone>\n  <filesystem><workspace_roots><root>/home/user/proj</root></workspace_roots><permission_profile type=\"managed\"><file_system type=\"restricted\"><entry access=\"read\"><special>:root</special></entry></file_system></permission_profile></filesystem>\n</environment_context>"
        );
        let history: Vec<Arc<ResponseItem>> = first.into_iter().map(Arc::new).collect();
        assert_eq!(context_items(&history, &facts()), Vec::new());
    }

    #[test]
    fn only_what_changed_is_said_again() {
        let history: Vec<Arc<ResponseItem>> = context_items(&[], &facts())
            .into_iter()
            .map(Arc::new)
            .collect();
        let changed = ContextFacts {
            agents_md: Some("be nice".to_owned()),
            ..facts()
        };
        assert_eq!(
            texts(&context_items(&history, &changed)),
            [
                "# AGENTS.md instructions for /home/user/proj\n\n<INSTRUCTIONS>\nbe nice\n</INSTRUCTIONS>"
            ]
        );
    }
}
