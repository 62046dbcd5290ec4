//! The user's profile: read by a login shell, and spared where it only sets variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::EnvironmentPolicy;

/// More commands than are needed until a profile is learnt, on the busiest machine.
const MANY: usize = 500;

/// A lab whose user has a profile that counts how often it is read.
struct Home {
    lab: Lab,
    home: PathBuf,
}

impl Home {
    fn with(profile: &str) -> Self {
        let lab = Lab::with_options(
            |bench| bench.policy(SandboxMode::DangerFullAccess),
            |options| {
                let home = options.codex_home.display().to_string();
                options.shell = Some("/bin/bash".into());
                options.environment = EnvironmentPolicy {
                    set: BTreeMap::from([("HOME".to_owned(), home)]),
                    ..EnvironmentPolicy::default()
                };
            },
        );
        let home = lab.bench.base().join("home");
        let this = Self { lab, home };
        this.write(profile);
        this
    }

    fn write(&self, profile: &str) {
        let text = format!("echo read >> \"$HOME/count\"\n{profile}\n");
        std::fs::write(self.home.join(".bash_profile"), text).unwrap();
    }

    fn times_read(&self) -> usize {
        let count = std::fs::read_to_string(self.home.join("count"));
        count.map_or(0, |text| text.lines().count())
    }

    async fn run(&mut self, command: &str) -> String {
        let reply = self.lab.exec(json!({ "cmd": command })).await;
        assert_eq!(reply.state, "Process exited with code 0", "{reply:?}");
        reply.output
    }

    /// Runs a command until it does so without the profile; false if it never does.
    async fn runs_without(&mut self, command: &str, expected: &str) -> bool {
        for _ in 0..MANY {
            let before = self.times_read();
            assert_eq!(self.run(command).await, expected);
            // A trial of the profile may have been going on; then the next command tells.
            if self.times_read() == before {
                return true;
            }
        }
        false
    }
}

#[tokio::test]
async fn a_profile_of_variables_is_spared_once_it_is_known() {
    let mut home = Home::with("export GREETING=\"a  b\"; PATH=/opt/x:$PATH; unset LANG");
    let command = "echo \"$GREETING ${PATH%%:*} ${LANG-none} $0 $CODEX_TOOL_CALL_ID\"";
    let expected = "a  b /opt/x none /bin/bash call_1\n";
    assert!(home.runs_without(command, expected).await);
    let people_see = home.lab.bench.finished();
    let Some(ToolActivity::Command { command: argv, .. }) = people_see.last() else {
        panic!("a command")
    };
    assert_eq!(argv[1], "-lc", "what was asked for is what is shown");
    // What a login shell alone does is still done by one.
    let before = home.times_read();
    home.run("shopt -q login_shell").await;
    home.run("echo; exit 0").await;
    assert_eq!(home.times_read(), before + 2);
}

#[tokio::test]
async fn a_profile_that_changes_is_read_again() {
    let mut home = Home::with("export GREETING=one");
    assert!(home.runs_without("echo $GREETING", "one\n").await);
    home.write("export GREETING=three");
    assert_eq!(home.run("echo $GREETING").await, "three\n");
    assert!(home.runs_without("echo $GREETING", "three\n").await);
}

#[tokio::test]
async fn a_profile_that_does_more_is_read_every_time() {
    for (profile, command, expected) in [
        ("greet() { echo hi; }", "greet", "hi\n"),
        ("quiet=x", "echo $quiet", "x\n"),
        ("umask 027", "umask", "0027\n"),
        (
            "shopt -s expand_aliases; alias greet='echo hi'",
            "greet",
            "hi\n",
        ),
        ("ulimit -S -n 77", "ulimit -n", "77\n"),
        ("trap 'echo bye' EXIT", "echo hi", "hi\nbye\n"),
        ("cd /", "pwd", "/\n"),
        ("echo hello", "true", "hello\n"),
        ("echo hello >&2", "true", "hello\n"),
        ("set -f", "echo /*", "/*\n"),
        ("exec 9</dev/null", "cat <&9 && echo open", "open\n"),
        (
            "export CODEX_TOOL_CALL_ID=x",
            "echo $CODEX_TOOL_CALL_ID",
            "x\n",
        ),
    ] {
        let mut home = Home::with(profile);
        for number in 1..=12 {
            let before = home.times_read();
            assert_eq!(
                home.run(command).await,
                expected,
                "{profile}: command {number}"
            );
            assert!(
                home.times_read() > before,
                "{profile}: command {number} went without it"
            );
        }
    }
}

#[tokio::test]
async fn without_a_login_shell_the_profile_is_nobodys_concern() {
    let mut home = Home::with("export GREETING=hi");
    for _ in 0..4 {
        let reply = home
            .lab
            .exec(json!({"cmd": "echo [$GREETING]", "login": false}))
            .await;
        assert_eq!(reply.output, "[]\n");
    }
    assert_eq!(home.times_read(), 0);
}

#[tokio::test]
async fn a_terminal_always_gets_the_whole_profile() {
    let mut home = Home::with("export GREETING=hi");
    assert!(home.runs_without("echo $GREETING", "hi\n").await);
    let before = home.times_read();
    let reply = home
        .lab
        .exec(json!({"cmd": "echo $GREETING", "tty": true}))
        .await;
    assert_eq!(reply.output, "hi\r\n");
    assert_eq!(home.times_read(), before + 1);
}
