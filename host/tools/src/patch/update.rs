//! What a file becomes.

use super::locate::{find, longest_prefix};
use super::parse::{Line, Section};

/// Applies sections, top to bottom. Line ends stay as they are in the file.
///
/// # Errors
/// For the model: which lines were not found, and how far the match came.
pub(crate) fn updated(path: &str, text: &str, sections: &[Section]) -> Result<String, String> {
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
    Ok(result.finish())
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
    let matched = longest_prefix(lines, old, from);
    let line = old.get(matched).copied().unwrap_or_default();
    let came = match matched {
        0 => "the first line is nowhere in the rest of the file".to_owned(),
        1 => "only the first line matches".to_owned(),
        n => format!("only the first {n} lines match"),
    };
    format!(
        "`{path}` does not have the expected lines (patch line {number}): {came}, then comes `{line}` in the patch"
    )
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
    fn a_miss_says_how_far_it_came() {
        assert_eq!(
            apply("a\nb\nc\n", "@@\n a\n b\n-x"),
            Err("`f` does not have the expected lines (patch line 3): only the first 2 lines match, then comes `x` in the patch"
                .to_owned())
        );
        assert_eq!(
            apply("a\n", "@@ nope\n+x"),
            Err("`f` has no line `nope` (patch line 3)".to_owned())
        );
    }
}
