//! A command on a terminal of its own: one that asks.

use std::fs::File;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Child;

use crate::lab::Lab;

/// What a command says comes within this time, or not at all.
const PATIENCE: Duration = Duration::from_secs(90);

/// A command that reads from a terminal and writes to it.
#[derive(Debug)]
pub struct OnTerminal {
    child: Child,
    screen: tokio::fs::File,
    seen: String,
}

impl Lab {
    /// Starts the binary on a terminal.
    pub fn start_on_terminal(&self, args: &[&str]) -> OnTerminal {
        let (mut screen, mut terminal) = (-1, -1);
        // SAFETY: both are written to, and null asks for the usual settings.
        let opened = unsafe {
            libc::openpty(
                &raw mut screen,
                &raw mut terminal,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        assert_eq!(opened, 0, "there is a terminal");
        // SAFETY: they were opened just now, and nobody else has them.
        let (screen, terminal) =
            unsafe { (File::from_raw_fd(screen), OwnedFd::from_raw_fd(terminal)) };
        let end = || Stdio::from(terminal.try_clone().expect("a copy"));
        let mut command = self.command(args);
        command.stdin(end()).stdout(end()).stderr(end());
        OnTerminal {
            child: command.spawn().expect("the binary starts"),
            screen: tokio::fs::File::from_std(screen),
            seen: String::new(),
        }
    }
}

impl OnTerminal {
    /// Reads until this is on the screen.
    pub async fn wait_for(&mut self, part: &str) {
        let reading = async {
            let mut bytes = [0; 1024];
            while !self.seen.contains(part) {
                let read = self.screen.read(&mut bytes).await.expect("readable");
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        assert!(read.is_ok(), "`{part}` is not on the screen: {}", self.seen);
    }

    /// Sends a signal, and waits for the exit code.
    pub async fn end_by(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().expect("it is running").to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status();
        assert!(sent.expect("`kill` runs").success(), "the signal was sent");
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it ends").expect("it can be waited for");
        status.code()
    }
}
