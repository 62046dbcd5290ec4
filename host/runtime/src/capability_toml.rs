//! Capabilities as TOML: `[request]` of a manifest and `[plugin.granted]` of a lock have the same keys.

use std::collections::BTreeSet;

use dovetail_core::plugin::FieldClass;
use toml_edit::{Array, InlineTable, Table, Value};

use crate::argv::ArgvPattern;
use crate::capability::{Capabilities, SlotName, class_name, class_named};
use crate::digest::Sha256;
use crate::fs_rule::{Access, FsRule};
use crate::origin::OriginPattern;
use crate::toml_reader::{Fields, Located};

/// Keys of `[request]`.
pub(crate) const KEYS: &[&str] = &[
    "net", "fs", "process", "env", "secrets", "owns", "kv", "client", "classes",
];
/// Keys of `[plugin.granted]`, where `on_error = "allow"` of a manifest is an entry like the others.
pub(crate) const GRANTED_KEYS: &[&str] = &[
    "net",
    "fs",
    "process",
    "env",
    "secrets",
    "owns",
    "kv",
    "client",
    "classes",
    "fail_open",
];
const FS_KEYS: &[&str] = &["path", "mount", "access"];

/// The most a plugin can keep: the store is read and written as a whole.
const MOST_KV_BYTES: u64 = 16 << 20;

pub(crate) fn read(fields: &Fields<'_>) -> Result<Capabilities, Located> {
    Ok(Capabilities {
        net: fields
            .strings("net", OriginPattern::parse)?
            .into_iter()
            .collect(),
        fs: read_fs(fields)?,
        process: fields
            .string_lists("process", |parts| ArgvPattern::parse(parts))?
            .into_iter()
            .collect(),
        env: fields.strings("env", env_name)?.into_iter().collect(),
        secrets: fields
            .strings("secrets", SlotName::parse)?
            .into_iter()
            .collect(),
        owns: fields
            .strings("owns", SlotName::parse)?
            .into_iter()
            .collect(),
        kv: fields.number("kv", 0..=MOST_KV_BYTES)?.unwrap_or(0),
        client: fields.flag("client")?.unwrap_or(false),
        classes: fields.strings("classes", class)?.into_iter().collect(),
        fail_open: fields.flag("fail_open")?.unwrap_or(false),
    })
}

fn read_fs(fields: &Fields<'_>) -> Result<BTreeSet<FsRule>, Located> {
    let rule = |entry: &Fields<'_>| {
        let path = entry.required("path")?;
        let access = Access::named(entry.required("access")?).ok_or_else(|| {
            entry.error(
                "access",
                "`access` must be \"read\", \"append\" or \"write\"",
            )
        })?;
        FsRule::new(path, entry.required("mount")?, access)
            .map_err(|error| entry.error("path", error.to_string()))
    };
    fields
        .tables("fs", "`fs`", FS_KEYS)?
        .iter()
        .map(rule)
        .collect()
}

fn env_name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains(['=', '\0', '*']) {
        return Err("an environment variable is named in full, without `=` or `*`");
    }
    Ok(text.to_owned())
}

fn class(text: &str) -> Result<FieldClass, String> {
    match class_named(text) {
        Some(FieldClass::Basic) | None => Err(format!(
            "`{text}` is no field class to ask for; use content, identity, location"
        )),
        Some(class) => Ok(class),
    }
}

/// The table that [`read`] reads back. Keys with nothing in them are left out.
pub(crate) fn write(capabilities: &Capabilities) -> Table {
    let Capabilities {
        net,
        fs,
        process,
        env,
        secrets,
        owns,
        kv,
        client,
        classes,
        fail_open,
    } = capabilities;
    let mut table = Table::new();
    let mut list = |key: &str, values: Vec<Value>| {
        if !values.is_empty() {
            table.insert(key, toml_edit::value(Array::from_iter(values)));
        }
    };
    list(
        "net",
        net.iter().map(|origin| origin.to_string().into()).collect(),
    );
    list("fs", fs.iter().map(fs_value).collect());
    list(
        "process",
        process
            .iter()
            .map(|argv| Array::from_iter(argv.parts()).into())
            .collect(),
    );
    list("env", env.iter().map(Value::from).collect());
    list(
        "secrets",
        secrets.iter().map(|slot| slot.as_str().into()).collect(),
    );
    list(
        "owns",
        owns.iter().map(|slot| slot.as_str().into()).collect(),
    );
    list(
        "classes",
        classes
            .iter()
            .map(|class| class_name(*class).into())
            .collect(),
    );
    if *kv > 0 {
        table.insert(
            "kv",
            toml_edit::value(i64::try_from(*kv).unwrap_or(i64::MAX)),
        );
    }
    for (key, flag) in [("client", *client), ("fail_open", *fail_open)] {
        if flag {
            table.insert(key, toml_edit::value(true));
        }
    }
    table
}

fn fs_value(rule: &FsRule) -> Value {
    let mut table = InlineTable::new();
    table.insert("path", rule.path().into());
    table.insert("mount", rule.mount().into());
    table.insert("access", rule.access().name().into());
    Value::InlineTable(table)
}

/// A digest that two sets share exactly when they are equal.
pub(crate) fn digest(capabilities: &Capabilities) -> Sha256 {
    Sha256::of(
        toml_edit::DocumentMut::from(write(capabilities))
            .to_string()
            .as_bytes(),
    )
}
