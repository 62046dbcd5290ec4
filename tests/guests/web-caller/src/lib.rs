//! A tool server that sends requests over `wasi:http`, as languages with an HTTP library of their own do.
//!
//! The result says the status, or the code of the failure and where it came up, so that a test can tell one refusal from
//! another.

mod exchange;

use dovetail_plugin_api::tools::{Call, CallResult, Tool};
use dovetail_plugin_api::{Error, Tools, export_tools};
use serde::Deserialize;
use serde_json::json;

/// Sends what it is asked to.
#[derive(Debug, Default)]
struct WebCaller;

/// A request to send.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// An absolute URL.
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The length of the body.
    #[serde(default)]
    body: usize,
    /// How long to wait for the response's first byte.
    patience_ms: Option<u64>,
    /// How many of them to have open at once.
    #[serde(default = "one")]
    at_once: usize,
}

fn get() -> String {
    "GET".to_owned()
}

fn one() -> usize {
    1
}

impl Tools for WebCaller {
    fn list_tools(&mut self) -> Result<Vec<Tool>, Error> {
        let schema = json!({ "type": "object", "properties": { "url": { "type": "string" } } });
        Ok(vec![Tool::new("call", "Sends a request", schema)])
    }

    fn call_tool(&mut self, call: Call) -> Result<CallResult, Error> {
        let order: Order = call.arguments()?;
        // All are sent before any is waited for.
        let sent: Vec<_> = (0..order.at_once)
            .map(|_| exchange::begin(&order))
            .collect();
        let ends: Vec<String> = sent
            .into_iter()
            .map(|sent| match sent.and_then(exchange::Sent::end) {
                Ok(said) | Err(said) => said,
            })
            .collect();
        Ok(CallResult::text(ends.join("\n")))
    }
}

export_tools!(WebCaller);
