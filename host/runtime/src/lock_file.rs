//! The form of `plugins.lock`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dovetail_core::ids::PluginId;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::capability::SlotName;
use crate::capability_toml;
use crate::digest::Sha256;
use crate::lock::{LockEntry, Scope, Sealed};
use crate::manifest::Limits;
use crate::manifest_file::{self, LIMIT_KEYS};
use crate::provenance::{PublicKey, Source as PackageSource};
use crate::toml_reader::{Fields, Located, Source};

/// The version of this form. The first one lacks `api`, `config`, `limits`, `signer` and `source`; it is still read.
const VERSION: u64 = 2;
const HEAD: &str = "# What plugins were granted, and for which bytes. Written by `dovetail plugin grant`; entries changed\n\
                    # by hand are not accepted.\n\n";
const PINS_HEAD: &str = "# Plugins as they were reviewed. Written by `dovetail trust review --write-lock` and `dovetail plugin grant --project`.\n\n";
const KEYS: &[&str] = &[
    "scope",
    "project",
    "id",
    "version",
    "sha256",
    "request",
    "api",
    "config",
    "source",
    "signer",
    "granted_at",
    "enabled",
    "limits",
    "granted",
    "secrets",
    "mac",
];

/// Reads a lock. `scope` is the scope of all entries of a project's lock; the user's lock writes it down.
pub(crate) fn read(text: &str, file: &Path, scope: Option<&Scope>) -> Result<Vec<Sealed>, Located> {
    let source = Source::new(file, text);
    let document = source.parse()?;
    let top = Fields::new(
        source,
        document.as_table(),
        None,
        "the lock",
        &["version", "plugin"],
    )?;
    top.number("version", 1..=VERSION)?
        .ok_or_else(|| top.error("version", "`version` is missing"))?;
    top.tables("plugin", "[[plugin]]", KEYS)?
        .iter()
        .map(|entry| read_entry(entry, scope))
        .collect()
}

fn read_entry(fields: &Fields<'_>, scope: Option<&Scope>) -> Result<Sealed, Located> {
    let digest = |key| {
        let hex = fields.required(key)?;
        Sha256::parse(hex)
            .ok_or_else(|| fields.error(key, format!("`{key}` is not a SHA-256 digest")))
    };
    let id = fields.required("id")?;
    let granted =
        match fields.table("granted", "[plugin.granted]", capability_toml::GRANTED_KEYS)? {
            Some(granted) => capability_toml::read(&granted)?,
            None => Default::default(),
        };
    let entry = LockEntry {
        scope: scope.map_or_else(|| read_scope(fields), |scope| Ok(scope.clone()))?,
        id: PluginId::parse(id).map_err(|error| fields.error("id", error.to_string()))?,
        version: fields.required("version")?.to_owned(),
        wasm: digest("sha256")?,
        request: digest("request")?,
        api: fields.string("api")?.map(str::to_owned),
        limits: read_limits(fields)?,
        config: fields
            .string("config")?
            .map(|_| digest("config"))
            .transpose()?,
        source: parsed(fields, "source", PackageSource::parse)?,
        signer: parsed(fields, "signer", PublicKey::parse)?,
        granted,
        secrets: read_secrets(fields)?,
        granted_at: fields.required("granted_at")?.to_owned(),
        enabled: fields.flag("enabled")?.unwrap_or(true),
    };
    Ok(Sealed {
        entry,
        mac: fields.string("mac")?.unwrap_or_default().to_owned(),
    })
}

fn parsed<T, E: std::fmt::Display>(
    fields: &Fields<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, Located> {
    let read = |text| parse(text).map_err(|error| fields.error(key, error.to_string()));
    fields.string(key)?.map(read).transpose()
}

fn read_limits(fields: &Fields<'_>) -> Result<Option<Limits>, Located> {
    let Some(limits) = fields.table("limits", "[plugin.limits]", LIMIT_KEYS)? else {
        return Ok(None);
    };
    manifest_file::read_limits(&limits).map(Some)
}

fn read_scope(fields: &Fields<'_>) -> Result<Scope, Located> {
    match fields.required("scope")? {
        "builtin" => Ok(Scope::Builtin),
        "system" => Ok(Scope::System),
        "user" => Ok(Scope::User),
        "project" => Ok(Scope::Project(PathBuf::from(fields.required("project")?))),
        _ => Err(fields.error("scope", "`scope` must be builtin, system, user or project")),
    }
}

fn read_secrets(fields: &Fields<'_>) -> Result<BTreeMap<SlotName, String>, Located> {
    let pair = |(slot, source): (&str, &str)| {
        let slot =
            SlotName::parse(slot).map_err(|error| fields.error("secrets", error.to_string()))?;
        Ok((slot, source.to_owned()))
    };
    fields
        .string_table("secrets")?
        .into_iter()
        .map(pair)
        .collect()
}

/// The user's lock as text.
pub(crate) fn render(sealed: &[Sealed]) -> String {
    document(
        HEAD,
        sealed.iter().map(|sealed| {
            let mut table = entry_table(&sealed.entry);
            table.insert("mac", value(&sealed.mac));
            table
        }),
    )
}

/// A project's lock as text: no scope, no codes, no secret sources.
pub(crate) fn render_pins(entries: &[LockEntry]) -> String {
    document(
        PINS_HEAD,
        entries.iter().map(|entry| {
            let mut table = entry_table(entry);
            for key in ["scope", "project", "secrets", "enabled"] {
                table.remove(key);
            }
            table
        }),
    )
}

/// The bytes that an entry's code authenticates: everything in it, in a fixed order.
pub(crate) fn canonical(entry: &LockEntry) -> Vec<u8> {
    // As a document: a table on its own prints without the tables in it.
    DocumentMut::from(entry_table(entry))
        .to_string()
        .into_bytes()
}

fn document(head: &str, tables: impl Iterator<Item = Table>) -> String {
    let mut document = DocumentMut::new();
    document.insert("version", value(i64::try_from(VERSION).unwrap_or(i64::MAX)));
    document.insert(
        "plugin",
        Item::ArrayOfTables(tables.collect::<ArrayOfTables>()),
    );
    format!("{head}{document}")
}

fn entry_table(entry: &LockEntry) -> Table {
    let LockEntry {
        scope,
        id,
        version,
        wasm,
        request,
        api,
        limits,
        config,
        source,
        signer,
        granted,
        secrets,
        granted_at,
        enabled,
    } = entry;
    let mut table = Table::new();
    table.insert("scope", value(scope_name(scope)));
    if let Scope::Project(root) = scope {
        table.insert("project", value(root.to_string_lossy().as_ref()));
    }
    table.insert("id", value(id.as_str()));
    table.insert("version", value(version));
    table.insert("sha256", value(wasm.to_string()));
    table.insert("request", value(request.to_string()));
    // What older records lack must not appear in them: their codes cover the text as it was.
    let more = [
        ("api", api.clone()),
        ("config", config.as_ref().map(Sha256::to_string)),
        ("source", source.as_ref().map(PackageSource::to_string)),
        ("signer", signer.as_ref().map(PublicKey::to_string)),
    ];
    for (key, text) in more {
        text.into_iter()
            .for_each(|text| _ = table.insert(key, value(text)));
    }
    table.insert("granted_at", value(granted_at));
    table.insert("enabled", value(*enabled));
    if let Some(limits) = limits {
        table.insert("limits", Item::Table(limits_table(limits)));
    }
    table.insert("granted", Item::Table(capability_toml::write(granted)));
    let sources: Table = secrets
        .iter()
        .map(|(slot, source)| (slot.as_str(), value(source)))
        .collect();
    if !sources.is_empty() {
        table.insert("secrets", Item::Table(sources));
    }
    table
}

fn limits_table(limits: &Limits) -> Table {
    let number = |number: u64| value(i64::try_from(number).unwrap_or(i64::MAX));
    let mut table = Table::new();
    table.insert("memory_mb", number(limits.memory_bytes >> 20));
    if let Some(deadline) = limits.set_deadline() {
        let ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        table.insert("deadline_ms", number(ms));
    }
    table.insert("output_kb", number((limits.output_bytes >> 10) as u64));
    table
}

fn scope_name(scope: &Scope) -> &'static str {
    match scope {
        Scope::Builtin => "builtin",
        Scope::System => "system",
        Scope::User => "user",
        Scope::Project(_) => "project",
    }
}
