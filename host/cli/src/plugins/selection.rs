//! Which of the plugins that were found a session loads, and with what settings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dovetail_config::Config;
use dovetail_core::ids::PluginId;
use dovetail_core::plugin::Hook;
use dovetail_runtime::catalogue::{Catalogue, Entry};
use dovetail_runtime::load::{LoadError, LoadRequest};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::manifest::Kind;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::secret_source::SecretSource;
use serde_json::Value;

use super::jsonl_sink::{JSONL_SINK, JsonlSink};
use super::required::Required;
use super::sentence;
use super::serving::UnusableProvider;
use crate::closed_gate::ClosedGate;
use crate::provider_choice::ProviderTable;

/// What is to be loaded, and what cannot be.
pub(super) struct Selection {
    pub(super) requests: Vec<LoadRequest>,
    kinds: Vec<BTreeSet<Kind>>,
    /// One of them may be the one that is wanted.
    pub(super) unusable_providers: Vec<UnusableProvider>,
    pub(super) refused: bool,
    pub(super) refused_before: bool,
    pub(super) required: Required,
}

impl Selection {
    pub(super) fn of(
        catalogue: Catalogue,
        config: &Config,
        table: Option<&ProviderTable>,
        required: Required,
        warnings: &mut Vec<String>,
    ) -> anyhow::Result<Self> {
        let sink = JsonlSink::of(config)?;
        let mut selection = Self {
            requests: Vec::new(),
            kinds: Vec::new(),
            unusable_providers: Vec::new(),
            refused: false,
            refused_before: !catalogue.problems.is_empty(),
            required,
        };
        for entry in catalogue.entries {
            let id = entry.found.manifest.id.clone();
            if !is_needed(&entry, config, table, &selection.required) {
                continue;
            }
            let settings = config.dovetail.plugins.get(id.as_str());
            let mut own = settings
                .and_then(|settings| settings.config.clone())
                .unwrap_or(Value::Null);
            if entry.found.scope == Scope::Builtin && id.as_str() == JSONL_SINK {
                own = sink
                    .as_ref()
                    .map_or(Value::Null, |sink| sink.config.clone());
            }
            let told = table.filter(|table| table.builtin.plugin() == id.as_str());
            if let (Scope::Builtin, Some(told)) = (
                &entry.found.scope,
                told.and_then(|table| table.told.as_ref()),
            ) {
                own = told.clone();
            }
            let kinds = entry.found.manifest.kinds.clone();
            match LoadRequest::new(entry, own) {
                Ok(mut request) => {
                    request
                        .secrets
                        .extend(configured_sources(config, &id, warnings));
                    selection.requests.push(request);
                    selection.kinds.push(kinds);
                }
                Err(refusal) => {
                    if kinds.contains(&Kind::Provider) {
                        selection.unusable_providers.push(UnusableProvider {
                            id,
                            why: refusal.sentence.clone(),
                            hint: Some(refusal.hint.clone()),
                        });
                    }
                    warnings.push(refusal.sentence);
                    warnings.push(format!("hint: {}", refusal.hint));
                    selection.refused_before = true;
                }
            }
        }
        Ok(selection)
    }

    /// Gives the chosen built-in provider its slots.
    pub(super) fn give_sources(&mut self, sources: Option<(&str, BTreeMap<String, SecretSource>)>) {
        let Some((id, sources)) = sources else { return };
        let request = self.requests.iter_mut().find(|request| {
            request.found.scope == Scope::Builtin && request.found.manifest.id.as_str() == id
        });
        if let Some(request) = request {
            request.secrets.extend(sources);
        }
    }

    /// Sorts what came of the requests: the plugins that serve, and the hooks in order. A hook that could not be loaded
    /// keeps its place as a closed gate.
    pub(super) fn sort(
        &mut self,
        results: Vec<Result<Plugin, LoadError>>,
        warnings: &mut Vec<String>,
    ) -> (Vec<Plugin>, Vec<Arc<dyn Hook>>) {
        let mut loaded = Vec::new();
        let mut hooks: Vec<Arc<dyn Hook>> = Vec::new();
        for (result, kinds) in results.into_iter().zip(std::mem::take(&mut self.kinds)) {
            match result {
                Ok(plugin) => {
                    hooks.extend(plugin.hook().map(Arc::clone));
                    loaded.push(plugin);
                }
                Err(error) => hooks.extend(self.refuse(&error, &kinds, warnings)),
            }
        }
        (loaded, hooks)
    }

    /// Notes a plugin that could not be loaded; gives what stands in its place.
    fn refuse(
        &mut self,
        error: &LoadError,
        kinds: &BTreeSet<Kind>,
        warnings: &mut Vec<String>,
    ) -> Option<Arc<dyn Hook>> {
        self.refused = true;
        let why = sentence(error);
        self.required.failed(error.plugin(), &why, error.hint());
        if kinds.contains(&Kind::Provider) {
            self.unusable_providers.push(UnusableProvider {
                id: error.plugin().clone(),
                why: why.clone(),
                hint: error.hint(),
            });
        }
        let gate = kinds.contains(&Kind::Hooks).then(|| {
            let gate: Arc<dyn Hook> =
                Arc::new(ClosedGate::new(error.plugin().clone(), why.clone()));
            gate
        });
        warnings.push(match gate {
            Some(_) => format!(
                "{why}; its gate is closed: tool calls are denied until it is mended or removed"
            ),
            None => why,
        });
        warnings.extend(error.hint().map(|hint| format!("hint: {hint}")));
        gate
    }
}

/// Whether a plugin has a part in this session. Built-in ones only where the configuration calls for them; other
/// providers only where no table of the user serves the chosen id, or they might.
fn is_needed(
    entry: &Entry,
    config: &Config,
    table: Option<&ProviderTable>,
    required: &Required,
) -> bool {
    let manifest = &entry.found.manifest;
    let id = manifest.id.as_str();
    if config
        .dovetail
        .plugins
        .get(id)
        .is_some_and(|settings| settings.enabled == Some(false))
    {
        return false;
    }
    if entry.found.scope == Scope::Builtin {
        let serves = table.is_some_and(|table| {
            table.builtin.plugin() == id || table.wire.is_some_and(|wire| wire.plugin() == id)
        });
        return serves || (id == JSONL_SINK && config.dovetail.plugins.contains_key(id));
    }
    if required.has(&manifest.id) {
        return true;
    }
    let only_provider = manifest.kinds.len() == 1 && manifest.kinds.contains(&Kind::Provider);
    !(only_provider && config.model_provider == "openai")
}

/// Sources that the configuration names for a plugin's slots: `{ env = "NAME" }` and the like.
pub(super) fn configured_sources(
    config: &Config,
    id: &PluginId,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, SecretSource> {
    let mut sources = BTreeMap::new();
    let Some(settings) = config.dovetail.plugins.get(id.as_str()) else {
        return sources;
    };
    for (slot, value) in &settings.secrets {
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Object(fields) if fields.len() == 1 => fields
                .iter()
                .next()
                .and_then(|(kind, value)| Some(format!("{kind}:{}", value.as_str()?))),
            _ => None,
        };
        let parsed = text.as_deref().map(SecretSource::parse);
        let source = match parsed {
            Some(Ok(source)) => source,
            Some(Err(error)) => {
                warnings.push(format!("`dovetail.plugins.{id}.secrets.{slot}`: {error}"));
                SecretSource::Unusable
            }
            None => {
                warnings.push(format!(
                    "`dovetail.plugins.{id}.secrets.{slot}` must name one source, such as {{ env = \"NAME\" }}"
                ));
                SecretSource::Unusable
            }
        };
        sources.insert(slot.clone(), source);
    }
    sources
}
