//! What a file becomes.

use super::locate::{find, longest_prefix};
use super::parse::{Line, Section};

/// Applies sections, top to bottom. Line ends stay as they are in the file.
///
/// # Errors
/// For the model: which lines were not found, and how far the match came.
pub(crate) fn updated(path: &str, text: &str, sections: &[Section]) -> Result<String, String> {
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let ends_with_newline = text.is_empty() || text.ends_with('\n');
    let lines: Vec<&str> = text.lines().collect();
    let mut result: Vec<&str> = Vec::with_capacity(lines.len());
    let mut at = 0;
    for section in sections {
        let start = place(path, &lines, at, section)?;
        result.extend(&lines[at..start]);
        at = start;
        for line in &section.lines {
            match line {
                // The file's own line, which may differ from the patch's in white space.
                Line::Keep(_) => {
                    result.push(lines[at]);
                    at += 1;
                }
                Line::Remove(_) => at += 1,
                Line::Add(text) => result.push(text),
            }
        }
    }
    result.extend(&lines[at..]);
    let mut text = result.join(ending);
    if ends_with_newline && !result.is_empty() {
        text.push_str(ending);
    }
    Ok(text)
}

/// The line at which a section's lines start.
fn place(path: &str, lines: &[&str], at: usize, section: &Section) -> Result<usize, String> {
    let number = section.number;
    let mut from = at;
    if let Some(anchor) = &section.place {
        from = match find(lines, &[anchor.as_str()], at, false) {
            Some(found) => found + 1,
            None => {
                return Err(format!(
                    "`{path}` has no line `{anchor}` (patch line {number})"
                ));
            }
        };
    }
    let old = section.old();
    if old.is_empty() {
        // Only additions: below the anchor, or at the end of the file.
        return Ok(if section.place.is_some() {
            from
        } else {
            lines.len()
        });
    }
    // The anchor itself is often repeated as the first kept line.
    let with_anchor = from.saturating_sub(usize::from(section.place.is_some()));
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
