//! Reads `plugin.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use dovetail_core::ids::PluginId;
use semver::{Version, VersionReq};

use crate::capability::Capabilities;
use crate::capability_toml;
use crate::digest::Sha256;
use crate::manifest::{Kind, Limits, Manifest, ManifestError};
use crate::toml_reader::{Fields, Located, Source};

pub(crate) const KEYS: &[&str] = &[
    "id",
    "version",
    "api",
    "kinds",
    "description",
    "on_error",
    "native",
    "request",
    "limits",
];
pub(crate) const LIMIT_KEYS: &[&str] = &["memory_mb", "deadline_ms", "output_kb"];

pub(crate) fn read(text: &str, file: &Path) -> Result<Manifest, ManifestError> {
    let source = Source::new(file, text);
    let document = source.parse()?;
    let table = document.as_table();
    check_api(source, table)?;
    let top = Fields::new(source, table, None, "the manifest", KEYS)?;
    let id = id(&top)?;
    let kinds = kinds(&top)?;
    let mut request = match top.table("request", "[request]", capability_toml::KEYS)? {
        Some(fields) => capability_toml::read(&fields)?,
        None => Default::default(),
    };
    request.fail_open = on_error(&top, &kinds)?;
    let native = native(&top, &request)?;
    let api = parsed(&top, "api", VersionReq::parse)?;
    let version = parsed(&top, "version", Version::parse)?;
    let description = top.string("description")?.map(one_line);
    Ok(Manifest {
        id,
        version,
        api,
        kinds,
        description,
        request,
        limits: limits(&top)?,
        sha256: Sha256::of(text.as_bytes()),
        native,
    })
}

/// Looks at `id` and `api` alone, before anything that another version of the contract may write differently.
fn check_api(source: Source<'_>, table: &toml_edit::Table) -> Result<(), ManifestError> {
    let every_key: Vec<&str> = table.iter().map(|(key, _)| key).collect();
    let top = Fields::new(source, table, None, "the manifest", &every_key)?;
    let id = id(&top)?;
    let wants = parsed(&top, "api", VersionReq::parse)?;
    Ok(Manifest::check_api(&id, &wants)?)
}

fn id(top: &Fields<'_>) -> Result<PluginId, Located> {
    let text = top.required("id")?;
    let id = PluginId::parse(text).map_err(|error| top.error("id", error.to_string()))?;
    // The id names files and folders; `..` and hidden names have no place there.
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(top.error(
            "id",
            format!("the plugin id `{text}` must start with a letter or digit"),
        ));
    }
    Ok(id)
}

fn parsed<T, E: std::fmt::Display>(
    top: &Fields<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Located> {
    let text = top.required(key)?;
    parse(text).map_err(|error| {
        top.error(
            key,
            format!("`{key} = \"{text}\"` is not a version: {error}"),
        )
    })
}

fn kinds(top: &Fields<'_>) -> Result<BTreeSet<Kind>, Located> {
    let kinds: BTreeSet<Kind> = top
        .strings("kinds", |text| {
            let known = Kind::ALL.into_iter().find(|kind| kind.name() == text);
            known.ok_or_else(|| {
                format!(
                    "`{text}` is no kind of plugin; use {}",
                    Kind::ALL.map(Kind::name).join(", ")
                )
            })
        })?
        .into_iter()
        .collect();
    if kinds.is_empty() {
        return Err(top.error(
            "kinds",
            "`kinds` must name at least one of provider, tools, hooks, sink",
        ));
    }
    Ok(kinds)
}

fn on_error(top: &Fields<'_>, kinds: &BTreeSet<Kind>) -> Result<bool, Located> {
    match top.string("on_error")? {
        None => Ok(false),
        Some(_) if !kinds.contains(&Kind::Hooks) => {
            Err(top.error("on_error", "`on_error` is for plugins of kind hooks"))
        }
        Some("deny") => Ok(false),
        Some("allow") => Ok(true),
        Some(_) => Err(top.error("on_error", "`on_error` must be \"deny\" or \"allow\"")),
    }
}

/// Whether it is native. Such a plugin can ask only for what the host does on its behalf: everything else it can do
/// anyway, and a list of it would read like a limit.
fn native(top: &Fields<'_>, request: &Capabilities) -> Result<bool, Located> {
    if top.flag("native")? != Some(true) {
        return Ok(false);
    }
    let unlimited = [
        ("fs", request.fs.is_empty()),
        ("process", request.process.is_empty()),
        ("env", request.env.is_empty()),
        ("owns", request.owns.is_empty()),
        ("kv", request.kv == 0),
        ("client", !request.client),
    ];
    for (key, is_empty) in unlimited {
        if !is_empty {
            let text = format!(
                "`{key}` means nothing for a native plugin, which no grant confines: it may list net, secrets and classes"
            );
            return Err(top.error("request", text));
        }
    }
    if let Some(limits) = top.table("limits", "[limits]", LIMIT_KEYS)?
        && limits
            .number("memory_mb", 1..=Limits::MOST_MEMORY_MB)?
            .is_some()
    {
        let text = "`memory_mb` means nothing for a native plugin: its memory is the host's own";
        return Err(limits.error("memory_mb", text));
    }
    Ok(true)
}

fn limits(top: &Fields<'_>) -> Result<Limits, Located> {
    match top.table("limits", "[limits]", LIMIT_KEYS)? {
        Some(fields) => read_limits(&fields),
        None => Ok(Limits::default()),
    }
}

/// Reads a table of limits.
pub(crate) fn read_limits(fields: &Fields<'_>) -> Result<Limits, Located> {
    Ok(Limits::new(
        fields.number("memory_mb", 1..=Limits::MOST_MEMORY_MB)?,
        fields.number("deadline_ms", 1..=Limits::MOST_DEADLINE_MS)?,
        fields.number("output_kb", 1..=Limits::MOST_OUTPUT_KB)?,
    ))
}

/// A description is shown on one line of a terminal: control characters become blanks, and long ones end.
fn one_line(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
