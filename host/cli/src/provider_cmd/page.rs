//! What people see: text that fits the terminal, with colours where there are any.

use std::io::IsTerminal as _;

use dovetail_config::env;

use crate::render::Style;
use crate::terminal_text::visible;

/// Where nothing says how wide a line may be.
const USUAL: usize = 80;
/// Longer lines are hard to read, however wide the terminal is.
const WIDEST: usize = 100;
/// In a narrower terminal everything is in pieces anyway.
const NARROWEST: usize = 30;
/// Where less than this is left beside a column, the text goes below it.
const BESIDE: usize = 32;

/// A terminal, or a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    width: usize,
    pub(super) style: Style,
}

impl Page {
    /// Standard output's.
    pub(super) fn of_stdout() -> Self {
        let size = terminal_size::terminal_size_of(std::io::stdout());
        Self::of(size, std::io::stdout().is_terminal())
    }

    /// Standard error's.
    pub(super) fn of_stderr() -> Self {
        let size = terminal_size::terminal_size_of(std::io::stderr());
        Self::of(size, std::io::stderr().is_terminal())
    }

    fn of(size: Option<(terminal_size::Width, terminal_size::Height)>, is_terminal: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let coloured = is_terminal && !dumb && env::NO_COLOR.get_os().is_none();
        // One less: some terminals wrap when the last column is written.
        let width = size.map_or(USUAL, |(width, _)| usize::from(width.0).saturating_sub(1));
        Self {
            width: width.clamp(NARROWEST, WIDEST),
            style: if coloured {
                Style::Coloured
            } else {
                Style::Plain
            },
        }
    }

    /// A page of plain text, so wide.
    #[cfg(test)]
    pub(super) fn plain(width: usize) -> Self {
        Self {
            width,
            style: Style::Plain,
        }
    }

    /// `head` with a text beside it that hangs at column `indent`, or below it where the page is narrow. `head_width` is
    /// what of `head` can be seen.
    pub(super) fn beside(self, head: &str, head_width: usize, indent: usize, text: &str) -> String {
        if self.width < indent + BESIDE {
            return format!("{}\n{}", head.trim_end(), self.indented(4, text));
        }
        let gap = " ".repeat(indent.saturating_sub(head_width));
        let text = self.indented(indent, text);
        format!("{head}{gap}{}", text.trim_start())
    }

    /// A paragraph that begins at a column.
    pub(super) fn indented(self, indent: usize, text: &str) -> String {
        let room = self.width.saturating_sub(indent).max(20);
        let mut lines: Vec<String> = Vec::new();
        for paragraph in visible(text).lines() {
            lines.extend(broken(paragraph, room));
        }
        let pad = " ".repeat(indent);
        let lines = lines.iter().map(|line| format!("{pad}{line}\n"));
        lines.collect()
    }

    /// The column in which hanging texts begin on this page.
    pub(super) fn column(self, usual: usize) -> usize {
        match self.width < usual + BESIDE {
            true => 4,
            false => usual,
        }
    }
}

/// Lines of at most so many characters, broken at blanks. A word that is longer stands alone.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_hangs_beside_its_head_or_below_it() {
        let text = "one two three four five six seven eight nine ten eleven twelve";
        assert_eq!(
            Page::plain(50).beside("ok  step", 8, 10, text),
            "ok  step  one two three four five six seven eight\n          nine ten eleven twelve\n"
        );
        assert_eq!(
            Page::plain(30).beside("ok  step  ", 10, 10, "one two three four five six seven"),
            "ok  step\n    one two three four five\n    six seven\n"
        );
    }

    #[test]
    fn words_that_are_too_long_stand_alone_and_nothing_drives_the_terminal() {
        let long = "x".repeat(40);
        assert_eq!(
            Page::plain(30).indented(2, &format!("a {long} b\nc\u{1b}[2J")),
            format!("  a\n  {long}\n  b\n  c\\x1b[2J\n")
        );
    }
}
