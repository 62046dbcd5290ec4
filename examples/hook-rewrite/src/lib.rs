//! A hook that rewrites a command: `git push` becomes a rehearsal of itself.

use dovetail_plugin_api::hooks::{Event, Outcome, Subscription, no_opinion, rewrite};
use dovetail_plugin_api::{Error, Hooks, export_hooks};
use serde_json::{Map, Value, json};

/// Looks at every shell command before it runs.
#[derive(Default)]
struct DryRun;

impl Hooks for DryRun {
    fn subscriptions(&self) -> Vec<Subscription> {
        vec![Subscription::gate("PreToolUse", "Bash")]
    }

    fn handle(&mut self, event: Event) -> Result<Outcome, Error> {
        // The rest of the input, whatever it holds, stays as it is.
        let mut input: Map<String, Value> = event.tool_input()?;
        let command = input
            .get("command")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(rehearsed) = with_dry_run(command) else {
            return Ok(no_opinion());
        };
        input.insert("command".to_owned(), json!(rehearsed));
        Ok(rewrite(&input)?.with_message("pushes are rehearsed: `--dry-run` was added"))
    }
}

/// Adds `--dry-run` to each `git push` that lacks it; none where there is nothing to add.
fn with_dry_run(command: &str) -> Option<String> {
    const PUSH: &str = "git push";
    let mut parts = command.split(PUSH);
    let mut rewritten = parts.next()?.to_owned();
    let mut changed = false;
    for part in parts {
        rewritten.push_str(PUSH);
        let arguments = part.split([';', '|', '&', '\n']).next().unwrap_or_default();
        let ends_word =
            part.is_empty() || part.starts_with(|c: char| c.is_whitespace() || ";|&)".contains(c));
        if ends_word
            && !arguments
                .split_whitespace()
                .any(|word| matches!(word, "--dry-run" | "-n"))
        {
            rewritten.push_str(" --dry-run");
            changed = true;
        }
        rewritten.push_str(part);
    }
    changed.then_some(rewritten)
}

export_hooks!(DryRun);

#[cfg(test)]
mod tests {
    use dovetail_plugin_api::hooks::Decision;

    use super::*;

    #[track_caller]
    fn check(command: &str, expected: Option<&str>) {
        assert_eq!(with_dry_run(command).as_deref(), expected, "{command}");
    }

    #[test]
    fn each_push_is_rehearsed_once() {
        check("git push", Some("git push --dry-run"));
        check(
            "git push origin main && git push --tags",
            Some("git push --dry-run origin main && git push --dry-run --tags"),
        );
        check("git push;ls", Some("git push --dry-run;ls"));
        check("git push --dry-run origin", None);
        check("git push -n", None);
        check("git pushy", None);
        check("git status", None);
    }

    #[test]
    fn the_rest_of_the_input_survives() {
        let input = json!({ "timeout": 5, "command": "git push" });
        let outcome = DryRun
            .handle(Event::of_tool("PreToolUse", "Bash", &input))
            .expect("an answer");
        let expected = json!({ "timeout": 5, "command": "git push --dry-run" }).to_string();
        assert_eq!(outcome.decision, Decision::Rewrite(expected));
    }
}
