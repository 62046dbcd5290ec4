//! The built-in sink, as the user sets it up.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dovetail_config::Config;
use dovetail_core::plugin::FieldClass;
use dovetail_runtime::capability::Capabilities;
use dovetail_runtime::fs_rule::{Access, FsRule};
use serde_json::{Value, json};

use crate::fatal::Fatal;

/// The built-in sink.
pub(super) const JSONL_SINK: &str = "jsonl-sink";

/// `[dovetail.plugins.jsonl-sink]`, where the user turned it on.
pub(super) struct JsonlSink {
    pub(super) grant: Capabilities,
    pub(super) config: Value,
}

impl JsonlSink {
    pub(super) fn of(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(settings) = config.dovetail.plugins.get(JSONL_SINK) else {
            return Ok(None);
        };
        if settings.enabled != Some(true) {
            return Ok(None);
        }
        let mut own = settings.config.clone().unwrap_or_else(|| json!({}));
        let default = config.home.join("dovetail/events/events.jsonl");
        let path = own
            .get("path")
            .and_then(Value::as_str)
            .map_or(default, PathBuf::from);
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Fatal::new(format!(
                "`dovetail.plugins.jsonl-sink.config.path` names no file: `{}`",
                path.display()
            ))
            .into());
        };
        std::fs::create_dir_all(dir).map_err(|error| {
            Fatal::new(format!(
                "cannot make `{}` for the sink: {error}",
                dir.display()
            ))
        })?;
        let rule =
            FsRule::new(&dir.display().to_string(), "/data", Access::Append).map_err(|error| {
                Fatal::new(format!(
                    "`dovetail.plugins.jsonl-sink.config.path`: {error}"
                ))
            })?;
        own["path"] = json!(name.to_string_lossy());
        let mut grant = Capabilities::default();
        grant.fs.insert(rule);
        grant.classes = classes(&settings.table);
        Ok(Some(Self { grant, config: own }))
    }
}

/// The field classes that the user gives a built-in sink; content only where asked for.
fn classes(table: &Value) -> BTreeSet<FieldClass> {
    let names = table.get("classes").and_then(Value::as_array);
    names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter_map(|name| match name {
            "content" => Some(FieldClass::Content),
            "identity" => Some(FieldClass::Identity),
            "location" => Some(FieldClass::Location),
            _ => None,
        })
        .collect()
}
