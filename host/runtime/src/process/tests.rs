use std::ffi::OsString;

use super::*;
use crate::argv::ArgvPattern;
use crate::capability::Capabilities;

fn id() -> PluginId {
    PluginId::parse("acme").expect("valid")
}

fn env() -> HostEnv {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let pairs: [(OsString, OsString); 3] = [
        ("PATH".into(), path),
        ("PLAIN".into(), "seen".into()),
        ("GH_TOKEN".into(), "hush".into()),
    ];
    pairs.into_iter().collect()
}

fn grant() -> Grant {
    let process = [
        ArgvPattern::parse(&["sh", "-c", "*"]).expect("valid"),
        ArgvPattern::parse(&["cat"]).expect("valid"),
        ArgvPattern::parse(&["dovetail-no-such-program"]).expect("valid"),
    ]
    .into();
    let asked = Capabilities {
        process,
        ..Capabilities::default()
    };
    Grant::intersect(&asked, &asked)
}

fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
        cwd: None,
        stdin: Vec::new(),
        timeout: None,
    }
}

async fn sh(script: &str) -> Output {
    run(
        &id(),
        &grant(),
        &env(),
        command(&["sh", "-c", script]),
        1000,
    )
    .await
    .expect("it runs")
}

#[tokio::test]
async fn output_and_exit_code_come_back() {
    let output = sh("echo out; echo err >&2; exit 3").await;
    assert_eq!(
        output,
        Output {
            exit_code: Some(3),
            stdout: b"out\n".to_vec(),
            stderr: b"err\n".to_vec()
        }
    );
    assert_eq!(sh("kill -9 $$").await.exit_code, None);
}

#[tokio::test]
async fn arguments_are_not_read_by_a_shell() {
    let denied = run(
        &id(),
        &grant(),
        &env(),
        command(&["sh", "-c", "true", "; rm -rf x"]),
        10,
    )
    .await;
    assert_eq!(
        denied.expect_err("denied").to_string(),
        "denied: plugin `acme` may not run `sh -c true '; rm -rf x'`; \
         to allow it: dovetail plugin grant acme process sh -c true '; rm -rf x'"
    );
}

#[tokio::test]
async fn the_environment_has_no_credentials() {
    let output = sh("echo \"$PLAIN/$GH_TOKEN\"").await;
    assert_eq!(output.stdout, b"seen/\n");
}

#[tokio::test]
async fn input_is_given_and_closed() {
    let command = Command {
        stdin: b"hello".to_vec(),
        ..command(&["cat"])
    };
    let output = run(&id(), &grant(), &env(), command, 1000)
        .await
        .expect("it runs");
    assert_eq!(output.stdout, b"hello");
}

#[tokio::test]
async fn a_program_that_reads_nothing_is_no_failure() {
    let command = Command {
        stdin: vec![b'x'; 1 << 20],
        ..command(&["sh", "-c", "exit 0"])
    };
    let output = run(&id(), &grant(), &env(), command, 1000)
        .await
        .expect("it runs");
    assert_eq!(output.exit_code, Some(0));
}

#[tokio::test]
async fn a_flood_is_cut_and_does_not_block_the_program() {
    let command = command(&["sh", "-c", "head -c 1000000 /dev/zero; echo done >&2"]);
    let output = run(&id(), &grant(), &env(), command, 100)
        .await
        .expect("it runs");
    assert_eq!(output.stdout.len(), 100);
    assert_eq!(output.stderr, b"done\n");
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_with_its_children() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .expect("mkfifo is there");
    assert!(made.success());
    let mut alive = tokio::net::unix::pipe::OpenOptions::new()
        .open_receiver(&fifo)
        .expect("opened");
    let script = format!(
        "(echo started; exec sleep 1000) > {} & wait",
        fifo.display()
    );
    let command = Command {
        timeout: Some(Duration::from_millis(1000)),
        ..command(&["sh", "-c", &script])
    };
    let late = run(&id(), &grant(), &env(), command, 100)
        .await
        .expect_err("it takes too long");
    let reason = "`sh` did not end within 1000 ms".to_owned();
    assert_eq!(
        late,
        PluginError::Retryable {
            reason,
            after: None
        }
    );
    // The pipe ends when the last process that could write to it does.
    let mut said = String::new();
    alive.read_to_string(&mut said).await.expect("it ends");
    assert_eq!(said, "started\n");
}

#[tokio::test]
async fn what_is_left_in_the_background_holds_nothing_up() {
    let output = sh("sleep 2 & echo done").await;
    assert_eq!(output.stdout, b"done\n");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_unavailable() {
    let error = run(
        &id(),
        &grant(),
        &env(),
        command(&["dovetail-no-such-program"]),
        10,
    )
    .await
    .expect_err("not there");
    assert!(
        matches!(&error, PluginError::Unavailable(why) if why.contains("cannot start `dovetail-no-such-program`")),
        "{error}"
    );
    assert!(matches!(
        run(&id(), &grant(), &env(), command(&[]), 10).await,
        Err(PluginError::Denied(_))
    ));
}

#[tokio::test]
async fn a_plugins_program_stays_in_the_working_directory() {
    let in_dir = |cwd: &str| Command {
        cwd: Some(cwd.into()),
        ..command(&["sh", "-c", "pwd"])
    };
    for cwd in ["/", "..", "src/../.."] {
        let denied = run(&id(), &grant(), &env(), in_dir(cwd), 1000).await;
        assert!(
            matches!(denied, Err(PluginError::Denied(_))),
            "{cwd} {denied:?}"
        );
    }
    let below = run(&id(), &grant(), &env(), in_dir("./src"), 1000)
        .await
        .expect("it runs");
    assert!(below.stdout.ends_with(b"/src\n"));
    let users = Grant::builtin(grant().capabilities().clone());
    let anywhere = run(&id(), &users, &env(), in_dir("/"), 1000)
        .await
        .expect("it runs");
    assert_eq!(anywhere.stdout, b"/\n");
}
