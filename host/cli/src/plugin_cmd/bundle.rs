//! `dovetail plugin bundle`: installed plugins in one archive, for machines that reach nothing else.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use dovetail_package::pack::{File, pack};
use dovetail_runtime::catalogue::Entry;
use dovetail_runtime::digest::Sha256;
use dovetail_runtime::lock::Scope;
use dovetail_runtime::plugin_dir;
use serde::{Deserialize, Serialize};

use super::package::Package;
use super::{Done, PluginContext, dir_error, find};
use crate::fatal::Fatal;

/// The file that lists what a bundle holds.
const LIST: &str = "bundle.toml";
const VERSION: u32 = 1;

/// `dovetail plugin bundle`.
#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// The plugins' ids; without any, every plugin of yours that is ready.
    plugins: Vec<String>,
    /// The archive to write.
    #[arg(long, short, value_name = "FILE", default_value = "plugins.tar.zst")]
    output: PathBuf,
}

/// What a bundle says of itself. It is no more trustworthy than the bundle: it finds damage, not forgery.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    version: u32,
    #[serde(rename = "plugin")]
    plugins: Vec<Listed>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    id: String,
    version: String,
    /// Of the component.
    sha256: String,
    /// Of the manifest.
    manifest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
}

pub(super) fn run(context: &PluginContext, args: &BundleArgs) -> anyhow::Result<Done> {
    let catalogue = context.survey();
    let chosen: Vec<&Entry> = match args.plugins.is_empty() {
        false => {
            let named = args.plugins.iter().map(|id| find(&catalogue, id));
            named.collect::<Result<_, _>>()?
        }
        true => catalogue
            .entries
            .iter()
            .filter(|entry| entry.found.scope == Scope::User)
            .filter(|entry| entry.state.refusal(&entry.found.manifest.id).is_none())
            .collect(),
    };
    if chosen.is_empty() {
        return Err(Fatal::new("there are no plugins to bundle")
            .hint("install some, or name them: dovetail plugin list")
            .into());
    }
    let mut files = Vec::new();
    let mut list = List {
        version: VERSION,
        plugins: Vec::new(),
    };
    for entry in chosen {
        list.plugins.push(add(entry, &mut files)?);
    }
    files.push(File {
        path: LIST.to_owned(),
        content: toml::to_string(&list)?.into_bytes(),
    });
    let bytes = pack(files).map_err(|error| Fatal::new(format!("cannot pack: {error}")))?;
    let path = context.cwd.join(&args.output);
    write(&path, &bytes)
        .map_err(|error| Fatal::new(format!("cannot write `{}`: {error}", path.display())))?;
    let names: Vec<&str> = list
        .plugins
        .iter()
        .map(|listed| listed.id.as_str())
        .collect();
    Ok(Done::with(format!(
        "bundled {} in {} (sha256 {})\ninstall it with: dovetail plugin install {}\n",
        names.join(", "),
        path.display(),
        Sha256::of(&bytes),
        args.output.display()
    )))
}

fn add(entry: &Entry, files: &mut Vec<File>) -> anyhow::Result<Listed> {
    let manifest = &entry.found.manifest;
    let id = &manifest.id;
    let Some(dir) = &entry.found.dir else {
        return Err(Fatal::new(format!(
            "plugin `{id}` is part of dovetail, wherever that is installed"
        ))
        .into());
    };
    if let Some(refusal) = entry.state.refusal(id) {
        return Err(Fatal::untrusted(refusal.sentence)
            .hint(refusal.hint)
            .hint("what you do not run yourself is not bundled for others")
            .into());
    }
    let (text, read) = plugin_dir::read_manifest(dir).map_err(dir_error)?;
    if read.sha256 != manifest.sha256 {
        return Err(Fatal::new(format!("plugin `{id}` changes while it is bundled")).into());
    }
    files.push(File {
        path: format!("{id}/plugin.toml"),
        content: text.into_bytes(),
    });
    files.push(File {
        path: format!("{id}/{}", plugin_dir::code_name(manifest)),
        content: entry.found.wasm.bytes.to_vec(),
    });
    let record = entry.record.as_ref();
    Ok(Listed {
        id: id.to_string(),
        version: manifest.version.to_string(),
        sha256: entry.found.wasm.sha256.to_string(),
        manifest: manifest.sha256.to_string(),
        source: record
            .and_then(|record| record.source.as_ref())
            .map(ToString::to_string),
        signer: record
            .and_then(|record| record.signer.as_ref())
            .map(ToString::to_string),
    })
}

/// Written beside and renamed, so that nobody installs half of one.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(path)?;
    Ok(())
}

/// Checks the plugins of an unpacked archive against its list, where it has one.
///
/// # Errors
/// What is not as listed. Reads after the archive's name.
pub(super) fn check(dir: &Path, packages: &[Package]) -> Result<(), String> {
    let path = dir.join(LIST);
    if !path.exists() {
        return Ok(());
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("has a list that cannot be read: {error}"))?;
    let list: List = toml::from_str(&text)
        .map_err(|error| format!("has a {LIST} that is not understood: {}", error.message()))?;
    if list.version != VERSION {
        return Err(format!(
            "has a {LIST} of version {}, this host knows {VERSION}",
            list.version
        ));
    }
    let found: Vec<(String, String, String)> = packages
        .iter()
        .map(|package| {
            let found = &package.found;
            (
                found.manifest.id.to_string(),
                found.wasm.sha256.to_string(),
                found.manifest.sha256.to_string(),
            )
        })
        .collect();
    let mut listed: Vec<(String, String, String)> = list
        .plugins
        .into_iter()
        .map(|listed| (listed.id, listed.sha256, listed.manifest))
        .collect();
    listed.sort();
    match found == listed {
        true => Ok(()),
        false => Err(format!(
            "does not hold what its {LIST} lists: it is damaged or was changed"
        )),
    }
}
