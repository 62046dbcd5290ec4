//! What the model is told of its surroundings: everything once, and later what changed.

use dovetail_tests::{Lab, script};
use serde_json::Value;

use crate::lab;

/// The context texts of the newest request, in order.
fn told(lab: &Lab) -> Vec<String> {
    let request = lab.last_request();
    let items = request["input"].as_array().unwrap();
    let parts = items
        .iter()
        .skip(1)
        .filter_map(|item| item["content"].as_array())
        .flatten();
    let texts = parts.filter_map(|part| part["text"].as_str());
    texts
        .filter(|text| {
            [
                "<permissions",
                "<environment_context>",
                "# AGENTS.md",
                "<developer_",
            ]
            .iter()
            .any(|start| text.starts_with(start))
        })
        .map(|text| lab.normal(text))
        .collect()
}

/// A lab in which a first turn has been told everything, and those texts.
async fn told_once() -> (Lab, usize) {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.write("AGENTS.md", "be nice\n");
    lab.exec(&["first"]).await.expect_code(0);
    let told = told(&lab);
    assert_eq!(
        told.len(),
        3,
        "permissions, documents, environment: {told:?}"
    );
    assert_eq!(
        told[1],
        "# AGENTS.md instructions for /project\n\n<INSTRUCTIONS>\nbe nice\n\n</INSTRUCTIONS>"
    );
    (lab, told.len())
}

/// What a second turn is told in addition.
async fn told_then(lab: &Lab, known: usize, args: &[&str]) -> Vec<String> {
    lab.exec(args).await.expect_code(0);
    told(lab).split_off(known)
}

const RESUME: [&str; 3] = ["resume", "--last", "second"];

#[tokio::test]
async fn a_resumed_thread_is_told_nothing_that_it_knows() {
    let (lab, known) = told_once().await;
    assert_eq!(told_then(&lab, known, &RESUME).await, [""; 0]);
}

#[tokio::test]
async fn a_fork_is_told_nothing_that_its_history_says() {
    let (lab, known) = told_once().await;
    let id = dovetail_tests::read_lines(&lab.rollout())[0]["payload"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        told_then(&lab, known, &["fork", &id, "second"]).await,
        [""; 0]
    );
}

#[tokio::test]
async fn changed_documents_are_told_again_and_so_is_that_they_are_gone() {
    let (mut lab, known) = told_once().await;
    lab.write("AGENTS.md", "be quick\n");
    let agents = "# AGENTS.md instructions for /project\n\n<INSTRUCTIONS>\n";
    assert_eq!(
        told_then(&lab, known, &RESUME).await,
        [format!("{agents}be quick\n\n</INSTRUCTIONS>")]
    );
    std::fs::remove_file(lab.project().join("AGENTS.md")).unwrap();
    let url = lab.server().base_url();
    lab.play(&script::answer("three")).await;
    let config = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
    lab.write_config(&config.replace(&url, &lab.server().base_url()));
    assert_eq!(
        told_then(&lab, known + 1, &RESUME).await,
        [format!("{agents}\n</INSTRUCTIONS>")]
    );
}

#[tokio::test]
async fn another_directory_brings_its_own_documents() {
    let (lab, known) = told_once().await;
    lab.write("sub/AGENTS.md", "be small\n");
    let told = told_then(
        &lab,
        known,
        &["-C", "sub", "resume", "--last", "--all", "second"],
    )
    .await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("# AGENTS.md instructions for /project/sub\n"));
    assert!(told[0].contains("be small"), "{told:?}");
    assert!(
        told[1].starts_with("<environment_context>\n  <cwd>/project/sub</cwd>\n  <filesystem>"),
        "{told:?}"
    );
}

#[tokio::test]
async fn another_sandbox_is_told_with_what_may_be_written() {
    let (lab, known) = told_once().await;
    let told = told_then(
        &lab,
        known,
        &["-s", "workspace-write", "resume", "--last", "second"],
    )
    .await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("<permissions instructions>"),
        "{told:?}"
    );
    assert!(told[0].contains("`workspace-write`"), "{told:?}");
    assert!(
        told[1].starts_with("<environment_context>\n  <filesystem>")
            && told[1].contains("<entry access=\"write\"><path>/project</path></entry>"),
        "{told:?}"
    );
}

#[tokio::test]
async fn another_day_is_told_by_its_date() {
    let mut lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    // These two zones never have the same date.
    lab.set_env("TZ", "Pacific/Pago_Pago");
    lab.exec(&["first"]).await.expect_code(0);
    let known = told(&lab).len();
    lab.set_env("TZ", "Pacific/Kiritimati");
    let told = told_then(&lab, known, &RESUME).await;
    assert_eq!(told.len(), 1, "{told:?}");
    let tags: Vec<&str> = told[0]
        .lines()
        .filter_map(|line| line.trim().strip_prefix('<')?.split_once('>'))
        .map(|(tag, _)| tag)
        .collect();
    assert_eq!(
        tags,
        [
            "environment_context",
            "current_date",
            "timezone",
            "/environment_context"
        ]
    );
}

#[tokio::test]
async fn context_is_no_message_of_the_user() {
    let (lab, _) = told_once().await;
    let shown: Vec<Value> = lab
        .rollout_lines()
        .into_iter()
        .filter(|line| line["payload"]["item"]["type"] == "UserMessage")
        .collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
}

#[tokio::test]
async fn a_work_tree_is_described_where_that_is_switched_on() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.init_git();
    lab.exec(&["first"]).await.expect_code(0);
    assert!(!told(&lab).concat().contains("<git>"));
    let said = ["--enable", "git_context", "resume", "--last", "second"];
    lab.exec(&said).await.expect_code(0);
    assert_eq!(
        told(&lab).last().unwrap(),
        "<environment_context>\n  <git><root>/project</root><branch>main</branch></git>\n</environment_context>"
    );
}
