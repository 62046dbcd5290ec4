//! The built-in provider over a WebSocket: the upgrade, what lets the server make ready, and a turn with one command.

use dovetail_tests::Lab;
use serde_json::Value;

use super::{Traces, check};
use crate::DOVETAIL;

const COMMAND_AND_ANSWER: &str = r#"
[[upgrade]]

[[response]]
actions = [
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
async fn the_built_in_provider_asks_over_a_web_socket_as_captured() {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(COMMAND_AND_ANSWER).await;
    lab.set_env("CODEX_API_KEY", "k");
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "model = \"gpt-5.5\"\nopenai_base_url = \"{url}\"\n"
    ));
    let ran = lab.exec_json(&["hello ws"], 0).await;
    lab.expect_played();
    // What was printed was not captured.
    let ours = Traces {
        events: Vec::<Value>::new().into(),
        ..Traces::ours(&lab.requests(), &ran)
    };
    check("websocket", &lab, Traces::captured("websocket"), ours);
}
