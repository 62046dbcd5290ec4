//! A provider, an egress and a client for tests, and the shortest ways to use them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use dovetail_core::ids::{PluginId, ThreadId, TurnId, WindowId};
use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_core::lineage::Lineage;
use dovetail_core::model::{
    ModelClient as _, ModelError, ModelEvent, ModelRequest, ModelStream, Reasoning,
};
use dovetail_core::plugin::{
    Endpoint, Failure, FailureKind, HeaderTemplate, PluginError, Prepared, Provider,
    ProviderCapabilities, ProviderDescription, ProviderModel, Purpose, Recovery, RequestHead,
    Scope, ValuePart,
};
use dovetail_core::secret::{Egress, SecretText};
use dovetail_core::snapshot::{
    Extras, HistoryInitialization, Identity, RequestKind, RequestSnapshot, TurnIdentity,
};
use dovetail_rehearsal::{RehearsalServer, Script};
use dovetail_responses::{
    ClientOptions, Credentials, PlainHosts, ResponsesClient, WebSocketOptions,
};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// What the secret slot holds.
pub const KEY: &str = "sk-test-secret-0001";

/// A provider whose answers a test sets.
pub struct TestProvider {
    pub plugin: PluginId,
    pub description: ProviderDescription,
    /// How often each was called.
    pub prepared: AtomicUsize,
    pub recovered: AtomicUsize,
    /// Returned instead of a credential.
    pub refuses: Mutex<Option<PluginError>>,
    pub expires_in: Option<Duration>,
    pub recovery: Recovery,
    /// What `authorize` adds.
    pub signature: Vec<HeaderTemplate>,
    /// What `authorize` saw.
    pub seen: Mutex<Vec<(RequestHead, [u8; 32])>>,
    /// What `classify` saw.
    pub classified: Mutex<Vec<(u16, String)>>,
}

impl Default for TestProvider {
    fn default() -> Self {
        Self {
            plugin: PluginId::parse("test").expect("a name"),
            description: ProviderDescription {
                ids: Vec::new(),
                name: "Test".to_owned(),
                default_endpoint: None,
                capabilities: ProviderCapabilities::default(),
                hosts: Vec::new(),
                settable_keys: Vec::new(),
                removed_headers: Vec::new(),
            },
            prepared: AtomicUsize::new(0),
            recovered: AtomicUsize::new(0),
            refuses: Mutex::new(None),
            expires_in: None,
            recovery: Recovery::Changed,
            signature: Vec::new(),
            seen: Mutex::default(),
            classified: Mutex::default(),
        }
    }
}

pub fn template(name: &str, parts: &[ValuePart]) -> HeaderTemplate {
    HeaderTemplate {
        name: name.to_owned(),
        value: parts.to_vec(),
        sensitive: false,
    }
}

pub fn literal(name: &str, value: &str) -> HeaderTemplate {
    template(name, &[ValuePart::Literal(value.to_owned())])
}

pub fn bearer() -> HeaderTemplate {
    let secret = ValuePart::Secret("key".to_owned());
    template(
        "authorization",
        &[ValuePart::Literal("Bearer ".to_owned()), secret],
    )
}

#[async_trait]
impl Provider for TestProvider {
    fn plugin(&self) -> &PluginId {
        &self.plugin
    }

    fn description(&self) -> &ProviderDescription {
        &self.description
    }

    async fn configure(&self, _provider_id: &str, _table: &Value) -> Result<Endpoint, PluginError> {
        Err(PluginError::Other(
            "tests make their endpoints themselves".to_owned(),
        ))
    }

    async fn prepare(&self, _scope: &Scope) -> Result<Prepared, PluginError> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        // Lets whoever else wants a credential come in between.
        tokio::task::yield_now().await;
        if let Some(error) = self.refuses.lock().expect("no panic").clone() {
            return Err(error);
        }
        Ok(Prepared {
            headers: vec![bearer()],
            expires_at: self.expires_in.map(|life| SystemTime::now() + life),
        })
    }

    async fn authorize(
        &self,
        _scope: &Scope,
        head: &RequestHead,
        body_sha256: [u8; 32],
    ) -> Result<Vec<HeaderTemplate>, PluginError> {
        self.seen
            .lock()
            .expect("no panic")
            .push((head.clone(), body_sha256));
        Ok(self.signature.clone())
    }

    async fn classify(
        &self,
        status: u16,
        _headers: &[(String, String)],
        excerpt: &str,
    ) -> Result<Failure, PluginError> {
        self.classified
            .lock()
            .expect("no panic")
            .push((status, excerpt.to_owned()));
        Ok(Failure {
            kind: FailureKind::Unknown,
            message: None,
            retry_after: None,
        })
    }

    async fn recover(&self, _scope: &Scope, _failure: &Failure) -> Result<Recovery, PluginError> {
        self.recovered.fetch_add(1, Ordering::SeqCst);
        Ok(self.recovery.clone())
    }

    async fn list_models(&self, _scope: &Scope) -> Result<Vec<ProviderModel>, PluginError> {
        Ok(Vec::new())
    }
}

/// Fills the slot `key`, and no other.
struct TestEgress;

impl Egress for TestEgress {
    fn check_url(&self, _plugin: &PluginId, url: &str) -> Result<(), PluginError> {
        if url.contains("/forbidden/") {
            return Err(PluginError::Denied("that origin is not granted".to_owned()));
        }
        Ok(())
    }

    fn render(
        &self,
        _plugin: &PluginId,
        _url: &str,
        header: &HeaderTemplate,
    ) -> Result<SecretText, PluginError> {
        let mut text = String::new();
        for part in &header.value {
            match part {
                ValuePart::Literal(literal) => text.push_str(literal),
                ValuePart::Secret(slot) if slot == "key" => text.push_str(KEY),
                ValuePart::Secret(slot) => {
                    return Err(PluginError::Unavailable(format!("slot `{slot}` is empty")));
                }
            }
        }
        Ok(SecretText::new(text))
    }
}

pub fn endpoint(base_url: &str) -> Endpoint {
    Endpoint {
        name: "Test".to_owned(),
        base_url: base_url.to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        capabilities: None,
    }
}

pub fn options() -> ClientOptions {
    ClientOptions {
        originator: "codex_exec".to_owned(),
        user_agent: "codex_exec/0.1.0 (Test)".to_owned(),
        version: None,
        idle_timeout: Duration::from_secs(20),
        websockets: None,
        credentials: Credentials::default(),
    }
}

pub fn client(
    provider: Arc<TestProvider>,
    endpoint: Endpoint,
    options: ClientOptions,
) -> ResponsesClient {
    let scope = Scope {
        provider_id: "test".to_owned(),
        purpose: Purpose::Turn,
        session_source: "exec".to_owned(),
        policy: "strict".to_owned(),
    };
    ResponsesClient::new(provider, endpoint, Arc::new(TestEgress), scope, options)
        .expect("a base URL")
}

pub fn message(role: &str, text: &str) -> ResponseItem {
    ResponseItem::message(
        role,
        vec![ContentItem::InputText {
            text: text.to_owned(),
        }],
        &["user.text"],
    )
}

pub fn request() -> ModelRequest {
    let thread = ThreadId::parse("01a1fb58-2811-7ea0-9e27-e6be064a83e5").expect("a UUID");
    let snapshot = RequestSnapshot {
        identity: Identity {
            installation_id: "604137cb-7eeb-42a3-aa1f-bcad9330e2e9".to_owned(),
            session_id: thread,
            thread_id: thread,
            window_number: 0,
            context_window_id: WindowId::parse("01a1fb58-2813-7c21-83a0-271860cc2021")
                .expect("a UUID"),
            lineage: Lineage::default(),
            thread_source: Some("user".to_owned()),
        },
        kind: RequestKind::Turn,
        turn: Some(TurnIdentity {
            id: TurnId::parse("01a1fb58-281e-70a2-86d0-a2fafa391008").expect("a UUID"),
            parent: None,
            trigger: Some("exec".to_owned()),
            started_at: UNIX_EPOCH,
        }),
        history_initialization: HistoryInitialization::New,
        sandbox: "seccomp",
        sandbox_mode: "read-only".to_owned(),
        workspaces: BTreeMap::new(),
        node_repl: dovetail_core::model::NodeRepl::default(),
        analytics_enabled: false,
        model: "gpt-x".to_owned(),
        reasoning_effort: None,
        extras: Extras::default(),
    };
    ModelRequest {
        model: "gpt-x".to_owned(),
        instructions: Arc::new(message("developer", "be good")),
        input: Arc::from([Arc::new(message("user", "say hi"))]),
        tools: Arc::from([]),
        tools_item_id: None,
        web_search: None,
        parallel_tool_calls: true,
        reasoning: Some(Reasoning {
            effort: None,
            summary: Some("auto".to_owned()),
            context: None,
        }),
        text: None,
        service_tier: None,
        prompt_cache_key: thread.to_string(),
        metadata: Arc::new(snapshot),
        turn_state: None,
    }
}

/// A server that answers one request with these actions.
pub async fn server(actions: &str) -> RehearsalServer {
    script(&format!("[[response]]\nactions = [{actions}]")).await
}

pub async fn script(text: &str) -> RehearsalServer {
    RehearsalServer::start(Script::parse(text).expect("a script"))
        .await
        .expect("a free port")
}

pub fn plain_client(server: &RehearsalServer) -> ResponsesClient {
    client(Arc::default(), endpoint(&server.base_url()), options())
}

/// A client of a service that has WebSockets.
pub fn socket_client(server: &RehearsalServer) -> ResponsesClient {
    socket_client_of(
        Arc::default(),
        &server.base_url(),
        socket_options(PlainHosts::default()),
    )
}

/// The same with its provider, its address and its options.
pub fn socket_client_of(
    provider: Arc<TestProvider>,
    base_url: &str,
    options: ClientOptions,
) -> ResponsesClient {
    let endpoint = Endpoint {
        capabilities: Some(ProviderCapabilities {
            websockets: true,
            ..ProviderCapabilities::default()
        }),
        ..endpoint(base_url)
    };
    client(provider, endpoint, options)
}

/// Options with WebSockets.
pub fn socket_options(plain_hosts: PlainHosts) -> ClientOptions {
    ClientOptions {
        websockets: Some(WebSocketOptions {
            connect_timeout: Duration::from_secs(20),
            plain_hosts,
        }),
        ..options()
    }
}

/// A server that grants every upgrade and answers with these actions, one response each.
pub async fn socket_server(responses: &[&str]) -> RehearsalServer {
    let responses = responses
        .iter()
        .map(|actions| format!("[[response]]\nactions = [{actions}]\n"));
    script(&format!("[[upgrade]]\n{}", responses.collect::<String>())).await
}

/// What came on WebSockets.
pub fn messages(server: &RehearsalServer) -> Vec<Value> {
    let requests = server.requests().into_iter();
    requests
        .filter(|request| request.method == "WEBSOCKET")
        .map(|request| request.json.expect("messages are JSON"))
        .collect()
}

/// The methods of all that came, in order.
pub fn methods(server: &RehearsalServer) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests.map(|request| request.method).collect()
}

pub async fn send(client: &ResponsesClient) -> Result<ModelStream, ModelError> {
    client.send(&request(), &CancellationToken::new()).await
}

/// The error of a request that must fail before its stream begins.
pub async fn refused(client: &ResponsesClient) -> ModelError {
    match send(client).await {
        Err(error) => error,
        Ok(_) => panic!("the request was answered"),
    }
}

/// Everything a stream gives: events, and the error it ends with.
pub async fn collect(mut stream: ModelStream) -> (Vec<ModelEvent>, Option<ModelError>) {
    let mut events = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

/// Sends a request and collects its stream.
pub async fn exchange(client: &ResponsesClient) -> (Vec<ModelEvent>, Option<ModelError>) {
    collect(send(client).await.expect("the stream begins")).await
}

/// Sends this request and collects its stream, which must end well.
pub async fn exchange_with(client: &ResponsesClient, request: &ModelRequest) {
    let stream = client
        .send(request, &CancellationToken::new())
        .await
        .expect("the stream begins");
    assert_eq!(collect(stream).await.1, None);
}

/// All text of the deltas.
pub fn text(events: &[ModelEvent]) -> String {
    let deltas = events.iter().filter_map(|event| match event {
        ModelEvent::TextDelta(delta) => Some(delta.as_str()),
        _ => None,
    });
    deltas.collect()
}
