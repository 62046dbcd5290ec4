//! The client that sends a thread's requests.

use std::sync::Arc;
use std::time::Duration;

use dovetail_config::Config;
use dovetail_core::event::ThreadInfo;
use dovetail_core::plugin::{Endpoint, Provider, Purpose, Scope, Wire};
use dovetail_core::secret::Egress;
use dovetail_responses::{
    ClientOptions, Credentials, PlainHosts, ResponsesClient, WebSocketOptions,
};
use dovetail_runtime::services::Services;

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
    client_as(house, config, info, &identity::process_originator())
}

/// The same for another process than our own commands: `process` begins the user agent.
///
/// # Errors
/// As [`client`].
pub(crate) fn client_as(
    house: &House,
    config: &Config,
    info: &ThreadInfo,
    process: &str,
) -> anyhow::Result<ResponsesClient> {
    make(
        &house.whom(),
        config,
        &info.source,
        &info.originator,
        process,
    )
}

/// Who answers for a client's requests.
pub(crate) struct Whom<'w> {
    /// Authorizes them.
    pub(crate) provider: &'w Arc<dyn Provider>,
    /// Where they go.
    pub(crate) endpoint: &'w Endpoint,
    /// What translates them.
    pub(crate) wire: Option<&'w Arc<dyn Wire>>,
    /// Grants and secrets.
    pub(crate) services: &'w Services,
    /// Shared by all clients of the provider.
    pub(crate) credentials: &'w Credentials,
}

/// The same without a session: `source` and `originator` are those of the thread that requests would belong to.
///
/// # Errors
/// As [`client`].
pub(crate) fn client_of(
    whom: &Whom<'_>,
    config: &Config,
    source: &str,
    originator: &str,
) -> anyhow::Result<ResponsesClient> {
    let process = identity::process_originator();
    make(whom, config, source, originator, &process)
}

fn make(
    whom: &Whom<'_>,
    config: &Config,
    source: &str,
    originator: &str,
    process: &str,
) -> anyhow::Result<ResponsesClient> {
    let scope = Scope {
        provider_id: config.model_provider.clone(),
        purpose: Purpose::Turn,
        session_source: source.to_owned(),
        policy: config.dovetail.auth_policy.clone(),
    };
    let options = ClientOptions {
        originator: originator.to_owned(),
        user_agent: identity::user_agent(process),
        // The provider `openai` sets its own.
        version: None,
        idle_timeout: milliseconds(config, "stream_idle_timeout_ms").unwrap_or(DEFAULT_IDLE),
        websockets: config.dovetail.websockets.then(|| web_sockets(config)),
        credentials: whom.credentials.clone(),
    };
    let egress = Arc::clone(whom.services.egress()) as Arc<dyn Egress>;
    let client = ResponsesClient::new(
        Arc::clone(whom.provider),
        whom.endpoint.clone(),
        egress,
        scope,
        options,
    )?;
    Ok(match whom.wire {
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
