//! A pseudo-terminal for a command.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What programs are told of the window.
static SIZE: libc::winsize = libc::winsize {
    ws_row: 24,
    ws_col: 80,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// The host's side of a terminal.
#[derive(Debug)]
pub(super) struct Terminal(AsyncFd<File>);

impl Terminal {
    /// Opens a terminal; the second value is the command's side.
    pub(super) fn open() -> io::Result<(Self, OwnedFd)> {
        let host_side = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open("/dev/ptmx")?;
        let (fd, unlocked) = (host_side.as_raw_fd(), 0i32);
        // SAFETY: the request reads one integer, which lives through the call.
        check(unsafe { libc::ioctl(fd, libc::TIOCSPTLCK, &raw const unlocked) })?;
        // SAFETY: the request reads one struct, which lives through the call.
        check(unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, &raw const SIZE) })?;
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: the request takes flags and gives a descriptor.
        let command_side = check(unsafe { libc::ioctl(fd, libc::TIOCGPTPEER, flags) })?;
        // SAFETY: the kernel just made this descriptor for us.
        let command_side = unsafe { OwnedFd::from_raw_fd(command_side) };
        // SAFETY: the file keeps its descriptor open, and stays where it is until the whole is dropped.
        let host_side = unsafe { AsyncFd::register(host_side)? };
        Ok((Self(host_side), command_side))
    }

    /// Reads some output. Zero at the end, which a terminal reports as an I/O error once its last user is gone.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self
            .0
            .async_io(Interest::READABLE, |mut file| file.read(buffer))
            .await;
        match read {
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(0),
            read => read,
        }
    }

    /// Types something. Waits while the command does not read.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self
                .0
                .async_io(Interest::WRITABLE, |mut file| file.write(bytes))
                .await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}
