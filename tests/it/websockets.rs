//! The Responses API over a WebSocket: whole turns, what people are told, and the way back to HTTP.

mod fallback;
mod losses;

use dovetail_tests::{Lab, Ran, script};
use serde_json::Value;

use crate::DOVETAIL;

/// A lab whose provider has WebSockets, with these upgrades and responses. One repeat of either kind is allowed.
async fn lab(parts: &[&str]) -> Lab {
    lab_with(parts, "").await
}

/// The same with more lines for the provider's table.
async fn lab_with(parts: &[&str], more: &str) -> Lab {
    let lab = Lab::new(DOVETAIL, &parts.concat()).await;
    lab.write_config(&lab.provider_config(&format!("supports_websockets = true\n{more}")));
    lab
}

const GRANTED: &str = "[[upgrade]]\n";

/// What came, in order: upgrades, messages and requests.
fn methods(lab: &Lab) -> Vec<String> {
    let requests = lab.requests().into_iter();
    requests.map(|request| request.method).collect()
}

/// The messages that want an answer.
fn questions(lab: &Lab) -> Vec<Value> {
    let requests = lab.requests().into_iter();
    let messages = requests.filter(|request| request.method == "WEBSOCKET");
    let messages = messages.map(|request| request.json.unwrap());
    messages
        .filter(|message| message["generate"] != false)
        .collect()
}

/// What people are told beside the answer: notices and warnings, without the server's address.
fn told(lab: &Lab, ran: &Ran) -> Vec<String> {
    let events = ran.events().into_iter();
    let told = events.filter_map(|event| match event["type"].as_str().unwrap() {
        "error" => event["message"].as_str().map(str::to_owned),
        "item.completed" if event["item"]["type"] == "error" => {
            event["item"]["message"].as_str().map(str::to_owned)
        }
        _ => None,
    });
    told.map(|text| lab.normal(&text)).collect()
}

#[track_caller]
fn check_answer(ran: &Ran, expected: &str) {
    let events = ran.events();
    let answers = events
        .iter()
        .filter(|event| event["item"]["type"] == "agent_message")
        .map(|event| event["item"]["text"].as_str().unwrap());
    let answers: Vec<&str> = answers.collect();
    assert_eq!(answers.last(), Some(&expected), "{}", ran.stdout);
}

#[tokio::test]
async fn a_thread_that_goes_on_says_everything_once_and_then_what_is_new() {
    let lab = lab(&[
        GRANTED,
        &script::answer("first"),
        &script::command("c", "echo hi"),
        &script::answer("third"),
    ])
    .await;
    lab.exec_json(&["one"], 0).await;
    let ran = lab.exec_json(&["resume", "--last", "two"], 0).await;
    check_answer(&ran, "third");
    lab.expect_played();
    let warm = ["GET", "WEBSOCKET"];
    let expected = [&warm[..], &["WEBSOCKET"], &warm[..], &["WEBSOCKET"; 2]].concat();
    assert_eq!(methods(&lab), expected);
    let questions = questions(&lab);
    let before: Vec<&Value> = questions
        .iter()
        .map(|question| &question["previous_response_id"])
        .collect();
    assert_eq!(before, ["resp_warm", "resp_warm", "resp_2"]);
    let said = |index: usize| questions[index]["input"].to_string();
    for text in ["one", "first", "two"] {
        assert!(said(1).contains(text), "`{text}` is missing in {}", said(1));
    }
    assert_eq!(questions[2]["input"].as_array().unwrap().len(), 1);
    assert!(said(2).contains("function_call_output"));
}

#[tokio::test]
async fn a_turn_has_started_before_there_is_a_connection() {
    let lab = lab(&[
        "[[upgrade]]\nhang = true\n[[upgrade]]\n",
        &script::answer("on"),
    ])
    .await;
    let mut running = lab.start_exec(&["--json", "go"]);
    running.wait_for("turn.started").await;
    lab.server()
        .wait_until(|progress| progress.requests == 1)
        .await;
    running.signal("INT");
    let ran = running.finish().await.expect_code(1);
    assert_eq!(ran.failure(), "turn interrupted");
    // The host is not to blame for that.
    let ran = lab.exec_json(&["resume", "--last", "go on"], 0).await;
    check_answer(&ran, "on");
    assert_eq!(methods(&lab), ["GET", "GET", "WEBSOCKET", "WEBSOCKET"]);
}

#[tokio::test]
async fn an_interrupt_ends_an_answer_and_its_connection() {
    let streaming = "[[response]]\nactions = [{ text = \"first\" }, { hang = true }]\n";
    let lab = lab(&[GRANTED, streaming, &script::answer("on")]).await;
    let mut running = lab.start_exec(&["--json", "go"]);
    lab.server()
        .wait_until(|progress| progress.requests == 3)
        .await;
    running.wait_for("turn.started").await;
    running.signal("INT");
    running.finish().await.expect_code(1);
    lab.server()
        .wait_until(|progress| progress.abandoned == 1)
        .await;
    lab.exec_json(&["resume", "--last", "go on"], 0).await;
    assert!(
        questions(&lab)[1]["input"]
            .to_string()
            .contains("<turn_aborted>")
    );
}

#[tokio::test]
async fn without_a_credential_nothing_is_sent() {
    let mut lab = lab(&[GRANTED, &script::answer("unused")]).await;
    lab.remove_env("REHEARSAL_KEY");
    let ran = lab.exec_json(&["go"], 1).await;
    assert_eq!(
        ran.failure(),
        "Missing environment variable: `REHEARSAL_KEY`."
    );
    assert_eq!(methods(&lab), Vec::<String>::new());
}

#[tokio::test]
async fn a_refused_credential_is_recovered_before_http_is_tried() {
    let lab = lab(&[
        "[[upgrade]]\nstatus = 401\n",
        GRANTED,
        &script::answer("in"),
    ])
    .await;
    let command = "n=$(cat count 2>/dev/null || echo 0); echo $((n + 1)) > count; echo token-$n";
    let script = lab.write(
        "token.sh",
        format!("cd '{}'\n{command}\n", lab.project().display()),
    );
    let auth = format!(
        "supports_websockets = true\nauth = {{ command = \"/bin/sh\", args = [\"{}\"] }}",
        script.display()
    );
    lab.write_config(
        &lab.provider_config(&auth)
            .replace("env_key = \"REHEARSAL_KEY\"\n", ""),
    );
    let ran = lab.exec_json(&["go"], 0).await;
    check_answer(&ran, "in");
    assert_eq!(told(&lab, &ran), Vec::<String>::new());
    let keys: Vec<String> = lab
        .requests()
        .iter()
        .filter(|request| request.method == "GET")
        .map(|request| request.header("authorization").unwrap().to_owned())
        .collect();
    assert_eq!(keys, ["Bearer token-0", "Bearer token-1"]);
}

#[tokio::test]
async fn web_sockets_can_be_switched_off() {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(&[GRANTED, &script::answer("over HTTP")].concat())
        .await;
    lab.set_env("CODEX_API_KEY", "k");
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "openai_base_url = \"{url}\"\n[dovetail]\nwebsockets = false\n"
    ));
    check_answer(&lab.exec_json(&["go"], 0).await, "over HTTP");
    assert_eq!(methods(&lab), ["POST"]);
}

#[tokio::test]
async fn a_provider_has_web_sockets_only_where_its_table_says_so() {
    let lab = lab(&[GRANTED, &script::answer("a"), &script::answer("b")]).await;
    check_answer(&lab.exec_json(&["go"], 0).await, "a");
    let off = "model_providers.rehearsal.supports_websockets=false";
    check_answer(&lab.exec_json(&["-c", off, "go"], 0).await, "b");
    assert_eq!(methods(&lab), ["GET", "WEBSOCKET", "WEBSOCKET", "POST"]);
}

#[tokio::test]
async fn a_proxy_is_gone_through() {
    let mut lab = lab(&[GRANTED, &script::answer("through")]).await;
    let proxy = lab.server().base_url().replace("/v1", "");
    lab.set_env("http_proxy", &proxy);
    let url = "model_providers.rehearsal.base_url=http://llm.example.invalid/v1";
    check_answer(&lab.exec_json(&["-c", url, "go"], 0).await, "through");
    let upgrade = &lab.requests()[0];
    assert_eq!(upgrade.path, "http://llm.example.invalid/v1/responses");
    assert_eq!(methods(&lab), ["GET", "WEBSOCKET", "WEBSOCKET"]);
}
