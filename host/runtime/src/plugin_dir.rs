//! Reads one plugin folder: `<id>/plugin.toml` and `<id>/<id>.wasm`.

use std::borrow::Cow;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use dovetail_core::ids::PluginId;

use crate::digest::Sha256;
use crate::discovery::{Found, Wasm};
use crate::lock::Scope;
use crate::manifest::{Kind, Manifest, ManifestError};
use crate::native::files::{self, Exposed};
use crate::native::outline::{self, NotALibrary};
use crate::stamp::Stamped;

/// Longer manifests are refused unread.
const MOST_MANIFEST_BYTES: u64 = 256 << 10;
/// Larger components are refused unread; the largest known (a whole Python) has 18 MiB.
const MOST_WASM_BYTES: u64 = 256 << 20;

/// Why a folder holds no usable plugin.
#[derive(Debug, thiserror::Error)]
pub enum PluginDirError {
    /// Something cannot be read.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The manifest is wrong or for another host.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The folder has another name than the plugin.
    #[error("the folder `{folder}` holds plugin `{id}`: both must have the same name")]
    Name {
        /// The folder's.
        folder: String,
        /// The manifest's.
        id: PluginId,
    },
    /// Anybody on the machine could change the plugin.
    #[error("`{}` can be written by every user of this machine", .0.display())]
    WorldWritable(PathBuf),
    /// A file of a project's plugin is somewhere else.
    #[error("`{}` is a symbolic link, which a project's plugin may not contain", .0.display())]
    Link(PathBuf),
    /// A file is too large to be what it should be.
    #[error("`{}` is larger than {most} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        most: u64,
    },
    /// The bytes are no component.
    #[error("`{}` is not a WebAssembly component: {why}", path.display())]
    NotWasm {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: &'static str,
    },
    /// Others can change a native plugin.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The bytes are no native plugin.
    #[error("`{}` {why}", path.display())]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: NotALibrary,
    },
    /// A project brings native code.
    #[error(
        "plugin `{0}` is native code, which a project's plugin cannot be: it would run without a sandbox"
    )]
    NativeProject(PluginId),
    /// A project's plugin would replace one that guards or authenticates.
    #[error(
        "project plugin `{id}` may not take the place of the {of} plugin of that name: a project cannot replace {kind} plugins"
    )]
    Takeover {
        /// The id of both.
        id: PluginId,
        /// What at least one of them is.
        kind: Kind,
        /// Whose it is.
        of: &'static str,
    },
}

impl PluginDirError {
    /// What to do about it, where that is not obvious.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Manifest(ManifestError::Api(mismatch)) => Some(mismatch.hint()),
            Self::Name { folder, id } => Some(format!("rename the folder `{folder}` to `{id}`")),
            Self::WorldWritable(path) => Some(format!("chmod o-w {}", path.display())),
            Self::Link(_) => Some("put the file or directory itself there".to_owned()),
            Self::Takeover { .. } => Some("give the project's plugin an id of its own".to_owned()),
            Self::NotWasm { .. } => {
                Some("build it with: cargo build --release --target wasm32-wasip2".to_owned())
            }
            Self::Exposed(exposed) => exposed.hint(),
            Self::NotALibrary { why, .. } => Some(why.hint()),
            Self::NativeProject(_) => {
                Some("install it for yourself, or ask its author for a component".to_owned())
            }
            Self::Io { .. } | Self::Manifest(ManifestError::At(_)) | Self::TooLarge { .. } => None,
        }
    }
}

/// Reads and checks a folder of a plugins directory.
///
/// # Errors
/// Says what is wrong with which file.
pub fn read(dir: &Path, scope: &Scope) -> Result<Found, PluginDirError> {
    let folder = dir.file_name().unwrap_or_default().to_string_lossy();
    let strict = matches!(scope, Scope::Project(_));
    check_entry(dir, strict)?;
    let (_, manifest, manifest_file) = manifest_in(dir, strict)?;
    check_name(&folder, &manifest)?;
    let code = dir.join(code_name(&manifest));
    let (wasm, wasm_file) = match manifest.native {
        true if strict => return Err(PluginDirError::NativeProject(manifest.id)),
        true => {
            files::check_folder(dir)?;
            read_native(&code, true)?
        }
        false => read_wasm(&code, strict)?,
    };
    Ok(Found {
        manifest,
        scope: scope.clone(),
        dir: Some(dir.to_owned()),
        wasm,
        files: vec![manifest_file, wasm_file],
    })
}

/// Checks a directory of plugins before anything in it is read; one that is not there is in order.
///
/// # Errors
/// Anybody could put plugins there; or, for a project's, it leads somewhere else.
pub(crate) fn check_directory(dir: &Path, scope: &Scope) -> Result<(), PluginDirError> {
    if let Scope::Project(root) = scope {
        let inside = dir.ancestors().take_while(|part| *part != root.as_path());
        if let Some(link) = inside.into_iter().find(|part| part.is_symlink()) {
            return Err(PluginDirError::Link(link.to_owned()));
        }
    }
    match fs::metadata(dir) {
        Ok(metadata) => check_mode(dir, &metadata),
        // Whoever lists it says what is wrong.
        Err(_) => Ok(()),
    }
}

/// Reads the manifest in a folder that is not installed yet, also as it is written.
///
/// # Errors
/// Says what is wrong with it.
pub fn read_manifest(dir: &Path) -> Result<(String, Manifest), PluginDirError> {
    let (text, manifest, _) = manifest_in(dir, false)?;
    Ok((text, manifest))
}

/// Reads a component that is not installed yet.
///
/// # Errors
/// Says what is wrong with it.
pub fn read_component(path: &Path) -> Result<Wasm, PluginDirError> {
    let (wasm, _) = read_wasm(path, false)?;
    Ok(wasm)
}

/// The file of a plugin's code, beside its manifest.
pub fn code_name(manifest: &Manifest) -> String {
    let id = &manifest.id;
    match manifest.native {
        true => format!("{id}{}", std::env::consts::DLL_SUFFIX),
        false => format!("{id}.wasm"),
    }
}

/// Reads the library of a native plugin that is not installed yet.
///
/// # Errors
/// It is no native plugin for this machine, or everybody can write it or its folder.
pub fn read_library(path: &Path) -> Result<Wasm, PluginDirError> {
    // Whoever can write its folder can have put it there.
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let metadata = fs::metadata(folder).map_err(|source| PluginDirError::Io {
        action: "read",
        path: folder.to_owned(),
        source,
    })?;
    check_mode(folder, &metadata)?;
    let (library, _) = read_native(path, false)?;
    Ok(library)
}

/// What is checked here is what is digested, and what runs later. Where it is installed, nobody else may change it.
fn read_native(path: &Path, installed: bool) -> Result<(Wasm, Stamped), PluginDirError> {
    let check = |path: &Path, metadata: &_| match installed {
        true => Ok(files::check_file(path, metadata)?),
        false => check_mode(path, metadata),
    };
    let (bytes, file) = read_checked(path, MOST_WASM_BYTES, installed, check)?;
    outline::check(&bytes).map_err(|why| PluginDirError::NotALibrary {
        path: path.to_owned(),
        why,
    })?;
    let library = Wasm {
        sha256: Sha256::of(&bytes),
        bytes: Cow::Owned(bytes),
    };
    Ok((library, file))
}

fn manifest_in(dir: &Path, strict: bool) -> Result<(String, Manifest, Stamped), PluginDirError> {
    let path = dir.join("plugin.toml");
    let (bytes, file) = read_file(&path, MOST_MANIFEST_BYTES, strict)?;
    let text = utf8(bytes, &path)?;
    let manifest = Manifest::parse(&text, &path)?;
    Ok((text, manifest, file))
}

pub(crate) fn check_name(folder: &str, manifest: &Manifest) -> Result<(), PluginDirError> {
    if folder == manifest.id.as_str() {
        return Ok(());
    }
    Err(PluginDirError::Name {
        folder: folder.to_owned(),
        id: manifest.id.clone(),
    })
}

fn read_wasm(path: &Path, strict: bool) -> Result<(Wasm, Stamped), PluginDirError> {
    let (bytes, file) = read_file(path, MOST_WASM_BYTES, strict)?;
    let not_wasm = |why| {
        Err(PluginDirError::NotWasm {
            path: path.to_owned(),
            why,
        })
    };
    // Magic, then version and layer: a core module and a component differ only in the latter.
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => {}
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => return not_wasm("it is a core module"),
        Some([0, b'a', b's', b'm', ..]) => return not_wasm("its version is not known"),
        Some(_) => return not_wasm("it starts with other bytes"),
        None => return not_wasm("it is too short"),
    }
    let wasm = Wasm {
        sha256: Sha256::of(&bytes),
        bytes: Cow::Owned(bytes),
    };
    Ok((wasm, file))
}

/// Reads a whole file through one handle, so that what was checked is what was read.
fn read_file(path: &Path, most: u64, strict: bool) -> Result<(Vec<u8>, Stamped), PluginDirError> {
    read_checked(path, most, strict, check_mode)
}

fn read_checked(
    path: &Path,
    most: u64,
    strict: bool,
    check: impl Fn(&Path, &fs::Metadata) -> Result<(), PluginDirError>,
) -> Result<(Vec<u8>, Stamped), PluginDirError> {
    check_entry(path, strict)?;
    let io = |source| PluginDirError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    // The check above names the problem; the flag closes the gap between looking and opening.
    let flags = if strict { libc::O_NOFOLLOW } else { 0 };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    check(path, &metadata)?;
    let stamped = Stamped::opened(path, &metadata);
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(most)).unwrap_or(0));
    file.take(most + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > most {
        return Err(PluginDirError::TooLarge {
            path: path.to_owned(),
            most,
        });
    }
    Ok((bytes, stamped))
}

fn check_entry(path: &Path, strict: bool) -> Result<(), PluginDirError> {
    let io = |source| PluginDirError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let metadata = fs::symlink_metadata(path).map_err(io)?;
    if metadata.is_symlink() {
        return if strict {
            Err(PluginDirError::Link(path.to_owned()))
        } else {
            Ok(())
        };
    }
    check_mode(path, &metadata)
}

fn check_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), PluginDirError> {
    if metadata.permissions().mode() & 0o002 != 0 {
        return Err(PluginDirError::WorldWritable(path.to_owned()));
    }
    Ok(())
}

fn utf8(bytes: Vec<u8>, path: &Path) -> Result<String, PluginDirError> {
    String::from_utf8(bytes).map_err(|error| PluginDirError::Io {
        action: "read",
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()),
    })
}
