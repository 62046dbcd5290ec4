//! A provider whose service does not compact: the model sums the conversation up within a turn.

use super::remote_compaction::{AFTER, COMMAND, LATER, LIMIT, answer};
use super::{Traces, check};
use crate::lab;

const SUMMARY: &str = r#"
[[response]]
actions = [
    { item = '{"type":"message","id":"msg_2","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"SUMMARY TEXT"}]}' },
    { usage = { input_tokens = 5100, output_tokens = 50 } },
]
"#;

#[tokio::test]
async fn a_compaction_by_the_model_is_as_captured() {
    let answers = [
        answer("resp_3", "msg_3", "after compact", AFTER),
        answer("resp_1", "msg_1", "Hello", LATER),
    ];
    let lab = lab(&[COMMAND, SUMMARY, &answers[0], &answers[1]]).await;
    lab.write_config(&format!(
        "{LIMIT}{}",
        lab.named_provider_config("mock", "Mock", "")
    ));
    let first = lab.exec_json(&["first"], 0).await;
    lab.exec_json(&["resume", "--last", "post"], 0).await;
    lab.expect_played();
    let ours = Traces::ours(&lab.requests()[..3], &first)
        .with_rollout(lab.rollout_lines())
        .without_events();
    check(
        "local-compaction",
        &lab,
        Traces::captured("local-compaction"),
        ours,
    );
}
