//! The guest's files: what wasmtime-wasi offers, less what an append-only directory must not allow.
//!
//! Read-only and writable directories are enforced by wasmtime-wasi itself. It has no append-only ones, so this
//! module remembers which descriptors come from such a directory and refuses everything on them but making files
//! and directories, adding at the end, and looking at sizes and times. Within WASI that is complete: a guest has no
//! other way to a file than a descriptor it got here.

use std::collections::HashSet;

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult, ReaddirIterator};

/// Which of a guest's directories and open files are append-only.
#[derive(Default)]
pub(crate) struct AppendOnly {
    /// One per preopened directory, in the order they were given to WASI.
    preopens: Vec<bool>,
    /// Open descriptors, by their number in the resource table.
    open: HashSet<u32>,
}

impl AppendOnly {
    /// `preopens` says of each preopened directory, in order, whether it is append-only.
    pub(crate) fn new(preopens: Vec<bool>) -> Self {
        Self {
            preopens,
            open: HashSet::new(),
        }
    }
}

/// The filesystem as one guest may use it.
pub(crate) struct GuardedFs<'a> {
    pub(crate) wasi: WasiFilesystemCtxView<'a>,
    pub(crate) append_only: &'a mut AppendOnly,
}

/// Names [`GuardedFs`] to the linker.
pub(crate) struct HasGuardedFs;

impl HasData for HasGuardedFs {
    type Data<'a> = GuardedFs<'a>;
}

impl GuardedFs<'_> {
    fn is_append_only(&self, fd: &Resource<Descriptor>) -> bool {
        self.append_only.open.contains(&fd.rep())
    }

    /// Refuses an operation on a descriptor of an append-only directory.
    fn full_access(&self, fd: &Resource<Descriptor>) -> FsResult<()> {
        if self.is_append_only(fd) {
            Err(types::ErrorCode::NotPermitted.into())
        } else {
            Ok(())
        }
    }
}

impl preopens::Host for GuardedFs<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let directories = preopens::Host::get_directories(&mut self.wasi)?;
        for ((directory, _), append_only) in directories.iter().zip(&self.append_only.preopens) {
            if *append_only {
                self.append_only.open.insert(directory.rep());
            }
        }
        Ok(directories)
    }
}

impl types::Host for GuardedFs<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        types::Host::convert_error_code(&mut self.wasi, error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        types::Host::filesystem_error_code(&mut self.wasi, error)
    }
}

impl types::HostDirectoryEntryStream for GuardedFs<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<ReaddirIterator>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        self.wasi.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<ReaddirIterator>) -> wasmtime::Result<()> {
        types::HostDirectoryEntryStream::drop(&mut self.wasi, stream)
    }
}

type Fd = Resource<Descriptor>;

impl types::HostDescriptor for GuardedFs<'_> {
    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Fd> {
        let append_only = self.is_append_only(&fd);
        let reads = flags.contains(types::DescriptorFlags::READ)
            && !open.contains(types::OpenFlags::DIRECTORY);
        if append_only && (reads || open.contains(types::OpenFlags::TRUNCATE)) {
            return Err(types::ErrorCode::NotPermitted.into());
        }
        let opened = self.wasi.open_at(fd, path_flags, path, open, flags).await?;
        if append_only {
            self.append_only.open.insert(opened.rep());
        }
        Ok(opened)
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        // The number may be given to another descriptor next.
        self.append_only.open.remove(&fd.rep());
        types::HostDescriptor::drop(&mut self.wasi, fd)
    }

    // Adding and making: always allowed as far as wasmtime-wasi does.

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        self.wasi.append_via_stream(fd)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.wasi.create_directory_at(fd, path).await
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.wasi.sync(fd).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.wasi.sync_data(fd).await
    }

    // Looking at what is known of a file without its contents.

    async fn advise(
        &mut self,
        fd: Fd,
        offset: u64,
        length: u64,
        advice: types::Advice,
    ) -> FsResult<()> {
        self.wasi.advise(fd, offset, length, advice).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<types::DescriptorFlags> {
        self.wasi.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<types::DescriptorType> {
        self.wasi.get_type(fd).await
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<types::DescriptorStat> {
        self.wasi.stat(fd).await
    }

    async fn stat_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::DescriptorStat> {
        self.wasi.stat_at(fd, flags, path).await
    }

    async fn is_same_object(&mut self, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        self.wasi.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<types::MetadataHashValue> {
        self.wasi.metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        self.wasi.metadata_hash_at(fd, flags, path).await
    }

    // Reading, and changing what is there: never in an append-only directory.

    async fn read(&mut self, fd: Fd, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        self.full_access(&fd)?;
        self.wasi.read(fd, length, offset).await
    }

    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynInputStream>> {
        self.full_access(&fd)?;
        self.wasi.read_via_stream(fd, offset)
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<ReaddirIterator>> {
        self.full_access(&fd)?;
        self.wasi.read_directory(fd).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        self.full_access(&fd)?;
        self.wasi.readlink_at(fd, path).await
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        self.full_access(&fd)?;
        self.wasi.write(fd, bytes, offset).await
    }

    fn write_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynOutputStream>> {
        self.full_access(&fd)?;
        self.wasi.write_via_stream(fd, offset)
    }

    async fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        self.full_access(&fd)?;
        self.wasi.set_size(fd, size).await
    }

    async fn set_times(
        &mut self,
        fd: Fd,
        access: types::NewTimestamp,
        change: types::NewTimestamp,
    ) -> FsResult<()> {
        self.full_access(&fd)?;
        self.wasi.set_times(fd, access, change).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
        access: types::NewTimestamp,
        change: types::NewTimestamp,
    ) -> FsResult<()> {
        self.full_access(&fd)?;
        self.wasi
            .set_times_at(fd, flags, path, access, change)
            .await
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        from: String,
        target: Fd,
        to: String,
    ) -> FsResult<()> {
        self.full_access(&fd)?;
        self.full_access(&target)?;
        self.wasi.link_at(fd, flags, from, target, to).await
    }

    async fn symlink_at(&mut self, fd: Fd, from: String, to: String) -> FsResult<()> {
        self.full_access(&fd)?;
        self.wasi.symlink_at(fd, from, to).await
    }

    async fn rename_at(&mut self, fd: Fd, from: String, target: Fd, to: String) -> FsResult<()> {
        self.full_access(&fd)?;
        self.full_access(&target)?;
        self.wasi.rename_at(fd, from, target, to).await
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.full_access(&fd)?;
        self.wasi.unlink_file_at(fd, path).await
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.full_access(&fd)?;
        self.wasi.remove_directory_at(fd, path).await
    }
}
