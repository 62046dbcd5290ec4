//! Starting a command as cheaply as the system allows.
//!
//! `fork` copies the page tables of a host with plugins mapped, which takes longer than everything else about a short
//! command. So the child borrows this process's memory instead, as `posix_spawn` does: the calling thread stands still
//! until the child runs its program or ends. Between the two the child makes system calls only; it allocates nothing
//! and takes no locks, since another thread may hold them.

use std::ffi::{CString, OsStr, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use super::enter::Entry;
use super::process::Process;
use super::progress::{Progress, Step};
use super::sys::{self, check};
use crate::error::StartError;
use crate::launch::Launch;

/// Room for the child's own calls, a few frames deep, also without optimisation.
const STACK: usize = 256 * 1024;

/// What the child exits with where it could not run the program. Nobody sees it: the parent has the error itself.
const NOT_RUN: c_int = 127;

/// Starts a command; it passes through `entry` right before its program runs.
pub(crate) fn spawn(launch: &Launch<'_>, entry: Option<Entry>) -> Result<Process, StartError> {
    let progress = Progress::new().map_err(StartError::Program)?;
    let started = start(launch, entry, &progress).map_err(StartError::Program)?;
    match progress.failure() {
        None => Ok(started),
        Some(source) => Err(match progress.step() {
            Step::Outside | Step::Inside => StartError::Program(source),
            step => StartError::Sandbox {
                step: step.words(),
                source,
            },
        }),
    }
}

/// What the child works from, made before it exists.
struct Child<'a> {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: CString,
    input: RawFd,
    output: RawFd,
    terminal: bool,
    entry: Option<Entry>,
    progress: &'a Progress,
}

/// The arrays that `execve` takes, pointing into a [`Child`].
struct Vectors {
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
}

fn start(launch: &Launch<'_>, entry: Option<Entry>, progress: &Progress) -> io::Result<Process> {
    let mut child = Child::new(launch, entry, progress)?;
    let vectors = Vectors {
        arguments: pointers(&child.arguments),
        environment: pointers(&child.environment),
    };
    let stack = Stack::new()?;
    let signals = BlockedSignals::new();
    let mut descriptor: RawFd = -1;
    let mut argument = (&mut child, &vectors);
    // SAFETY: the stack is fresh, and all that the child reaches through the argument lives until this call returns,
    // which `CLONE_VFORK` delays until the child has left this memory.
    let id = unsafe {
        libc::clone(
            run_child,
            stack.top(),
            libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD,
            ptr::from_mut(&mut argument).cast(),
            ptr::from_mut(&mut descriptor),
        )
    };
    let id = check(id.into());
    drop(signals);
    let id = u32::try_from(id?).map_err(io::Error::other)?;
    if descriptor < 0 {
        // Kernels before 5.2 ignore the wish.
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(Process::new(id, unsafe {
        OwnedFd::from_raw_fd(descriptor)
    }))
}

extern "C" fn run_child(argument: *mut c_void) -> c_int {
    // SAFETY: `start` passes a pointer to such a pair, and stands still while it is used.
    let (child, vectors) = unsafe { &mut *argument.cast::<(&mut Child<'_>, &Vectors)>() };
    let error = child.run(vectors);
    child.progress.fail(&error);
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(NOT_RUN) }
}

impl<'a> Child<'a> {
    fn new(launch: &Launch<'_>, entry: Option<Entry>, progress: &'a Progress) -> io::Result<Self> {
        let arguments = launch
            .arguments
            .iter()
            .map(|text| CString::new(text.as_bytes()));
        let environment = launch
            .environment
            .iter()
            .map(|(name, value)| variable(name, value));
        Ok(Self {
            program: CString::new(launch.program.as_os_str().as_bytes())?,
            arguments: arguments.collect::<Result<_, _>>()?,
            environment: environment.collect::<Result<_, _>>()?,
            directory: CString::new(launch.directory.as_os_str().as_bytes())?,
            input: launch.input.as_raw_fd(),
            output: launch.output.as_raw_fd(),
            terminal: launch.terminal,
            entry: entry.map(|entry| entry.working_in(launch.directory)),
            progress,
        })
    }

    /// Becomes the program, or says why not.
    fn run(&mut self, vectors: &Vectors) -> io::Error {
        if let Err(error) = self.prepare() {
            return error;
        }
        // SAFETY: the path is a C string, and both arrays end with a null pointer.
        unsafe {
            libc::execve(
                self.program.as_ptr(),
                vectors.arguments.as_ptr(),
                vectors.environment.as_ptr(),
            )
        };
        io::Error::last_os_error()
    }

    fn prepare(&mut self) -> io::Result<()> {
        forget_handlers();
        sys::lead_session()?;
        // The standard library opens 0 to 2 when a program starts, so neither descriptor is one of them.
        sys::duplicate(self.input, libc::STDIN_FILENO)?;
        sys::duplicate(self.output, libc::STDOUT_FILENO)?;
        sys::duplicate(self.output, libc::STDERR_FILENO)?;
        if self.terminal {
            sys::take_terminal(libc::STDIN_FILENO)?;
        }
        sys::chdir(&self.directory)?;
        if let Some(entry) = &mut self.entry {
            entry.run(&self.directory, self.progress)?;
        }
        sys::set_blocked_signals(&sys::no_signals());
        Ok(())
    }
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, std::ffi::NulError> {
    CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    let texts = texts.iter().map(|text| text.as_ptr());
    texts.chain([ptr::null()]).collect()
}

/// Gives every signal that this process handles its default effect, so that no handler runs in the child while it
/// shares our memory. Ignored ones stay ignored, but for the one that the standard library ignores on its own behalf and
/// those of the keyboard: shells ignore them for what they start in the background, and a command that inherits that
/// could not be interrupted by whoever it is a session of.
fn forget_handlers() {
    for signal in 1..=libc::SIGRTMAX() {
        let ours = matches!(signal, libc::SIGPIPE | libc::SIGINT | libc::SIGQUIT);
        if ours || sys::is_handled(signal) {
            sys::set_default(signal);
        }
    }
}

/// No signal reaches this thread while this lives; the child begins so too.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> Self {
        Self(sys::set_blocked_signals(&sys::all_signals()))
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        sys::set_blocked_signals(&self.0);
    }
}

/// Memory for the child to work on, with a page below it that nobody may touch.
struct Stack(*mut c_void);

const PAGE: usize = 4096;

impl Stack {
    fn new() -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a fresh anonymous mapping.
        let base = unsafe { libc::mmap(ptr::null_mut(), STACK, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self(base);
        // SAFETY: the first page of the mapping above. Where pages are larger the kernel refuses, and there is no
        // guard; the stack is still far larger than what is used.
        unsafe { libc::mprotect(base, PAGE, libc::PROT_NONE) };
        Ok(stack)
    }

    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping, which is aligned as stacks must be.
        unsafe { self.0.byte_add(STACK) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this size, and the child no longer uses it.
        unsafe { libc::munmap(self.0, STACK) };
    }
}
