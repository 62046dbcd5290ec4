//! Compiled plugins on disk, so that compiling happens once per plugin and engine.
//!
//! Mapping a compiled component means running whatever is in it, so the directory must be the user's own and closed
//! to everybody else; otherwise the cache is refused and plugins are compiled in memory. Within such a directory
//! only accidents are left to guard against (a torn disk, a half-copied home), which a CRC of the whole file
//! catches at a tenth of the cost of a cryptographic hash: 0.02 ms for a small plugin. Whoever could forge the CRC
//! could as well replace this program.
//!
//! A file is never changed in place, because another process may have it mapped: it appears by rename and goes by
//! unlink.

use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use sha2::Digest as _;
use wasmtime::component::Component;

use crate::digest::{Sha256, to_hex};

/// Everything in the cache together; the oldest go first beyond it. Twenty plugins in Rust take 7 MB, one in Python
/// 35 MB.
const MAX_BYTES: u64 = 1 << 30;

/// Entries of other engine versions are kept this long, in case two versions of the host are in use.
const STALE_AFTER: Duration = Duration::from_hours(30 * 24);

/// Why a directory is not used as a cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheRefused {
    /// It cannot be made or looked at.
    #[error("the plugin cache `{}` is not usable", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not a directory of its own.
    #[error("the plugin cache `{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// Others could put code there.
    #[error("the plugin cache `{}` belongs to somebody else or is open to others (mode {mode:o})", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl CacheRefused {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Io { path, .. } | Self::NotADirectory(path) => {
                format!(
                    "make `{}` a directory of your own; until then plugins are compiled at each start",
                    path.display()
                )
            }
            Self::Open { path, .. } => format!("chown $USER {0} && chmod 700 {0}", path.display()),
        }
    }
}

/// A directory of compiled components for one engine.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// The engine's version and settings and the processor's features, as a file name prefix.
    engine: String,
}

impl Cache {
    /// Opens the cache, making the directory if there is none.
    pub(crate) fn open(dir: &Path, engine: &wasmtime::Engine) -> Result<Self, CacheRefused> {
        let io_error = |source| CacheRefused::Io {
            path: dir.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io_error)?;
        let metadata = fs::symlink_metadata(dir).map_err(io_error)?;
        if !metadata.is_dir() {
            return Err(CacheRefused::NotADirectory(dir.to_owned()));
        }
        // SAFETY: `geteuid` has no preconditions and cannot fail.
        let user = unsafe { libc::geteuid() };
        if metadata.uid() != user || metadata.mode() & 0o077 != 0 {
            return Err(CacheRefused::Open {
                path: dir.to_owned(),
                mode: metadata.mode() & 0o7777,
            });
        }
        Ok(Self {
            dir: dir.to_owned(),
            engine: fingerprint(engine),
        })
    }

    /// The compiled form of a wasm file, if it is here and whole. What is damaged is removed.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, wasm: &Sha256) -> Option<Component> {
        let path = self.entry(wasm);
        match read_entry(engine, &path) {
            Ok(component) => Some(component),
            Err(Miss::Absent) => None,
            Err(Miss::Damaged(why)) => {
                tracing::warn!(
                    "removing the damaged cache entry `{}`: {why}",
                    path.display()
                );
                remove(&path);
                remove(&sum_path(&path));
                None
            }
        }
    }

    /// Keeps a compiled component. Failing to is no failure: the next start compiles again.
    pub(crate) fn store(&self, wasm: &Sha256, compiled: &[u8]) {
        let path = self.entry(wasm);
        let sum = sum_line(crc32fast::hash(compiled), compiled.len());
        let stored = self
            // The sum comes first: nobody ever finds an entry that has none and takes it for damaged.
            .write(&sum_path(&path), sum.as_bytes())
            .and_then(|()| self.write(&path, compiled));
        match stored {
            Ok(()) => self.evict(&path),
            Err(e) => tracing::warn!("could not write the plugin cache `{}`: {e}", path.display()),
        }
    }

    fn entry(&self, wasm: &Sha256) -> PathBuf {
        self.dir.join(format!("{}-{}.cwasm", self.engine, wasm))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let unique = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = self
            .dir
            .join(format!("tmp-{}-{unique}", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            remove(&temporary);
        }
        written
    }

    /// Unlinks what is too old or too much. Other processes keep what they have mapped.
    fn evict(&self, keep: &Path) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let now = SystemTime::now();
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .filter(|(_, _, path)| path != keep && path.extension() != Some(OsStr::new("sum")))
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (time, size, path) in files {
            let ours = path
                .file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with(&self.engine));
            let age = now.duration_since(time).unwrap_or_default();
            if total > MAX_BYTES || (!ours && age > STALE_AFTER) {
                total = total.saturating_sub(size);
                remove(&path);
                remove(&sum_path(&path));
            }
        }
    }
}

/// Why an entry was not loaded.
enum Miss {
    Absent,
    Damaged(String),
}

fn read_entry(engine: &wasmtime::Engine, path: &Path) -> Result<Component, Miss> {
    let damaged = |e: &dyn std::fmt::Display| Miss::Damaged(e.to_string());
    let found = sum(path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Miss::Absent,
        _ => damaged(&e),
    })?;
    let expected = fs::read_to_string(sum_path(path)).map_err(|e| damaged(&e))?;
    if expected != found {
        return Err(damaged(&"its checksum does not match"));
    }
    // SAFETY: the file was written by this program from wasmtime's own output, its checksum matches, and it lies in
    // a directory that only this user can write (checked in `open`). Files there are never modified in place, so
    // the mapping stays valid. wasmtime itself refuses files of another version or with other settings.
    unsafe { Component::deserialize_file(engine, path) }.map_err(|e| damaged(&e))
}

/// Sums a file up, in pieces that stay in the processor's cache.
fn sum(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut piece = vec![0; 64 << 10];
    let (mut crc, mut length) = (crc32fast::Hasher::new(), 0);
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(sum_line(crc.finalize(), length));
        }
        crc.update(&piece[..read]);
        length += read;
    }
}

fn sum_line(crc: u32, length: usize) -> String {
    format!("{crc:08x} {length}\n")
}

fn sum_path(entry: &Path) -> PathBuf {
    entry.with_extension("sum")
}

/// Removes a file that nothing depends on.
fn remove(path: &Path) {
    if let Err(e) = fs::remove_file(path)
        && e.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!("could not remove `{}`: {e}", path.display());
    }
}

/// Identifies what compiled code depends on besides the wasm: wasmtime's version and settings, target, CPU features.
fn fingerprint(engine: &wasmtime::Engine) -> String {
    let mut hasher = ShaHasher(sha2::Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    std::env::consts::ARCH.hash(&mut hasher);
    std::env::consts::OS.hash(&mut hasher);
    to_hex(&hasher.0.finalize()[..8])
}

/// Feeds SHA-256 from `Hash`: unlike the standard hasher it gives the same result under every compiler.
struct ShaHasher(sha2::Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes([
            digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7],
        ])
    }
}
