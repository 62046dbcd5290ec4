//! The fields of what happens to plugins.

use super::{classed, int, text};
use crate::plugin::{Field, FieldClass, PluginEvent};

/// Sentences about plugins name hosts, paths and commands, and may repeat what a guest said.
pub(super) fn fields(event: &PluginEvent) -> (&'static str, Vec<Field>) {
    let said = |name, sentence: &str| classed(name, FieldClass::Location, sentence.to_owned());
    match event {
        PluginEvent::Loaded {
            version,
            source,
            sha256,
        } => (
            "plugin.loaded",
            vec![
                text("version", version),
                text("source", source),
                text("sha256", sha256),
            ],
        ),
        PluginEvent::Refused { why } => ("plugin.refused", vec![said("why", why)]),
        PluginEvent::Denied { what } => ("plugin.denied", vec![said("what", what)]),
        PluginEvent::Broke { why } => (
            "plugin.broke",
            vec![classed("why", FieldClass::Content, why.clone())],
        ),
        PluginEvent::Quarantined { faults, why } => (
            "plugin.quarantined",
            vec![
                int("faults", u64::from(*faults)),
                classed("why", FieldClass::Content, why.clone()),
            ],
        ),
        PluginEvent::Released => ("plugin.released", Vec::new()),
        PluginEvent::Reloaded {
            version,
            sha256,
            generation,
        } => (
            "plugin.reloaded",
            vec![
                text("version", version),
                text("sha256", sha256),
                int("generation", *generation),
            ],
        ),
        PluginEvent::ReloadFailed { why } => ("plugin.reload_failed", vec![said("why", why)]),
        PluginEvent::Changed { why } => (
            "plugin.changed",
            vec![
                text("state", "drifted"),
                classed("why", FieldClass::Content, why.clone()),
            ],
        ),
        PluginEvent::Stopped { why } => ("plugin.stopped", vec![said("why", why)]),
    }
}
