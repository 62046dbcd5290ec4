//! A command's process group, for signals.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use dovetail_sandbox::Family;

/// The group that a command leads. Its number is the command's process id.
#[derive(Debug)]
pub(super) struct ProcessGroup {
    leader: u32,
    reaped: AtomicBool,
}

impl ProcessGroup {
    pub(super) fn new(leader: u32) -> Self {
        Self {
            leader,
            reaped: AtomicBool::new(false),
        }
    }

    pub(super) fn leader(&self) -> u32 {
        self.leader
    }

    /// Notes that the leader is gone, so that its number may come to mean somebody else.
    pub(super) fn set_reaped(&self) {
        self.reaped.store(true, Ordering::Release);
    }

    /// Asks every process of the group to stop what it is doing, as Ctrl-C does.
    pub(super) fn interrupt(&self) {
        self.signal(libc::SIGINT);
    }

    /// Ends every process of the group.
    pub(super) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    /// Ends every process of the group, and what they started that has left it.
    pub(super) fn kill_with_descendants(&self) {
        // Found first: who started whom is forgotten as processes end.
        let family = (!self.reaped.load(Ordering::Acquire)).then(|| Family::of(self.leader));
        self.kill();
        if let Some(family) = family {
            family.kill();
        }
    }

    fn signal(&self, signal: libc::c_int) {
        // A group's number is not given out again while the group has members. Once the leader is reaped, a process
        // with its number can therefore only be a stranger.
        let stranger = || {
            self.reaped.load(Ordering::Acquire)
                && Path::new("/proc").join(self.leader.to_string()).exists()
        };
        let Some(group) = i32::try_from(self.leader).ok().filter(|leader| *leader > 1) else {
            return;
        };
        if stranger() {
            return;
        }
        // SAFETY: takes no pointers. It fails only if nobody is left, which is what is wanted.
        unsafe { libc::killpg(group, signal) };
    }
}
