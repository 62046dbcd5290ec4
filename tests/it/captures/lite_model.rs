//! A model that takes its tools as an item of the input.

use super::resume::HELLO;
use super::{Traces, check};
use crate::lab;

#[tokio::test]
async fn a_lite_model_is_asked_as_captured() {
    let lab = lab(&[HELLO]).await;
    lab.write_config(
        &lab.named_provider_config("mock", "OpenAI", "")
            .replace("gpt-5.5", "gpt-6-sol"),
    );
    let ran = lab.exec_json(&["lite"], 0).await;
    lab.expect_played();
    let ours = Traces {
        // What it printed was not captured.
        events: Vec::<serde_json::Value>::new().into(),
        ..Traces::ours(&lab.requests(), &ran)
    };
    check("lite-model", &lab, Traces::captured("lite-model"), ours);
}
