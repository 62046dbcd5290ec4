//! Capabilities a command keeps: the ones that let a privileged user's commands handle files, and no others.

use std::io;
use std::ptr;

use super::sys::check;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// chown, dac_override, dac_read_search, fowner, fsetid, kill, setgid, setuid. What they could do outside the writable
/// roots is stopped by the mounts and by Landlock, which know no privilege.
const KEPT: u64 = 0xff;

/// A set to change to, computed before `fork`.
#[derive(Clone, Copy)]
pub(super) struct Capabilities(u64);

impl Capabilities {
    /// None at all: for a user namespace, where they would be many and mean little.
    pub(super) const NONE: Self = Self(0);

    /// Those of the current ones that commands may keep.
    pub(super) fn kept() -> io::Result<Self> {
        Ok(Self(permitted()? & KEPT))
    }

    /// Changes to the set, for good.
    pub(super) fn enter(self) -> io::Result<()> {
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
        // SAFETY: takes no pointers.
        let cleared = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, 0, 0, 0) };
        check(cleared.into())?;
        let half = |bits: u32| Data {
            effective: bits,
            permitted: bits,
            inheritable: 0,
        };
        let header = Header {
            version: VERSION_3,
            pid: 0,
        };
        let data = [half(self.0 as u32), half((self.0 >> 32) as u32)];
        // SAFETY: both structs have the kernel's layout and live through the call.
        check(unsafe { libc::syscall(libc::SYS_capset, ptr::from_ref(&header), data.as_ptr()) })
            .map(drop)
    }
}

/// Whether the host may make a mount namespace without a user namespace.
pub(super) fn may_mount() -> io::Result<bool> {
    Ok(permitted()? & CAP_SYS_ADMIN != 0)
}

fn permitted() -> io::Result<u64> {
    let mut header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: both structs have the kernel's layout and live through the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_capget,
            ptr::from_mut(&mut header),
            data.as_mut_ptr(),
        )
    })?;
    // What is permitted but not effective would have to be raised first; a host that lowered it meant to.
    Ok(u64::from(data[0].effective) | u64::from(data[1].effective) << 32)
}
