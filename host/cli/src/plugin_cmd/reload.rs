//! `dovetail plugin reload`: whether plugins can be loaded as they are now, and a word to running sessions.

use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::{LoadRequest, Runtime};
use dovetail_runtime::lock::Scope;
use dovetail_runtime::native::{NOT_REPLACED, UNSANDBOXED};
use dovetail_runtime::services::Services;
use dovetail_runtime::state::State;
use dovetail_runtime::watch;
use serde_json::Value;

use super::{Done, PluginContext, find, hinted, whole};
use crate::fatal::Fatal;

pub(super) async fn run(context: &PluginContext, plugin: Option<&str>) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    if let Some(plugin) = plugin {
        find(&catalogue, plugin)?;
    }
    let meant = |entry: &Entry| match plugin {
        Some(id) => entry.found.manifest.id.as_str() == id,
        None => entry.found.scope != Scope::Builtin && matches!(entry.state, State::Ready(_)),
    };
    let services = Services::new(HostEnv::current(), &context.home, &context.cwd);
    let (runtime, _) = Runtime::new(&crate::plugins::compiled_dir_of(&context.home), services)?;
    let mut text = String::new();
    let mut any = false;
    for entry in catalogue.entries.into_iter().filter(meant) {
        let id = entry.found.manifest.id.clone();
        let config = context.configs.get(&id).cloned().unwrap_or(Value::Null);
        let request = LoadRequest::new(entry, config)
            .map_err(|refusal| Fatal::new(refusal.sentence).hint(refusal.hint))?;
        if request.found.manifest.native {
            // Not even tried: to load it is to run it, and sessions would not take it up.
            let version = &request.found.manifest.version;
            text.push_str(&format!(
                "{id} {version} is {UNSANDBOXED} native code; {NOT_REPLACED}\n"
            ));
            continue;
        }
        let loaded = runtime.load(request).await.map_err(|error| {
            hinted(Fatal::new(whole(&error)), error.hint())
                .hint("running sessions keep what they have")
        })?;
        text.push_str(&format!("{id} {} can be loaded\n", loaded.version()));
        any = true;
    }
    if text.is_empty() {
        return Ok(Done::with(
            "there is no plugin that could be loaded again\n".to_owned(),
        ));
    }
    if !any {
        return Ok(Done::with(text));
    }
    watch::ask_for_reload(&context.places.own_dir)?;
    text.push_str("running sessions take it up within a few seconds\n");
    Ok(Done::with(text))
}
