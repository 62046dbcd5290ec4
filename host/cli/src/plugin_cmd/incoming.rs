//! A package on its way in: fetched into a directory of ours, checked, and looked at before anybody is asked.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use dovetail_package::fetch::{Fetched, fetch};
use dovetail_package::signature::{Signer, verify};
use dovetail_package::source::PackageSource;
use dovetail_package::unpack::unpack;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::load::Runtime;
use dovetail_runtime::policy::Pedigree;
use dovetail_runtime::provenance::{PublicKey, Source};
use dovetail_runtime::services::Services;
use tempfile::TempDir;

use super::bundle;
use super::package::Package;
use super::{PluginContext, hinted, whole};
use crate::fatal::Fatal;

/// The beginning of the names of directories that packages are unpacked in.
const STAGING: &str = ".incoming-";
/// No fetch takes so long.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// How a package is fetched and checked.
#[derive(Debug, Default, Args)]
pub(super) struct IncomingArgs {
    /// Require that the package is signed with this minisign key: the key, a `.pub` file, or a name in
    /// `[dovetail.trusted_keys]`.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Require that the archive has this SHA-256 digest.
    #[arg(long, value_name = "DIGEST")]
    sha256: Option<String>,
    /// Let an OCI registry of this machine be asked without encryption.
    #[arg(long)]
    plain_http: bool,
}

/// Plugins that are not installed yet, and where they come from.
#[derive(Debug)]
pub(super) struct Incoming {
    /// At least one.
    pub(super) packages: Vec<Package>,
    /// Where they come from.
    pub(super) source: Source,
    /// Whose signature was checked.
    pub(super) signer: Option<PublicKey>,
    /// What a person should know of the signature.
    pub(super) note: Option<String>,
    /// Goes away with this, and everything in it.
    _staging: Option<TempDir>,
}

impl Incoming {
    /// What a policy wants to know.
    pub(super) fn pedigree(&self) -> Pedigree<'_> {
        Pedigree {
            signer: self.signer.as_ref(),
            source: Some(&self.source),
        }
    }
}

/// Brings a package in. `wasm` says where a folder's component is, if not in the usual places.
///
/// # Errors
/// It cannot be fetched, is not what it should be, or holds a plugin that could not be used.
pub(super) async fn receive(
    context: &PluginContext,
    text: &str,
    wasm: Option<&Path>,
    args: &IncomingArgs,
) -> anyhow::Result<Incoming> {
    let incoming = take_in(context, text, wasm, args).await?;
    compile(context, &incoming.packages)?;
    Ok(incoming)
}

/// Compiles every component, as the first session would have to: what this host cannot run is not installed.
fn compile(context: &PluginContext, packages: &[Package]) -> anyhow::Result<()> {
    let Some(cache) = &context.compiled else {
        return Ok(());
    };
    let services = Services::new(HostEnv::current(), &context.home, &context.cwd);
    // A cache that cannot be used is a warning where plugins are used.
    let (runtime, _) = Runtime::new(cache, services)?;
    for package in packages {
        runtime.prepare(&package.found).map_err(|error| {
            hinted(Fatal::new(whole(&error)), error.hint()).hint("nothing was installed")
        })?;
    }
    Ok(())
}

async fn take_in(
    context: &PluginContext,
    text: &str,
    wasm: Option<&Path>,
    args: &IncomingArgs,
) -> anyhow::Result<Incoming> {
    let parsed =
        PackageSource::parse(text, &context.cwd).map_err(|error| Fatal::new(error.to_string()))?;
    if let PackageSource::Folder(path) = &parsed {
        if args.key.is_some() || args.sha256.is_some() {
            return Err(
                Fatal::new("a folder has neither a signature nor a digest of its own")
                    .hint("name the .tar.zst that was signed")
                    .into(),
            );
        }
        return Ok(Incoming {
            packages: vec![Package::read(path, wasm)?],
            source: source(&parsed.record())?,
            signer: None,
            note: None,
            _staging: None,
        });
    }
    if wasm.is_some() {
        return Err(Fatal::new("--wasm is for folders: an archive has its component in it").into());
    }
    let staging = staging(context)?;
    let fetched = fetch(&parsed, staging.path(), args.plain_http)
        .await
        .map_err(|error| Fatal::new(whole(&error)).hint("nothing was installed"))?;
    check_digest(&fetched, args.sha256.as_deref())?;
    let (signer, note) = check_signature(context, text, &fetched, args.key.as_deref())?;
    let packages = open(text, &fetched, &staging.path().join("unpacked"))?;
    Ok(Incoming {
        packages,
        source: source(&fetched.source)?,
        signer,
        note,
        _staging: Some(staging),
    })
}

fn source(text: &str) -> anyhow::Result<Source> {
    Source::parse(text).map_err(|error| Fatal::new(error.to_string()).into())
}

/// A directory that nobody else can look into or write.
fn staging(context: &PluginContext) -> anyhow::Result<TempDir> {
    let own = &context.places.own_dir;
    let failed = |error: std::io::Error| {
        Fatal::new(format!("cannot unpack in `{}`: {error}", own.display()))
    };
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(own);
    made.map_err(failed)?;
    sweep(own);
    let staging = tempfile::Builder::new().prefix(STAGING).tempdir_in(own);
    Ok(staging.map_err(failed)?)
}

/// Removes what a fetch left behind that was killed. One that still runs has written to its directory lately.
fn sweep(own: &Path) {
    let Ok(entries) = fs::read_dir(own) else {
        return;
    };
    for entry in entries.flatten() {
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|modified| modified.elapsed().ok());
        let ours = entry.file_name().to_string_lossy().starts_with(STAGING);
        if ours && age.is_some_and(|age| age > ABANDONED) {
            // What cannot be removed is in nobody's way.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn check_digest(fetched: &Fetched, wanted: Option<&str>) -> anyhow::Result<()> {
    let is_wanted = |wanted: &str| {
        let wanted = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        wanted.eq_ignore_ascii_case(&fetched.sha256)
    };
    match wanted.filter(|wanted| !is_wanted(wanted)) {
        None => Ok(()),
        Some(wanted) => Err(Fatal::untrusted(format!(
            "the package has the digest sha256:{}, and not {}",
            fetched.sha256,
            wanted.escape_debug()
        ))
        .hint("nothing was installed; ask whoever gave you the digest")
        .into()),
    }
}

fn check_signature(
    context: &PluginContext,
    text: &str,
    fetched: &Fetched,
    wanted: Option<&str>,
) -> anyhow::Result<(Option<PublicKey>, Option<String>)> {
    let keys: Vec<PublicKey> = match wanted {
        Some(wanted) => vec![key(context, wanted)?],
        None => {
            let allowed = context.settings.allowed.iter().flat_map(|list| &list.keys);
            let known: BTreeSet<&PublicKey> = context.keys.values().chain(allowed).collect();
            known.into_iter().cloned().collect()
        }
    };
    let refuse = |sentence: String| {
        Err(
            Fatal::untrusted(format!("the package `{}`: {sentence}", text.escape_debug()))
                .hint("nothing was installed; ask its author for a signed package")
                .into(),
        )
    };
    let Some(signature) = &fetched.signature else {
        return match wanted {
            Some(_) => refuse("there is no signature beside it (`.minisig`)".to_owned()),
            None => Ok((None, None)),
        };
    };
    let texts: Vec<&str> = keys.iter().map(PublicKey::as_str).collect();
    match verify(&fetched.archive, signature, &texts) {
        Ok(Signer::Known(place)) => Ok((keys.get(place).cloned(), None)),
        Ok(Signer::Unknown) if wanted.is_some() => {
            refuse("it is signed with another key than the one that is required".to_owned())
        }
        Ok(Signer::Unknown) => Ok((
            None,
            Some(
                "signed with a key that is not among your trusted keys, which is as good as not signed"
                    .to_owned(),
            ),
        )),
        Err(error) => refuse(whole(&error)),
    }
}

/// The key that a text means: itself, a file that holds it, or a name for it.
fn key(context: &PluginContext, text: &str) -> anyhow::Result<PublicKey> {
    if let Some(key) = context.keys.get(text) {
        return Ok(key.clone());
    }
    let path = context.cwd.join(text);
    if path.is_file() {
        let content = fs::read_to_string(&path)
            .map_err(|error| Fatal::new(format!("cannot read `{}`: {error}", path.display())))?;
        // A comment, then the key.
        let line = content.lines().rev().find(|line| !line.trim().is_empty());
        let key = PublicKey::parse(line.unwrap_or_default().trim());
        return key.map_err(|error| Fatal::new(format!("`{}`: {error}", path.display())).into());
    }
    PublicKey::parse(text).map_err(|error| {
        Fatal::new(error.to_string())
            .hint("name a key, a .pub file, or a name in `[dovetail.trusted_keys]`")
            .into()
    })
}

/// Unpacks an archive and reads every plugin in it.
fn open(text: &str, fetched: &Fetched, into: &Path) -> anyhow::Result<Vec<Package>> {
    let refuse = |sentence: String| {
        Fatal::new(format!("the package `{}` {sentence}", text.escape_debug()))
            .hint("nothing was installed")
    };
    fs::create_dir(into)
        .and_then(|()| fs::File::open(&fetched.archive))
        .map_err(|error| refuse(format!("cannot be unpacked: {error}")))
        .and_then(|archive| {
            unpack(archive, fetched.bytes, into).map_err(|error| refuse(whole(&error)))
        })?;
    let folders = folders(into).map_err(|error| refuse(format!("cannot be looked at: {error}")))?;
    if folders.is_empty() {
        return Err(refuse("holds no plugin: there is no plugin.toml in it".to_owned()).into());
    }
    let packages: Vec<Package> = folders
        .iter()
        .map(|folder| Package::read_unpacked(folder))
        .collect::<Result<_, _>>()?;
    let ids: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.found.manifest.id.as_str())
        .collect();
    if ids.len() < packages.len() {
        return Err(refuse("holds a plugin twice".to_owned()).into());
    }
    bundle::check(into, &packages).map_err(refuse)?;
    Ok(packages)
}

/// The folders with plugins: the archive itself, or those in it.
fn folders(into: &Path) -> std::io::Result<Vec<PathBuf>> {
    if into.join("plugin.toml").is_file() {
        return Ok(vec![into.to_owned()]);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(into)? {
        let path = entry?.path();
        if path.join("plugin.toml").is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}
