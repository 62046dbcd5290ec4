//! Wires: other model APIs, translated from and to Responses. Sans-IO: whoever owns the connection asks.

use async_trait::async_trait;

use super::PluginError;
use crate::ids::PluginId;

/// A request for the provider's own API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireRequest {
    /// Appended to the base URL; may have a query.
    pub path: String,
    /// Headers besides the credential.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An event as the provider streams it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireEvent {
    /// The server-sent event's name; empty for the default.
    pub name: String,
    /// Its data.
    pub data: String,
}

/// Speaks another model API.
#[async_trait]
pub trait Wire: Send + Sync {
    /// The plugin behind it.
    fn plugin(&self) -> &PluginId;

    /// Turns a Responses request, as JSON, into the provider's; and gives what reads the response to it.
    ///
    /// # Errors
    /// The plugin refuses the request, or broke.
    async fn encode(
        &self,
        provider_id: &str,
        request: Vec<u8>,
    ) -> Result<(WireRequest, Box<dyn WireDecoder>), PluginError>;
}

/// Reads one response. After an error it must not be used again.
#[async_trait]
pub trait WireDecoder: Send {
    /// Some events in, any number of Responses events out, each a JSON object.
    ///
    /// # Errors
    /// The stream cannot be read on; [`PluginError::Retryable`] where asking again may help.
    async fn push(&mut self, events: Vec<WireEvent>) -> Result<Vec<String>, PluginError>;

    /// The stream has ended: what is left.
    ///
    /// # Errors
    /// As [`Self::push`]; also where the stream ended too early.
    async fn finish(&mut self) -> Result<Vec<String>, PluginError>;
}
