//! System calls that the standard library does not offer. All of them may be made between `fork` and `exec`: none
//! allocates or locks.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::path::Path;
use std::ptr;

/// Turns a system call's answer into a result.
pub(super) fn check(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(answer)
    }
}

pub(super) fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// Writes a short text to a file that exists, such as those under `/proc/self`.
pub(super) fn write_file(path: &CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: the path is a C string; the descriptor is closed below on every path.
    let fd = check(unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) }.into())?;
    let fd = fd as RawFd;
    // SAFETY: the buffer is valid for its length.
    let written =
        check(unsafe { libc::write(fd, text.as_ptr().cast(), text.len()) } as libc::c_long);
    close(fd);
    written.map(drop)
}

pub(super) fn close(fd: RawFd) {
    // SAFETY: the caller owns the descriptor. A failing close leaves nothing to do.
    unsafe { libc::close(fd) };
}

/// Marks every descriptor but the standard three as closed by `exec`.
pub(super) fn close_others_on_exec() -> io::Result<()> {
    let (first, last, flags) = (3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: takes no pointers.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

pub(super) fn chdir(path: &CStr) -> io::Result<()> {
    // SAFETY: the path is a C string.
    check(unsafe { libc::chdir(path.as_ptr()) }.into()).map(drop)
}

/// `mount` in its old form, for what needs no more.
pub(super) fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    data: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: every pointer is null or a C string that outlives the call.
    let answer = unsafe {
        libc::mount(
            pointer(source),
            target.as_ptr(),
            pointer(kind),
            flags,
            pointer(data).cast(),
        )
    };
    check(answer.into()).map(drop)
}

/// Copies the mount tree at a path, without following a last symbolic link. The descriptor is the caller's to close.
pub(super) fn clone_tree(path: &CStr) -> io::Result<RawFd> {
    let flags = libc::OPEN_TREE_CLONE
        | libc::O_CLOEXEC as libc::c_uint
        | (libc::AT_RECURSIVE | libc::AT_SYMLINK_NOFOLLOW) as libc::c_uint;
    // SAFETY: the path is a C string.
    check(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
        .map(|fd| fd as RawFd)
}

/// Makes a whole mount tree read-only: at a path, or with an empty path the one behind a descriptor.
pub(super) fn set_read_only(fd: RawFd, path: &CStr) -> io::Result<()> {
    let flags = (libc::AT_RECURSIVE | libc::AT_EMPTY_PATH) as libc::c_uint;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a C string; the struct lives through the call and its size is given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            path.as_ptr(),
            flags,
            ptr::from_ref(&attributes),
            size_of::<libc::mount_attr>(),
        )
    };
    check(answer).map(drop)
}

/// Mounts a copied tree at a path, without following a last symbolic link, and closes the descriptor.
pub(super) fn move_tree(tree: RawFd, target: &CStr) -> io::Result<()> {
    // SAFETY: both paths are C strings.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree,
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    let moved = check(answer).map(drop);
    close(tree);
    moved
}

/// The kernel's Landlock version; an error where it has none.
pub(super) fn landlock_abi() -> io::Result<u32> {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call takes neither pointer nor size.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<u8>(),
            0usize,
            VERSION,
        )
    };
    check(answer).map(|abi| abi as u32)
}

/// Allows `access` on a file, or on everything below a directory.
pub(super) fn landlock_allow(ruleset: RawFd, path: &CStr, access: u64) -> io::Result<()> {
    #[repr(C, packed)]
    struct PathBeneath {
        allowed_access: u64,
        parent_fd: i32,
    }
    const RULE_PATH_BENEATH: libc::c_int = 1;
    // SAFETY: the path is a C string; the descriptor is closed below.
    let fd = check(unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) }.into())?;
    let fd = fd as RawFd;
    let rule = PathBeneath {
        allowed_access: access,
        parent_fd: fd,
    };
    // SAFETY: the struct has the kernel's layout and lives through the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset,
            RULE_PATH_BENEATH,
            ptr::from_ref(&rule),
            0u32,
        )
    };
    let added = check(answer).map(drop);
    close(fd);
    added
}

pub(super) fn landlock_restrict(ruleset: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0u32) }).map(drop)
}

pub(super) fn no_new_privileges() -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into()).map(drop)
}

pub(super) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let header = libc::sock_fprog {
        // The compiler of filters bounds their length to 4096.
        len: program.len() as libc::c_ushort,
        filter: program.as_ptr().cast_mut(),
    };
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, 0u32);
    // SAFETY: the header and the program it points to live through the call; the kernel only reads them.
    check(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, ptr::from_ref(&header)) })
        .map(drop)
}

/// Opens a directory, refusing any symbolic link on the way.
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    let path = super::c_path(path).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: zero is a valid value of every field.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_NO_SYMLINKS;
    // SAFETY: the path is a C string; the struct lives through the call and its size is given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            ptr::from_ref(&how),
            size_of::<libc::open_how>(),
        )
    };
    let fd = check(answer)?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { File::from_raw_fd(fd as RawFd) })
}

/// A reference to a process that cannot come to mean another one.
pub(super) fn open_process(pid: u32) -> io::Result<File> {
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0u32) })?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { File::from_raw_fd(fd as RawFd) })
}

pub(super) fn kill_process(process: &impl AsRawFd) -> io::Result<()> {
    let no_info = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo means an ordinary signal.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            libc::SIGKILL,
            no_info,
            0u32,
        )
    };
    check(answer).map(drop)
}

/// The status of an ended child, as `wait` gives it; none if it has not ended. Frees the child's number.
pub(super) fn wait_for(process: RawFd, flags: libc::c_int) -> io::Result<Option<libc::c_int>> {
    // SAFETY: zero is a valid value of every field.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = process.unsigned_abs();
    // SAFETY: the struct lives through the call.
    check(unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, libc::WEXITED | flags) }.into())?;
    // SAFETY: after `waitid` these fields are set, or still zero where nothing has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then_some(match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    }))
}

/// Leaves the session of the host, and with it the user's terminal.
pub(super) fn lead_session() -> io::Result<()> {
    // SAFETY: takes nothing.
    check(unsafe { libc::setsid() }.into()).map(drop)
}

/// Makes `to` mean what `from` means; `exec` leaves it open.
pub(super) fn duplicate(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::dup2(from, to) }.into()).map(drop)
}

/// Makes a terminal the controlling one of this session.
pub(super) fn take_terminal(fd: RawFd) -> io::Result<()> {
    // SAFETY: the request takes a number.
    check(unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) }.into()).map(drop)
}

pub(super) fn no_signals() -> libc::sigset_t {
    // SAFETY: zero is a valid value, which the call below replaces. It fails for no pointer that is valid.
    let mut signals = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::sigemptyset(&raw mut signals) };
    signals
}

pub(super) fn all_signals() -> libc::sigset_t {
    let mut signals = no_signals();
    // SAFETY: the set lives through the call.
    unsafe { libc::sigfillset(&raw mut signals) };
    signals
}

/// Sets which signals this thread puts off, and gives those that it put off before.
pub(super) fn set_blocked_signals(signals: &libc::sigset_t) -> libc::sigset_t {
    let mut before = no_signals();
    // SAFETY: both sets live through the call, which fails only for an unknown first argument.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::from_ref(signals), &raw mut before) };
    before
}

/// Whether a function of this process is called for a signal.
pub(super) fn is_handled(signal: libc::c_int) -> bool {
    // SAFETY: zero is a valid value of every field; the struct lives through the call.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above. A signal that the C library keeps to itself is refused, and reads as not handled.
    unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) };
    !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
}

/// Gives a signal its default effect.
pub(super) fn set_default(signal: libc::c_int) {
    // SAFETY: zero is a valid value of every field, and the default action.
    let action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the struct lives through the call.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}
