//! A plugin that is not installed yet: a folder with a manifest, and a component in it or where cargo builds it.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use dovetail_runtime::discovery::Found;
use dovetail_runtime::load::LoadError;
use dovetail_runtime::lock::Scope;
use dovetail_runtime::manifest::Manifest;
use dovetail_runtime::native::outline;
use dovetail_runtime::{inspect, link, native, plugin_dir};

use super::placing::{self, Placed};
use super::{dir_error, hinted, whole};
use crate::fatal::Fatal;

/// Profiles under which a component may have been built.
const PROFILES: [&str; 3] = ["release", "plugin", "debug"];

/// A plugin that is not installed yet, checked as far as that is possible without running it.
#[derive(Debug)]
pub(super) struct Package {
    /// As it would be found once installed for the user.
    pub(super) found: Found,
    /// The manifest as written.
    manifest_text: String,
}

impl Package {
    /// Reads a folder; `wasm` says where the component is, if not in the usual places.
    ///
    /// # Errors
    /// What is wrong with the manifest or the component.
    pub(super) fn read(dir: &Path, wasm: Option<&Path>) -> anyhow::Result<Self> {
        if !dir.join("plugin.toml").is_file() {
            return Err(
                Fatal::new(format!("there is no plugin in `{}`", dir.display()))
                    .hint("name a folder that holds a plugin.toml")
                    .into(),
            );
        }
        let (manifest_text, manifest) = plugin_dir::read_manifest(dir).map_err(dir_error)?;
        let path = match wasm {
            Some(path) => path.to_owned(),
            None => find_code(dir, &manifest)?,
        };
        let wasm = if manifest.native {
            let library = plugin_dir::read_library(&path).map_err(dir_error)?;
            check_library(&manifest, &path, &library.bytes)?;
            library
        } else {
            let wasm = plugin_dir::read_component(&path).map_err(dir_error)?;
            check(&manifest, &wasm.bytes)?;
            wasm
        };
        let found = Found {
            manifest,
            scope: Scope::User,
            dir: Some(dir.to_owned()),
            wasm,
            files: Vec::new(),
        };
        Ok(Self {
            found,
            manifest_text,
        })
    }

    /// Reads a folder that came out of an archive: what is in it is all there is.
    ///
    /// # Errors
    /// As [`Package::read`].
    pub(super) fn read_unpacked(dir: &Path) -> anyhow::Result<Self> {
        let (_, manifest) = plugin_dir::read_manifest(dir).map_err(dir_error)?;
        Self::read(dir, Some(&dir.join(plugin_dir::code_name(&manifest))))
    }

    /// Copies it into a plugins directory, in place of an earlier version.
    ///
    /// # Errors
    /// See [`placing::place`].
    pub(super) fn place(&self, plugins: &Path, scope: &Scope) -> anyhow::Result<Placed> {
        placing::place(&self.found, &self.manifest_text, plugins, scope)
    }
}

/// The code beside the manifest, else the newest that cargo built for the crate around it.
fn find_code(dir: &Path, manifest: &Manifest) -> anyhow::Result<PathBuf> {
    let beside = dir.join(plugin_dir::code_name(manifest));
    if beside.is_file() {
        return Ok(beside);
    }
    let dir = dir.canonicalize()?;
    let newest = crate_name(&dir).and_then(|name| {
        let name = name.replace('-', "_");
        let file = match manifest.native {
            true => format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"),
            false => format!("{name}.wasm"),
        };
        // The target directory is the crate's, or that of a workspace further up.
        let built = dir.ancestors().flat_map(|root| {
            PROFILES.map(|profile| built_in(root, profile, manifest.native).join(&file))
        });
        built
            .filter_map(|path| Some((modified(&path)?, path)))
            .max()
    });
    let (what, how) = match manifest.native {
        true => ("library", "cargo build --release"),
        false => ("component", "cargo build --release --target wasm32-wasip2"),
    };
    newest.map(|(_, path)| path).ok_or_else(|| {
        let (id, beside) = (&manifest.id, beside.display());
        Fatal::new(format!(
            "there is no {what} for plugin `{id}`: `{beside}` is missing"
        ))
        .hint(format!(
            "build it with `{how}`, or name the file with --wasm"
        ))
        .into()
    })
}

fn built_in(root: &Path, profile: &str, native: bool) -> PathBuf {
    let target = root.join(if native {
        "target"
    } else {
        "target/wasm32-wasip2"
    });
    target.join(profile)
}

fn modified(path: &Path) -> Option<SystemTime> {
    let metadata = fs::metadata(path).ok()?;
    metadata
        .is_file()
        .then(|| metadata.modified().ok())
        .flatten()
}

/// The crate's name, where the folder is one.
fn crate_name(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join("Cargo.toml")).ok()?;
    let manifest: toml::Table = text.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// Checks that the library is what the manifest says.
fn check_library(manifest: &Manifest, path: &Path, library: &[u8]) -> anyhow::Result<()> {
    let outline = outline::check(library)
        .map_err(|error| Fatal::new(format!("`{}` {error}", path.display())).hint(error.hint()))?;
    native::check_outline(&outline, manifest).map_err(|problem| {
        let error = LoadError::new(manifest.id.clone(), problem);
        hinted(Fatal::new(whole(&error)), error.hint()).into()
    })
}

/// Checks that the component is what the manifest says, and needs no more than it asks for.
fn check(manifest: &Manifest, wasm: &[u8]) -> anyhow::Result<()> {
    let id = &manifest.id;
    let inspection = inspect::check(wasm).map_err(|error| {
        Fatal::new(format!("plugin `{id}` {}", whole(&error))).hint(error.hint())
    })?;
    if inspection.kinds != manifest.kinds {
        let names = |kinds: &std::collections::BTreeSet<dovetail_runtime::manifest::Kind>| {
            kinds
                .iter()
                .map(|kind| format!("\"{kind}\""))
                .collect::<Vec<_>>()
                .join(", ")
        };
        return Err(Fatal::new(format!(
            "plugin `{id}` says in its manifest that it is {}, but its component exports {}",
            names(&manifest.kinds),
            names(&inspection.kinds)
        ))
        .hint(format!(
            "write `kinds = [{}]` in its plugin.toml",
            names(&inspection.kinds)
        ))
        .into());
    }
    link::check(&inspection.imports, &manifest.request).map_err(|refused| {
        hinted(
            Fatal::new(format!("plugin `{id}` {}", whole(&refused))),
            Some(refused.hint(id)),
        )
        .into()
    })
}
