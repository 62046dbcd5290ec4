//! How far a child came between `fork` and `exec`, told through memory that both sides share.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

macro_rules! steps {
    ($($variant:ident => $words:literal,)*) => {
        /// What the child is doing.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub(super) enum Step {
            $(#[doc = $words] $variant,)*
        }

        impl Step {
            pub(super) fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }

            fn from_number(number: u32) -> Option<Self> {
                [$(Self::$variant,)*].into_iter().find(|step| *step as u32 == number)
            }
        }
    };
}

steps! {
    Outside => "before the sandbox",
    Descriptors => "closing descriptors",
    Namespaces => "making namespaces",
    Identity => "mapping user and group",
    Propagation => "detaching mounts from the host's",
    Roots => "copying writable roots",
    ReadOnly => "making mounts read-only",
    Protect => "protecting paths under writable roots",
    Devices => "mounting private devices",
    WorkingDirectory => "entering the working directory",
    Privileges => "giving up privileges",
    Landlock => "applying Landlock",
    Filter => "filtering system calls",
    Inside => "inside the sandbox",
}

struct Shared {
    step: AtomicU32,
    errno: AtomicU32,
}

/// A page shared with children made after it.
pub(super) struct Progress(NonNull<Shared>);

// SAFETY: the page holds atomics only, and is unmapped when the one owner goes.
unsafe impl Send for Progress {}
// SAFETY: as above.
unsafe impl Sync for Progress {}

impl Progress {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: a fresh anonymous mapping, zeroed, which is a valid `Shared`; large enough and aligned to a page.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Shared>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast())
            .map(Self)
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the mapping lives as long as `self` and was initialised by being zeroed.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn begin(&self, step: Step) {
        self.shared().step.store(step as u32, Ordering::Release);
    }

    pub(super) fn step(&self) -> Step {
        Step::from_number(self.shared().step.load(Ordering::Acquire)).unwrap_or(Step::Outside)
    }

    /// Leaves an error for the parent, for a child that does not `exec`.
    pub(super) fn fail(&self, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        self.shared()
            .errno
            .store(errno.unsigned_abs(), Ordering::Release);
    }

    pub(super) fn failure(&self) -> Option<io::Error> {
        match self.shared().errno.load(Ordering::Acquire) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno.cast_signed())),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this size and nobody else unmaps it.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Shared>()) };
    }
}
