//! The built-in tools at the real process: what the model reads of each call, to the letter.

mod calls;
mod environment;
mod files;
mod output;
mod patches;
mod search;
mod sessions;

use dovetail_tests::{Lab, Ran, script};
use serde_json::Value;

/// A call by its id, its tool and its arguments.
type Call<'a> = (&'a str, &'a str, Value);

/// A response that makes one call.
fn response((id, tool, arguments): &Call<'_>) -> String {
    script::call(id, tool, &script::quoted(&arguments.to_string()))
}

/// A lab in which the model makes these calls, a response each, and then answers.
async fn with_calls(calls: &[Call<'_>]) -> Lab {
    let responses: Vec<String> = calls.iter().map(response).collect();
    with_script(&responses.concat()).await
}

async fn with_script(responses: &str) -> Lab {
    let answer = script::answer("done");
    let lab = crate::lab(&[responses, &answer]).await;
    lab.init_git();
    lab
}

/// Runs the turn without a sandbox.
async fn run(lab: &Lab) -> Ran {
    run_in(lab, "danger-full-access").await
}

async fn run_in(lab: &Lab, mode: &str) -> Ran {
    let ran = lab.exec_json(&["-s", mode, "go"], 0).await;
    lab.expect_played();
    ran
}

/// What the model reads of one call of `exec_command`, without what differs from run to run.
async fn command(arguments: Value) -> String {
    let lab = with_calls(&[("c", "exec_command", arguments)]).await;
    run(&lab).await;
    lab.normal(&lab.output_of("c"))
}

/// A report of a command that ended.
fn report(code: i32, output: &str) -> String {
    format!(
        "Chunk ID: <chunk>\nWall time: <time>\nProcess exited with code {code}\nOriginal token count: <count>\nOutput:\n{output}"
    )
}

/// Whether a process runs; one that ended and was not yet waited for does not.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let state = |stat: &str| {
        stat.rsplit(')')
            .next()
            .map(|rest| rest.trim_start().to_owned())
    };
    stat.is_ok_and(|stat| state(&stat).is_some_and(|state| !state.starts_with('Z')))
}
