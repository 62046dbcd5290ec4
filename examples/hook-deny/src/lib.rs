//! A hook that denies commands which destroy things.

use dovetail_plugin_api::hooks::{Event, Outcome, Subscription, deny, no_opinion};
use dovetail_plugin_api::{Error, Hooks, export_hooks};

/// Looks at every shell command before it runs.
#[derive(Default)]
struct NoRm;

impl Hooks for NoRm {
    fn subscriptions(&self) -> Vec<Subscription> {
        vec![Subscription::gate("PreToolUse", "Bash")]
    }

    fn handle(&mut self, event: Event) -> Result<Outcome, Error> {
        let command = event.command().ok_or("a shell call without a command")?;
        Ok(if is_destructive(&command) {
            deny("destructive commands need a person")
        } else {
            no_opinion()
        })
    }
}

/// Whether one of the commands in a shell line removes recursively or by force, or erases a disk.
///
/// A hook like this catches accidents. It is no sandbox: a shell has endless ways to say `rm`.
fn is_destructive(line: &str) -> bool {
    line.split([';', '|', '&', '\n', '(', ')', '`', '"', '\''])
        .any(|command| {
            let mut words = command
                .split_whitespace()
                .skip_while(|word| is_prefix(word));
            let program = words.next().unwrap_or_default();
            match program.rsplit('/').next().unwrap_or_default() {
                "rm" => words.any(is_rm_force),
                "shred" | "wipefs" => true,
                name => name.starts_with("mkfs"),
            }
        })
}

/// Words that may stand before a program: `FOO=1`, `sudo`, `then`, …
fn is_prefix(word: &str) -> bool {
    word.contains('=')
        || matches!(
            word,
            "sudo" | "env" | "exec" | "command" | "xargs" | "then" | "do" | "else" | "{"
        )
}

/// `-rf`, `-R`, `--force`, …
fn is_rm_force(argument: &str) -> bool {
    match argument.strip_prefix("--") {
        Some(long) => matches!(long, "recursive" | "force"),
        None => argument
            .strip_prefix('-')
            .is_some_and(|flags| flags.contains(['r', 'R', 'f'])),
    }
}

export_hooks!(NoRm);

#[cfg(test)]
mod tests {
    use dovetail_plugin_api::hooks::Decision;
    use serde_json::json;

    use super::*;

    #[test]
    fn destructive_commands_are_denied_with_a_reason() {
        let event = Event::of_tool(
            "PreToolUse",
            "Bash",
            &json!({ "command": "cd /tmp && sudo rm -rf build" }),
        );
        let outcome = NoRm.handle(event).expect("an answer");
        assert_eq!(
            outcome.decision,
            Decision::Deny("destructive commands need a person".to_owned())
        );
    }

    #[test]
    fn what_counts_as_destructive() {
        for line in [
            "rm -rf build",
            "rm -fr .",
            "/bin/rm --recursive x",
            "true; rm -R x",
            "bash -c 'rm -rf x'",
            "mkfs.ext4 /dev/sda",
        ] {
            assert!(is_destructive(line), "{line}");
        }
        for line in [
            "rm one-file",
            "ls -rf",
            "grep -r rm .",
            "echo farm -rf",
            "",
            "git rm -r --cached x",
        ] {
            assert!(!is_destructive(line), "{line}");
        }
    }
}
