//! What went wrong with plugins in a session, for the end of it.

use dovetail_core::plugin::PluginEvent;
use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::load::LoadError;
use dovetail_runtime::manifest::Kind;
use dovetail_runtime::news::News;
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::state::State;

use super::sentence;

/// Tells sinks of the plugins that may not run. One that the user turned off is no news.
pub(super) fn tell_refusals(catalogue: &Catalogue, news: &News) {
    for entry in &catalogue.entries {
        let id = &entry.found.manifest.id;
        if let (false, Some(refusal)) = (entry.state == State::Disabled, entry.state.refusal(id)) {
            let why = refusal.sentence;
            news.tell(id, PluginEvent::Refused { why });
        }
    }
    for problem in &catalogue.problems {
        news.add(dovetail_core::plugin::PluginNews {
            time: std::time::SystemTime::now(),
            plugin: problem.name.clone(),
            event: PluginEvent::Refused {
                why: sentence(&problem.error),
            },
        });
    }
}

/// Tells sinks of the plugins that could not be loaded.
pub(super) fn tell_failures(results: &[Result<Plugin, LoadError>], news: &News) {
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        let why = sentence(error);
        news.tell(error.plugin(), PluginEvent::Refused { why });
    }
}

/// Sentences about plugins that were quarantined, stopped or refused something, each with what to do.
pub(super) fn complaints(plugins: &[Plugin]) -> Vec<(String, String)> {
    let mut complaints = Vec::new();
    for plugin in plugins {
        complaints.extend(quarantine(plugin));
        complaints.extend(stopped(plugin).or_else(|| drifted(plugin)));
        let denials = plugin.denials();
        complaints.extend(denials.into_iter().map(
            |what| match what.split_once("; to allow it: ") {
                Some((what, hint)) => (what.to_owned(), hint.to_owned()),
                None => (what, format!("dovetail plugin inspect {}", plugin.id())),
            },
        ));
    }
    complaints
}

fn stopped(plugin: &Plugin) -> Option<(String, String)> {
    let (id, why) = (plugin.id(), plugin.stopped()?);
    Some((
        format!("plugin `{id}` was stopped during the session: {why}"),
        format!("dovetail plugin inspect {id}"),
    ))
}

/// A call found it changed before the session looked.
fn drifted(plugin: &Plugin) -> Option<(String, String)> {
    let (id, why) = (plugin.id(), plugin.drift()?);
    Some((
        format!("plugin `{id}` was stopped during the session: {why}"),
        format!("dovetail trust review {id}"),
    ))
}

fn quarantine(plugin: &Plugin) -> Option<(String, String)> {
    let faults = plugin.quarantined()?;
    let id = plugin.id();
    let gate = if plugin.kinds().contains(&Kind::Hooks) && !plugin.grant().fails_open() {
        "; its gate is closed: what it guards is denied until it is mended or removed"
    } else {
        ""
    };
    Some((
        format!(
            "plugin `{id}` broke {faults} times within a minute and is quarantined, the last time: {}{gate}",
            plugin.last_fault()
        ),
        format!("dovetail plugin inspect {id}  ·  dovetail plugin enable {id}"),
    ))
}
