//! What commands of the model may do, and what it is told when they may not.

use dovetail_tests::{Lab, script};

use crate::lab;

/// Runs a command in a mode and returns what the model saw of it.
async fn run(lab: &Lab, mode: Option<&str>) -> String {
    let mode = mode.map(|mode| ["-s", mode]);
    let args: Vec<&str> = mode.iter().flatten().copied().chain(["go"]).collect();
    lab.exec(&args).await.expect_code(0);
    lab.expect_played();
    lab.output_of("c")
}

async fn with_command(cmd: impl Fn(&Lab) -> String) -> Lab {
    let mut lab = lab(&[&script::answer("unused")]).await;
    lab.init_git();
    let cmd = cmd(&lab);
    play(&mut lab, &script::command("c", &cmd)).await;
    lab
}

/// Plays one call. Temporary directories are not to be written, since the lab is in one.
async fn play(lab: &mut Lab, call: &str) {
    lab.play(&[call, &script::answer("ok")].concat()).await;
    lab.write_config(&lab.provider_config(""));
    lab.add_config(
        "[sandbox_workspace_write]\nexclude_slash_tmp = true\nexclude_tmpdir_env_var = true",
    );
}

#[derive(Clone, Copy)]
enum Expect {
    Written,
    Refused,
}

/// Writes one file in a mode, and compares what came of it with what the model was told.
async fn check_write(mode: Option<&str>, target: &str, expect: Expect) {
    let path = |lab: &Lab| {
        let target = target.replace("OUTSIDE", &lab.outside().display().to_string());
        target.replace("HOME", &lab.home().display().to_string())
    };
    let lab = with_command(|lab| format!("echo mine > {}", path(lab))).await;
    let output = run(&lab, mode).await;
    let written = lab.project().join(path(&lab));
    let written = std::fs::read_to_string(&written).is_ok_and(|text| text == "mine\n");
    match expect {
        Expect::Written => {
            assert!(
                written && output.contains("exited with code 0"),
                "{mode:?} {target}: {output}"
            );
        }
        Expect::Refused => {
            assert!(!written, "{mode:?} {target} was written");
            assert!(
                output.contains("exited with code 1"),
                "{mode:?} {target}: {output}"
            );
            let why = [
                "Permission denied",
                "Read-only file system",
                "Operation not permitted",
            ];
            assert!(
                why.iter().any(|why| output.contains(why)),
                "{mode:?} {target}: {output}"
            );
        }
    }
}

#[tokio::test]
async fn by_default_nothing_is_written_and_the_model_sees_why() {
    for target in ["inside.txt", "OUTSIDE/file.txt", "HOME/config.toml"] {
        check_write(None, target, Expect::Refused).await;
    }
}

#[tokio::test]
async fn in_the_workspace_only_the_work_is_written() {
    let mode = Some("workspace-write");
    check_write(mode, "inside.txt", Expect::Written).await;
    for target in [
        "OUTSIDE/file.txt",
        ".git/config",
        ".git/hooks/pre-commit",
        "HOME/config.toml",
        "HOME/AGENTS.md",
    ] {
        check_write(mode, target, Expect::Refused).await;
    }
}

#[tokio::test]
async fn files_that_configure_us_cannot_be_made_in_the_workspace() {
    let lab = with_command(|_| {
        "mkdir -p .codex/dovetail/plugins; echo mine > .codex/config.toml".to_owned()
    })
    .await;
    let output = run(&lab, Some("workspace-write")).await;
    assert!(
        !lab.project().join(".codex/config.toml").exists(),
        "{output}"
    );
    assert!(output.contains("exited with code 1"), "{output}");
}

#[tokio::test]
async fn without_a_sandbox_anything_is_written() {
    check_write(Some("danger-full-access"), "inside.txt", Expect::Written).await;
    check_write(
        Some("danger-full-access"),
        "OUTSIDE/file.txt",
        Expect::Written,
    )
    .await;
}

#[tokio::test]
async fn an_added_directory_may_be_written() {
    let lab = with_command(|lab| format!("echo mine > {}/file.txt", lab.outside().display())).await;
    let outside = lab.outside().display().to_string();
    lab.exec(&["-s", "workspace-write", "--add-dir", &outside, "go"])
        .await
        .expect_code(0);
    assert!(
        lab.outside().join("file.txt").exists(),
        "{}",
        lab.output_of("c")
    );
}

/// Whether a command reaches a listener of this test. Bash connects by itself, so no other program is needed.
async fn connects(mode: Option<&str>) -> (bool, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let lab = with_command(|_| format!("bash -c 'echo hi > /dev/tcp/127.0.0.1/{port}'")).await;
    let output = run(&lab, mode).await;
    (listener.accept().is_ok(), output)
}

#[tokio::test]
async fn a_connection_is_refused_and_the_model_sees_why() {
    for mode in [None, Some("workspace-write")] {
        let (connected, output) = connects(mode).await;
        assert!(!connected, "{mode:?}");
        assert!(output.contains("exited with code 1"), "{mode:?}: {output}");
        assert!(
            output.contains("not permitted") || output.contains("ermission denied"),
            "{mode:?}: {output}"
        );
    }
    let (connected, output) = connects(Some("danger-full-access")).await;
    assert!(connected, "{output}");
}

#[tokio::test]
async fn the_network_can_be_allowed_for_the_workspace() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let lab = with_command(|_| format!("bash -c 'echo hi > /dev/tcp/127.0.0.1/{port}'")).await;
    lab.exec(&[
        "-s",
        "workspace-write",
        "-c",
        "sandbox_workspace_write.network_access=true",
        "go",
    ])
    .await
    .expect_code(0);
    assert!(listener.accept().is_ok(), "{}", lab.output_of("c"));
}

async fn check_patch(mode: Option<&str>, path: &str, expect: Expect) {
    let mut lab = lab(&[&script::answer("unused")]).await;
    lab.init_git();
    let path = path.replace("OUTSIDE", &lab.outside().display().to_string());
    let patch = format!("*** Begin Patch\n*** Add File: {path}\n+mine\n*** End Patch\n");
    play(&mut lab, &script::patch("c", &patch)).await;
    let output = run(&lab, mode).await;
    let written = lab.project().join(&path).exists();
    match expect {
        Expect::Written => assert!(
            written && output.starts_with("Exit code: 0"),
            "{mode:?} {path}: {output}"
        ),
        Expect::Refused => assert!(
            !written && output.contains("patch rejected"),
            "{mode:?} {path}: {output}"
        ),
    }
}

#[tokio::test]
async fn patches_obey_the_same_rules() {
    check_patch(None, "new.txt", Expect::Refused).await;
    let workspace = Some("workspace-write");
    check_patch(workspace, "new.txt", Expect::Written).await;
    check_patch(workspace, "OUTSIDE/new.txt", Expect::Refused).await;
    check_patch(workspace, "../user/new.txt", Expect::Refused).await;
    check_patch(workspace, ".git/hooks/pre-commit", Expect::Refused).await;
    check_patch(workspace, ".codex/config.toml", Expect::Refused).await;
    check_patch(
        Some("danger-full-access"),
        "OUTSIDE/new.txt",
        Expect::Written,
    )
    .await;
}

#[tokio::test]
async fn a_patch_does_not_follow_a_link_out_of_the_workspace() {
    let mut lab = lab(&[&script::answer("unused")]).await;
    std::os::unix::fs::symlink(lab.outside(), lab.project().join("link")).unwrap();
    let patch = "*** Begin Patch\n*** Add File: link/new.txt\n+mine\n*** End Patch\n";
    play(&mut lab, &script::patch("c", patch)).await;
    let output = run(&lab, Some("workspace-write")).await;
    assert!(!lab.outside().join("new.txt").exists(), "{output}");
}

#[tokio::test]
async fn credentials_are_not_in_the_environment_of_commands() {
    let mut lab = with_command(|_| "env".to_owned()).await;
    lab.set_env("OPENAI_API_KEY", "sk-of-the-user");
    lab.set_env("CODEX_API_KEY", "sk-of-the-user");
    lab.set_env("HARMLESS", "visible");
    let output = run(&lab, Some("danger-full-access")).await;
    assert!(output.contains("HARMLESS=visible"), "{output}");
    assert!(
        !output.contains("sk-of-the-user") && !output.contains("test-key"),
        "{output}"
    );
}
