//! One opened library.

use std::ffi::c_void;
use std::fs::File;
use std::io::Write as _;
use std::mem::{self, ManuallyDrop};
use std::os::fd::AsRawFd as _;
use std::panic::{self, AssertUnwindSafe};
use std::{io, ptr, slice};

use dovetail_native_api::abi::{ABI, Bytes, Call, Entry, Release, SYMBOL, Table};
use libloading::os::unix;
use rustix::fs::{MemfdFlags, SealFlags};

use crate::native::outline::MOST_MANIFEST;

/// Why a library cannot be used. Reads after ``plugin `x` ``.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system does not give memory that code can be mapped from.
    #[error("could not be put into memory that nothing else can change")]
    Memory(#[source] io::Error),
    /// The dynamic linker's words.
    #[error("cannot be linked: {0}")]
    Link(String),
    /// The function returned null.
    #[error("says that it cannot work here: `{SYMBOL}` gave no table")]
    NoTable,
    /// Built for another version of the boundary.
    #[error("was built for version {theirs} of the native interface, this host has version {ABI}")]
    Version {
        /// The library's.
        theirs: u32,
    },
    /// The table is smaller than its version has it.
    #[error("has a table of {size} bytes, but version {ABI} of the native interface has {}", size_of::<Table>())]
    Short {
        /// What the library says.
        size: u32,
    },
    /// A pointer that must not be null is.
    #[error("has a table without `{0}`")]
    Null(&'static str),
    /// The manifest cannot be one.
    #[error("has a manifest of {0} bytes in its table")]
    Manifest(usize),
}

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::native) enum Output {
    /// A status and the bytes beside it.
    Answer(i32, Vec<u8>),
    /// More bytes than the caller takes.
    TooLong,
    /// A null pointer with a length.
    Null,
    /// A panic that was not caught where it belongs.
    Unwound,
}

/// An opened library. It stays loaded until the process ends: code may be running in threads of its own.
pub(in crate::native) struct Library {
    call: Call,
    release: Release,
    manifest: Vec<u8>,
    _handle: ManuallyDrop<unix::Library>,
    /// The linker knows a library by the path it was opened with, so the number must not become that of another file.
    _file: ManuallyDrop<File>,
}

// SAFETY: the boundary lets calls come from any thread, one at a time; `&mut self` sees to the latter.
unsafe impl Send for Library {}

impl Library {
    /// Opens a library from its bytes: exactly these, since they are copied into sealed memory that has no name.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(in crate::native) fn open(name: &str, bytes: &[u8]) -> Result<Self, OpenError> {
        let file = sealed(name, bytes).map_err(OpenError::Memory)?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // Everything is looked up now, not in the middle of a call; its symbols are nobody else's.
        let flags = unix::RTLD_NOW | unix::RTLD_LOCAL;
        // SAFETY: this runs the library's initialisers. The user allowed this library, by its digest, to run in here.
        let handle = unsafe { unix::Library::open(Some(&path), flags) };
        // Never closed, also not on the way out with an error: initialisers may have started threads.
        let handle = ManuallyDrop::new(handle.map_err(|e| OpenError::Link(words(&e, &path)))?);
        let file = ManuallyDrop::new(file);
        // SAFETY: a function of that name has this type, by the boundary's definition; nothing can check it.
        let entry = unsafe { handle.get::<Entry>(SYMBOL.as_bytes()) };
        let entry = *entry.map_err(|e| OpenError::Link(words(&e, &path)))?;
        // SAFETY: it takes nothing, and returns null or a pointer.
        let table = contained(|| unsafe { entry() }).ok_or(OpenError::NoTable)?;
        let table = read_table(table)?;
        Ok(Self {
            call: table.call.ok_or(OpenError::Null("call"))?,
            release: table.release.ok_or(OpenError::Null("release"))?,
            manifest: read_manifest(&table)?,
            _handle: handle,
            _file: file,
        })
    }

    /// What it says about itself.
    pub(in crate::native) fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Does an operation. Takes at most `most` bytes as its answer.
    pub(in crate::native) fn call(&mut self, op: u32, input: &[u8], most: usize) -> Output {
        let mut output = Bytes::EMPTY;
        // SAFETY: the input lives longer than the call, the output may be written, and no other call is running.
        let call = || unsafe { (self.call)(op, input.as_ptr(), input.len(), &raw mut output) };
        let Some(status) = contained(call) else {
            return Output::Unwound;
        };
        if output.data.is_null() {
            return match output.len {
                0 => Output::Answer(status, Vec::new()),
                _ => Output::Null,
            };
        }
        let answer = if output.len > most {
            Output::TooLong
        } else {
            // SAFETY: by the boundary's definition the library made `len` bytes there, and leaves them alone until they
            // are released.
            let bytes = unsafe { slice::from_raw_parts(output.data, output.len) };
            Output::Answer(status, bytes.to_vec())
        };
        // SAFETY: these bytes came from this library, and are given back this once.
        match contained(|| unsafe { (self.release)(output) }) {
            Some(()) => answer,
            None => Output::Unwound,
        }
    }
}

/// Calls into a library. Nothing that unwinds out of it gets any further: what is no panic of this program's own kind, such
/// as an exception of C++, ends the process here, where it is still known whose it was.
fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    // What was thrown is the library's, and dropping it may throw as well.
    panic::catch_unwind(AssertUnwindSafe(call))
        .map_err(mem::forget)
        .ok()
}

/// A copy of some bytes that cannot be changed any more, by anybody.
fn sealed(name: &str, bytes: &[u8]) -> io::Result<File> {
    // The name only shows in `/proc/<pid>/maps`, where a debugger finds it.
    let name = format!("dovetail-{name}");
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Newer kernels want to be told that code is meant; older ones do not know the flag.
    let fd = rustix::fs::memfd_create(&name, flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create(&name, flags))?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// Reads as much of a table as it has.
fn read_table(table: *const Table) -> Result<Table, OpenError> {
    if table.is_null() {
        return Err(OpenError::NoTable);
    }
    // SAFETY: not null; by the boundary's definition of any version, a table starts with these two numbers.
    let [theirs, size] = unsafe { ptr::read_unaligned(table.cast::<[u32; 2]>()) };
    if theirs != ABI {
        return Err(OpenError::Version { theirs });
    }
    if (size as usize) < size_of::<Table>() {
        return Err(OpenError::Short { size });
    }
    // SAFETY: it says that it has at least this size, and any bytes are a valid `Table`: its pointers may be null.
    Ok(unsafe { ptr::read_unaligned(table) })
}

fn read_manifest(table: &Table) -> Result<Vec<u8>, OpenError> {
    let len = table.manifest_len;
    if table.manifest.cast::<c_void>().is_null() {
        return Err(OpenError::Null("manifest"));
    }
    if len == 0 || len as u64 > MOST_MANIFEST {
        return Err(OpenError::Manifest(len));
    }
    // SAFETY: by the boundary's definition there are so many bytes, which stay as they are.
    Ok(unsafe { slice::from_raw_parts(table.manifest, len) }.to_vec())
}

/// The linker's words, without the path that nobody knows.
fn words(error: &libloading::Error, path: &str) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    let text = text.trim_start_matches(path).trim_start_matches(": ");
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
