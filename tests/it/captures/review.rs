//! A review of what is not committed: the reviewer's request and its thread, and what the thread that asked for it keeps.

use std::path::PathBuf;

use dovetail_tests::{Lab, Ran, read_lines};
use serde_json::json;

use super::{Traces, check};
use crate::DOVETAIL;

/// The captured reviewer's answer; `PROJECT` stands for the directory.
const ANSWER: &str = r#"
[[response]]
actions = [
    { item = '{"type":"message","id":"msg_1","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"{\"findings\": [{\"title\": \"[P1] Bug\", \"body\": \"b\", \"confidence_score\": 0.9, \"priority\": 1, \"code_location\": {\"absolute_file_path\": \"PROJECT/readme\", \"line_range\": {\"start\": 1, \"end\": 1}}}], \"overall_correctness\": \"patch is incorrect\", \"overall_explanation\": \"x\", \"overall_confidence_score\": 0.8}"}]}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]
"#;

/// Makes the review, and finds the files of the thread that asked for it and of the reviewer.
async fn reviewed() -> (Lab, Ran, PathBuf, PathBuf) {
    let mut lab = Lab::bare(DOVETAIL);
    lab.init_git();
    lab.write("AGENTS.md", "AGENTS-MARK: be nice\n");
    lab.write("readme", "old\n");
    lab.commit("https://github.com/example/repo.git");
    lab.write("readme", "new\n");
    let project = lab.project().display().to_string();
    lab.play(&ANSWER.replace("PROJECT", &project)).await;
    lab.set_env("REHEARSAL_KEY", "k");
    lab.write_config(&lab.named_provider_config("mock", "OpenAI", ""));
    let ran = lab
        .run(&["exec", "review", "--uncommitted", "--json"])
        .await;
    let ran = ran.expect_code(0);
    lab.expect_played();
    let thread = ran.thread_id();
    let (own, others): (Vec<_>, Vec<_>) = lab
        .rollouts()
        .into_iter()
        .partition(|file| file.to_string_lossy().contains(&thread));
    let [own] = <[PathBuf; 1]>::try_from(own).unwrap();
    let [reviewer] = <[PathBuf; 1]>::try_from(others).unwrap();
    (lab, ran, own, reviewer)
}

#[tokio::test]
async fn a_review_is_as_captured() {
    let (lab, ran, own, reviewer) = reviewed().await;
    let ours = Traces {
        events: json!([]),
        ..Traces::ours(&lab.requests(), &ran)
    };
    let theirs = Traces {
        events: json!([]),
        ..Traces::captured("review")
    };
    check(
        "review",
        &lab,
        theirs,
        ours.with_rollout(read_lines(&reviewer)),
    );
    let ours = Traces::ours(&[], &ran).with_rollout(read_lines(&own));
    check(
        "review-parent",
        &lab,
        Traces::captured("review-parent"),
        ours,
    );
}
