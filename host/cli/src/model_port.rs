//! The client that sends a thread's requests.

use std::sync::Arc;
use std::time::Duration;

use dovetail_config::Config;
use dovetail_core::event::ThreadInfo;
use dovetail_core::plugin::{Purpose, Scope};
use dovetail_core::secret::Egress;
use dovetail_responses::{ClientOptions, PlainHosts, ResponsesClient, WebSocketOptions};

use crate::identity;
use crate::plugins::House;

/// The longest silence of a stream where the provider's table says nothing.
const DEFAULT_IDLE: Duration = Duration::from_secs(300);

/// Where hosts are remembered that no WebSocket can be had from, below the home.
const PLAIN_HOSTS: &str = "dovetail/http-only-hosts.json";

/// Makes the client; nothing is connected yet.
///
/// # Errors
/// The endpoint's address cannot be used.
pub(crate) fn client(
    house: &House,
    config: &Config,
    info: &ThreadInfo,
) -> anyhow::Result<ResponsesClient> {
    let scope = Scope {
        provider_id: config.model_provider.clone(),
        purpose: Purpose::Turn,
        session_source: info.source.clone(),
        policy: config.dovetail.auth_policy.clone(),
    };
    let options = ClientOptions {
        originator: info.originator.clone(),
        user_agent: identity::user_agent(&identity::process_originator()),
        // The provider `openai` sets its own.
        version: None,
        idle_timeout: milliseconds(config, "stream_idle_timeout_ms").unwrap_or(DEFAULT_IDLE),
        websockets: config.dovetail.websockets.then(|| web_sockets(config)),
    };
    let egress = Arc::clone(house.services.egress()) as Arc<dyn Egress>;
    let client = ResponsesClient::new(
        Arc::clone(&house.provider),
        house.endpoint.clone(),
        egress,
        scope,
        options,
    )?;
    Ok(match &house.wire {
        Some(wire) => client.through(Arc::clone(wire)),
        None => client,
    })
}

fn web_sockets(config: &Config) -> WebSocketOptions {
    let usual = Duration::from_millis(config.dovetail.websocket_connect_timeout_ms);
    WebSocketOptions {
        connect_timeout: milliseconds(config, "websocket_connect_timeout_ms").unwrap_or(usual),
        plain_hosts: PlainHosts::kept_in(config.home.join(PLAIN_HOSTS)),
    }
}

/// A time of the provider's table.
fn milliseconds(config: &Config, key: &str) -> Option<Duration> {
    let table = config.model_providers.get(&config.model_provider)?;
    Some(Duration::from_millis(table.get(key)?.as_u64()?))
}
