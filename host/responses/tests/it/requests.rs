//! What is sent.

use std::sync::Arc;

use dovetail_core::item::ResponseItem;
use dovetail_core::model::{TextOptions, WebSearch};
use dovetail_core::plugin::ProviderCapabilities;
use dovetail_core::tool::{ToolInput, ToolSpec};
use serde_json::{Value, json};

use crate::support::{
    TestProvider, client, endpoint, exchange, exchange_with, literal, options, plain_client,
    request, script, server,
};

/// Header names and values as sent, without those of the connection itself.
fn headers(request: &dovetail_rehearsal::RecordedRequest) -> Vec<(&str, &str)> {
    let all = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    all.filter(|(name, _)| !matches!(*name, "host" | "content-length"))
        .collect()
}

#[tokio::test]
async fn headers_are_those_of_existing_clients_in_their_order() {
    let server = server("{ text = 'hi' }").await;
    let mut request = request();
    request.turn_state = Some("ts-abc".to_owned());
    let client = plain_client(&server);
    exchange_with(&client, &request).await;
    let recorded = server.requests().remove(0);
    let thread = "01a1fb58-2811-7ea0-9e27-e6be064a83e5";
    let window = format!("{thread}:0");
    let blob = request.metadata.turn_metadata();
    assert_eq!(
        (recorded.method.as_str(), recorded.path.as_str()),
        ("POST", "/v1/responses")
    );
    assert_eq!(
        headers(&recorded),
        [
            ("x-codex-beta-features", "remote_compaction_v2"),
            ("x-codex-turn-state", "ts-abc"),
            ("x-codex-window-id", &window),
            ("x-codex-turn-metadata", &blob),
            ("x-client-request-id", thread),
            ("session-id", thread),
            ("thread-id", thread),
            ("accept", "text/event-stream"),
            ("content-type", "application/json"),
            ("authorization", "Bearer sk-test-secret-0001"),
            ("originator", "codex_exec"),
            ("user-agent", "codex_exec/0.1.0 (Test)"),
        ]
    );
}

#[tokio::test]
async fn configured_headers_and_query_are_sent_and_never_replace_the_credential() {
    let server = server("{ text = 'hi' }").await;
    let mut endpoint = endpoint(&format!("{}/", server.base_url()));
    endpoint.query = vec![("api-version".to_owned(), "2026 a".to_owned())];
    endpoint.headers = vec![
        literal("User-Agent", "mine/1"),
        literal("Authorization", "Bearer other"),
        literal("x-extra", "Grüße"),
        literal("Session-Id", "EVIL"),
    ];
    let mut options = options();
    options.version = Some("0.1.0".to_owned());
    exchange(&client(Arc::default(), endpoint, options)).await;
    let recorded = server.requests().remove(0);
    assert_eq!(recorded.path, "/v1/responses?api-version=2026+a");
    let headers = headers(&recorded);
    let value = |name: &str| {
        headers
            .iter()
            .filter(|(found, _)| *found == name)
            .collect::<Vec<_>>()
    };
    assert_eq!(headers[0], ("version", "0.1.0"));
    assert_eq!(value("user-agent"), [&("user-agent", "mine/1")]);
    assert_eq!(
        value("authorization"),
        [&("authorization", "Bearer sk-test-secret-0001")]
    );
    assert_eq!(value("x-extra"), [&("x-extra", "Grüße")]);
    assert_eq!(
        value("session-id"),
        [&("session-id", "01a1fb58-2811-7ea0-9e27-e6be064a83e5")]
    );
}

fn tool(name: &str, namespace: Option<&str>) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        description: format!("Does {name}."),
        input: ToolInput::Function {
            parameters: json!({ "type": "object" }),
        },
        parallel_safe: true,
    }
}

#[tokio::test]
async fn the_body_has_the_keys_of_existing_clients_in_their_order() {
    let server = server("{ text = 'hi' }").await;
    let mut request = request();
    request.service_tier = Some("priority".to_owned());
    request.text = Some(TextOptions {
        verbosity: Some("medium".to_owned()),
        output_schema: Some(json!({ "type": "object" })),
    });
    request.web_search = Some(WebSearch {
        external_web_access: false,
        content_types: Some(vec!["text".to_owned()]),
    });
    let mut patch = tool("apply_patch", None);
    patch.input = ToolInput::Custom {
        grammar: "start: x".to_owned(),
    };
    request.tools = Arc::from([
        tool("exec_command", None),
        tool("search", Some("mcp__notes")),
        patch,
        tool("other", Some("acme")),
        tool("read", Some("mcp__notes")),
    ]);
    exchange_with(&plain_client(&server), &request).await;
    let body = String::from_utf8(server.requests().remove(0).body).expect("UTF-8");
    let (body, metadata) = body
        .split_once(",\"client_metadata\":")
        .expect("it is the last key");
    assert_eq!(
        body,
        concat!(
            r#"{"model":"gpt-x","stream":true,"service_tier":"priority","input":["#,
            r#"{"type":"message","role":"developer","content":[{"type":"input_text","text":"be good"}]},"#,
            r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"say hi"}]}],"tools":["#,
            r#"{"type":"function","name":"exec_command","description":"Does exec_command.","strict":false,"parameters":{"type":"object"}},"#,
            r#"{"type":"namespace","name":"mcp__notes","description":"Tools of the `notes` server.","tools":["#,
            r#"{"type":"function","name":"search","description":"Does search.","strict":false,"parameters":{"type":"object"}},"#,
            r#"{"type":"function","name":"read","description":"Does read.","strict":false,"parameters":{"type":"object"}}]},"#,
            r#"{"type":"custom","name":"apply_patch","description":"Does apply_patch.","format":{"type":"grammar","syntax":"lark","definition":"start: x"}},"#,
            r#"{"type":"namespace","name":"acme","description":"Tools of the `acme` server.","tools":["#,
            r#"{"type":"function","name":"other","description":"Does other.","strict":false,"parameters":{"type":"object"}}]},"#,
            r#"{"type":"web_search","external_web_access":false,"search_content_types":["text"]}],"#,
            r#""tool_choice":"auto","parallel_tool_calls":true,"reasoning":{"summary":"auto"},"store":false,"#,
            r#""include":["reasoning.encrypted_content"],"prompt_cache_key":"01a1fb58-2811-7ea0-9e27-e6be064a83e5","#,
            r#""text":{"verbosity":"medium","format":{"type":"json_schema","strict":true,"schema":{"type":"object"},"name":"codex_output_schema"}}"#,
        )
    );
    let metadata: Value =
        serde_json::from_str(metadata.trim_end_matches('}')).unwrap_or_else(|_| {
            serde_json::from_str(&metadata[..metadata.len() - 1]).expect("an object")
        });
    let keys: Vec<&String> = metadata.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "x-codex-installation-id",
            "session_id",
            "thread_id",
            "turn_id",
            "root_turn_id",
            "x-codex-window-id",
            "x-codex-turn-metadata"
        ]
    );
}

#[tokio::test]
async fn what_is_not_set_is_left_out() {
    let server = server("{ text = 'hi' }").await;
    let mut request = request();
    request.reasoning = None;
    exchange_with(&plain_client(&server), &request).await;
    let body = server.requests().remove(0).json.expect("JSON");
    let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "model",
            "stream",
            "input",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "store",
            "prompt_cache_key",
            "client_metadata"
        ]
    );
}

#[tokio::test]
async fn only_a_service_that_takes_item_metadata_gets_it() {
    let server = script("[[response]]\ntimes = 2").await;
    let mut endpoint = endpoint(&server.base_url());
    let mut request = request();
    let other =
        r#"{"type":"hologram","internal_chat_message_metadata_passthrough":{"turn_id":"t"}}"#;
    let other: ResponseItem = serde_json::from_str(other).expect("an item");
    request.input = request
        .input
        .iter()
        .cloned()
        .chain([Arc::new(other)])
        .collect();
    for item_metadata in [false, true] {
        endpoint.capabilities = Some(ProviderCapabilities {
            item_metadata,
            ..ProviderCapabilities::default()
        });
        let client = client(Arc::default(), endpoint.clone(), options());
        exchange_with(&client, &request).await;
    }
    let bodies: Vec<Value> = server
        .requests()
        .into_iter()
        .filter_map(|request| request.json)
        .collect();
    let metadata = |body: &Value| {
        let items = body["input"].as_array().expect("items").iter();
        let with = items
            .filter(|item| {
                item.get("internal_chat_message_metadata_passthrough")
                    .is_some()
            })
            .count();
        (
            with,
            body["client_metadata"]["mcp_attribution"]
                .as_str()
                .map(str::to_owned),
        )
    };
    assert_eq!(metadata(&bodies[0]), (0, None));
    assert_eq!(
        metadata(&bodies[1]),
        (3, Some(r#"{"status":"none"}"#.to_owned()))
    );
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = script("[[response]]\ntimes = 50\nactions = [{ text = 'hi' }]").await;
    let client = plain_client(&server);
    for _ in 0..50 {
        assert_eq!(exchange(&client).await.1, None);
    }
    let requests = server.requests();
    // The end of a body arrives a moment after its last event, so that a request in great haste takes a new one.
    let connections = requests.last().map(|request| request.connection + 1);
    assert!(
        connections < Some(40),
        "50 requests took {connections:?} connections"
    );
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let second = server("{ text = 'hi' }").await;
    let location = format!("{}/responses", second.base_url());
    let first = server(&format!(
        "{{ headers = {{ location = '{location}' }} }}, {{ status = 307 }}"
    ))
    .await;
    let error = crate::support::refused(&plain_client(&first)).await;
    assert!(
        error.message.starts_with("unexpected status 307"),
        "{}",
        error.message
    );
    assert_eq!(second.requests(), []);
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_named() {
    let server = server("{ text = 'hi' }").await;
    let mut endpoint = endpoint(&server.base_url());
    endpoint.headers = vec![literal("x-bad", "two\nlines")];
    let error = crate::support::refused(&client(
        Arc::new(TestProvider::default()),
        endpoint,
        options(),
    ))
    .await;
    assert_eq!(
        error.message,
        "header `x-bad` has a name or a value that HTTP does not allow"
    );
    assert_eq!(server.requests(), []);
}
