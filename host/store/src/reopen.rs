//! Taking up a thread's file to write to it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;

use crate::error::{self, StoreError};
use crate::lineage::{self, Part};
use crate::load::{self, LoadedThread, Tail};
use crate::lock::WriterLock;
use crate::place::Compression;

/// A thread that can be gone on with.
pub(crate) struct Reopened {
    pub(crate) thread: LoadedThread,
    pub(crate) file: File,
    pub(crate) tail: Tail,
    pub(crate) lock: WriterLock,
}

/// Takes the right to write, unpacks the file if it is packed, reads the thread and makes the file's end whole.
pub(crate) fn reopen(home: &Path, path: &Path) -> Result<Reopened, StoreError> {
    let part = Part::open(path)?;
    let thread = ThreadId::parse(&part.meta.id).map_err(|_| StoreError::NoMeta {
        path: path.to_owned(),
    })?;
    let lock = WriterLock::take(home, thread)?;
    let path = match part.compression {
        Compression::None => path.to_owned(),
        Compression::Zstd => unpack(path)?,
    };
    let opened = OpenOptions::new().read(true).append(true).open(&path);
    let mut file = opened.map_err(|source| StoreError::io("open", &path, source))?;
    let copy = file
        .try_clone()
        .map_err(|source| StoreError::io("open", &path, source))?;
    // Read only now: until the lock was ours, somebody else may have written.
    let (thread, mut tail) = load::load(lineage::parts(Part::of(copy, &path)?)?)?;
    mend(&mut file, &mut tail).map_err(|source| StoreError::io("repair", &path, source))?;
    Ok(Reopened {
        thread,
        file,
        tail,
        lock,
    })
}

/// Makes the end whole. A torn line was never acknowledged to anybody; a whole one that only lacks its end was.
fn mend(file: &mut File, tail: &mut Tail) -> std::io::Result<()> {
    file.set_len(tail.whole_bytes)?;
    if tail.lacks_line_end {
        file.write_all(b"\n")?;
        tail.whole_bytes += 1;
        tail.lacks_line_end = false;
    }
    Ok(())
}

/// Unpacks a file beside itself and takes the packed one away, which leaves what existing clients leave. At no moment is
/// there less than one whole copy.
pub(crate) fn unpack(packed: &Path) -> Result<PathBuf, StoreError> {
    let path = packed.with_extension("");
    let failed = |source| StoreError::io(error::UNPACK, packed, source);
    let source = File::open(packed).map_err(failed)?;
    let modified = source.metadata().and_then(|metadata| metadata.modified());
    let temporary = packed.with_extension("unpacking");
    let written = write_unpacked(source, &temporary).and_then(|file| {
        // Lists are in the order of these times; unpacking is no news of the thread.
        file.set_modified(modified?)?;
        std::fs::rename(&temporary, &path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        std::fs::remove_file(packed)
    });
    if let Err(error) = written {
        // Half a copy is of no use to anybody. If it cannot be removed, the next attempt writes over it.
        drop(std::fs::remove_file(&temporary));
        return Err(failed(error));
    }
    Ok(path)
}

fn write_unpacked(source: File, temporary: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(temporary)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let mut reader = zstd::stream::read::Decoder::new(source)?;
    let mut chunk = vec![0; 256 << 10];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => file.write_all(&chunk[..length])?,
            Err(error) => return Err(error),
        }
    }
    file.sync_all()?;
    Ok(file)
}
