//! A fork of a thread of three turns: by reference, so its file holds what is new.

use dovetail_tests::read_lines;

use super::resume::HELLO;
use super::{Traces, check};
use crate::lab;

#[tokio::test]
async fn a_fork_is_as_captured() {
    let lab = lab(&[HELLO, HELLO, HELLO, HELLO]).await;
    lab.write_config(&lab.named_provider_config("mock", "OpenAI", ""));
    let parent = lab.exec_json(&["first"], 0).await.thread_id();
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    lab.exec_json(&["resume", "--last", "third"], 0).await;
    let fork = lab.exec_json(&["fork", &parent, "forked"], 0).await;
    lab.expect_played();
    let file = lab
        .rollouts()
        .into_iter()
        .find(|file| file.to_string_lossy().contains(&fork.thread_id()));
    let ours = Traces::ours(&lab.requests()[3..], &fork).with_rollout(read_lines(&file.unwrap()));
    check("fork", &lab, Traces::captured("fork"), ours);
}
