//! Real commands in the real sandbox. Where something must have happened before the next step, the step waits for its
//! trace (output, a file's end, an event), never for time.

mod approval;
mod profile;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dovetail_core::event::{ActivityStatus, ToolActivity};
use dovetail_core::tool::{Tool, ToolCall, ToolOutcome};
use dovetail_sandbox::{SandboxMode, SandboxPolicy};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::manager::Order;
use super::session::Session;
use super::shell::Invocation;
use crate::options::ToolOptions;
use crate::testing::{Bench, function};
use crate::{BuiltinTools, builtin_tools};

struct Lab {
    bench: Bench,
    tools: BuiltinTools,
}

impl Lab {
    fn full_access() -> Self {
        Self::with(|bench| bench.policy(SandboxMode::DangerFullAccess))
    }

    fn with(policy: impl Fn(&Bench) -> SandboxPolicy) -> Self {
        Self::with_options(policy, |_| {})
    }

    fn with_options(
        policy: impl Fn(&Bench) -> SandboxPolicy,
        change: impl Fn(&mut ToolOptions),
    ) -> Self {
        let bench = Bench::new();
        let mut options = bench.options(policy(&bench));
        change(&mut options);
        Self {
            tools: builtin_tools(options),
            bench,
        }
    }

    fn tool(&self, name: &str) -> &dyn Tool {
        &**self
            .tools
            .tools
            .iter()
            .find(|tool| tool.spec().name == name)
            .unwrap()
    }

    async fn exec(&mut self, arguments: Value) -> Reply {
        self.call(function("exec_command", &arguments)).await
    }

    async fn write(&mut self, arguments: Value) -> Reply {
        self.call(function("write_stdin", &arguments)).await
    }

    async fn call(&mut self, call: ToolCall) -> Reply {
        let cleared = self.bench.clear(self.tool(&call.name), call).await;
        let context = self.bench.context.clone();
        let name = cleared.get().name.clone();
        Reply::new(self.tool(&name).run(cleared, &context).await)
    }

    /// Looks until some output has come, which on an idle machine it has at once; all output so far.
    async fn until(&mut self, reply: Reply, text: &str) -> String {
        let session = reply.session();
        let mut output = reply.output;
        while !output.contains(text) {
            output += &self.write(json!({ "session_id": session })).await.output;
        }
        output
    }

    async fn run(&mut self, command: &str) -> Reply {
        self.exec(json!({ "cmd": command, "login": false })).await
    }
}

/// A report in its parts.
#[derive(Debug)]
struct Reply {
    success: bool,
    whole: String,
    state: String,
    output: String,
}

impl Reply {
    fn new(outcome: ToolOutcome) -> Self {
        let whole = outcome.output.text();
        let (head, output) = whole.split_once("\nOutput:\n").unwrap_or(("", &whole));
        let state = head.lines().nth(2).unwrap_or_default().to_owned();
        Self {
            success: outcome.success,
            state,
            output: output.to_owned(),
            whole: whole.clone(),
        }
    }

    #[track_caller]
    fn session(&self) -> u64 {
        let id = self
            .state
            .strip_prefix("Process running with session ID ")
            .expect(&self.whole);
        id.parse().unwrap()
    }
}

fn read_only(bench: &Bench) -> SandboxPolicy {
    bench.policy(SandboxMode::ReadOnly)
}

#[tokio::test]
async fn a_command_gives_its_output_and_exit_code() {
    let mut lab = Lab::full_access();
    let reply = lab.run("echo A; echo B >&2; exit 3").await;
    assert_eq!((reply.success, reply.output.as_str()), (true, "A\nB\n"));
    assert_eq!(reply.state, "Process exited with code 3");
    let command = |output: &str, exit_code, status| ToolActivity::Command {
        command: ["/bin/sh", "-c", "echo A; echo B >&2; exit 3"]
            .map(str::to_owned)
            .to_vec(),
        cwd: lab.bench.cwd().to_owned(),
        process_id: None,
        output: output.to_owned(),
        exit_code,
        status,
    };
    let expected = command("A\nB\n", Some(3), ActivityStatus::Failed);
    assert_eq!(lab.bench.finished(), [expected]);
    let [
        ToolActivity::Command {
            process_id: Some(_),
            status: ActivityStatus::InProgress,
            output,
            ..
        },
    ] = &lab.bench.started()[..]
    else {
        panic!("one command begins: {:?}", lab.bench.started())
    };
    assert_eq!(output, "");
}

#[tokio::test]
async fn the_working_directory_and_the_shell_can_be_chosen() {
    let mut lab = Lab::full_access();
    std::fs::create_dir(lab.bench.cwd().join("sub")).unwrap();
    let reply = lab
        .exec(json!({"cmd": "pwd", "workdir": "sub", "shell": "/bin/sh"}))
        .await;
    assert_eq!(
        reply.output,
        format!("{}\n", lab.bench.cwd().join("sub").display())
    );
    let reply = lab.exec(json!({"cmd": "pwd", "workdir": "none"})).await;
    let expected = format!(
        "the command was not run: cannot use `{}` as its working directory: No such file or directory (os error 2)",
        lab.bench.cwd().join("none").display()
    );
    assert_eq!((reply.success, reply.whole), (false, expected));
    let reply = lab.exec(json!({"cmd": "pwd", "shell": "/no/shell"})).await;
    assert_eq!(
        reply.whole,
        "the command was not run: cannot start `/no/shell`: the program could not be started: \
         No such file or directory (os error 2)"
    );
    assert!(
        lab.bench.finished().len() == 1,
        "what never ran is not shown"
    );
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_explained() {
    let mut lab = Lab::full_access();
    let reply = lab.exec(json!({"bad": 1})).await;
    assert_eq!(
        reply.whole,
        "failed to parse function arguments: missing field `cmd` at line 1 column 9"
    );
    let reply = lab.exec(json!({"cmd": "true", "yield_time_ms": -1})).await;
    assert!(
        reply
            .whole
            .starts_with("failed to parse function arguments: invalid value"),
        "{reply:?}"
    );
    let reply = lab
        .exec(json!({"cmd": "true", "yield_time_ms": 300.0, "max_output_tokens": null}))
        .await;
    assert_eq!(reply.state, "Process exited with code 0");
}

#[tokio::test]
async fn escalation_is_refused_where_nobody_can_be_asked() {
    let mut lab = Lab::with(read_only);
    let reply = lab
        .exec(json!({"cmd": "true", "sandbox_permissions": "require_escalated"}))
        .await;
    assert_eq!(
        reply.whole,
        "approval policy is Never; reject command — you cannot ask for escalated permissions if the approval policy is Never"
    );
    assert!(!reply.success && lab.bench.started().is_empty());
}

#[tokio::test]
async fn hooks_see_and_rewrite_the_command() {
    let lab = Lab::full_access();
    let tool = lab.tool("exec_command");
    let call = function("exec_command", &json!({"cmd": "rm x", "login": false}));
    assert_eq!(tool.hook_name(), "Bash");
    assert_eq!(tool.hook_input(&call).unwrap(), json!({"command": "rm x"}));
    let changed = tool.rewrite(call, json!({"command": "ls x"})).unwrap();
    assert_eq!(
        changed,
        function("exec_command", &json!({"cmd": "ls x", "login": false}))
    );
    let error = tool.rewrite(changed, json!({"cmd": "no"})).unwrap_err();
    assert_eq!(error, "the rewritten input has no text `command`");
    let typing = function("write_stdin", &json!({"session_id": 1, "chars": "y\n"}));
    assert_eq!(lab.tool("write_stdin").hook_name(), "write_stdin");
    assert_eq!(
        lab.tool("write_stdin").hook_input(&typing).unwrap(),
        json!({"session_id": 1, "chars": "y\n"})
    );
}

#[tokio::test]
async fn commands_know_what_they_belong_to() {
    let mut lab = Lab::with(read_only);
    let reply = lab
        .run("env | grep -E '^(CODEX_|TERM=|PAGER=|NO_COLOR=)' | grep -v CODEX_HOME | sort")
        .await;
    let thread = lab.bench.context.thread_id;
    let expected = format!(
        "CODEX_CI=1\nCODEX_SANDBOX_NETWORK_DISABLED=1\nCODEX_SESSION_ID={thread}\nCODEX_THREAD_ID={thread}\n\
         CODEX_TOOL_CALL_ID=call_1\nCODEX_VERSION=0.1.0\nNO_COLOR=1\nPAGER=cat\nTERM=dumb\n"
    );
    assert_eq!(reply.output, expected);
    let mut lab = Lab::full_access();
    assert_eq!(
        lab.run("echo [$CODEX_SANDBOX_NETWORK_DISABLED]")
            .await
            .output,
        "[]\n"
    );
}

#[tokio::test]
async fn long_output_is_cut_in_the_middle() {
    let mut lab = Lab::with_options(
        |bench| bench.policy(SandboxMode::DangerFullAccess),
        |options| {
            options.output_token_limit = Some(20);
        },
    );
    let reply = lab
        .exec(json!({"cmd": "seq 1 1000", "login": false, "max_output_tokens": 5000}))
        .await;
    assert!(reply.output.starts_with(
        "Warning: truncated output (original token count: 974)\nTotal output lines: 1000\n\n1\n2\n"
    ));
    assert!(
        reply.output.contains("…954 tokens truncated…") && reply.output.ends_with("\n1000\n"),
        "{reply:?}"
    );
    let [ToolActivity::Command { output, .. }] = &lab.bench.finished()[..] else {
        panic!("one end")
    };
    assert_eq!(output.lines().count(), 1000);
}

#[tokio::test]
async fn a_command_without_a_terminal_reads_nothing() {
    let mut lab = Lab::full_access();
    assert_eq!(
        lab.run("cat; test -t 0 || echo none").await.output,
        "none\n"
    );
}

#[tokio::test]
async fn a_slow_command_goes_on_in_the_background() {
    let mut lab = Lab::full_access();
    let go = fifo(&lab, "go");
    let command = format!("echo first; cat {go}; echo second; exit 5");
    let reply = lab
        .exec(json!({"cmd": command, "login": false, "yield_time_ms": 0}))
        .await;
    let (session, begun) = (reply.session(), reply.output);
    assert!(lab.bench.finished().is_empty(), "it has not ended");
    std::fs::write(&go, "go\n").unwrap();
    let reply = lab.write(json!({"session_id": session})).await;
    assert_eq!(reply.state, "Process exited with code 5");
    assert_eq!(begun + &reply.output, "first\ngo\nsecond\n");
    let ToolActivity::Command {
        output,
        exit_code: Some(5),
        ..
    } = &lab.bench.finished()[0]
    else {
        panic!("an end")
    };
    assert_eq!(output, "first\ngo\nsecond\n");
    let reply = lab.write(json!({"session_id": session})).await;
    assert_eq!(
        reply.whole,
        format!("there is no running command with session ID {session}")
    );
}

#[tokio::test]
async fn a_terminal_can_be_typed_into() {
    let mut lab = Lab::full_access();
    let command = "stty -echo; test -t 0 && test -t 1 && echo ready; read line; echo \"got $line\"";
    let reply = lab
        .exec(json!({"cmd": command, "login": false, "tty": true, "yield_time_ms": 0}))
        .await;
    let (session, begun) = (reply.session(), lab.until(reply, "ready\r\n").await);
    assert_eq!(begun, "ready\r\n");
    let reply = lab
        .write(json!({"session_id": session, "chars": "hello\n", "yield_time_ms": 30000}))
        .await;
    assert_eq!(
        (reply.state.as_str(), reply.output.as_str()),
        ("Process exited with code 0", "got hello\r\n")
    );
}

#[tokio::test]
async fn ctrl_c_interrupts_with_and_without_a_terminal() {
    let mut lab = Lab::full_access();
    for tty in [true, false] {
        // The trap is set before anything is put out.
        let command = "trap 'echo caught; exit 7' INT; echo set; while :; do sleep 0.01; done";
        let reply = lab
            .exec(json!({"cmd": command, "login": false, "tty": tty, "yield_time_ms": 0}))
            .await;
        let session = reply.session();
        lab.until(reply, "set").await;
        let reply = lab
            .write(json!({"session_id": session, "chars": "\u{3}", "yield_time_ms": 30000}))
            .await;
        assert_eq!(reply.state, "Process exited with code 7");
        assert!(reply.output.contains("caught"), "{reply:?}");
    }
    let reply = lab
        .exec(json!({"cmd": "exec sleep 1000", "login": false, "yield_time_ms": 0}))
        .await;
    let reply = lab
        .write(json!({"session_id": reply.session(), "chars": "y\n"}))
        .await;
    assert_eq!(
        reply.whole,
        "the command has no terminal to type into; start it with `tty`"
    );
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn an_interrupt_kills_the_whole_group_at_once() {
    let mut lab = Lab::with(Bench::workspace_write);
    let go = fifo(&lab, "go");
    let cancel = lab.bench.context.cancel.clone();
    let command = format!("exec 9>{go}; sleep 1000 & echo up >&9; wait");
    // Opening waits for the command, and the end is reached when nobody of the group is left.
    let reader = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(go).unwrap();
        file.read_exact(&mut [0; 3]).unwrap();
        cancel.cancel();
        let at = std::time::Instant::now();
        file.read_to_end(&mut Vec::new()).unwrap();
        at
    });
    let reply = lab.exec(json!({"cmd": command, "login": false})).await;
    let ended = std::time::Instant::now();
    let after = ended.duration_since(reader.await.unwrap());
    assert!(after < std::time::Duration::from_millis(100), "{after:?}");
    assert!(
        reply.whole.starts_with("Wall time: ")
            && reply.whole.ends_with(" seconds\naborted by user"),
        "{reply:?}"
    );
    assert!(!reply.success);
    let [
        ToolActivity::Command {
            exit_code, status, ..
        },
    ] = &lab.bench.finished()[..]
    else {
        panic!("one end")
    };
    assert_eq!((*exit_code, *status), (Some(137), ActivityStatus::Failed));
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn a_process_that_keeps_the_pipe_open_does_not_hold_the_call_up() {
    let mut lab = Lab::full_access();
    let started = std::time::Instant::now();
    let reply = lab.run("sleep 1000 & echo done").await;
    assert_eq!(
        (reply.state.as_str(), reply.output.as_str()),
        ("Process exited with code 0", "done\n")
    );
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn a_process_that_never_stops_writing_does_not_either() {
    let mut lab = Lab::full_access();
    let reply = lab.run("yes & exit 4").await;
    assert_eq!(reply.state, "Process exited with code 4");
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn a_sandboxed_command_has_its_terminal() {
    let mut lab = Lab::with(Bench::workspace_write);
    let command = "stty size; echo direct > /dev/tty; test -t 2 && echo yes";
    let reply = lab
        .exec(json!({"cmd": command, "login": false, "tty": true}))
        .await;
    assert_eq!(reply.output, "24 80\r\ndirect\r\nyes\r\n");
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn shutdown_ends_what_is_left_even_in_other_sessions() {
    let sandboxed = |bench: &Bench| bench.workspace_write();
    let mut lab = Lab::with(sandboxed);
    let go = fifo(&lab, "go");
    // Every one of these holds the fifo open for writing until it is gone.
    let command = format!("exec 9>{go}; setsid sleep 1000 & sleep 1000 & wait");
    let path = go.clone();
    let reader = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        std::fs::File::open(path)
            .unwrap()
            .read_to_end(&mut text)
            .unwrap();
    });
    let reply = lab
        .exec(json!({"cmd": command, "login": false, "yield_time_ms": 0}))
        .await;
    reply.session();
    assert!(
        lab.bench.cwd().join(".codex").exists(),
        "the name is held while commands may run"
    );
    lab.tools.manager.shutdown().await;
    reader.await.unwrap();
    assert!(!lab.bench.cwd().join(".codex").exists());
    let reply = lab.run("true").await;
    assert_eq!(
        reply.whole,
        "the command was not run: the session is ending"
    );
}

/// Starts a command that does not end by itself.
async fn start_endless(lab: &Lab) -> Arc<Session> {
    let place = lab.tools.manager.place(Duration::ZERO).await.unwrap();
    let invocation = Invocation {
        shell: "/bin/sh".into(),
        login: false,
        command: "exec sleep 1000".to_owned(),
    };
    let directory = lab.bench.cwd().to_owned();
    let call_id = dovetail_core::ids::CallId::new("call");
    let order = Order {
        invocation,
        directory,
        terminal: false,
        approved: false,
    };
    let context = &lab.bench.context;
    let started = lab.tools.manager.start(place, order, context, &call_id);
    started.unwrap().0
}

#[tokio::test]
async fn only_so_many_commands_run_at_a_time() {
    let mut lab = Lab::full_access();
    let first = start_endless(&lab).await;
    for _ in 1..64 {
        start_endless(&lab).await;
    }
    let reply = lab.exec(json!({"cmd": "true", "yield_time_ms": 0})).await;
    assert_eq!(
        reply.whole,
        "the command was not run: 64 commands are running already; end one first"
    );
    let manager = Arc::clone(&lab.tools.manager);
    let mut waiting = Box::pin(manager.place(Duration::from_secs(1000)));
    assert!(
        waiting.as_mut().now_or_never().is_none(),
        "there is no place"
    );
    first.kill().await;
    drop(waiting.await.unwrap());
    assert_eq!(lab.run("true").await.state, "Process exited with code 0");
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn a_command_that_cannot_be_started_takes_no_place() {
    let mut lab = Lab::full_access();
    for _ in 0..100 {
        let reply = lab
            .exec(json!({"cmd": "true", "shell": "/no/such/shell"}))
            .await;
        assert!(
            reply
                .whole
                .starts_with("the command was not run: cannot start"),
            "{reply:?}"
        );
    }
    assert_eq!(lab.run("true").await.state, "Process exited with code 0");
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn the_sandbox_holds_for_commands() {
    let mut lab = Lab::with(read_only);
    let reply = lab.run("touch file").await;
    assert_eq!(reply.state, "Process exited with code 1");
    assert!(
        ["Read-only file system", "Permission denied"]
            .iter()
            .any(|why| reply.output.contains(why)),
        "{reply:?}"
    );
    assert!(!lab.bench.cwd().join("file").exists());
    let mut lab = Lab::with(Bench::workspace_write);
    let reply = lab
        .run("touch sub/file file; touch ../outside/file ../home/config.toml; ls")
        .await;
    assert!(
        lab.bench
            .base()
            .join("outside")
            .read_dir()
            .unwrap()
            .next()
            .is_none(),
        "{reply:?}"
    );
    assert!(
        lab.bench
            .base()
            .join("home")
            .read_dir()
            .unwrap()
            .next()
            .is_none(),
        "{reply:?}"
    );
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn a_declined_command_is_shown_with_the_reason() {
    let lab = Lab::full_access();
    let call = function("exec_command", &json!({"cmd": "rm x"}));
    let Some(ToolActivity::Command {
        command,
        output,
        status,
        ..
    }) = lab.tool("exec_command").declined(&call, "no")
    else {
        panic!("a command")
    };
    assert_eq!(
        (command[2].as_str(), output.as_str(), status),
        ("rm x", "no", ActivityStatus::Declined)
    );
}

/// Makes a fifo outside the working directory, and gives its path.
fn fifo(lab: &Lab, name: &str) -> String {
    let path = lab.bench.base().join("work").join(name);
    make_fifo(&path);
    path.display().to_string()
}

fn make_fifo(path: &Path) {
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
}
