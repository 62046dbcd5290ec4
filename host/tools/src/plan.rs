//! `update_plan`: the model's list of steps, shown to people.

use std::time::Duration;

use async_trait::async_trait;
use dovetail_core::event::{PlanStep, ToolActivity};
use dovetail_core::tool::{CallContext, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec};
use dovetail_core::verdict::Cleared;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments;

pub(crate) struct UpdatePlan {
    spec: ToolSpec,
}

#[derive(Deserialize)]
struct Arguments {
    explanation: Option<String>,
    plan: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: String,
    status: Status,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Status {
    Pending,
    InProgress,
    Completed,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}

impl UpdatePlan {
    pub(crate) fn new() -> Self {
        let parameters = json!({
            "type": "object",
            "properties": {
                "explanation": { "type": "string", "description": "Why the plan changes, in a sentence." },
                "plan": {
                    "type": "array",
                    "description": "All steps, in order.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "step": { "type": "string", "description": "What to do, in a few words." },
                            "status": { "type": "string", "enum": ["pending", "in_progress", "completed"] },
                        },
                        "required": ["step", "status"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["plan"],
            "additionalProperties": false,
        });
        Self {
            spec: ToolSpec {
                name: "update_plan".to_owned(),
                namespace: None,
                description: "Shows the user the steps of longer work and how far they are. Give the whole list \
                              each time; at most one step is in progress."
                    .to_owned(),
                input: ToolInput::Function { parameters },
                parallel_safe: false,
            },
        }
    }
}

#[async_trait]
impl Tool for UpdatePlan {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn hook_name(&self) -> String {
        self.spec.name.clone()
    }

    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        arguments::parse(call)
    }

    fn rewrite(&self, call: ToolCall, input: Value) -> Result<ToolCall, String> {
        Ok(arguments::replace(call, &input))
    }

    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let Arguments { explanation, plan } = match arguments::parse(call.get()) {
            Ok(arguments) => arguments,
            Err(text) => return ToolOutcome::refused(text),
        };
        let steps = plan
            .into_iter()
            .map(|Step { step, status }| PlanStep {
                step,
                status: status.name().to_owned(),
            })
            .collect();
        context.finished(
            &call.get().call_id,
            ToolActivity::Plan { explanation, steps },
            Duration::ZERO,
        );
        ToolOutcome::text("Plan updated")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, function};

    #[tokio::test]
    async fn a_plan_is_shown_and_confirmed() {
        let mut bench = Bench::new();
        let arguments =
            json!({"explanation": "why", "plan": [{"step": "one", "status": "in_progress"}]});
        let outcome = bench
            .run(&UpdatePlan::new(), function("update_plan", &arguments))
            .await;
        assert_eq!(outcome, ToolOutcome::text("Plan updated"));
        let steps = vec![PlanStep {
            step: "one".to_owned(),
            status: "in_progress".to_owned(),
        }];
        assert_eq!(
            bench.finished(),
            [ToolActivity::Plan {
                explanation: Some("why".to_owned()),
                steps
            }]
        );
    }

    #[tokio::test]
    async fn an_unknown_status_is_named() {
        let mut bench = Bench::new();
        let arguments = json!({"plan": [{"step": "one", "status": "maybe"}]});
        let outcome = bench
            .run(&UpdatePlan::new(), function("update_plan", &arguments))
            .await;
        let text = outcome.output.text();
        assert!(
            text.starts_with("failed to parse function arguments: unknown variant `maybe`"),
            "{text}"
        );
        assert!(!outcome.success && bench.finished().is_empty());
    }
}
