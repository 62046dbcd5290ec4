//! Responses API client: HTTP with server-sent events, and WebSockets where a service has them.
//!
//! [`ResponsesClient`] implements the core's `ModelClient`: it encodes a request, has the provider plugin authenticate
//! it, sends it once, and turns the stream into `ModelEvent`s. Both ways give the same events and the same failures; a service that speaks
//! another API is asked through a plugin's wire. [`list_models`] asks for a provider's list of models in the same way. It never repeats a request and never sends one without
//! the credential that its provider wants; what a failure means is the provider's to say, and what to do about it the
//! core's. Secrets are filled in last, here, and are removed from every text that leaves this crate.

mod address;
mod body;
mod client;
mod credential;
mod drain;
pub mod event;
mod failure;
mod framing;
mod head;
mod http;
mod interpret;
pub mod json_values;
mod limits;
mod listing;
mod look;
mod redact;
mod refusal;
mod retry_after;
mod service;
mod socket;
pub mod sse;
mod stream;
mod through;
mod translation;
mod transport;
mod usage;

pub use client::{ClientError, ClientOptions, ResponsesClient, WebSocketOptions};
pub use credential::Credentials;
pub use listing::{Listing, ListingOptions, list_models};
pub use socket::PlainHosts;
