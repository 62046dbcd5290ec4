//! What commands see of their surroundings.

use serde_json::json;

use super::{report, run, run_in, with_calls};

/// The variables that a command names, sorted, in one mode.
async fn variables(config: &str, mode: &str, pattern: &str) -> String {
    let cmd = format!("env | grep -E '{pattern}' | sort");
    let mut lab = with_calls(&[(
        "call_7",
        "exec_command",
        json!({ "cmd": cmd, "login": false }),
    )])
    .await;
    lab.set_env("REHEARSAL_KEY", "a-key");
    lab.set_env("MY_TOKEN", "a-token");
    lab.set_env("EDITOR", "ed");
    lab.write_config(&lab.provider_config(""));
    lab.add_config(config);
    let ran = run_in(&lab, mode).await;
    let output = lab.output_of("call_7");
    let (_, output) = output.split_once("\nOutput:\n").unwrap();
    output.replace(&ran.thread_id(), "<thread>")
}

#[tokio::test]
async fn a_command_knows_what_it_belongs_to() {
    let pattern = "^(CODEX_|TERM=|PAGER=|GIT_PAGER=|NO_COLOR=)";
    let always = "CODEX_CI=1\nCODEX_HOME=<home>\nCODEX_SESSION_ID=<thread>\nCODEX_THREAD_ID=<thread>\n\
                  CODEX_TOOL_CALL_ID=call_7\nCODEX_VERSION=0.169.0\nGIT_PAGER=cat\nNO_COLOR=1\nPAGER=cat\nTERM=dumb\n";
    let restricted = always.replace(
        "CODEX_SESSION_ID",
        "CODEX_SANDBOX_NETWORK_DISABLED=1\nCODEX_SESSION_ID",
    );
    for (mode, config, expected) in [
        ("danger-full-access", "", always),
        ("read-only", "", &*restricted),
        ("workspace-write", "", &*restricted),
        (
            "workspace-write",
            "[sandbox_workspace_write]\nnetwork_access = true\n",
            always,
        ),
    ] {
        let text = variables(config, mode, pattern).await;
        let home = text
            .lines()
            .find_map(|line| line.strip_prefix("CODEX_HOME="))
            .unwrap()
            .to_owned();
        assert_eq!(text.replace(&home, "<home>"), expected, "{mode} {config}");
    }
}

#[tokio::test]
async fn a_shell_is_named_even_where_the_host_has_none() {
    let mut lab = with_calls(&[(
        "c",
        "exec_command",
        json!({ "cmd": "env | grep ^SHELL=", "login": false }),
    )])
    .await;
    lab.remove_env("SHELL");
    run(&lab).await;
    assert_eq!(
        lab.normal(&lab.output_of("c")),
        report(0, "SHELL=/bin/bash\n")
    );
}

#[tokio::test]
async fn the_policy_decides_what_else_it_sees() {
    let pattern = "^(EDITOR|MY_TOKEN|REHEARSAL_KEY|MINE)=";
    for (config, expected) in [
        // The key of the provider is nobody's business, whatever the policy.
        ("", "EDITOR=ed\nMY_TOKEN=a-token\n"),
        ("ignore_default_excludes = false", "EDITOR=ed\n"),
        ("exclude = [\"ED*\"]", "MY_TOKEN=a-token\n"),
        (
            "inherit = \"none\"\nset = { MINE = \"1\", EDITOR = \"vi\" }",
            "EDITOR=vi\nMINE=1\n",
        ),
        ("inherit = \"core\"\nset = { MINE = \"1\" }", "MINE=1\n"),
        (
            "set = { MINE = \"1\" }\ninclude_only = [\"MI*\", \"PATH\"]",
            "MINE=1\n",
        ),
    ] {
        let config = format!("[shell_environment_policy]\n{config}\n");
        let text = variables(&config, "danger-full-access", pattern).await;
        assert_eq!(text, expected, "{config}");
    }
}

#[tokio::test]
async fn a_profile_is_read_for_commands_unless_they_say_otherwise() {
    let calls = [
        ("a", "exec_command", json!({ "cmd": "echo [$GREETING]" })),
        (
            "b",
            "exec_command",
            json!({ "cmd": "echo [$GREETING]", "login": false }),
        ),
    ];
    let mut lab = with_calls(&calls).await;
    lab.write("profile-home/.bash_profile", "export GREETING=hello\n");
    lab.set_env(
        "HOME",
        &lab.project().join("profile-home").display().to_string(),
    );
    run(&lab).await;
    assert_eq!(lab.normal(&lab.output_of("a")), report(0, "[hello]\n"));
    assert_eq!(lab.normal(&lab.output_of("b")), report(0, "[]\n"));
}

#[tokio::test]
async fn many_commands_of_one_profile_say_the_same() {
    // Some of these learn what the profile does, and those after them go without; nobody can tell which.
    for (setting, reads) in [
        ("", 1..=11),
        ("[features]\nshell_snapshot = false\n", 10..=10),
    ] {
        let ids: Vec<String> = (0..10).map(|number| format!("call_{number}")).collect();
        let arguments = json!({ "cmd": "echo $GREETING $CODEX_TOOL_CALL_ID" });
        let calls: Vec<_> = ids
            .iter()
            .map(|id| (&**id, "exec_command", arguments.clone()))
            .collect();
        let mut lab = with_calls(&calls).await;
        let profile = "echo read >> $HOME/count\nexport GREETING=hello\n";
        lab.write("profile-home/.bash_profile", profile);
        let home = lab.project().join("profile-home");
        lab.set_env("HOME", &home.display().to_string());
        lab.write_config(&lab.provider_config(""));
        lab.add_config(setting);
        run(&lab).await;
        for id in &ids {
            assert_eq!(
                lab.normal(&lab.output_of(id)),
                report(0, &format!("hello {id}\n"))
            );
        }
        let count = std::fs::read_to_string(home.join("count"))
            .unwrap()
            .lines()
            .count();
        assert!(reads.contains(&count), "{setting}: {count}");
    }
}
