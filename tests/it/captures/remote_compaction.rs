//! A provider whose service compacts: within a turn of `gpt-5.5`, and a later turn of the same thread.

use super::{Traces, check};
use crate::lab;

/// What the captured servers asked for first in both captures of compactions.
pub(super) const COMMAND: &str = r#"
[[response]]
actions = [
    { item = '{"type":"function_call","id":"fc_1","name":"exec_command","arguments":"{\"cmd\": \"echo one\"}","call_id":"call_1"}' },
    { usage = { input_tokens = 5000, output_tokens = 100 } },
]
"#;

const COMPACTION: &str = r#"
[[response]]
actions = [
    { item = '{"type":"compaction","id":"cmp_1","encrypted_content":"CMPENC"}' },
    { usage = { input_tokens = 5100, output_tokens = 50 } },
]
"#;

/// An answer of a server that counts its responses otherwise.
pub(super) fn answer(response: &str, item: &str, text: &str, usage: &str) -> String {
    let item = format!(
        r#"{{"type":"message","id":"{item}","role":"assistant","phase":"final_answer","content":[{{"type":"output_text","text":"{text}"}}]}}"#
    );
    let end = format!(
        r#"{{"type":"response.completed","response":{{"id":"{response}","usage":{usage}}}}}"#
    );
    format!(
        "[[response]]\ncomplete = false\nactions = [{{ item = '{item}' }}, {{ event = '{end}' }}]\n"
    )
}

pub(super) const AFTER: &str = r#"{"input_tokens":300,"output_tokens":10,"total_tokens":310}"#;
pub(super) const LATER: &str = r#"{"input_tokens":100,"input_tokens_details":{"cached_tokens":20},"output_tokens":30,"output_tokens_details":{"reasoning_tokens":10},"total_tokens":130}"#;

/// What both captured configurations set.
pub(super) const LIMIT: &str = "model_auto_compact_token_limit = 4000\n";

#[tokio::test]
async fn a_compaction_by_the_service_and_a_resumed_turn_are_as_captured() {
    let answers = [
        answer("resp_4", "msg_4", "next", AFTER),
        answer("resp_1", "msg_1", "Hello", LATER),
    ];
    let lab = lab(&[COMMAND, COMPACTION, &answers[0], &answers[1]]).await;
    lab.write_config(&format!(
        "{LIMIT}{}",
        lab.named_provider_config("mock", "OpenAI", "")
    ));
    let first = lab.exec_json(&["first"], 0).await;
    lab.exec_json(&["resume", "--last", "post"], 0).await;
    lab.expect_played();
    let mut theirs = Traces::captured("remote-compaction");
    let resumed = Traces::captured("remote-compaction-resumed").requests;
    theirs.requests.extend(resumed);
    let ours = Traces::ours(&lab.requests(), &first)
        .with_rollout(lab.rollout_lines())
        .without_events();
    check("remote-compaction", &lab, theirs, ours);
}
