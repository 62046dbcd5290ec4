//! The JSON Schema of `config.toml`, and what it says of one key.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::file::ConfigFile;
use crate::nearest::nearest;

/// Where the schema of a shared structure stands.
const DEFINITIONS: &str = "#/$defs/";
/// What the schema says of settings that are accepted and do nothing.
pub(crate) const NOT_SUPPORTED: &str = "x-not-supported";

/// The JSON Schema (draft 2020-12) of `config.toml`.
pub fn config_schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = Value::from(generator.into_root_schema_for::<ConfigFile>());
    without_nulls(&mut schema);
    schema
}

/// TOML has no null: what is not set is not there. And defaults are a layer of their own.
fn without_nulls(schema: &mut Value) {
    let Value::Object(fields) = schema else {
        return;
    };
    fields.remove("default");
    if let Some(Value::Array(kinds)) = fields.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            fields.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            fields.remove("anyOf");
            for (key, value) in only {
                fields.entry(key).or_insert(value);
            }
        }
    }
    for (key, inner) in fields.iter_mut() {
        match (key.as_str(), inner) {
            ("properties" | "$defs", Value::Object(named)) => {
                named.values_mut().for_each(without_nulls);
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(list)) => {
                list.iter_mut().for_each(without_nulls);
            }
            ("items" | "additionalProperties", inner) => without_nulls(inner),
            _ => {}
        }
    }
}

/// What the schema says of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Described {
    /// What it is for; none for keys that a person names, such as a provider's id.
    pub(crate) meaning: Option<String>,
    /// Why it does nothing; none where it does something.
    pub(crate) idle: Option<String>,
}

/// Looks a key up in the schema; for one that does not exist, gives the known name that its last part looks like.
pub(crate) fn describe(schema: &Value, path: &[&str]) -> Result<Described, Option<String>> {
    let mut described = Described::default();
    let mut here = schema;
    for key in path {
        let target = follow(schema, here);
        let properties = target.get("properties").and_then(Value::as_object);
        let next = properties.and_then(|properties| properties.get(*key));
        here = match (next, target.get("additionalProperties")) {
            (Some(next), _) => next,
            (None, Some(Value::Bool(false))) => {
                let names = properties.into_iter().flat_map(serde_json::Map::keys);
                return Err(nearest(key, names.map(String::as_str)).map(str::to_owned));
            }
            (None, Some(others)) => others,
            // Whoever understands the table knows what is in it.
            (None, None) => &Value::Null,
        };
        let text = |name: &str| here.get(name).and_then(Value::as_str).map(str::to_owned);
        described.meaning = text("description");
        described.idle = text(NOT_SUPPORTED).or(described.idle);
    }
    Ok(described)
}

fn follow<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|target| target.strip_prefix(DEFINITIONS));
    name.and_then(|name| root.get("$defs")?.get(name))
        .unwrap_or(schema)
}
