//! A custom provider and a model nothing is known of: reasoning, commentary, one command, the answer.

use super::{Traces, check};
use crate::lab;

/// The captured server's script.
const BASIC_TURN: &str = r#"
[[response]]
actions = [
    { headers = { x-codex-turn-state = "ts-abc", x-codex-primary-used-percent = "12.5", x-codex-primary-window-minutes = "300", x-codex-primary-reset-at = "1790000000" } },
    { item = '{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"**Think**"}],"encrypted_content":"ENC=="}' },
    { item = '{"type":"message","id":"msg_1","role":"assistant","phase":"commentary","content":[{"type":"output_text","text":"I will run it."}]}' },
    { item = '{"type":"function_call","id":"fc_1","name":"exec_command","arguments":"{\"cmd\": \"echo hi; pwd; id -u\"}","call_id":"call_1"}' },
    { usage = { input_tokens = 100, cached_input_tokens = 20, output_tokens = 30, reasoning_output_tokens = 10 } },
]

[[response]]
actions = [
    { item = '{"type":"message","id":"msg_2","role":"assistant","phase":"final_answer","content":[{"type":"output_text","text":"All done."}]}' },
    { usage = { input_tokens = 200, cached_input_tokens = 150, output_tokens = 5, reasoning_output_tokens = 0 } },
]
"#;

#[tokio::test]
async fn a_basic_turn_is_as_captured() {
    let lab = lab(&[BASIC_TURN]).await;
    lab.write_config(
        &lab.named_provider_config("mock", "Mock", "")
            .replace("gpt-5.5", "gpt-5.2-codex"),
    );
    let ran = lab.exec_json(&["say hi"], 0).await;
    lab.expect_played();
    let ours = Traces::ours(&lab.requests(), &ran).with_rollout(lab.rollout_lines());
    check("basic-turn", &lab, Traces::captured("basic-turn"), ours);
}
