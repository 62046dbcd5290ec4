//! A started command, held by a descriptor that cannot come to mean another process.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::sys;

/// A child of this process. Its descriptor becomes readable when it ends. Dropped before that, it is killed.
#[derive(Debug)]
pub struct Process {
    id: u32,
    descriptor: OwnedFd,
    ended: Option<ExitStatus>,
}

impl Process {
    pub(super) fn new(id: u32, descriptor: OwnedFd) -> Self {
        Self {
            id,
            descriptor,
            ended: None,
        }
    }

    /// The process id, which is also the id of the session and of the process group that it leads.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How it ended, if it has ended. The first time this also frees its number.
    ///
    /// # Errors
    /// What the system says; `ECHILD` where somebody else has taken its status.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.wait_with(libc::WNOHANG)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// As [`Process::try_wait`].
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            match self.wait_with(0) {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn wait_with(&mut self, flags: libc::c_int) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended =
                sys::wait_for(self.descriptor.as_raw_fd(), flags)?.map(ExitStatus::from_raw);
        }
        Ok(self.ended)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() && sys::kill_process(&self.descriptor).is_ok() {
            // Takes its number back where it ends at once; where it does not, this process's own end will.
            self.try_wait().ok();
        }
    }
}
