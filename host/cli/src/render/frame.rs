//! What is said before and after the turn: banner, prompt, warnings, how to go on.

use std::path::Path;

use dovetail_core::ids::ThreadId;

use super::style::{Ink, Style};
use super::words::{WIDTH, paragraph};
use crate::terminal_text::{one_line, visible};

/// What is said before anything happens.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    pub(crate) version: &'a str,
    pub(crate) workdir: &'a Path,
    pub(crate) model: &'a str,
    pub(crate) effort: Option<&'a str>,
    pub(crate) provider: &'a str,
    pub(crate) sandbox: &'a str,
    pub(crate) network: bool,
    pub(crate) approvals: &'a str,
    pub(crate) thread_id: ThreadId,
    /// What the thread is going on from: `resumed`, `fork`; empty for a new one.
    pub(crate) origin: &'a str,
}

impl Banner<'_> {
    /// The banner as text, with an empty line after it.
    pub(crate) fn text(&self, style: Style) -> String {
        let label = |text: &str| style.paint(Ink::Dim, &format!("{text:<10}"));
        let effort = self
            .effort
            .map(|effort| format!(" ({effort})"))
            .unwrap_or_default();
        let network = match self.sandbox {
            "danger-full-access" => "",
            _ if self.network => ", network on",
            _ => ", network off",
        };
        let origin = match self.origin {
            "" => String::new(),
            origin => format!(" ({origin})"),
        };
        [
            style.paint(Ink::Bold, &format!("dovetail {}", self.version)),
            format!(
                "  {}{}",
                label("workdir"),
                visible(&self.workdir.to_string_lossy())
            ),
            format!(
                "  {}{}{effort} · {}",
                label("model"),
                visible(self.model),
                visible(self.provider)
            ),
            format!(
                "  {}{}{network} · approvals {}",
                label("sandbox"),
                self.sandbox,
                self.approvals
            ),
            format!("  {}{}{origin}", label("thread"), self.thread_id),
            "\n".to_owned(),
        ]
        .join("\n")
    }
}

/// The prompt as text, with the names of its images below.
pub(crate) fn prompt<'a>(
    style: Style,
    text: &str,
    images: impl IntoIterator<Item = &'a Path>,
) -> String {
    let mut shown = paragraph(&style.paint(Ink::Bold, "›"), text);
    for image in images {
        let name = one_line(&image.to_string_lossy(), WIDTH);
        shown.push_str(&format!("\n  {} {name}", style.paint(Ink::Dim, "image")));
    }
    shown + "\n"
}

/// A warning as text.
pub(crate) fn warning(style: Style, message: &str) -> String {
    format!(
        "{} {}\n",
        style.paint(Ink::Note, "warning:"),
        visible(message)
    )
}

/// The last line: how to go on.
pub(crate) fn farewell(style: Style, thread_id: ThreadId, kept: bool) -> String {
    let text = match kept {
        true => format!("to go on: dovetail exec resume {thread_id} \"…\""),
        false => format!("thread {thread_id} was not kept"),
    };
    format!("{}\n", style.paint(Ink::Dim, &text))
}
