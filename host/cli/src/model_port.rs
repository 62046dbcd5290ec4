//! The client that sends a thread's requests.

use std::sync::Arc;
use std::time::Duration;

use dovetail_config::Config;
use dovetail_core::event::ThreadInfo;
use dovetail_core::plugin::{Purpose, Scope};
use dovetail_core::secret::Egress;
use dovetail_responses::{ClientOptions, ResponsesClient};
use serde_json::Value;

use crate::identity;
use crate::plugins::House;

/// The longest silence of a stream where the provider's table says nothing.
const DEFAULT_IDLE: Duration = Duration::from_secs(300);

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
        idle_timeout: idle_timeout(config),
    };
    let egress = Arc::clone(house.services.egress()) as Arc<dyn Egress>;
    Ok(ResponsesClient::new(
        Arc::clone(&house.provider),
        house.endpoint.clone(),
        egress,
        scope,
        options,
    )?)
}

fn idle_timeout(config: &Config) -> Duration {
    config
        .model_providers
        .get(&config.model_provider)
        .and_then(|table| table.get("stream_idle_timeout_ms"))
        .and_then(Value::as_u64)
        .map_or(DEFAULT_IDLE, Duration::from_millis)
}
