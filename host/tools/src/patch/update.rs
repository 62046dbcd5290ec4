//! What a file becomes.

use super::locate::{Closest, closest, find};
use super::parse::{Line, Section};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Applies sections, top to bottom. Line ends stay as they are in the file.
///
/// # Errors
/// For the model: which lines were not found, and how far the match came.
pub(crate) fn updated(path: &str, text: &str, sections: &[Section]) -> Result<String, String> {
    // A mark of the encoding belongs to no line, unless the patch says so.
    let names_mark = |section: &Section| {
        let mut lines = section.lines.iter();
        lines.any(|line| line.text().starts_with(BYTE_ORDER_MARK))
    };
    let (mark, text) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) if !sections.iter().any(names_mark) => (BYTE_ORDER_MARK, rest),
        Some(_) | None => ("", text),
    };
    let whole: Vec<&str> = text.split_inclusive('\n').collect();
    let lines: Vec<&str> = whole.iter().map(|line| without_ending(line)).collect();
    let mut result = Text::like(&whole);
    let mut at = 0;
    for section in sections {
        let start = place(path, &lines, at, section)?;
        result.keep(&whole[at..start]);
        at = start;
        for line in &section.lines {
            match line {
                // The file's own line, which may differ from the patch's in white space.
                Line::Keep(_) => {
                    result.keep(&whole[at..=at]);
                    at += 1;
                }
                Line::Remove(_) => at += 1,
                Line::Add(text) => result.add(text),
            }
        }
    }
    result.keep(&whole[at..]);
    Ok(format!("{mark}{}", result.finish()))
}

fn without_ending(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// A file's new text. Kept lines keep their ends; new ones get those of the file's first line.
struct Text {
    text: String,
    ending: &'static str,
    ends_with_newline: bool,
}

impl Text {
    fn like(old: &[&str]) -> Self {
        let windows = old.first().is_some_and(|line| line.ends_with("\r\n"));
        Self {
            text: String::new(),
            ending: if windows { "\r\n" } else { "\n" },
            ends_with_newline: old.last().is_none_or(|line| line.ends_with('\n')),
        }
    }

    fn keep(&mut self, lines: &[&str]) {
        for line in lines {
            self.end_line();
            self.text.push_str(line);
        }
    }

    fn add(&mut self, line: &str) {
        self.end_line();
        self.text.push_str(line);
        self.text.push_str(self.ending);
    }

    /// Ends a last line that had no end and is not the last any more.
    fn end_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push_str(self.ending);
        }
    }

    fn finish(mut self) -> String {
        if self.ends_with_newline {
            self.end_line();
        } else {
            self.text.truncate(without_ending(&self.text).len());
        }
        self.text
    }
}

/// The line at which a section's lines start.
fn place(path: &str, lines: &[&str], at: usize, section: &Section) -> Result<usize, String> {
    let number = section.number;
    let mut from = at;
    for anchor in &section.places {
        from = match find(lines, &[anchor.as_str()], from, false) {
            Some(found) => found + 1,
            None => {
                return Err(format!(
                    "`{path}` has no line `{anchor}` (patch line {number})"
                ));
            }
        };
    }
    let anchored = !section.places.is_empty();
    let old = section.old();
    if old.is_empty() {
        // Only additions: below the anchor, or at the end of the file.
        return Ok(if anchored { from } else { lines.len() });
    }
    // The anchor itself is often repeated as the first kept line.
    let with_anchor = from.saturating_sub(usize::from(anchored));
    find(lines, &old, from, section.at_end)
        .or_else(|| find(lines, &old, with_anchor, section.at_end))
        .ok_or_else(|| not_found(path, lines, &old, at, number))
}

fn not_found(path: &str, lines: &[&str], old: &[&str], from: usize, number: usize) -> String {
    let head = format!("`{path}` does not have the expected lines (patch line {number})");
    let first = shown(old.first().copied().unwrap_or_default());
    let Some(Closest { start, matched }) = closest(lines, old, from) else {
        return match closest(lines, old, 0) {
            Some(above) => format!(
                "{head}: {first} stands only above the last change, in line {}; sections follow the order of the file",
                above.start + 1
            ),
            None => format!("{head}: no line is like {first}"),
        };
    };
    let place = start + 1;
    match (
        old.get(matched).copied().map(shown),
        lines.get(start + matched),
    ) {
        (None, _) => format!(
            "{head}: they are in line {place}, and the patch wants them at the end of the file"
        ),
        (Some(wanted), None) => {
            format!(
                "{head}: closest is line {place}, but the file ends where the patch expects {wanted}"
            )
        }
        (Some(wanted), Some(there)) => format!(
            "{head}: closest is line {place}, but line {} is {} where the patch expects {wanted}",
            place + matched,
            shown(there),
        ),
    }
}

/// A line for an error: in backticks, and not longer than is needed to recognise it.
fn shown(line: &str) -> String {
    const LONGEST: usize = 160;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::{FileOp, Patch};
    use super::*;

    fn apply(text: &str, body: &str) -> Result<String, String> {
        let patch = format!("*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch");
        let patch = Patch::parse(&patch).expect("a patch");
        let [FileOp::Update { sections, .. }] = &patch.ops[..] else {
            panic!("one update")
        };
        updated("f", text, sections)
    }

    #[test]
    fn lines_are_replaced_where_they_stand() {
        for (text, body, expected) in [
            ("a\nb\nc\n", "@@\n a\n-b\n+B\n c", "a\nB\nc\n"),
            ("a\nb\na\nb\n", "@@ a\n-b\n+x\n@@ a\n-b\n+y", "a\nx\na\ny\n"),
            ("a\r\nb\r\n", "@@\n-b\n+B", "a\r\nB\r\n"),
            ("a\nb", "@@\n-b\n+B", "a\nB"),
            ("a\n", "@@\n+b", "a\nb\n"),
            (
                "fn x() {\n}\n",
                "@@ fn x() {\n+    y();",
                "fn x() {\n    y();\n}\n",
            ),
            (
                "fn x() {\n}\n",
                "@@ fn x() {\n fn x() {\n+    y();",
                "fn x() {\n    y();\n}\n",
            ),
            (
                "x\nend\nx\nend\n",
                "@@\n x\n-end\n+END\n*** End of File",
                "x\nend\nx\nEND\n",
            ),
            ("\ttab  \n", "@@\n tab\n+more", "\ttab  \nmore\n"),
            ("a\n", "@@\n-a", ""),
            ("a\r\nb\nc\r\n", "@@\n-a\n+A\n+B", "A\r\nB\r\nb\nc\r\n"),
            ("a\nb", "@@\n+c", "a\nb\nc"),
            ("a\nb", "@@\n-b", "a"),
            ("", "@@\n+a", "a\n"),
            ("\u{feff}a\nb\n", "@@\n-a\n+A", "\u{feff}A\nb\n"),
            (
                "f\nx\nclass\nf\nx\n",
                "@@ class\n@@ f\n-x\n+X",
                "f\nx\nclass\nf\nX\n",
            ),
        ] {
            assert_eq!(
                apply(text, body).as_deref(),
                Ok(expected),
                "{text:?} {body:?}"
            );
        }
    }

    #[test]
    fn a_miss_names_the_closest_place_and_what_differs_there() {
        let head = "`f` does not have the expected lines (patch line 3): ";
        for (text, body, why) in [
            (
                "z\na\nb\nc\n",
                "@@\n a\n b\n-x",
                "closest is line 2, but line 4 is `c` where the patch expects `x`",
            ),
            (
                "a\nb",
                "@@\n a\n b\n-x",
                "closest is line 1, but the file ends where the patch expects `x`",
            ),
            ("a\n", "@@\n-x", "no line is like `x`"),
            ("", "@@\n-x", "no line is like `x`"),
            (
                "a\nb\n",
                "@@\n-a\n*** End of File",
                "they are in line 1, and the patch wants them at the end of the file",
            ),
        ] {
            assert_eq!(
                apply(text, body),
                Err(format!("{head}{why}")),
                "{text:?} {body:?}"
            );
        }
        assert_eq!(
            apply("a\nb\n", "@@\n-b\n+B\n@@\n-a\n+A"),
            Err("`f` does not have the expected lines (patch line 6): `a` stands only above the last change, in line 1; \
                 sections follow the order of the file"
                .to_owned())
        );
        assert_eq!(
            apply("a\n", "@@ nope\n+x"),
            Err("`f` has no line `nope` (patch line 3)".to_owned())
        );
    }
}
