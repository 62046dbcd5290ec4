//! Visible pieces of a model's work.

use std::path::PathBuf;

use serde_json::Value;

/// How a visible piece of work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityStatus {
    /// Going on.
    InProgress,
    /// Done.
    Completed,
    /// Tried without success.
    Failed,
    /// Not done, because a hook, a policy or a person said no.
    Declined,
}

/// What a patch does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file, absolute.
    pub path: PathBuf,
    /// What happens to it.
    pub kind: FileChangeKind,
    /// A unified diff.
    pub diff: String,
    /// Where it is moved to.
    pub moved_to: Option<PathBuf>,
}

/// The kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileChangeKind {
    /// The file is new.
    Add,
    /// The file goes away.
    Delete,
    /// The file changes.
    Update,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// What to do.
    pub step: String,
    /// `pending`, `in_progress` or `completed`.
    pub status: String,
}

/// Work that can be seen: a command, a patch, a tool of a server.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolActivity {
    /// A command.
    Command {
        /// The argv, shell included.
        command: Vec<String>,
        /// Where it runs.
        cwd: PathBuf,
        /// The process, while it runs.
        process_id: Option<u32>,
        /// All output so far (bounded), standard error included.
        output: String,
        /// The exit code, once there is one.
        exit_code: Option<i32>,
        /// How it stands.
        status: ActivityStatus,
    },
    /// A patch.
    Patch {
        /// The changes, in order.
        changes: Vec<FileChange>,
        /// How it stands.
        status: ActivityStatus,
    },
    /// A call of a tool server.
    Server {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
        /// The arguments.
        arguments: Value,
        /// The result in MCP's shape (`content`, `structured_content`), once there is one.
        result: Option<Value>,
        /// What went wrong, if the server could not answer.
        error: Option<String>,
        /// How it stands.
        status: ActivityStatus,
    },
    /// A plan was made or changed.
    Plan {
        /// Why, where the model said.
        explanation: Option<String>,
        /// The steps, in order.
        steps: Vec<PlanStep>,
    },
    /// An image was looked at.
    Image {
        /// The file.
        path: PathBuf,
    },
}

impl ToolActivity {
    /// The same, given up before it could end by itself.
    #[must_use]
    pub fn given_up(mut self) -> Self {
        match &mut self {
            Self::Command { status, .. } | Self::Patch { status, .. } => {
                *status = ActivityStatus::Failed;
            }
            Self::Server { status, error, .. } => {
                *status = ActivityStatus::Failed;
                error.get_or_insert_with(|| "aborted by user".to_owned());
            }
            Self::Plan { .. } | Self::Image { .. } => {}
        }
        self
    }
}
