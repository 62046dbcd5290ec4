//! Reviews: what is reviewed, what the reviewer is told, and what its answer means.
//!
//! The answer is meant to be JSON of one shape, which thread files keep as it is. A model that answers otherwise loses
//! nothing: its words are then the explanation.

use serde::{Deserialize, Serialize};

/// The base instructions of a reviewer.
pub const REVIEW_INSTRUCTIONS: &str = include_str!("review/instructions.md");

/// Stands where a reviewer answered in the right shape and said nothing with it.
const SILENT: &str = "The reviewer has nothing to say.";

/// What is reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ReviewTarget {
    /// What is not committed, untracked files included.
    UncommittedChanges,
    /// What a branch would get.
    BaseBranch {
        /// That branch.
        branch: String,
    },
    /// What a commit changed.
    Commit {
        /// The commit, as the user wrote it.
        sha: String,
        /// Its title, for people.
        title: Option<String>,
    },
    /// Whatever the user says.
    Custom {
        /// The user's words.
        instructions: String,
    },
}

impl ReviewTarget {
    /// What people are told is reviewed.
    pub fn hint(&self) -> String {
        match self {
            Self::UncommittedChanges => "current changes".to_owned(),
            Self::BaseBranch { branch } => format!("changes against '{branch}'"),
            Self::Commit { sha, title } => {
                let short: String = sha.chars().take(7).collect();
                match title {
                    Some(title) => format!("commit {short}: {title}"),
                    None => format!("commit {short}"),
                }
            }
            Self::Custom { instructions } => instructions.clone(),
        }
    }

    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UncommittedChanges => "uncommitted",
            Self::BaseBranch { .. } => "base_branch",
            Self::Commit { .. } => "commit",
            Self::Custom { .. } => "custom",
        }
    }

    /// What the reviewer is asked. `merge_base` is the commit in which the work left the base branch, where it is known.
    pub fn prompt(&self, merge_base: Option<&str>) -> String {
        match (self, merge_base) {
            (Self::UncommittedChanges, _) => "Review what is not committed in this work tree: staged and unstaged changes and untracked files.".to_owned(),
            (Self::BaseBranch { branch }, Some(base)) => format!("Review what this work would bring to the branch '{branch}'. It left that branch at commit {base}: `git diff {base}` shows the changes."),
            (Self::BaseBranch { branch }, None) => format!("Review what this work would bring to the branch '{branch}'. Find the commit at which it left that branch with `git merge-base`, of the branch's upstream where that is ahead, and look at the changes since."),
            (Self::Commit { sha, title: None }, _) => format!("Review what the commit {sha} changed."),
            (Self::Commit { sha, title: Some(title) }, _) => format!("Review what the commit {sha} (\"{title}\") changed."),
            (Self::Custom { instructions }, _) => instructions.clone(),
        }
    }
}

/// What a reviewer says of a change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReviewOutput {
    /// What is wrong, in the reviewer's order.
    pub findings: Vec<Finding>,
    /// `patch is correct` or `patch is incorrect`.
    #[serde(default)]
    pub overall_correctness: String,
    /// Why.
    #[serde(default)]
    pub overall_explanation: String,
    /// How sure it is, 0 to 1.
    #[serde(default)]
    pub overall_confidence_score: f64,
}

/// A fault that a reviewer found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// It in a line.
    pub title: String,
    /// It in a paragraph.
    #[serde(default)]
    pub body: String,
    /// How sure the reviewer is, 0 to 1.
    #[serde(default)]
    pub confidence_score: f64,
    /// From 0, the most urgent, to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_location: Option<CodeLocation>,
}

/// Lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeLocation {
    /// The file.
    pub absolute_file_path: String,
    /// The lines.
    pub line_range: LineRange,
}

/// Lines, counted from 1, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRange {
    /// The first.
    pub start: u64,
    /// The last.
    pub end: u64,
}

impl ReviewOutput {
    /// Understands an answer: JSON, alone or with words or a fence around it. Any other answer is the explanation.
    pub fn parse(answer: &str) -> Self {
        let inner = || {
            let (start, end) = (answer.find('{')?, answer.rfind('}')?);
            serde_json::from_str(answer.get(start..=end)?).ok()
        };
        let whole = serde_json::from_str(answer).ok();
        whole.or_else(inner).unwrap_or_else(|| Self {
            overall_explanation: answer.trim().to_owned(),
            ..Self::default()
        })
    }

    /// The review as people read it.
    pub fn text(&self) -> String {
        let explanation = self.overall_explanation.trim();
        let mut parts: Vec<String> = Vec::new();
        if !explanation.is_empty() {
            parts.push(explanation.to_owned());
        }
        match self.findings.len() {
            0 => {}
            1 => parts.push("Review comment:".to_owned()),
            _ => parts.push("Full review comments:".to_owned()),
        }
        parts.extend(self.findings.iter().map(Finding::text));
        match (parts.is_empty(), self.overall_correctness.trim()) {
            (false, _) => parts.join("\n\n"),
            (true, "") => SILENT.to_owned(),
            (true, verdict) => verdict.to_owned(),
        }
    }
}

impl Finding {
    fn text(&self) -> String {
        let mut text = format!("- {}", self.title.trim());
        if let Some(CodeLocation {
            absolute_file_path: path,
            line_range: LineRange { start, end },
        }) = &self.code_location
        {
            text.push_str(&format!(" — {path}:{start}-{end}"));
        }
        for line in self.body.lines() {
            text.push_str("\n  ");
            text.push_str(line);
        }
        text
    }
}

/// What the thread that asked for a review reads of it later; none for one that was cut short.
pub(crate) fn user_action(output: Option<&ReviewOutput>) -> String {
    let (context, results) = match output {
        Some(output) => (
            "The user had the changes reviewed. This is what the reviewer says; the user may ask to have some of it mended.",
            output.text(),
        ),
        None => (
            "The user had the changes reviewed, but the review ended early. Where the user asks about it, say that it has to be started again.",
            "None.".to_owned(),
        ),
    };
    format!(
        "<user_action>\n  <context>{context}</context>\n  <action>review</action>\n  <results>\n  {results}\n  </results>\n</user_action>\n"
    )
}

/// What people read in the place of a review that was cut short.
pub(crate) const CUT_SHORT: &str =
    "The review ended before there was a result. Start it again to get one.";

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(title: &str, body: &str) -> Finding {
        Finding {
            title: title.to_owned(),
            body: body.to_owned(),
            confidence_score: 0.9,
            priority: Some(1),
            code_location: Some(CodeLocation {
                absolute_file_path: "/p/a.rs".to_owned(),
                line_range: LineRange { start: 3, end: 9 },
            }),
        }
    }

    fn output(findings: Vec<Finding>, explanation: &str) -> ReviewOutput {
        ReviewOutput {
            findings,
            overall_correctness: "patch is incorrect".to_owned(),
            overall_explanation: explanation.to_owned(),
            overall_confidence_score: 0.8,
        }
    }

    #[test]
    fn json_is_found_with_words_and_fences_around_it() {
        let expected = output(vec![finding("[P1] a", "b")], "x");
        let json = serde_json::to_string(&expected).expect("it serializes");
        for answer in [
            json.clone(),
            format!("Here it is:\n```json\n{json}\n```\nBye."),
            format!("  {json}\n"),
        ] {
            assert_eq!(ReviewOutput::parse(&answer), expected, "{answer}");
        }
    }

    #[test]
    fn what_is_left_out_is_not_needed() {
        let answer =
            r#"{"findings":[{"title":"a"},{"title":"b","priority":null,"more":1}],"more":[]}"#;
        let parsed = ReviewOutput::parse(answer);
        assert_eq!(parsed.text(), "Full review comments:\n\n- a\n\n- b");
    }

    #[test]
    fn any_other_answer_is_the_explanation() {
        for answer in [
            "All is well.",
            "Use `{}` here, and `{\"a\": 1}` there.",
            r#"{"overall_explanation":"no findings"}"#,
            r#"{"findings":["a"]}"#,
            r#"{"findings":[{"title":"a","code_location":{"absolute_file_path":"/a"}}]}"#,
            "} {",
            "[]",
        ] {
            let parsed = ReviewOutput::parse(answer);
            assert_eq!(
                parsed,
                ReviewOutput {
                    overall_explanation: answer.to_owned(),
                    ..ReviewOutput::default()
                }
            );
            assert_eq!(parsed.text(), answer);
        }
    }

    #[test]
    fn a_review_reads_as_in_other_clients() {
        let one = output(vec![finding("[P1] a", "b\n\nc")], "x");
        assert_eq!(
            one.text(),
            "x\n\nReview comment:\n\n- [P1] a — /p/a.rs:3-9\n  b\n  \n  c"
        );
        let two = output(vec![finding("a", "b"), finding("c", "")], " ");
        assert_eq!(
            two.text(),
            "Full review comments:\n\n- a — /p/a.rs:3-9\n  b\n\n- c — /p/a.rs:3-9"
        );
        assert_eq!(output(Vec::new(), "fine\n").text(), "fine");
        assert_eq!(output(Vec::new(), "").text(), "patch is incorrect");
        assert_eq!(ReviewOutput::default().text(), SILENT);
    }

    #[test]
    fn people_are_told_what_is_reviewed() {
        let commit = |title: Option<&str>| ReviewTarget::Commit {
            sha: "0123456789".to_owned(),
            title: title.map(str::to_owned),
        };
        assert_eq!(commit(None).hint(), "commit 0123456");
        assert_eq!(commit(Some("t")).hint(), "commit 0123456: t");
        let branch = "main".to_owned();
        assert_eq!(
            ReviewTarget::BaseBranch { branch }.hint(),
            "changes against 'main'"
        );
    }
}
