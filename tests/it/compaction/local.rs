//! Compaction by the model, for providers whose services do not.

use dovetail_tests::script;

use super::{
    busy, compacted_lines, configure, full_answer, local_lab, notices_and_failure, sent, shapes,
};

const TOO_LONG: &str =
    "[[response]]\nactions = [{ failed = { code = 'context_length_exceeded', message = 'x' } }]\n";

#[tokio::test]
async fn a_conversation_too_long_to_sum_up_loses_its_oldest_items_first() {
    let lab = local_lab(&[
        &busy("run"),
        TOO_LONG,
        TOO_LONG,
        TOO_LONG,
        &script::answer("the note"),
        &script::answer("done"),
    ])
    .await;
    let ran = lab.exec_json(&["first"], 0).await;
    lab.expect_played();
    let all: Vec<_> = sent(&lab).iter().map(shapes).collect();
    let rest = [
        "user: first",
        "function_call",
        "function_call_output",
        "prompt",
    ];
    assert_eq!(
        all[1],
        [&["instructions", "context", "environment"], &rest[..]].concat()
    );
    assert_eq!(
        all[2],
        [&["instructions", "environment"], &rest[..]].concat()
    );
    assert_eq!(all[3], [&["instructions"], &rest[..]].concat());
    assert_eq!(all[4], [&["instructions"], &rest[1..]].concat());
    assert_eq!(
        all[5],
        [
            "instructions",
            "context",
            "environment",
            "user: first",
            "summary: the note"
        ]
    );
    assert_eq!(ran.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_conversation_that_cannot_be_summed_up_at_all_fails_the_turn_and_stays() {
    let too_long = TOO_LONG.replace("[[response]]", "[[response]]\ntimes = 5");
    let lab = local_lab(&[&busy("run"), &too_long]).await;
    let ran = lab.exec_json(&["first"], 1).await;
    lab.expect_played();
    assert_eq!(
        shapes(&lab.last_request()),
        ["instructions", "prompt"],
        "a call and its output go together"
    );
    assert_eq!(
        ran.failure(),
        "Dovetail ran out of room in the model's context window. Start a new thread or shorten this one, then try again."
    );
    assert_eq!(compacted_lines(&lab), 0);
}

#[tokio::test]
async fn a_refused_request_fails_the_turn_with_the_servers_words() {
    let lab = local_lab(&[&busy("run"), &script::status(400, "no such thing")]).await;
    let ran = lab.exec_json(&["first"], 1).await;
    lab.expect_played();
    assert_eq!(notices_and_failure(&ran), ["no such thing"]);
    assert_eq!(compacted_lines(&lab), 0);
}

#[tokio::test]
async fn an_answer_without_a_summary_is_asked_for_again() {
    let none = script::call("call", "exec_command", "{ cmd = \"touch ran\" }");
    let lab = local_lab(&[
        &busy("run"),
        &none,
        &script::answer("the note"),
        &script::answer("done"),
    ])
    .await;
    let ran = lab.exec_json(&["first"], 0).await;
    lab.expect_played();
    assert_eq!(
        ran.complaints(),
        [
            "Reconnecting... 1/1 (the model was asked for a summary of the conversation and gave none)"
        ]
    );
    assert!(!lab.project().join("ran").exists(), "nothing is called");
    assert_eq!(
        shapes(&lab.last_request()).last().map(String::as_str),
        Some("summary: the note")
    );
}

/// The second summary is made of the first, which is not kept as something the user said.
#[tokio::test]
async fn a_summary_takes_the_place_of_the_one_before() {
    let lab = local_lab(&[
        &full_answer("one"),
        &script::answer("note A"),
        &full_answer("two"),
        &script::answer("note B"),
        &script::answer("three"),
    ])
    .await;
    lab.exec_json(&["first"], 0).await;
    lab.exec_json(&["resume", "--last", "second"], 0).await;
    lab.exec_json(&["resume", "--last", "third"], 0).await;
    lab.expect_played();
    let all: Vec<_> = sent(&lab).iter().map(shapes).collect();
    assert_eq!(
        all[3],
        [
            "instructions",
            "context",
            "environment",
            "user: first",
            "summary: note A",
            "user: second",
            "assistant: two",
            "prompt"
        ]
    );
    assert_eq!(
        all[4],
        [
            "instructions",
            "user: first",
            "context",
            "environment",
            "user: second",
            "summary: note B",
            "user: third"
        ]
    );
}

#[tokio::test]
async fn the_prompt_can_be_set_in_the_configuration_or_in_a_file() {
    for (settings, asked) in [
        ("compact_prompt = \"Sum it up.\"\n", "Sum it up."),
        (
            "compact_prompt = \"  \"\nexperimental_compact_prompt_file = \"sum.md\"\n",
            "From the file.\n",
        ),
        (
            "compact_prompt = \"This one.\"\nexperimental_compact_prompt_file = \"sum.md\"\n",
            "This one.",
        ),
    ] {
        let (note, done) = (script::answer("the note"), script::answer("done"));
        let lab = local_lab(&[&busy("run"), &note, &done]).await;
        lab.write_home("sum.md", "From the file.\n");
        let limit = "model_auto_compact_token_limit = 4000\n";
        configure(&lab, "Mock", &format!("{limit}{settings}"));
        lab.exec_json(&["first"], 0).await;
        lab.expect_played();
        let request = &sent(&lab)[1];
        let prompt = request["input"].as_array().unwrap().last().unwrap();
        assert_eq!(prompt["content"][0]["text"], asked, "{settings}");
        assert_eq!(prompt.get("id"), None, "it is no item of the conversation");
    }
}

#[tokio::test]
async fn a_prompt_file_that_is_not_there_is_named() {
    let lab = local_lab(&[&script::answer("never")]).await;
    configure(
        &lab,
        "Mock",
        "experimental_compact_prompt_file = \"none.md\"\n",
    );
    lab.exec(&["first"]).await.expect_code(1).expect_errors(&[
        "cannot use the prompt `",
        "none.md",
        "hint: `experimental_compact_prompt_file` names it",
    ]);
}
