//! The server over real sockets.

#![expect(clippy::panic, reason = "a failed test panics")]

use std::time::Duration;

use dovetail_rehearsal::{
    Problem, RehearsalServer, RehearseError, RehearseMode, RehearseOptions, Script, run,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

async fn start(actions: &str) -> RehearsalServer {
    start_script(&format!("[[response]]\nactions = [{actions}]")).await
}

async fn start_script(text: &str) -> RehearsalServer {
    let script = Script::parse(text).unwrap_or_else(|error| panic!("the script is wrong: {error}"));
    RehearsalServer::start(script)
        .await
        .expect("a loopback port is free")
}

fn client() -> reqwest::Client {
    // Installing it a second time fails, which changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("the options are valid")
}

async fn post(server: &RehearsalServer, body: &Value) -> reqwest::Result<reqwest::Response> {
    let url = format!("{}/responses", server.base_url());
    client()
        .post(url)
        .header("authorization", "Bearer the-secret-key")
        .body(body.to_string())
        .send()
        .await
}

/// The body's bytes up to its end or its breaking.
async fn raw_answer(server: &RehearsalServer) -> Vec<u8> {
    let address = server.base_url();
    let address = address
        .trim_start_matches("http://")
        .trim_end_matches("/v1");
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    let request = b"POST /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request).await.expect("the server reads");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .await
        .expect("the server closes");
    answer
}

#[tokio::test]
async fn an_answer_is_streamed_as_a_service_would() {
    let server = start(
        r#"{ text = "Hällo", phase = "final_answer", chunk = 3 },
           { usage = { input_tokens = 7, output_tokens = 2 } }, { end_turn = true }"#,
    )
    .await;
    let response = post(&server, &json!({})).await.expect("it answers");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.expect("the stream ends well");
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("every event is JSON"))
        .collect();
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.output_item.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(
        (&events[2]["delta"], &events[3]["delta"]),
        (&json!("Häl"), &json!("lo"))
    );
    assert_eq!(
        events[4]["item"],
        json!({
            "type": "message", "id": "msg_1_0", "status": "completed", "role": "assistant", "phase": "final_answer",
            "content": [{ "type": "output_text", "text": "Hällo", "annotations": [] }],
        })
    );
    assert_eq!(events[5]["response"]["usage"]["total_tokens"], 9);
    assert_eq!(events[5]["response"]["end_turn"], true);
    assert!(server.stop().await.is_success());
}

#[tokio::test]
async fn a_request_that_differs_is_refused_and_reported() {
    let server = start_script(
        r#"[[response]]
expect = [
    { header = "authorization", equals = "Bearer other" },
    { body = "/model", equals = "a" },
    { body = "/model", matches = "^b$" },
    { input_contains = "hello" },
    { tool_output = "call_1", contains = "ok" },
    { tool = "search" },
    { tool = "missing" },
]
actions = [{ text = "hi" }]"#,
    )
    .await;
    let body = json!({
        "model": "b",
        "input": [
            { "type": "message", "content": [{ "type": "input_text", "text": "good day" }] },
            { "type": "function_call_output", "call_id": "call_1", "output": "not well" },
        ],
        "tools": [{ "type": "namespace", "name": "mcp__notes", "tools": [{ "type": "function", "name": "search" }] }],
    });
    let response = post(&server, &body).await.expect("it answers");
    assert_eq!(response.status(), 400);
    let answer: Value =
        serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
    let report = server.stop().await.to_string();
    assert_eq!(
        report,
        "0 requests played as scripted
step 1 (line 1): the request is not what the script expects
  - header `authorization` is \"Bearer other\"
  + header `authorization` is another value (21 bytes, not shown)
  - body `/model` is \"a\"
  + body `/model` is \"b\"
  - the input contains \"hello\"
  + the input is \"good day\\nnot well\"
  - the output of `call_1` contains \"ok\"
  + the output of `call_1` is \"not well\"
  - tool `missing` is there
  + tool `missing` is not there"
    );
    assert!(
        answer["error"]["message"]
            .as_str()
            .is_some_and(|text| report.contains(&text["rehearsal: ".len()..]))
    );
}

#[tokio::test]
async fn a_request_too_many_and_a_step_too_many_are_reported() {
    let server = start_script("[[response]]\ntimes = 2\n[[response]]").await;
    for _ in 0..2 {
        assert_eq!(
            post(&server, &json!({}))
                .await
                .expect("it answers")
                .status(),
            200
        );
    }
    let report = server.report();
    assert_eq!(
        report.problems,
        [Problem::Unplayed {
            step: 2,
            line: 3,
            steps: 2
        }]
    );
    assert_eq!(
        post(&server, &json!({}))
            .await
            .expect("it answers")
            .status(),
        200
    );
    assert_eq!(
        post(&server, &json!({}))
            .await
            .expect("it answers")
            .status(),
        400
    );
    let report = server.stop().await;
    assert_eq!(
        (report.played, report.problems),
        (3, vec![Problem::Surplus { answered: 3 }])
    );
}

#[tokio::test]
async fn connections_are_kept_and_requests_recorded_as_sent() {
    let server = start_script("[[response]]\ntimes = 2\nactions = [{ text = \"hi\" }]").await;
    let client = client();
    for _ in 0..2 {
        let url = format!("{}/responses?api-version=1", server.base_url());
        let request = client.post(url).header("X-Second", "2").body("{\"a\": 1}");
        request
            .send()
            .await
            .expect("it answers")
            .text()
            .await
            .expect("the stream ends well");
    }
    let requests = server.requests();
    assert_eq!(
        requests
            .iter()
            .map(|request| request.connection)
            .collect::<Vec<_>>(),
        [0, 0]
    );
    assert_eq!(requests[0].path, "/v1/responses?api-version=1");
    assert_eq!(
        (requests[0].body.as_slice(), requests[0].json.as_ref()),
        (&b"{\"a\": 1}"[..], Some(&json!({ "a": 1 })))
    );
    assert_eq!(requests[0].header("x-second"), Some("2"));
}

#[tokio::test]
async fn bytes_can_be_split_and_be_garbage() {
    let server = start(r#"{ split = 1 }, { text = "ü" }, { garbage = { hex = "fF 0a" } }"#).await;
    let answer = raw_answer(&server).await;
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("\r\n\r\n1\r\ne\r\n1\r\nv\r\n"), "{text}");
    assert!(
        answer.windows(7).any(|bytes| bytes == b"1\r\n\xff\r\n1"),
        "{text}"
    );
}

#[tokio::test]
async fn connections_break_where_the_script_says() {
    let server = start(r#"{ disconnect = "now" }"#).await;
    assert_eq!(raw_answer(&server).await, b"");
    let server = start(r#"{ disconnect = "mid_event" }"#).await;
    assert!(raw_answer(&server).await.ends_with(b"\"response.outp\r\n"));
    let server = start(r#"{ disconnect = { after_bytes = 5 } }, { text = "hello" }"#).await;
    assert!(
        raw_answer(&server)
            .await
            .ends_with(b"\r\n\r\n5\r\nevent\r\n")
    );
}

#[tokio::test]
async fn a_gate_holds_the_stream_until_it_is_opened() {
    let server = start(r#"{ text = "first" }, { gate = true }, { text = "second" }"#).await;
    let mut response = post(&server, &json!({})).await.expect("it answers");
    let mut text = String::new();
    while !text.contains("output_item.done") {
        let chunk = response
            .chunk()
            .await
            .expect("no error")
            .expect("more to come");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert_eq!(server.progress().answered, 0);
    server.open_gate();
    let rest = response.text().await.expect("the stream ends well");
    assert!(rest.contains("second") && !text.contains("second"));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_while_the_server_hangs() {
    let server = start(r#"{ text = "first" }, { hang = true }"#).await;
    let response = post(&server, &json!({})).await.expect("it answers");
    drop(response);
    let progress = server.wait_until(|progress| progress.answered == 1).await;
    assert_eq!(progress.abandoned, 1);
}

#[tokio::test]
async fn errors_upgrades_and_model_lists_are_answered() {
    let server = start(r#"{ headers = { x-request-id = "r1" } }, { status = 429, retry_after = 3, body = { error = { code = "x" } } }"#).await;
    let base_url = server.base_url();
    let upgrade = client()
        .get(format!("{base_url}/responses"))
        .header("upgrade", "websocket")
        .send()
        .await;
    assert_eq!(upgrade.expect("it answers").status(), 426);
    let models = client()
        .get(format!("{base_url}/models?client_version=1"))
        .send()
        .await
        .expect("it answers");
    assert_eq!(models.text().await.expect("a body"), r#"{"models":[]}"#);
    let response = post(&server, &json!({})).await.expect("it answers");
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["retry-after"]
        ),
        (429, &"3".parse().expect("a value"))
    );
    assert_eq!(response.headers()["x-request-id"], "r1");
    assert_eq!(
        response.text().await.expect("a body"),
        r#"{"error":{"code":"x"}}"#
    );
    assert!(server.stop().await.is_success());
}

#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let Err(error) = Script::parse(text) else {
        panic!("`{text}` was accepted")
    };
    let error = error.to_string();
    assert!(
        error.contains(expected),
        "`{error}` does not say `{expected}`"
    );
}

#[test]
fn scripts_that_make_no_sense_are_refused_with_their_line() {
    check_refused("", "missing field `response`");
    check_refused("[[response]]\nactoins = []", "unknown field `actoins`");
    check_refused(
        "[[response]]\nactions = [\n  { text = 'a' },\n  { txt = 'b' },\n]",
        "line 4: an action has one of these keys",
    );
    check_refused(
        "[[response]]\nactions = [{ text = 'a', chonk = 3 }]",
        "line 2: `text`: unknown field `chonk`",
    );
    check_refused(
        "[[response]]\nactions = [{ text = 'a', chunk = 0 }]",
        "line 2: `text`: ",
    );
    check_refused(
        "[[response]]\nactions = [{ gate = false }]",
        "`gate`: expected `true`",
    );
    check_refused(
        "[[response]]\nactions = [{ hang = true, text = 'a' }]",
        "`text`: unknown field `hang`",
    );
    check_refused(
        "[[response]]\nactions = [{ delay_ms = -1 }]",
        "`delay_ms`: ",
    );
    check_refused(
        "[[response]]\nactions = [{ garbage = { hex = 'f' } }]",
        "two digits per byte",
    );
    check_refused(
        "[[response]]\nactions = [{ disconnect = 'later' }]",
        "expected \"now\"",
    );
    check_refused(
        "[[response]]\nactions = [{ status = 99 }]",
        "99 is no status code",
    );
    check_refused(
        "[[response]]\nactions = [{ headers = { a = \"x\\r\\ny\" } }]",
        "is no header that can be sent",
    );
    check_refused(
        "[[response]]\nactions = [{ hang = true }, { text = 'a' }]",
        "nothing can follow",
    );
    check_refused(
        "[[response]]\nactions = [{ text = 'a' }, { status = 500 }]",
        "cannot follow a stream",
    );
    check_refused(
        "[[response]]\nexpect = [{ path = 'a', method = 'b' }]",
        "exactly one of",
    );
    check_refused(
        "[[response]]\nexpect = [{ body = '/a', equals = 1, contains = 'x' }]",
        "has one of",
    );
    check_refused(
        "[[response]]\nexpect = [{ body = '/a', matches = '(' }]",
        "`matches`: ",
    );
    check_refused("[[response]]\ntimes = 0", "`times` must be at least 1");
    check_refused(
        "[[response]]\n\n[[upgrade]]\nstatus = 404\nhang = true",
        "line 3: `status` and `hang` exclude each other",
    );
    check_refused(
        "[[upgrade]]\nstatus = 404\nwarm_up = [{ text = 'a' }]\n[[response]]",
        "`warm_up` is for an upgrade that is granted",
    );
    check_refused(
        "[[upgrade]]\nwarm_up = [\n{ txt = 'a' }]\n[[response]]",
        "line 3: an action has one of these keys",
    );
    check_refused(
        "[[upgrade]]\nstatus = 101\n[[response]]",
        "101 is no status code",
    );
}

#[test]
fn the_documented_scripts_are_scripts() {
    let guide = include_str!("../../../docs/rehearsal.md");
    let blocks: Vec<&str> = guide
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|block| block.contains("[[response]]"))
        .collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        Script::parse(block).unwrap_or_else(|error| panic!("{error} in:\n{block}"));
    }
}

/// Runs `dovetail rehearse`'s own function and returns the base URL once it is ready.
async fn start_run(
    mode: RehearseMode,
    folder: &std::path::Path,
) -> (
    String,
    CancellationToken,
    tokio::task::JoinHandle<Result<dovetail_rehearsal::RehearseOutcome, RehearseError>>,
) {
    let ready = folder.join("ready");
    let stop = CancellationToken::new();
    let options = RehearseOptions {
        mode,
        port: 0,
        ready_file: Some(ready.clone()),
    };
    let task = tokio::spawn(run(options, stop.clone()));
    let base_url = loop {
        match std::fs::read_to_string(&ready) {
            Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    };
    (base_url, stop, task)
}

#[tokio::test]
async fn a_recording_plays_the_same_and_holds_no_credential() {
    let actions = r#"
        { reasoning = "**Think**" },
        { text = "I'll \"look\"\nat it", phase = "commentary" },
        { tool_call = "exec_command", call_id = "c1", arguments = { cmd = "ls" } },
        { tool_call = "search", namespace = "mcp__notes", call_id = "c2", arguments = "no JSON" },
        { custom_call = "apply_patch", call_id = "c3", input = "*** Begin Patch\n" },
        { item = { type = "web_search_call", id = "ws_1", status = "completed" } },
        { usage = { input_tokens = 5, cached_input_tokens = 1, output_tokens = 2, reasoning_output_tokens = 1 } },
        { end_turn = false },"#;
    let text = format!(
        "[[response]]\nactions = [{actions}]
        [[response]]\nactions = [{{ status = 401, body = \"wrong key: the-secret-key\", retry_after = 2 }}]
        [[response]]\nactions = [{{ failed = {{ code = \"a\", message = \"b\" }} }}]
        [[response]]\nactions = [{{ text = \"half\" }}, {{ disconnect = \"now\" }}]"
    );
    let service = start_script(&text).await;
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("recorded.toml");
    let mode = RehearseMode::Record {
        out: out.clone(),
        upstream: service.base_url(),
    };
    let (base_url, stop, task) = start_run(mode, folder.path()).await;
    for _ in 0..4 {
        let request = client()
            .post(format!("{base_url}/responses"))
            .header("authorization", "Bearer the-secret-key");
        if let Ok(response) = request.body("{}").send().await {
            // The last stream breaks, here too.
            drop(response.text().await);
        }
    }
    stop.cancel();
    let outcome = task.await.expect("no panic").expect("recording ends well");
    assert_eq!(
        outcome.to_string(),
        format!("4 answers recorded in `{}`", out.display())
    );
    let recorded = std::fs::read_to_string(&out).expect("it was written");
    assert!(!recorded.contains("the-secret-key"), "{recorded}");
    let (original, copy) = (
        Script::parse(&text).expect("valid"),
        Script::parse(&recorded).expect("valid"),
    );
    let actions = |script: &Script| {
        script
            .steps
            .iter()
            .map(|step| step.actions.clone())
            .collect::<Vec<_>>()
    };
    let redacted = actions(&original)
        .into_iter()
        .map(|step| format!("{step:?}").replace("the-secret-key", "<credential>"))
        .collect::<Vec<_>>();
    let copied = actions(&copy)
        .into_iter()
        .map(|step| format!("{step:?}"))
        .collect::<Vec<_>>();
    assert_eq!(copied, redacted);
}

#[tokio::test]
async fn a_run_ends_with_its_script_and_says_what_differed() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("script.toml");
    std::fs::write(
        &script,
        "[[response]]\nexpect = [{ body = '/model', equals = 'a' }]",
    )
    .expect("written");
    for (model, good) in [("a", true), ("b", false)] {
        let (base_url, _stop, task) = start_run(
            RehearseMode::Play {
                script: script.clone(),
            },
            folder.path(),
        )
        .await;
        let body = json!({ "model": model }).to_string();
        client()
            .post(format!("{base_url}/responses"))
            .body(body)
            .send()
            .await
            .expect("it answers");
        let result = task.await.expect("no panic");
        assert_eq!(result.is_ok(), good, "{result:?}");
        std::fs::remove_file(folder.path().join("ready")).expect("it was written");
    }
    std::fs::write(&script, "[[response]]\nactions = [{ gate = true }]").expect("written");
    let options = RehearseOptions {
        mode: RehearseMode::Play { script },
        port: 0,
        ready_file: None,
    };
    let refused = run(options, CancellationToken::new()).await;
    assert!(
        matches!(refused, Err(RehearseError::Gate { line: 1 })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn requests_that_are_no_requests_are_refused() {
    let server = start("").await;
    let address = server.base_url();
    let address = address
        .trim_start_matches("http://")
        .trim_end_matches("/v1");
    for (sent, status) in [
        ("nonsense\r\n\r\n", "400"),
        (
            "POST /v1/responses HTTP/1.1\r\ncontent-length: many\r\n\r\n",
            "400",
        ),
        (
            "POST /v1/responses HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "400",
        ),
        (
            "DELETE /v1/responses HTTP/1.1\r\nconnection: close\r\n\r\n",
            "404",
        ),
        (
            "POST /v1/responses HTTP/1.1\r\nconnection: close\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "100",
        ),
    ] {
        let mut stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        stream
            .write_all(sent.as_bytes())
            .await
            .expect("the server reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .await
            .expect("the server closes");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{sent}: {answer}"
        );
    }
    assert_eq!(
        server.requests().last().map(|request| request.body.clone()),
        Some(b"{}".to_vec())
    );
}
