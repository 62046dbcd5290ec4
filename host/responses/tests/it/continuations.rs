//! What a request says on a connection that others were answered on.

use std::sync::Arc;

use dovetail_core::item::ResponseItem;
use dovetail_core::model::{
    ModelClient as _, ModelEvent, ModelRequest, Reasoning, TextOptions, WebSearch,
};
use dovetail_core::tool::{ToolInput, ToolSpec};
use dovetail_rehearsal::RehearsalServer;
use dovetail_responses::ResponsesClient;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{
    collect, exchange_with, message, messages, methods, request, script, socket_client,
    socket_server,
};

/// The first answer: a message without an id, and a call.
const FIRST: &str = r#"{ item = '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hm"}]}' },
    { tool_call = "look", call_id = "c1", arguments = {} }"#;

/// Asks, and what would be asked next: with the answer, as a history keeps it, and a call's output.
async fn first(client: &ResponsesClient, request: &ModelRequest) -> ModelRequest {
    let stream = client.send(request, &CancellationToken::new()).await;
    let (events, error) = collect(stream.expect("the stream begins")).await;
    assert_eq!(error, None);
    let answered = events.into_iter().filter_map(|event| match event {
        ModelEvent::ItemDone(item) => Some(kept(&item)),
        _ => None,
    });
    let output = r#"{"type":"function_call_output","id":"fco","call_id":"c1","output":"seen"}"#;
    let output: ResponseItem = serde_json::from_str(output).expect("an item");
    let input = request.input.iter().cloned().chain(answered.map(Arc::new));
    ModelRequest {
        input: input.chain([Arc::new(output)]).collect(),
        ..request.clone()
    }
}

/// An item with an id, and with metadata.
fn kept(item: &ResponseItem) -> ResponseItem {
    let mut item = serde_json::to_value(item).expect("JSON");
    if item["id"].is_null() {
        item["id"] = json!("given");
    }
    item["internal_chat_message_metadata_passthrough"] = json!({ "turn_id": "t" });
    serde_json::from_value(item).expect("an item")
}

fn kinds(message: &Value) -> Vec<&str> {
    let items = message["input"].as_array().expect("a list");
    let kinds = items
        .iter()
        .map(|item| item["type"].as_str().expect("a type"));
    kinds.collect()
}

async fn server() -> RehearsalServer {
    socket_server(&[FIRST, "{ text = 'done' }", "{ text = 'again' }"]).await
}

#[tokio::test]
async fn a_request_that_goes_on_says_only_what_is_new() {
    let server = server().await;
    let client = socket_client(&server);
    let second = first(&client, &request()).await;
    let third = first(&client, &second).await;
    exchange_with(&client, &third).await;
    let told: Vec<(Value, Vec<String>)> = messages(&server)
        .iter()
        .map(|message| {
            let kinds = kinds(message).into_iter().map(str::to_owned);
            (message["previous_response_id"].clone(), kinds.collect())
        })
        .collect();
    let output = || vec!["function_call_output".to_owned()];
    let all = vec!["message".to_owned(), "message".to_owned()];
    assert_eq!(
        told,
        [
            (Value::Null, all),
            (json!("resp_1"), output()),
            (json!("resp_2"), output())
        ]
    );
    assert_eq!(methods(&server)[0], "GET");
    assert_eq!(server.requests().len(), 4, "it is one connection");
}

/// The second request says everything after a change, or only what is new.
async fn check(what: &str, change: impl FnOnce(&mut ModelRequest), goes_on: bool) {
    let server = server().await;
    let client = socket_client(&server);
    let mut second = first(&client, &request()).await;
    change(&mut second);
    exchange_with(&client, &second).await;
    let message = &messages(&server)[1];
    assert_eq!(
        message.get("previous_response_id").is_some(),
        goes_on,
        "{what}"
    );
    let everything = 1 + second.input.len();
    let said = if goes_on { 1 } else { everything };
    let mut kinds = kinds(message);
    kinds.retain(|kind| *kind != "additional_tools");
    assert_eq!(kinds.len(), said, "{what}");
    assert_eq!(server.requests().len(), 3, "{what}: it is one connection");
}

fn edited(request: &mut ModelRequest, edit: impl FnOnce(&mut Vec<Arc<ResponseItem>>)) {
    let mut items = request.input.to_vec();
    edit(&mut items);
    request.input = items.into();
}

#[tokio::test]
async fn anything_else_that_differs_says_everything() {
    let other = || Arc::new(message("developer", "be bad"));
    let tool = ToolSpec {
        namespace: None,
        name: "t".to_owned(),
        description: String::new(),
        parallel_safe: true,
        input: ToolInput::Function {
            parameters: json!({}),
        },
    };
    check("nothing", |_| {}, true).await;
    check(
        "equal instructions",
        |request| {
            request.instructions = Arc::new(ResponseItem::clone(&request.instructions));
        },
        true,
    )
    .await;
    check(
        "turn state",
        |request| request.turn_state = Some("ts".to_owned()),
        true,
    )
    .await;
    check("model", |request| request.model = "gpt-z".to_owned(), false).await;
    check(
        "instructions",
        |request| request.instructions = other(),
        false,
    )
    .await;
    check("tools", |request| request.tools = Arc::from([tool]), false).await;
    check(
        "tools as an item",
        |request| request.tools_item_id = Some("at_1".to_owned()),
        false,
    )
    .await;
    check(
        "parallel_tool_calls",
        |request| request.parallel_tool_calls = false,
        false,
    )
    .await;
    check(
        "reasoning",
        |request| request.reasoning = Some(Reasoning::default()),
        false,
    )
    .await;
    check("no reasoning", |request| request.reasoning = None, false).await;
    check(
        "text",
        |request| request.text = Some(TextOptions::default()),
        false,
    )
    .await;
    check(
        "service_tier",
        |request| request.service_tier = Some("flex".to_owned()),
        false,
    )
    .await;
    check(
        "prompt_cache_key",
        |request| request.prompt_cache_key = "k".to_owned(),
        false,
    )
    .await;
    let web_search = WebSearch {
        external_web_access: true,
        content_types: None,
    };
    check(
        "web_search",
        |request| request.web_search = Some(web_search),
        false,
    )
    .await;
}

#[tokio::test]
async fn a_conversation_that_is_another_says_everything() {
    let other = || Arc::new(message("user", "something else"));
    check(
        "an item that was sent",
        |request| edited(request, |items| items[0] = other()),
        false,
    )
    .await;
    check(
        "an item that was answered",
        |request| edited(request, |items| items[1] = other()),
        false,
    )
    .await;
    check(
        "an item that is gone",
        |request| edited(request, |items| drop(items.remove(1))),
        false,
    )
    .await;
    check(
        "the answer is gone",
        |request| edited(request, |items| items.truncate(1)),
        false,
    )
    .await;
    check(
        "everything is gone",
        |request| edited(request, Vec::clear),
        false,
    )
    .await;
    check(
        "an item in between",
        |request| edited(request, |items| items.insert(1, other())),
        false,
    )
    .await;
    check(
        "the call's id",
        |request| {
            edited(request, |items| {
                let call = serde_json::to_string(&*items[2])
                    .expect("JSON")
                    .replace("c1", "c2");
                items[2] = Arc::new(serde_json::from_str(&call).expect("an item"));
            });
        },
        false,
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_lost_an_item_is_not_gone_on_from() {
    let lost = r#"{ event = '{"type":"response.output_item.done","item":{"type":"function_call","call_id":"x"}}' }, { text = 'on' }"#;
    let server = socket_server(&[lost, "{ text = 'done' }"]).await;
    let client = socket_client(&server);
    let second = first(&client, &request()).await;
    exchange_with(&client, &second).await;
    assert_eq!(messages(&server)[1].get("previous_response_id"), None);
}

/// The next request says everything, on another connection.
async fn check_another_connection(actions: &str, failed: bool) {
    let server = socket_server(&[actions, "{ text = 'done' }"]).await;
    let client = socket_client(&server);
    let stream = client.send(&request(), &CancellationToken::new()).await;
    let error = match stream {
        Ok(stream) => collect(stream).await.1,
        Err(error) => Some(error),
    };
    assert_eq!(error.is_some(), failed, "{actions}: {error:?}");
    exchange_with(&client, &request()).await;
    assert_eq!(
        methods(&server),
        ["GET", "WEBSOCKET", "GET", "WEBSOCKET"],
        "{actions}"
    );
    let again = &messages(&server)[1];
    assert_eq!(again.get("previous_response_id"), None, "{actions}");
}

#[tokio::test]
async fn a_connection_that_did_not_end_well_is_not_used_again() {
    check_another_connection("{ failed = { code = 'x' } }", true).await;
    check_another_connection("{ status = 429 }", true).await;
    check_another_connection("{ text = 'a' }, { disconnect = 'now' }", true).await;
    let completed = "{ event = { type = 'response.completed', response = { id = 'r' } } }";
    check_another_connection(
        &format!("{{ text = 'a' }}, {completed}, {{ close = 1001 }}"),
        false,
    )
    .await;
    check_another_connection(
        &format!("{{ text = 'a' }}, {completed}, {{ disconnect = 'now' }}"),
        false,
    )
    .await;
}

#[tokio::test]
async fn what_belongs_to_the_connection_is_tried_on_another_without_a_word() {
    for code in [
        "previous_response_not_found",
        "websocket_connection_limit_reached",
    ] {
        let refusal = format!(
            "{{ status = 400, body = {{ error = {{ code = '{code}', message = 'm' }} }} }}"
        );
        let server = socket_server(&[FIRST, &refusal, "{ text = 'done' }"]).await;
        let client = socket_client(&server);
        let second = first(&client, &request()).await;
        exchange_with(&client, &second).await;
        assert_eq!(
            methods(&server),
            ["GET", "WEBSOCKET", "WEBSOCKET", "GET", "WEBSOCKET"],
            "{code}"
        );
        let told = messages(&server);
        assert_eq!(told[1]["previous_response_id"], "resp_1");
        assert_eq!(told[2].get("previous_response_id"), None);
        assert_eq!(kinds(&told[2]).len(), 1 + second.input.len());
    }
}

/// Makes ready, and asks: what the request goes on from, and how many items it says.
async fn warmed_up(upgrade: &str) -> (Vec<String>, Value, usize) {
    let server = script(&format!(
        "[[upgrade]]\n{upgrade}\n[[upgrade]]\n[[response]]\nactions = [{{ text = 'hi' }}]"
    ))
    .await;
    let client = socket_client(&server);
    client.warm_up(&ModelRequest {
        input: Arc::from([]),
        ..request()
    });
    exchange_with(&client, &request()).await;
    let told = messages(&server);
    assert_eq!(
        (&told[0]["generate"], kinds(&told[0]).len()),
        (&json!(false), 1)
    );
    let asked = told.last().expect("it was asked");
    assert_eq!(asked.get("generate"), None);
    (
        methods(&server),
        asked["previous_response_id"].clone(),
        kinds(asked).len(),
    )
}

#[tokio::test]
async fn a_server_that_made_ready_is_told_the_conversation_alone() {
    let told = warmed_up("").await;
    let methods = ["GET", "WEBSOCKET", "WEBSOCKET"].map(str::to_owned);
    assert_eq!(told, (methods.to_vec(), json!("resp_warm"), 1));
}

#[tokio::test]
async fn making_ready_is_not_needed() {
    let methods = ["GET", "WEBSOCKET", "GET", "WEBSOCKET"].map(str::to_owned);
    for actions in [
        "{ status = 500 }",
        "{ disconnect = 'now' }",
        "{ close = 1011 }",
        "{ text = 'I do not know what that means' }",
    ] {
        let told = warmed_up(&format!("warm_up = [{actions}]")).await;
        assert_eq!(told, (methods.to_vec(), Value::Null, 2), "{actions}");
    }
}
