//! The headers and the flat map, which repeat parts of the blob for servers that do not read it.

use std::time::SystemTime;

use super::{Identity, RequestKind, RequestSnapshot, unix_ms};

/// What existing clients advertise; servers select their behaviour by it.
const BETA_FEATURES: &str = "remote_compaction_v2";

type Header = (&'static str, String);

/// The trace that a request belongs to, for transports without headers per request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// W3C `traceparent`.
    pub parent: String,
    /// W3C `tracestate`.
    pub state: Option<String>,
}

impl Identity {
    /// The window as the wire names it.
    pub fn window(&self) -> String {
        format!("{}:{}", self.thread_id, self.window_number)
    }

    /// The headers of a connection that is made before there is a request: no blob, as there is nothing to say yet.
    pub fn handshake_headers(&self) -> Vec<Header> {
        let mut headers = vec![("x-codex-beta-features", BETA_FEATURES.to_owned())];
        headers.extend(self.name_headers());
        headers.push(("x-codex-window-id", self.window()));
        headers.extend(self.lineage_headers());
        headers
    }

    fn name_headers(&self) -> [Header; 3] {
        let thread = self.thread_id.to_string();
        [
            ("x-client-request-id", thread.clone()),
            ("session-id", self.session_id.to_string()),
            ("thread-id", thread),
        ]
    }

    fn lineage_headers(&self) -> impl Iterator<Item = Header> {
        let parent = self.lineage.parent_thread_id;
        let subagent = self.lineage.subagent.as_ref();
        parent
            .map(|parent| ("x-codex-parent-thread-id", parent.to_string()))
            .into_iter()
            .chain(subagent.map(|kind| ("x-openai-subagent", kind.header().to_owned())))
    }
}

impl RequestSnapshot {
    /// The compatibility headers, in the order existing clients send them. `x-codex-turn-state`, which is not of the
    /// snapshot, belongs after the first.
    pub fn headers(&self) -> Vec<Header> {
        let mut headers = vec![
            ("x-codex-beta-features", BETA_FEATURES.to_owned()),
            ("x-codex-window-id", self.identity.window()),
            ("x-codex-turn-metadata", self.turn_metadata()),
        ];
        headers.extend(self.identity.lineage_headers());
        headers.extend(self.identity.name_headers());
        headers
    }

    /// The headers of a WebSocket connection that is made for this request. `version`, which is not of the snapshot,
    /// belongs after the first.
    pub fn handshake_headers(&self) -> Vec<Header> {
        let mut headers = vec![("x-codex-turn-metadata", self.turn_metadata())];
        headers.extend(self.identity.handshake_headers());
        headers
    }

    /// The flat map. All values are texts.
    pub fn client_metadata(&self) -> Vec<Header> {
        let identity = &self.identity;
        let mut fields = vec![
            ("x-codex-installation-id", identity.installation_id.clone()),
            ("session_id", identity.session_id.to_string()),
            ("thread_id", identity.thread_id.to_string()),
            ("turn_id", self.turn_id_text()),
        ];
        if let Some(turn) = &self.turn {
            fields.push(("root_turn_id", turn.root().to_string()));
            let parent = turn.parent.map(|parent| parent.turn_id.to_string());
            fields.extend(parent.map(|parent| ("parent_turn_id", parent)));
        }
        fields.push(("x-codex-window-id", identity.window()));
        fields.extend(identity.lineage_headers());
        fields.push(("x-codex-turn-metadata", self.turn_metadata()));
        if self.kind == RequestKind::Memory {
            fields.retain(|(key, _)| *key != "x-codex-installation-id");
        }
        fields
    }

    /// The flat map for a message on a WebSocket, where what HTTP says in headers has to go into the body.
    pub fn websocket_metadata(
        &self,
        sent: SystemTime,
        trace: Option<&TraceContext>,
    ) -> Vec<Header> {
        let mut fields = self.client_metadata();
        fields.push((
            "x-codex-ws-stream-request-start-ms",
            unix_ms(sent).to_string(),
        ));
        if let Some(trace) = trace {
            fields.push(("ws_request_header_traceparent", trace.parent.clone()));
            let state = trace.state.clone();
            fields.extend(state.map(|state| ("ws_request_header_tracestate", state)));
        }
        fields
    }

    /// The turn's id; empty before the first turn, as existing clients have it.
    pub(super) fn turn_id_text(&self) -> String {
        self.turn
            .as_ref()
            .map_or_else(String::new, |turn| turn.id.to_string())
    }
}
