//! `notify`: the user's own program, called after each turn with one JSON argument.
//!
//! It gets the environment without credentials, no input and no terminal. Whatever becomes of it, the turn is over and
//! stays as it is.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use dovetail_core::event::{Observer, TurnEvent};
use dovetail_core::ids::{ThreadId, TurnId};
use serde::Serialize;
use tokio::process::{Child, Command};

/// What the program is told of who ran the turn.
const CLIENT: &str = "codex_exec";
/// How long the process stays for it, so that a short program is done when we are. A longer one goes on alone.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest argument that Linux takes is 128 KiB; escapes may double the text.
const MAX_TEXT: usize = 32 * 1024;

#[derive(Serialize)]
#[serde(
    tag = "type",
    rename = "agent-turn-complete",
    rename_all = "kebab-case"
)]
struct TurnComplete {
    thread_id: ThreadId,
    turn_id: TurnId,
    cwd: PathBuf,
    client: &'static str,
    input_messages: Vec<String>,
    last_assistant_message: Option<String>,
}

/// Follows a turn to know what to tell.
pub(crate) struct Follower {
    cwd: PathBuf,
    said: Vec<String>,
    completed: Sender<TurnComplete>,
}

/// Calls the program when the turn is over.
pub(crate) struct Notifier {
    argv: Vec<String>,
    secrets: Vec<String>,
    completed: Receiver<TurnComplete>,
}

/// The two ends: one for the turn, one for afterwards. None where no program is set.
pub(crate) fn prepare(
    argv: &[String],
    cwd: PathBuf,
    secrets: Vec<String>,
) -> Option<(Follower, Notifier)> {
    if argv.is_empty() {
        return None;
    }
    let (sender, receiver) = channel();
    let follower = Follower {
        cwd,
        said: Vec::new(),
        completed: sender,
    };
    let notifier = Notifier {
        argv: argv.to_vec(),
        secrets,
        completed: receiver,
    };
    Some((follower, notifier))
}

impl Observer for Follower {
    fn observe(&mut self, thread_id: ThreadId, event: &TurnEvent) {
        if let TurnEvent::UserMessage { text, .. } = event {
            self.said.push(shortened(text));
        }
        if let TurnEvent::TurnCompleted {
            turn_id,
            last_message,
            ..
        } = event
        {
            let complete = TurnComplete {
                thread_id,
                turn_id: *turn_id,
                cwd: self.cwd.clone(),
                client: CLIENT,
                input_messages: std::mem::take(&mut self.said),
                last_assistant_message: last_message.as_deref().map(shortened),
            };
            // Without a notifier nobody is to be told.
            drop(self.completed.send(complete));
        }
    }
}

/// A program that runs.
pub(crate) struct Notified(Option<Child>);

impl Notifier {
    /// Starts the program, if the turn was completed.
    ///
    /// # Errors
    /// The program cannot be started; in words, for a warning.
    pub(crate) fn start(self) -> Result<Notified, String> {
        let Ok(complete) = self.completed.try_recv() else {
            return Ok(Notified(None));
        };
        let Some((program, arguments)) = self.argv.split_first() else {
            return Ok(Notified(None));
        };
        let failed = |why: &dyn std::error::Error| {
            format!("the program `{program}` of `notify` was not called: {why}")
        };
        let payload = serde_json::to_string(&complete).map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(payload)
            .current_dir(&complete.cwd);
        for name in &self.secrets {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A Ctrl-C at our terminal is not meant for it.
        command.process_group(0);
        let child = command.spawn().map_err(|error| failed(&error))?;
        Ok(Notified(Some(child)))
    }
}

impl Notified {
    /// Gives the program a moment to end.
    pub(crate) async fn settle(self) {
        if let Some(mut child) = self.0 {
            // How it ends is its own affair, and so is how long it takes.
            drop(tokio::time::timeout(PATIENCE, child.wait()).await);
        }
    }
}

/// A text that fits into an argument.
fn shortened(text: &str) -> String {
    match text
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| *at >= MAX_TEXT)
    {
        Some(end) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
