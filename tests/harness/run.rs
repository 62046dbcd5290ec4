//! Running the binary, and looking at what it printed.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// No command of a test takes this long unless it hangs, and then the test must say so rather than hang as well.
const PATIENCE: Duration = Duration::from_secs(90);

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
    /// What was read of standard output so far.
    seen: String,
    /// What was read of standard error so far.
    seen_errors: String,
    started: Instant,
}

/// A command that ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

/// The binary with nothing of this machine's user around it.
pub(crate) fn command(binary: &str, cwd: &Path, home: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear();
    for name in ["PATH", "TMPDIR", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("CODEX_HOME", home)
        .env("TERM", "xterm")
        .env("SHELL", "/bin/bash");
    command
        .current_dir(cwd)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Whoever runs the tests under `nohup`, or in the background of a shell, has signals ignored in all below.
        // SAFETY: `signal` may be called between fork and exec, and touches no memory of ours.
        unsafe {
            command.pre_exec(|| {
                for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
                    libc::signal(signal, libc::SIG_DFL);
                }
                Ok(())
            });
        }
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let stderr = BufReader::new(child.stderr.take().expect("its errors are piped"));
        Self {
            child,
            stdout,
            stderr,
            seen: String::new(),
            seen_errors: String::new(),
            started: Instant::now(),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it is running")
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
        assert!(sent.expect("`kill` runs").success(), "the signal was sent");
    }

    /// Reads standard output until a line contains this, and returns that line.
    pub async fn wait_for(&mut self, part: &str) -> String {
        read_until(&mut self.stdout, &mut self.seen, part).await
    }

    /// The same for standard error.
    pub async fn wait_for_error(&mut self, part: &str) -> String {
        read_until(&mut self.stderr, &mut self.seen_errors, part).await
    }

    /// Writes to its standard input and closes it. Only for commands started with one.
    pub(crate) async fn feed(&mut self, input: &[u8]) {
        let mut stdin = self.child.stdin.take().expect("its input is piped");
        stdin.write_all(input).await.expect("it reads");
    }

    /// Writes a line of JSON to its standard input, which stays open. Only for commands started with one.
    pub async fn tell(&mut self, line: &Value) {
        let stdin = self.child.stdin.as_mut().expect("its input is piped");
        let line = format!("{line}\n");
        stdin.write_all(line.as_bytes()).await.expect("it reads");
    }

    /// Waits for the end.
    pub async fn finish(self) -> Ran {
        self.finish_within(PATIENCE).await
    }

    /// Waits for the end of what may take longer than other commands.
    pub async fn finish_within(mut self, patience: Duration) -> Ran {
        let (mut rest, mut errors) = (Vec::new(), Vec::new());
        // Whoever still listens hears that there is nothing more.
        drop(self.child.stdin.take());
        let ending = async {
            let (out, err) = tokio::join!(
                self.stdout.read_to_end(&mut rest),
                self.stderr.read_to_end(&mut errors)
            );
            out.and(err).expect("its output can be read");
            self.child.wait().await.expect("it can be waited for")
        };
        let Ok(status) = tokio::time::timeout(patience, ending).await else {
            panic!(
                "it did not end within {patience:?}: {}",
                String::from_utf8_lossy(&errors)
            );
        };
        let took = self.started.elapsed();
        let rest = String::from_utf8(rest).expect("standard output is UTF-8");
        Ran {
            code: status.code(),
            stdout: self.seen + &rest,
            stderr: self.seen_errors + &String::from_utf8_lossy(&errors),
            took,
        }
    }
}

/// Reads until a line contains this, and returns that line.
async fn read_until(
    output: &mut (impl AsyncBufRead + Unpin),
    seen: &mut String,
    part: &str,
) -> String {
    let reading = async {
        loop {
            let before = seen.len();
            let read = output.read_line(seen).await.expect("its output is text");
            assert!(read > 0, "it ended without printing `{part}`: {seen}");
            let line = &seen[before..];
            if line.contains(part) {
                return line.trim_end().to_owned();
            }
        }
    };
    let line = tokio::time::timeout(PATIENCE, reading).await;
    line.unwrap_or_else(|_| panic!("it did not print `{part}` within {PATIENCE:?}"))
}

impl Ran {
    /// Standard output as JSON lines.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The types of those lines, items with their own type: `item.completed agent_message`.
    #[track_caller]
    pub fn event_kinds(&self) -> Vec<String> {
        let kind = |event: &Value| {
            let outer = event["type"].as_str().unwrap_or_default();
            event["item"]["type"]
                .as_str()
                .map_or_else(|| outer.to_owned(), |inner| format!("{outer} {inner}"))
        };
        self.events().iter().map(kind).collect()
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// The messages of warnings and errors among the JSON lines.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let events = self.events();
        let texts = events
            .iter()
            .filter_map(|event| match event["type"].as_str()? {
                "error" => event["message"].as_str(),
                "turn.failed" => event["error"]["message"].as_str(),
                "item.completed" if event["item"]["type"] == "error" => {
                    event["item"]["message"].as_str()
                }
                _ => None,
            });
        texts.map(str::to_owned).collect()
    }

    /// The words that a failed turn ended with.
    #[track_caller]
    pub fn failure(&self) -> String {
        let events = self.events();
        let last = events
            .last()
            .unwrap_or_else(|| panic!("nothing was printed: {}", self.stderr));
        assert_eq!(last["type"], "turn.failed", "{self:#?}");
        last["error"]["message"]
            .as_str()
            .expect("a message")
            .to_owned()
    }

    /// The thread's id, from the first JSON line.
    #[track_caller]
    pub fn thread_id(&self) -> String {
        let events = self.events();
        let id = events.first().and_then(|event| event["thread_id"].as_str());
        id.unwrap_or_else(|| panic!("no thread was started: {self:#?}"))
            .to_owned()
    }

    /// Fails, with everything it printed, unless it ended with this code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Fails unless standard error contains all of these.
    #[track_caller]
    pub fn expect_errors(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "`{part}` is missing in:\n{}",
                self.stderr
            );
        }
        self
    }
}
