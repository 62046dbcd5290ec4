//! Notes which native plugin was running when a signal ended the process.
//!
//! The handler does three things that are allowed in one: it writes to two open files and passes the signal on to who
//! had it before, such as the engine, which needs the same signals for its own guests. On threads that run no native
//! plugin it only does the last.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::AsRawFd as _;
use std::ptr;
use std::sync::{Once, OnceLock};

use super::super::mark::{SIGNAL_AT, SIGNAL_BYTES};

/// What broken code ends by: bad memory, a bad instruction, a bad division, giving up.
const SIGNALS: [c_int; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
];

/// What was there before, in the order of [`SIGNALS`].
static BEFORE: [OnceLock<libc::sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; 5];

/// What to write where.
struct Note {
    mark: c_int,
    sentence: Box<[u8]>,
}

thread_local! {
    /// Set on a thread that runs a native plugin. Constant and without a destructor, so reading it takes no lock and
    /// allocates nothing.
    static HERE: Cell<*const Note> = const { Cell::new(ptr::null()) };
}

/// While it lives, a crash on this thread is noted in a mark, and a sentence is shown.
pub(in crate::native) struct Watch<'m> {
    note: Box<Note>,
    /// Keeps the mark's file open, and this on its thread.
    _mark: PhantomData<(&'m File, *const ())>,
}

impl<'m> Watch<'m> {
    pub(in crate::native) fn this_thread(mark: &'m File, sentence: String) -> Self {
        install();
        let note = Box::new(Note {
            mark: mark.as_raw_fd(),
            sentence: sentence.into_bytes().into_boxed_slice(),
        });
        let watch = Self {
            note,
            _mark: PhantomData,
        };
        HERE.set(ptr::from_ref(&*watch.note));
        watch
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // Before the note goes away.
        HERE.set(ptr::null());
    }
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (signal, before) in SIGNALS.into_iter().zip(&BEFORE) {
            // SAFETY: the structures are ours, and zero is a valid value of them. The handler keeps to what a handler
            // may do. What was there is remembered before it is replaced.
            unsafe {
                let mut old: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, ptr::null(), &raw mut old) != 0 {
                    continue;
                }
                // The set happens once, here.
                let _ = before.set(old);
                let mut new: libc::sigaction = std::mem::zeroed();
                new.sa_sigaction = handler as *const () as usize;
                new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&raw mut new.sa_mask);
                libc::sigaction(signal, &raw const new, ptr::null_mut());
            }
        }
    });
}

/// # Safety
/// Called by the kernel as a signal handler.
unsafe extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // Taken, so that a second signal on the way out does not overwrite what the first one said.
    let note = HERE.try_with(|here| here.replace(ptr::null()));
    if let Ok(note) = note
        && !note.is_null()
    {
        // SAFETY: it lives until this thread has taken it away, which it cannot have done in the middle of this.
        let note = unsafe { &*note };
        let digits = digits(signal);
        // SAFETY: the mark is open as long as the note lives, and the buffers are whole. Nothing could be done about a
        // failure here.
        unsafe {
            libc::pwrite(
                note.mark,
                digits.as_ptr().cast(),
                digits.len(),
                SIGNAL_AT as libc::off_t,
            );
            libc::write(
                libc::STDERR_FILENO,
                note.sentence.as_ptr().cast(),
                note.sentence.len(),
            );
        }
    }
    // SAFETY: passes on what the kernel gave.
    unsafe { pass_on(signal, info, context) };
}

/// The number of a signal, in the width of its field.
fn digits(signal: c_int) -> [u8; SIGNAL_BYTES] {
    let mut text = [b' '; SIGNAL_BYTES];
    let number = u8::try_from(signal).unwrap_or(0);
    text[0] = b'0' + number / 10;
    text[1] = b'0' + number % 10;
    text
}

/// # Safety
/// The arguments are those of a signal handler.
unsafe fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let at = SIGNALS.iter().position(|known| *known == signal);
    let before = at.and_then(|at| BEFORE[at].get());
    let Some(before) = before else {
        // SAFETY: has no preconditions.
        return unsafe { die(signal) };
    };
    match before.sa_sigaction {
        // SAFETY: has no preconditions.
        libc::SIG_DFL | libc::SIG_IGN => unsafe { die(signal) },
        address if before.sa_flags & libc::SA_SIGINFO != 0 => {
            type Long = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: with this flag the address is that of a handler of this type.
            let old: Long = unsafe { std::mem::transmute(address) };
            // SAFETY: it is called as the kernel would have.
            unsafe { old(signal, info, context) }
        }
        address => {
            type Short = unsafe extern "C" fn(c_int);
            // SAFETY: without the flag the address is that of a handler of this type.
            let old: Short = unsafe { std::mem::transmute(address) };
            // SAFETY: it is called as the kernel would have.
            unsafe { old(signal) }
        }
    }
}

/// Ends the process by a signal, as if nobody had handled it.
///
/// # Safety
/// May be called in a signal handler.
unsafe fn die(signal: c_int) {
    // SAFETY: both are allowed in a handler; the signal arrives when this handler has returned.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
