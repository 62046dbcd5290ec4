//! Puts a plugin's files in their place, and takes them back if what follows fails.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use dovetail_runtime::discovery::Found;
use dovetail_runtime::lock::Scope;
use dovetail_runtime::plugin_dir;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{PluginContext, dir_error};
use crate::fatal::Fatal;

/// A plugin in its place. Unless it is kept, what was there before comes back.
#[derive(Debug)]
pub(super) struct Placed {
    found: Found,
    target: PathBuf,
    /// Where the earlier version is, if there was one; else nothing.
    aside: PathBuf,
    had_one: bool,
    kept: bool,
}

impl Placed {
    /// What is there now, as it is found.
    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    /// Lets it stay, and removes the earlier version.
    pub(super) fn keep(mut self) -> Found {
        self.kept = true;
        if self.had_one {
            // Hidden, and removed with the next install; the new version is in place either way.
            drop(remove(&self.aside));
        }
        self.found.clone()
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // Something has failed already, and says so. If this fails too, the lock does not know what is left.
        let back = match self.had_one {
            true => exchange(&self.aside, &self.target),
            false => fs::rename(&self.target, &self.aside),
        };
        drop(back.and_then(|()| remove(&self.aside)));
    }
}

/// Keeps other processes from installing until the file is dropped.
///
/// # Errors
/// The file cannot be made.
pub(super) fn hold(context: &PluginContext) -> anyhow::Result<fs::File> {
    let own = &context.places.own_dir;
    let path = own.join("install.guard");
    let held = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(own)
        .and_then(|()| {
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
        })
        .and_then(|file| file.lock().map(|()| file));
    Ok(held.map_err(|error| Fatal::new(format!("cannot lock `{}`: {error}", path.display())))?)
}

/// Copies a plugin into a plugins directory, in place of an earlier version. Whoever calls it holds the lock.
///
/// # Errors
/// A file or directory cannot be written. The earlier version is then still in place, and nothing is left behind.
pub(super) fn place(
    found: &Found,
    manifest_text: &str,
    plugins: &Path,
    scope: &Scope,
) -> anyhow::Result<Placed> {
    let id = &found.manifest.id;
    let target = plugins.join(id.as_str());
    let failed = |error: io::Error| {
        Fatal::new(format!(
            "cannot install into `{}`: {error}",
            target.display()
        ))
        .hint("nothing was installed")
    };
    let mode = if *scope == Scope::User { 0o700 } else { 0o755 };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(plugins)
        .map_err(failed)?;
    sweep(plugins);
    // Hidden, so that nobody takes it for a plugin while it is incomplete.
    let aside = plugins.join(format!(".new-{id}-{}", std::process::id()));
    let moved = stage(&aside, mode, found, manifest_text).and_then(|()| swap(&aside, &target));
    let had_one = match moved {
        Ok(had_one) => had_one,
        Err(error) => {
            // The install has failed already; a hidden folder left behind is removed with the next one.
            drop(fs::remove_dir_all(&aside));
            return Err(failed(error).into());
        }
    };
    let mut placed = Placed {
        found: found.clone(),
        target,
        aside,
        had_one,
        kept: false,
    };
    // Read back what will be found, so that the lock pins what is on disk.
    placed.found = plugin_dir::read(&placed.target, scope).map_err(dir_error)?;
    Ok(placed)
}

/// Removes a plugin's folder, or the link that stands for it.
///
/// # Errors
/// It cannot be removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_symlink() {
        fs::remove_file(path)
    } else {
        fs::remove_dir_all(path)
    }
}

fn stage(staging: &Path, mode: u32, found: &Found, manifest_text: &str) -> io::Result<()> {
    fs::DirBuilder::new().mode(mode).create(staging)?;
    write(&staging.join("plugin.toml"), manifest_text.as_bytes())?;
    let code = plugin_dir::code_name(&found.manifest);
    write(&staging.join(code), &found.wasm.bytes)?;
    fs::File::open(staging)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts `aside` in the place of `target`; an earlier version then is where `aside` was. Says whether there was one.
fn swap(aside: &Path, target: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::rename(aside, target)?;
            Ok(false)
        }
        Err(error) => Err(error),
        Ok(_) => exchange(aside, target).map(|()| true),
    }
}

/// Gives two names to each other's places, in one step where the file system can do that.
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            let mut third = a.as_os_str().to_owned();
            third.push(".old");
            let third = PathBuf::from(third);
            fs::rename(b, &third)?;
            if let Err(error) = fs::rename(a, b) {
                fs::rename(&third, b)?;
                return Err(error);
            }
            fs::rename(&third, a)
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes what installs that were killed left behind. Nobody else is installing: the lock is held.
fn sweep(plugins: &Path) {
    let Ok(entries) = fs::read_dir(plugins) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".new-") {
            // What cannot be removed is hidden and does nothing.
            drop(remove(&entry.path()));
        }
    }
}
