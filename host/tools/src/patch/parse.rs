//! From the envelope's text to operations on files.

/// A whole patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patch {
    /// What to do, in order. Never empty.
    pub(crate) ops: Vec<FileOp>,
}

/// What to do with one file. Paths are as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileOp {
    /// Make it.
    Add {
        /// The file.
        path: String,
        /// All of it.
        content: String,
    },
    /// Remove it.
    Delete {
        /// The file.
        path: String,
    },
    /// Change it.
    Update {
        /// The file.
        path: String,
        /// Its new place.
        move_to: Option<String>,
        /// The changes, top to bottom.
        sections: Vec<Section>,
    },
}

/// A run of lines to find and what takes their place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// Lines that stand above, outer first, such as the heads of a class and of a method.
    pub(crate) places: Vec<String>,
    /// Lines kept, removed and added.
    pub(crate) lines: Vec<Line>,
    /// Whether the lines are the file's last.
    pub(crate) at_end: bool,
    /// The line of the patch it starts at, from 1.
    pub(crate) number: usize,
}

/// A line of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Stays.
    Keep(String),
    /// Goes.
    Remove(String),
    /// Comes.
    Add(String),
}

impl Section {
    /// The lines that must be there.
    pub(crate) fn old(&self) -> Vec<&str> {
        let pick = |line: &'_ Line| matches!(line, Line::Keep(_) | Line::Remove(_));
        self.lines
            .iter()
            .filter(|line| pick(line))
            .map(Line::text)
            .collect()
    }
}

impl Line {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Keep(text) | Self::Remove(text) | Self::Add(text) => text,
        }
    }
}

/// Why a text is no patch. For the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    #[error("the first line must be `*** Begin Patch`, it is `{0}`")]
    NoBegin(String),
    #[error("the last line must be `*** End Patch`, it is `{0}`")]
    NoEnd(String),
    #[error("the patch names no file")]
    Empty,
    #[error(
        "line {number}: expected `*** Add File: `, `*** Delete File: ` or `*** Update File: `, found `{line}`"
    )]
    NoFile { number: usize, line: String },
    #[error("line {number}: a line of a new file starts with `+`, found `{line}`")]
    NotAdded { number: usize, line: String },
    #[error("line {number}: a line of an update starts with a space, `-` or `+`, found `{line}`")]
    NotASection { number: usize, line: String },
    #[error("line {number}: the update of `{path}` changes nothing")]
    NoChange { number: usize, path: String },
    #[error("line {number}: a path is missing")]
    NoPath { number: usize },
}

impl Patch {
    /// Reads an envelope. Text around it that models like to add (a fence, a heredoc) is taken off.
    pub(crate) fn parse(text: &str) -> Result<Self, PatchError> {
        let lines = envelope(text)?;
        let mut reader = Reader { lines, at: 0 };
        let mut ops = Vec::new();
        while let Some((number, line)) = reader.peek() {
            if line.trim().is_empty() {
                reader.at += 1;
                continue;
            }
            ops.push(reader.op(number, line)?);
        }
        if ops.is_empty() {
            Err(PatchError::Empty)
        } else {
            Ok(Self { ops })
        }
    }
}

/// The lines between begin and end, with their numbers.
fn envelope(text: &str) -> Result<Vec<(usize, &str)>, PatchError> {
    let mut lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.strip_suffix('\r').unwrap_or(line)))
        .collect();
    let blank = |line: &str| line.trim().is_empty();
    let wrapper =
        |line: &str| line.trim_start().starts_with("```") || line.trim_end().ends_with("<<'EOF'");
    while lines
        .first()
        .is_some_and(|(_, line)| blank(line) || wrapper(line))
    {
        lines.remove(0);
    }
    while lines
        .last()
        .is_some_and(|(_, line)| blank(line) || line.trim() == "```" || line.trim() == "EOF")
    {
        lines.pop();
    }
    let shown =
        |line: Option<&(usize, &str)>| line.map(|(_, line)| (*line).to_owned()).unwrap_or_default();
    match lines.first() {
        Some((_, line)) if line.trim() == "*** Begin Patch" => {}
        other => return Err(PatchError::NoBegin(shown(other))),
    }
    match lines.last() {
        Some((_, line)) if line.trim() == "*** End Patch" && lines.len() > 1 => {}
        other => return Err(PatchError::NoEnd(shown(other))),
    }
    lines.pop();
    lines.remove(0);
    Ok(lines)
}

struct Reader<'a> {
    lines: Vec<(usize, &'a str)>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<(usize, &'a str)> {
        self.lines.get(self.at).copied()
    }

    fn op(&mut self, number: usize, line: &'a str) -> Result<FileOp, PatchError> {
        self.at += 1;
        let path = |rest: &str| match rest.trim() {
            "" => Err(PatchError::NoPath { number }),
            path => Ok(path.to_owned()),
        };
        if let Some(rest) = line.strip_prefix("*** Add File:") {
            return Ok(FileOp::Add {
                path: path(rest)?,
                content: self.new_lines()?,
            });
        }
        if let Some(rest) = line.strip_prefix("*** Delete File:") {
            return Ok(FileOp::Delete { path: path(rest)? });
        }
        if let Some(rest) = line.strip_prefix("*** Update File:") {
            return self.update(number, path(rest)?);
        }
        Err(PatchError::NoFile {
            number,
            line: line.to_owned(),
        })
    }

    /// Whether nothing but empty lines are left before the next file: they set files apart and belong to none.
    fn at_gap(&self) -> bool {
        let mut rest = self.lines.iter().skip(self.at).map(|(_, line)| *line);
        let next = rest.find(|line| !line.trim().is_empty());
        next.is_none_or(|line| line.starts_with("*** ") && line.trim_end() != "*** End of File")
    }

    fn new_lines(&mut self) -> Result<String, PatchError> {
        let mut content = String::new();
        while let Some((number, line)) = self.peek() {
            if line.starts_with("*** ") {
                break;
            }
            let Some(text) = line.strip_prefix('+') else {
                if self.at_gap() {
                    self.at += 1;
                    continue;
                }
                return Err(PatchError::NotAdded {
                    number,
                    line: line.to_owned(),
                });
            };
            content.push_str(text);
            content.push('\n');
            self.at += 1;
        }
        Ok(content)
    }

    fn update(&mut self, number: usize, path: String) -> Result<FileOp, PatchError> {
        let mut move_to = None;
        if let Some((number, line)) = self.peek()
            && let Some(rest) = line.strip_prefix("*** Move to:")
        {
            self.at += 1;
            move_to = Some(match rest.trim() {
                "" => return Err(PatchError::NoPath { number }),
                path => path.to_owned(),
            });
        }
        let mut sections: Vec<Section> = Vec::new();
        while let Some((number, line)) = self.peek() {
            if line.trim_end() == "*** End of File" {
                self.at += 1;
                match sections.last_mut() {
                    Some(section) => section.at_end = true,
                    None => {
                        return Err(PatchError::NotASection {
                            number,
                            line: line.to_owned(),
                        });
                    }
                }
                continue;
            }
            if line.starts_with("*** ") {
                break;
            }
            self.at += 1;
            if line.is_empty() && self.at_gap() {
                continue;
            }
            self.section_line(&mut sections, number, line)?;
        }
        sections.retain(|section| !section.lines.is_empty());
        if sections.is_empty() && move_to.is_none() {
            return Err(PatchError::NoChange { number, path });
        }
        Ok(FileOp::Update {
            path,
            move_to,
            sections,
        })
    }

    fn section_line(
        &self,
        sections: &mut Vec<Section>,
        number: usize,
        line: &str,
    ) -> Result<(), PatchError> {
        if let Some(rest) = line.strip_prefix("@@") {
            let place = rest.trim().trim_end_matches("@@").trim();
            let place = (!place.is_empty() && !is_line_range(place)).then(|| place.to_owned());
            // A head right below a head narrows it down.
            let mut places = match sections.pop_if(|section| section.lines.is_empty()) {
                Some(outer) => outer.places,
                None => Vec::new(),
            };
            places.extend(place);
            sections.push(Section {
                places,
                number,
                ..Section::default()
            });
            return Ok(());
        }
        let parsed = match line.chars().next() {
            // Editors and models strip the single space of an empty kept line.
            None => Line::Keep(String::new()),
            Some(' ') => Line::Keep(line[1..].to_owned()),
            Some('-') => Line::Remove(line[1..].to_owned()),
            Some('+') => Line::Add(line[1..].to_owned()),
            Some(_) => {
                return Err(PatchError::NotASection {
                    number,
                    line: line.to_owned(),
                });
            }
        };
        match sections.last_mut() {
            Some(section) if !section.at_end => section.lines.push(parsed),
            _ => sections.push(Section {
                lines: vec![parsed],
                number,
                ..Section::default()
            }),
        }
        Ok(())
    }
}

/// `-1,4 +1,6`: a unified diff's numbers, which say nothing here.
fn is_line_range(text: &str) -> bool {
    text.starts_with('-')
        && text.contains('+')
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || "-+, ".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let patch = Patch::parse(
            "*** Begin Patch\n*** Add File: a.txt\n+one\n+\n*** Delete File: b.txt\n*** Update File: c.txt\n*** Move to: d.txt\n@@ fn main\n keep\n-old\n+new\n*** End of File\n*** End Patch\n",
        )
        .expect("a patch");
        assert_eq!(
            patch.ops,
            [
                FileOp::Add {
                    path: "a.txt".to_owned(),
                    content: "one\n\n".to_owned()
                },
                FileOp::Delete {
                    path: "b.txt".to_owned()
                },
                FileOp::Update {
                    path: "c.txt".to_owned(),
                    move_to: Some("d.txt".to_owned()),
                    sections: vec![Section {
                        places: vec!["fn main".to_owned()],
                        lines: vec![
                            Line::Keep("keep".to_owned()),
                            Line::Remove("old".to_owned()),
                            Line::Add("new".to_owned())
                        ],
                        at_end: true,
                        number: 8,
                    }],
                },
            ]
        );
    }

    #[test]
    fn empty_lines_between_files_belong_to_none() {
        let gaps = "*** Begin Patch\n*** Add File: a\n+x\n\n*** Update File: b\n@@\n keep\n\n-old\n+new\n\n\n\
                    *** Delete File: c\n\n*** Update File: d\n@@\n-old\n\n*** End of File\n\n*** End Patch";
        let [
            FileOp::Add { content, .. },
            FileOp::Update { sections, .. },
            _,
            FileOp::Update { sections: last, .. },
        ] = &Patch::parse(gaps).expect("a patch").ops[..]
        else {
            panic!("four files");
        };
        assert_eq!(content, "x\n");
        let texts = |sections: &[Section]| -> Vec<String> {
            let lines = sections.iter().flat_map(|section| &section.lines);
            lines.map(|line| line.text().to_owned()).collect()
        };
        assert_eq!(texts(sections), ["keep", "", "old", "new"]);
        assert_eq!(texts(last), ["old", ""], "the file is to end with it");
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(
            Patch::parse(text).expect_err("no patch").to_string(),
            expected
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        check_error(
            "hello",
            "the first line must be `*** Begin Patch`, it is `hello`",
        );
        check_error(
            "*** Begin Patch",
            "the last line must be `*** End Patch`, it is `*** Begin Patch`",
        );
        check_error("*** Begin Patch\n*** End Patch", "the patch names no file");
        check_error(
            "*** Begin Patch\n*** Add File: \n+x\n*** End Patch",
            "line 2: a path is missing",
        );
        check_error(
            "*** Begin Patch\n*** Add File: a\nx\n*** End Patch",
            "line 3: a line of a new file starts with `+`, found `x`",
        );
        check_error(
            "*** Begin Patch\n*** Add File: a\n+x\n\n+y\n*** End Patch",
            "line 4: a line of a new file starts with `+`, found ``",
        );
        check_error(
            "*** Begin Patch\n*** Update File: a\n@@\nx\n*** End Patch",
            "line 4: a line of an update starts with a space, `-` or `+`, found `x`",
        );
        check_error(
            "*** Begin Patch\n*** Update File: a\n@@\n*** End Patch",
            "line 2: the update of `a` changes nothing",
        );
    }

    #[test]
    fn wrappers_are_taken_off() {
        let inner = "*** Begin Patch\n*** Delete File: a\n*** End Patch";
        for text in [
            format!("```\n{inner}\n```"),
            format!("apply_patch <<'EOF'\n{inner}\nEOF\n"),
            format!("\n{inner}\n\n"),
        ] {
            assert!(Patch::parse(&text).is_ok(), "{text}");
        }
    }
}
