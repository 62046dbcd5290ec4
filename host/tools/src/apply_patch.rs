//! `apply_patch`: changes files as a patch envelope says, all of them or none, within the sandbox's limits.

use std::time::Instant;

use async_trait::async_trait;
use dovetail_core::event::{ActivityStatus, ToolActivity};
use dovetail_core::item::OutputPayload;
use dovetail_core::tool::{
    CallContext, CallInput, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec,
};
use dovetail_core::verdict::Cleared;
use dovetail_sandbox::SandboxPolicy;
use serde_json::{Value, json};

use crate::exec::aborted;
use crate::options::PatchForm;
use crate::patch::{GRAMMAR, Patch, intended, plan, write_all};

/// The tool.
pub(crate) struct ApplyPatch {
    spec: ToolSpec,
    policy: SandboxPolicy,
}

impl ApplyPatch {
    /// Makes the tool, described to the model in one of its forms.
    pub(crate) fn new(policy: SandboxPolicy, form: PatchForm) -> Self {
        let description = "Changes files. The input is a patch: `*** Begin Patch`, then for each file \
            `*** Add File: path` with lines that start with `+`, `*** Delete File: path`, or `*** Update File: path` \
            (and `*** Move to: path` to rename it) with sections that start with `@@`, optionally followed by a line \
            to find first; in a section, kept lines start with a space, removed ones with `-`, new ones with `+`. \
            Give three kept lines around a change. It ends with `*** End Patch`. Paths are relative.";
        let input = match form {
            PatchForm::Custom => ToolInput::Custom {
                grammar: GRAMMAR.to_owned(),
            },
            PatchForm::Function => ToolInput::Function {
                parameters: json!({
                    "type": "object",
                    "properties": { "input": { "type": "string", "description": "The whole patch." } },
                    "required": ["input"],
                    "additionalProperties": false,
                }),
            },
        };
        let spec = ToolSpec {
            name: "apply_patch".to_owned(),
            namespace: None,
            description: description.to_owned(),
            input,
            parallel_safe: false,
        };
        Self { spec, policy }
    }
}

#[async_trait]
impl Tool for ApplyPatch {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn hook_name(&self) -> String {
        "apply_patch".to_owned()
    }

    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        Ok(json!({ "command": patch_text(call)? }))
    }

    fn rewrite(&self, mut call: ToolCall, input: Value) -> Result<ToolCall, String> {
        let Some(text) = input.get("command").and_then(Value::as_str) else {
            return Err("the new input of a patch needs a text `command`".to_owned());
        };
        call.input = match call.input {
            CallInput::Custom(_) => CallInput::Custom(text.to_owned()),
            CallInput::Function(_) | CallInput::Search(_) => {
                CallInput::Function(json!({ "input": text }).to_string())
            }
        };
        Ok(call)
    }

    fn declined(&self, call: &ToolCall, _reason: &str) -> Option<ToolActivity> {
        let patch = Patch::parse(&patch_text(call).ok()?).ok()?;
        let changes = patch
            .ops
            .iter()
            .map(|op| intended(op, &self.policy.cwd))
            .collect();
        Some(ToolActivity::Patch {
            changes,
            status: ActivityStatus::Declined,
        })
    }

    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let called = Instant::now();
        let call = call.into_inner();
        let (policy, cwd) = (self.policy.clone(), context.cwd.clone());
        let text = match patch_text(&call) {
            Ok(text) => text,
            Err(text) => return ToolOutcome::refused(text),
        };
        let planned =
            tokio::task::spawn_blocking(move || plan(&text, &cwd, &policy.layout())).await;
        let planned = match planned {
            Ok(Ok(planned)) => planned,
            Ok(Err(text)) => return ToolOutcome::refused(text),
            Err(error) => return ToolOutcome::refused(format!("the patch tool broke: {error}")),
        };
        if context.cancel.is_cancelled() {
            return ToolOutcome::refused(aborted(called.elapsed()));
        }
        let started = Instant::now();
        let activity = |status| ToolActivity::Patch {
            changes: planned.shown.clone(),
            status,
        };
        context.started(&call.call_id, activity(ActivityStatus::InProgress));
        let changes = planned.changes;
        let written = tokio::task::spawn_blocking(move || {
            write_all(&changes).map_err(|error| error.to_string())
        })
        .await;
        let took = started.elapsed();
        let written = written.unwrap_or_else(|error| Err(format!("the patch tool broke: {error}")));
        let status = if written.is_ok() {
            ActivityStatus::Completed
        } else {
            ActivityStatus::Failed
        };
        context.finished(&call.call_id, activity(status), took);
        match written {
            Ok(()) => {
                let text = format!(
                    "Exit code: 0\nWall time: {:.1} seconds\nOutput:\nThe patch was applied:\n{}\n",
                    took.as_secs_f64(),
                    planned.summary.join("\n")
                );
                ToolOutcome {
                    output: OutputPayload::Text(text),
                    success: true,
                }
            }
            Err(why) => ToolOutcome::refused(format!("the patch was not applied: {why}")),
        }
    }
}

fn patch_text(call: &ToolCall) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct Input {
        input: String,
    }
    match &call.input {
        CallInput::Custom(text) => Ok(text.clone()),
        CallInput::Function(text) | CallInput::Search(text) => serde_json::from_str::<Input>(text)
            .map(|arguments| arguments.input)
            .map_err(|error| format!("failed to parse function arguments: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dovetail_core::event::FileChangeKind;

    use super::*;
    use crate::testing::{Bench, call};

    #[tokio::test]
    async fn a_patch_is_applied_shown_and_summed_up() {
        for form in [PatchForm::Custom, PatchForm::Function] {
            let mut bench = Bench::new();
            let tool = ApplyPatch::new(bench.workspace_write(), form);
            fs::write(bench.cwd().join("old"), "a\n").unwrap();
            fs::write(bench.cwd().join("image"), b"\xff\xfe").unwrap();
            let text = "*** Begin Patch\n*** Add File: sub/new\n+hello\n*** Update File: old\n@@\n-a\n+b\n\
                        *** Delete File: image\n*** End Patch\n";
            let input = match form {
                PatchForm::Custom => CallInput::Custom(text.to_owned()),
                PatchForm::Function => CallInput::Function(json!({ "input": text }).to_string()),
            };
            let call = call("apply_patch", input);
            assert_eq!(tool.hook_input(&call), Ok(json!({ "command": text })));
            let outcome = bench.run(&tool, call).await;
            assert!(outcome.success);
            let text = outcome.output.text();
            let (head, summary) = text.split_once(" seconds\n").unwrap();
            let (exit, time) = head.split_once("\nWall time: ").unwrap();
            assert_eq!(exit, "Exit code: 0");
            assert!(
                time.parse::<f64>().is_ok() && time.split('.').nth(1).unwrap().len() == 1,
                "{time}"
            );
            assert_eq!(
                summary,
                "Output:\nThe patch was applied:\nA sub/new\nM old\nD image\n"
            );
            assert_eq!(
                fs::read_to_string(bench.cwd().join("sub/new")).unwrap(),
                "hello\n"
            );
            assert_eq!(fs::read_to_string(bench.cwd().join("old")).unwrap(), "b\n");
            assert!(!bench.cwd().join("image").exists());
            let (started, finished) = (bench.started(), bench.finished());
            let [
                ToolActivity::Patch {
                    changes,
                    status: ActivityStatus::InProgress,
                },
            ] = &started[..]
            else {
                panic!("one patch begins: {started:?}")
            };
            let whole = ToolActivity::Patch {
                changes: changes.clone(),
                status: ActivityStatus::Completed,
            };
            assert_eq!(finished, [whole]);
            let kinds: Vec<FileChangeKind> = changes.iter().map(|change| change.kind).collect();
            assert_eq!(
                kinds,
                [
                    FileChangeKind::Add,
                    FileChangeKind::Update,
                    FileChangeKind::Delete
                ]
            );
        }
    }

    #[tokio::test]
    async fn a_patch_that_does_not_fit_changes_nothing_and_is_not_shown() {
        let mut bench = Bench::new();
        let tool = ApplyPatch::new(bench.workspace_write(), PatchForm::Custom);
        let text =
            "*** Begin Patch\n*** Add File: new\n+x\n*** Update File: none\n@@\n-a\n*** End Patch";
        let outcome = bench
            .run(
                &tool,
                call("apply_patch", CallInput::Custom(text.to_owned())),
            )
            .await;
        assert_eq!(outcome, ToolOutcome::refused("`none` does not exist"));
        assert!(bench.started().is_empty() && !bench.cwd().join("new").exists());
    }
}
