//! Three turns of one thread, each resumed with `--last`: the request and the lines of the second, the file after the
//! third. The provider is called OpenAI, so items carry their metadata.

use super::{Traces, check};
use crate::lab;

/// The captured server always said the same.
pub(crate) const HELLO: &str = r#"
[[response]]
actions = [
    { item = '{"type":"message","id":"msg_1","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"Hello"}]}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]
"#;

#[tokio::test]
async fn resumed_turns_are_as_captured() {
    let lab = lab(&[HELLO, HELLO, HELLO]).await;
    lab.write_config(&lab.named_provider_config("mock", "OpenAI", ""));
    lab.exec_json(&["first"], 0).await;
    let second = lab.exec_json(&["resume", "--last", "second"], 0).await;
    lab.exec_json(&["resume", "--last", "third"], 0).await;
    lab.expect_played();
    let ours = Traces::ours(&lab.requests()[1..2], &second).with_rollout(lab.rollout_lines());
    check("resume", &lab, Traces::captured("resume"), ours);
}
