//! What goes into a turn: the prompt, standard input, images, a schema for the answer, instructions of the project.

use dovetail_tests::{Lab, script};
use serde_json::{Value, json};

use crate::{DOVETAIL, lab};

/// The content of the prompt in the newest request.
fn prompt(lab: &Lab) -> Value {
    let request = lab.last_request();
    let items = request["input"].as_array().unwrap();
    items
        .iter()
        .rfind(|item| item["role"] == "user")
        .expect("a prompt")["content"]
        .clone()
}

async fn check_prompt(args: &[&str], input: &str, expected: &str) {
    let lab = lab(&[&script::answer("hi")]).await;
    let args = [&["exec", "--skip-git-repo-check"], args].concat();
    lab.run_with_input(&args, input).await.expect_code(0);
    assert_eq!(
        prompt(&lab),
        json!([{ "type": "input_text", "text": expected }]),
        "{args:?}"
    );
}

#[tokio::test]
async fn the_prompt_comes_from_the_argument_standard_input_or_both() {
    check_prompt(&["hello"], "", "hello").await;
    check_prompt(&[], "from input", "from input").await;
    check_prompt(&["-"], "from input", "from input").await;
    check_prompt(&["hello"], "a log\n", "hello\n\n<stdin>\na log\n</stdin>").await;
}

#[tokio::test]
async fn no_prompt_is_exit_code_1() {
    let lab = lab(&[&script::answer("hi")]).await;
    for args in [
        &["exec", "--skip-git-repo-check"][..],
        &["exec", "--skip-git-repo-check", "-"],
    ] {
        lab.run_with_input(args, "  \n")
            .await
            .expect_code(1)
            .expect_errors(&["error: there is no prompt"]);
    }
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn no_word_of_a_prompt_without_quotes_is_dropped() {
    let lab = lab(&[&script::answer("one")]).await;
    lab.exec(&["first"]).await.expect_code(0);
    let ran = lab.exec(&["resume", "--last", "fix", "it"]).await;
    ran.expect_code(1)
        .expect_errors(&["`fix` and `it` are two"]);
    assert_eq!(lab.requests().len(), 1);
}

#[tokio::test]
async fn input_that_is_no_text_is_refused() {
    let lab = lab(&[&script::answer("hi")]).await;
    let ran = lab
        .run_with_input(&["exec", "--skip-git-repo-check", "-"], [0xff, 0xfe, 0x00])
        .await;
    ran.expect_code(1)
        .expect_errors(&["standard input is not UTF-8 text", "hint: "]);
}

/// The smallest of each kind.
pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\
    \0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";
const JPEG: &[u8] = b"\xff\xd8\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xd9";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0;";

/// The parts of an image in a prompt.
fn image(number: usize, path: &str, url: &str) -> [Value; 3] {
    [
        json!({ "type": "input_text", "text": format!("<image name=[Image #{number}] path=\"{path}\">") }),
        json!({ "type": "input_image", "image_url": url, "detail": "original" }),
        json!({ "type": "input_text", "text": "</image>" }),
    ]
}

#[tokio::test]
async fn images_come_before_the_text_each_with_its_number() {
    let (png, jpeg) = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
        "data:image/jpeg;base64,/9j/wAALCAABAAEBAREA/9k=",
    );
    let parts = |text: &str| {
        let text = json!({ "type": "input_text", "text": text });
        Value::from(
            [
                &image(1, "a.png", png)[..],
                &image(2, "b.jpg", jpeg),
                &[text],
            ]
            .concat(),
        )
    };
    for args in [
        &["what, and why", "-i", "a.png", "b.jpg"][..],
        &["-i", "a.png", "b.jpg", "--", "what, and why"],
        &["-i", "a.png,b.jpg", "what, and why"],
        &[
            "--image",
            "a.png",
            "--image",
            "b.jpg",
            "--json",
            "what, and why",
        ],
    ] {
        let lab = lab(&[&script::answer("hi")]).await;
        lab.write("a.png", PNG);
        lab.write("b.jpg", JPEG);
        lab.exec(args).await.expect_code(0);
        assert_eq!(prompt(&lab), parts("what, and why"), "{args:?}");
        let lines = lab.rollout_lines();
        let shown = lines
            .iter()
            .find(|line| line["payload"]["item"]["type"] == "UserMessage")
            .unwrap();
        assert_eq!(
            shown["payload"]["item"]["content"],
            json!([
                { "type": "local_image", "path": "a.png" },
                { "type": "local_image", "path": "b.jpg" },
                { "type": "text", "text": "what, and why", "text_elements": [] },
            ])
        );
    }
}

#[tokio::test]
async fn an_image_goes_with_a_resumed_prompt_too() {
    let lab = lab(&[&script::answer("one"), &script::answer("two")]).await;
    lab.write("a.gif", GIF);
    lab.exec(&["first"]).await.expect_code(0);
    lab.exec(&["resume", "--last", "-i", "a.gif", "second"])
        .await
        .expect_code(0);
    let text = json!({ "type": "input_text", "text": "second" });
    let expected = [
        &image(1, "a.gif", "data:image/gif;base64,R0lGODlhAQABAAAAADs=")[..],
        &[text],
    ]
    .concat();
    assert_eq!(prompt(&lab), Value::from(expected));
}

#[tokio::test]
async fn a_damaged_image_is_refused_before_anything_is_sent() {
    let lab = lab(&[&script::answer("hi")]).await;
    for (name, bytes, why) in [
        ("head.png", &PNG[..20], "it is damaged"),
        ("cut.png", &PNG[..60], "it is damaged: its end is missing"),
        ("cut.jpg", &JPEG[..4], "it is damaged"),
        ("cut.gif", &GIF[..6], "it is damaged"),
    ] {
        lab.write(name, bytes);
        let ran = lab.exec(&["what", "-i", name]).await.expect_code(1);
        ran.expect_errors(&[&format!("cannot use the image `{name}`: {why}"), "hint: "]);
    }
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn an_image_that_is_none_is_refused() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.write("dot.png", "words");
    lab.exec(&["what", "-i", "dot.png"])
        .await
        .expect_code(1)
        .expect_errors(&["`dot.png` is no PNG"]);
    lab.exec(&["what", "-i", "gone.png"])
        .await
        .expect_code(1)
        .expect_errors(&["cannot read the image `gone.png`"]);
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn a_bad_schema_is_refused_before_anything_is_sent() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.write("list.json", "[]");
    lab.write("words.json", "words");
    for (file, words) in [
        ("list.json", "must be a JSON object"),
        ("words.json", "is not JSON"),
        ("gone.json", "cannot read the output schema `gone.json`"),
    ] {
        lab.exec(&["--output-schema", file, "hello"])
            .await
            .expect_code(1)
            .expect_errors(&[words]);
    }
    assert!(lab.requests().is_empty());
}

#[tokio::test]
async fn instructions_of_user_and_project_are_in_the_context() {
    let lab = lab(&[&script::answer("hi")]).await;
    lab.init_git();
    lab.write_home("AGENTS.md", "GLOBAL-MARK\n");
    lab.write("AGENTS.md", "PROJECT-MARK\n");
    lab.write("sub/AGENTS.md", "SUB-MARK\n");
    lab.exec(&["-C", "sub", "hello"]).await.expect_code(0);
    let request = lab.last_request();
    let text = request["input"].to_string();
    let at = |mark: &str| {
        text.find(mark)
            .unwrap_or_else(|| panic!("{mark} is missing in {text}"))
    };
    assert!(at("GLOBAL-MARK") < at("PROJECT-MARK") && at("PROJECT-MARK") < at("SUB-MARK"));
}

#[tokio::test]
async fn a_working_directory_that_is_not_there_is_refused() {
    let lab = Lab::bare(DOVETAIL);
    let ran = lab.exec(&["-C", "nowhere", "hello"]).await.expect_code(1);
    ran.expect_errors(&["error: cannot use `", "nowhere` as working directory"]);
}

#[tokio::test]
async fn a_directory_may_have_any_name() {
    let patch = "*** Begin Patch\n*** Add File: new file.txt\n+mine\n*** End Patch\n";
    let lab = lab(&[
        &script::command("c", "pwd"),
        &script::patch("p", patch),
        &script::answer("ok"),
    ])
    .await;
    let dir = lab.project().join("a b 'ü' \"$HOME\"");
    std::fs::create_dir(&dir).unwrap();
    let name = dir.to_str().unwrap();
    lab.exec(&["-s", "workspace-write", "-C", name, "hello"])
        .await
        .expect_code(0);
    assert!(
        lab.output_of("c").contains(&format!("{name}\n")),
        "{}",
        lab.output_of("c")
    );
    assert!(dir.join("new file.txt").exists(), "{}", lab.output_of("p"));
    lab.expect_played();
}
