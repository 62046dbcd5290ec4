//! Asking `git` itself. It runs programs that the configuration of a repository names, so it is asked in the sandbox in
//! which commands run, reading only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_sandbox::{Launch, Process, Sandbox, SandboxMode, SandboxPolicy};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A work tree that `git` cannot look through in this time is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The answers are ids, or only their being there counts.
const MAX_ANSWER: u64 = 4096;
/// Leaves `git`'s own complaints out of its answers.
const QUIETLY: &str = "exec git \"$@\" 2>/dev/null";
/// Variables that `git` must have to see the repository as the user does; besides its own, which begin with `GIT_`.
const VARIABLES: &[&str] = &["PATH", "HOME", "XDG_CONFIG_HOME"];

/// What `git` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The beginning of what it printed.
    Yes(String),
    /// It ended with 1, which means that there is nothing of that kind.
    No,
    /// It could not be asked, failed, or took too long.
    Unknown,
}

/// Asks `git` in a directory, with what follows its name on the command line.
pub(crate) async fn ask(cwd: &Path, arguments: &[&str]) -> Answer {
    match answer(cwd, arguments).await {
        Ok((Some(0), text)) => Answer::Yes(text),
        Ok((Some(1), _)) => Answer::No,
        // Why does not matter: whoever needs the answer finds it out in another way.
        Ok(_) | Err(_) => Answer::Unknown,
    }
}

async fn answer(cwd: &Path, arguments: &[&str]) -> io::Result<(Option<i32>, String)> {
    let mut output = tempfile::tempfile()?;
    let process = start(cwd, arguments, &output)?;
    // SAFETY: the process keeps its descriptor open and unchanged, and stays where it is until the whole is dropped.
    let process = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE)? };
    // Where time runs out it is dropped, which ends it.
    let code = tokio::time::timeout(PATIENCE, ended(process)).await??;
    output.rewind()?;
    let mut bytes = Vec::new();
    output.take(MAX_ANSWER).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok((code, text))
}

fn start(cwd: &Path, arguments: &[&str], output: &File) -> io::Result<Process> {
    let fixed = ["sh", "-c", QUIETLY, "git", "-c", "core.fsmonitor=false"];
    let arguments: Vec<String> = fixed
        .iter()
        .chain(arguments)
        .map(|argument| (*argument).to_owned())
        .collect();
    let policy = SandboxPolicy {
        mode: SandboxMode::ReadOnly,
        cwd: cwd.to_owned(),
        protected: Vec::new(),
    };
    let entry = Sandbox::new(policy).prepare().map_err(io::Error::other)?;
    let input = File::open("/dev/null")?;
    let launch = Launch {
        program: &PathBuf::from("/bin/sh"),
        arguments: &arguments,
        environment: &environment(),
        directory: cwd,
        input: input.as_fd(),
        output: output.as_fd(),
        terminal: false,
    };
    entry.spawn(&launch).map_err(io::Error::other)
}

fn environment() -> BTreeMap<OsString, OsString> {
    let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            VARIABLES.contains(&&*name) || name.starts_with("GIT_")
        })
        .collect();
    // Reads the index and leaves it alone.
    variables.insert("GIT_OPTIONAL_LOCKS".into(), "0".into());
    variables
}

async fn ended(mut process: AsyncFd<Process>) -> io::Result<Option<i32>> {
    loop {
        let mut ready = process.readable_mut().await?;
        if let Some(status) = ready.get_inner_mut().try_wait()? {
            return Ok(status.code());
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn git_says_yes_or_no_or_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let status = ["status", "--porcelain"];
        assert_eq!(ask(dir.path(), &status).await, Answer::Unknown);
        let made = std::process::Command::new("git")
            .args(["init", "-q"])
            .current_dir(dir.path())
            .status()
            .expect("git runs");
        assert!(made.success());
        assert_eq!(ask(dir.path(), &status).await, Answer::Yes(String::new()));
        std::fs::write(dir.path().join("new"), "x").expect("a file");
        let expected = Answer::Yes("?? new".to_owned());
        assert_eq!(ask(dir.path(), &status).await, expected);
        let verify = ["rev-parse", "--verify", "--quiet", "HEAD"];
        assert_eq!(ask(dir.path(), &verify).await, Answer::No);
    }

    #[tokio::test]
    async fn what_a_repository_has_run_changes_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mark = dir.path().join("mark");
        let run = |arguments: &[&str]| {
            let mut git = std::process::Command::new("git");
            let ran = git.args(arguments).current_dir(dir.path()).status();
            assert!(ran.expect("git runs").success());
        };
        run(&["init", "-q"]);
        std::fs::write(dir.path().join(".gitattributes"), "* filter=x\n").expect("a file");
        run(&["add", "-A"]);
        let clean = format!("touch '{}'; cat", mark.display());
        run(&["config", "filter.x.clean", &clean]);
        std::fs::write(dir.path().join(".gitattributes"), "* filter=x \n").expect("a file");
        let asked = ask(dir.path(), &["diff", "--quiet"]).await;
        assert_eq!((asked, mark.exists()), (Answer::No, false));
    }
}
