//! Commands that ask to run outside of the sandbox, where somebody can be asked.

use std::sync::{Arc, Mutex};

use dovetail_core::approval::{ApprovalDecision, ApprovalRequest, Approver};
use dovetail_core::event::{ActivityStatus, ToolActivity};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Lab, read_only};

/// A person who always says the same, and what they were asked.
#[derive(Debug)]
struct Person(ApprovalDecision, Mutex<Vec<ApprovalRequest>>);

impl Approver for Person {
    fn ask(&self, request: &ApprovalRequest) -> oneshot::Receiver<ApprovalDecision> {
        self.1.lock().unwrap().push(request.clone());
        let (answer, decision) = oneshot::channel();
        answer.send(self.0).unwrap();
        decision
    }
}

/// A read-only lab with somebody who can be asked.
fn asked(decision: ApprovalDecision) -> (Lab, Arc<Person>) {
    let person = Arc::new(Person(decision, Mutex::default()));
    let lab = Lab::with_options(read_only, |options| {
        options.approval_policy = "on-request".to_owned();
        options.approver = Some(Arc::clone(&person) as Arc<dyn Approver>);
    });
    (lab, person)
}

/// Escapes where it may.
fn escalated() -> Value {
    json!({
        "cmd": "echo out >out.txt",
        "sandbox_permissions": "require_escalated",
        "justification": "write it?",
        "login": false,
    })
}

#[tokio::test]
async fn what_a_person_approves_runs_outside_of_the_sandbox_once() {
    let (mut lab, person) = asked(ApprovalDecision::Accept);
    let reply = lab.exec(escalated()).await;
    assert_eq!(reply.state, "Process exited with code 0");
    let written = lab.bench.cwd().join("out.txt");
    assert_eq!(std::fs::read_to_string(&written).unwrap(), "out\n");
    let requests = std::mem::take(&mut *person.1.lock().unwrap());
    let [request] = <[ApprovalRequest; 1]>::try_from(requests).unwrap();
    assert_eq!(request.command, ["/bin/sh", "-c", "echo out >out.txt"]);
    assert_eq!(request.cwd, lab.bench.cwd());
    assert_eq!(request.reason.as_deref(), Some("write it?"));
    assert_eq!(lab.bench.started().len(), 1, "it is shown once");
    assert_eq!(lab.bench.finished().len(), 1);
    let reply = lab.exec(json!({"cmd": "echo more >out.txt"})).await;
    assert_eq!(reply.state, "Process exited with code 2", "{reply:?}");
    assert_eq!(std::fs::read_to_string(&written).unwrap(), "out\n");
    assert_eq!(
        person.1.lock().unwrap().len(),
        0,
        "nobody is asked for that"
    );
    lab.tools.manager.shutdown().await;
}

#[tokio::test]
async fn what_a_person_does_not_approve_does_not_run() {
    for (decision, told, interrupted) in [
        (
            ApprovalDecision::Decline,
            "the user did not let this command run outside of the sandbox; nothing was run. Go on without it, or within \
             the sandbox.",
            false,
        ),
        (ApprovalDecision::Cancel, " seconds\naborted by user", true),
    ] {
        let (mut lab, _) = asked(decision);
        let reply = lab.exec(escalated()).await;
        assert!(reply.whole.ends_with(told), "{reply:?}");
        assert!(!reply.success && !lab.bench.cwd().join("out.txt").exists());
        assert_eq!(lab.bench.context.cancel.is_cancelled(), interrupted);
        let finished = lab.bench.finished();
        assert!(
            matches!(
                &finished[..],
                [ToolActivity::Command {
                    status: ActivityStatus::Declined,
                    ..
                }]
            ),
            "{finished:?}"
        );
    }
}

#[tokio::test]
async fn an_approved_command_that_cannot_start_is_closed() {
    let (mut lab, _) = asked(ApprovalDecision::Accept);
    let mut arguments = escalated();
    arguments["workdir"] = "nowhere".into();
    let reply = lab.exec(arguments).await;
    assert!(
        reply.whole.starts_with("the command was not run: "),
        "{reply:?}"
    );
    let finished = lab.bench.finished();
    assert!(
        matches!(
            &finished[..],
            [ToolActivity::Command {
                status: ActivityStatus::Failed,
                ..
            }]
        ),
        "{finished:?}"
    );
}

#[tokio::test]
async fn nobody_is_asked_where_the_policy_is_never() {
    let person = Arc::new(Person(ApprovalDecision::Accept, Mutex::default()));
    let mut lab = Lab::with_options(read_only, |options| {
        options.approver = Some(Arc::clone(&person) as Arc<dyn Approver>);
    });
    let reply = lab.exec(escalated()).await;
    assert!(reply.whole.starts_with("approval policy is Never; "));
    assert!(person.1.lock().unwrap().is_empty());
    assert!(!lab.bench.cwd().join("out.txt").exists());
}
