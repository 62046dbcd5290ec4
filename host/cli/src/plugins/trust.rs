//! What the configuration says about trust in plugins.

use std::collections::BTreeMap;

use dovetail_config::{Config, PluginPolicy, env};
use dovetail_runtime::digest::Sha256;
use dovetail_runtime::plugin_settings::{PluginSettings, digest};
use dovetail_runtime::policy::AllowList;
use dovetail_runtime::provenance::{PublicKey, SourcePattern};
use serde_json::Value;

use super::jsonl_sink::{JSONL_SINK, JsonlSink};
use super::plugin_id;
use crate::fatal::Fatal;
use crate::provider_choice::ProviderTable;
use crate::provider_wire::BuiltinWire;

/// What decides whether plugins may run, and the table of the chosen provider.
///
/// # Errors
/// The provider's table, a sink's settings or the policy cannot be understood.
pub(crate) fn settings(config: &Config) -> anyhow::Result<(PluginSettings, Option<ProviderTable>)> {
    let table = ProviderTable::of(config)?;
    Ok((settings_of(config, table.as_ref())?, table))
}

/// The same for a table that is known already.
///
/// # Errors
/// As [`settings`].
pub(crate) fn settings_of(
    config: &Config,
    table: Option<&ProviderTable>,
) -> anyhow::Result<PluginSettings> {
    let mut settings = PluginSettings {
        allowed: allowed(config)?,
        allow_native: config.dovetail.allow_native,
        lock_is_trust: config
            .dovetail
            .accept_project_lock
            .unwrap_or_else(is_build_server),
        ..PluginSettings::default()
    };
    if let Some(table) = table {
        let id = plugin_id(table.builtin.plugin())?;
        settings.given.insert(id, table.grant.clone());
        if let Some(wire) = table.wire {
            let speaker = settings.given.entry(plugin_id(wire.plugin())?);
            speaker.or_insert_with(BuiltinWire::grant);
        }
    }
    if let Some(sink) = JsonlSink::of(config)? {
        settings.given.insert(plugin_id(JSONL_SINK)?, sink.grant);
    }
    for (id, plugin) in &config.dovetail.plugins {
        let id = plugin_id(id)?;
        let told = plugin.config.as_ref().unwrap_or(&Value::Null);
        settings
            .configs
            .insert(id.clone(), digest(told, &plugin.secrets));
        if plugin.required {
            settings.required.insert(id);
        }
    }
    Ok(settings)
}

/// The keys that the user trusts to sign packages, by the names that the user gave them.
///
/// # Errors
/// One of them is no key.
pub(crate) fn trusted_keys(config: &Config) -> anyhow::Result<BTreeMap<String, PublicKey>> {
    let key = |(name, text): (&String, &String)| {
        let key = PublicKey::parse(text)
            .map_err(|error| Fatal::new(format!("`dovetail.trusted_keys.{name}`: {error}")))?;
        Ok((name.clone(), key))
    };
    config.dovetail.trusted_keys.iter().map(key).collect()
}

/// Most build servers set `CI` to `true` or to a name.
fn is_build_server() -> bool {
    env::CI
        .get()
        .is_some_and(|value| !["false", "0", "no"].contains(&value.to_ascii_lowercase().as_str()))
}

fn allowed(config: &Config) -> anyhow::Result<Option<AllowList>> {
    let Some(policy) = &config.dovetail.plugin_policy else {
        return Ok(None);
    };
    let PluginPolicy {
        keys,
        digests,
        sources,
        place,
    } = policy;
    let wrong = |key: &str, problem: String| {
        Fatal::new(format!(
            "`dovetail.plugin_policy.{key}` in {place}: {problem}"
        ))
    };
    let digest = |text: &String| {
        Sha256::parse(text).ok_or_else(|| {
            wrong(
                "allow_digests",
                format!("`{}` is not a SHA-256 digest", text.escape_debug()),
            )
        })
    };
    let key = |text: &String| {
        PublicKey::parse(text).map_err(|error| wrong("allow_keys", error.to_string()))
    };
    let source = |text: &String| {
        SourcePattern::parse(text).map_err(|error| wrong("allow_sources", error.to_string()))
    };
    Ok(Some(AllowList {
        keys: keys.iter().map(key).collect::<Result<_, _>>()?,
        digests: digests.iter().map(digest).collect::<Result<_, _>>()?,
        sources: sources.iter().map(source).collect::<Result<_, _>>()?,
        place: place.to_string(),
    }))
}
