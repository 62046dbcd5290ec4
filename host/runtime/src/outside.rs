//! What can stand in for the network, programs and the clock where plugins are tried out.

use async_trait::async_trait;
use dovetail_core::plugin::PluginError;

use crate::net::HttpResponse;
use crate::process::Output;

/// A request that the grant allows, with its secrets filled in.
#[derive(Debug)]
pub struct OutsideRequest {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A made-up outside world. Everything that the host checks is checked before it is asked.
#[async_trait]
pub trait Outside: Send + Sync + std::fmt::Debug {
    /// Answers a request.
    ///
    /// # Errors
    /// What the plugin is told instead.
    async fn http(&self, request: OutsideRequest) -> Result<HttpResponse, PluginError>;

    /// Runs a program.
    ///
    /// # Errors
    /// What the plugin is told instead.
    async fn run(&self, argv: &[String], stdin: &[u8]) -> Result<Output, PluginError>;

    /// What the clock shows; none for the time that it is.
    fn now_unix_ms(&self) -> Option<u64>;
}
