//! Credentials that end: before a request, and in the eyes of the service.

use dovetail_tests::{Lab, script};

use super::signing::checked;
use super::{answer, bedrock, config, document, set_keys, write_aws};

const EXPIRED: &str = r#"{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}"#;

/// Credentials that a program prints; the first time `OLD`, then `NEW`.
fn export_changing(lab: &Lab, more: &str) {
    lab.write("OLD", document("OLD"));
    lab.write("NEW", document("NEW"));
    let program = lab.write(
        "export.sh",
        "echo run >> runs\nif [ $(wc -l < runs) = 1 ]; then cat OLD; else cat NEW; fi\n",
    );
    lab.write_config(&config(
        lab,
        &format!(
            "region = \"us-east-1\"\ncredential_export = {{ command = \"/bin/sh\", args = [\"{}\"] }}\n{more}",
            program.display()
        ),
    ));
}

fn keys(lab: &Lab) -> Vec<String> {
    checked(lab)
        .into_iter()
        .map(|signed| signed.access_key_id)
        .collect()
}

#[tokio::test]
async fn refused_credentials_are_renewed_once() {
    let lab = bedrock(&[&script::status(403, EXPIRED), &answer()]).await;
    export_changing(&lab, "");
    let ran = lab.exec_json(&["hello"], 0).await;
    assert_eq!(ran.complaints(), Vec::<String>::new());
    assert_eq!(keys(&lab), ["OLD", "NEW"]);
    lab.expect_played();
}

#[tokio::test]
async fn credentials_that_are_refused_for_ever_fail_the_turn_after_one_renewal() {
    let refused = script::status(403, EXPIRED);
    let lab = bedrock(&[&refused, &refused, &refused]).await;
    export_changing(&lab, "");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .contains("the AWS credentials are not accepted any more"),
        "{}",
        ran.failure()
    );
    assert_eq!(keys(&lab), ["OLD", "NEW"]);
}

#[tokio::test]
async fn credentials_that_stay_the_same_are_not_sent_again() {
    let mut lab = bedrock(&[&script::status(403, EXPIRED), &answer()]).await;
    set_keys(&mut lab, "SAME");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(ran.failure().contains("403"), "{}", ran.failure());
    assert_eq!(keys(&lab), ["SAME"]);
}

#[tokio::test]
async fn another_refusal_renews_nothing() {
    let denied = script::status(
        403,
        r#"{"message":"not authorized to perform: bedrock:InvokeModel"}"#,
    );
    let lab = bedrock(&[&denied, &answer()]).await;
    export_changing(&lab, "");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure().contains("bedrock:InvokeModel"),
        "{}",
        ran.failure()
    );
    assert_eq!(keys(&lab), ["OLD"]);
}

#[tokio::test]
async fn credentials_that_end_during_a_turn_are_renewed_before_the_next_request() {
    let lab = bedrock(&[&script::command("c", "sleep 3"), &answer()]).await;
    export_changing(&lab, "");
    // They end while the command runs, counted from when they are printed.
    lab.write(
        "TEMPLATE",
        document("OLD").replace("2099-01-01T00:00:00Z", "ENDING"),
    );
    let ending = "ending=$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)\nsed \"s/ENDING/$ending/\" TEMPLATE > OLD\n";
    let program = std::fs::read_to_string(lab.project().join("export.sh")).unwrap();
    lab.write("export.sh", format!("{ending}{program}"));
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(keys(&lab), ["OLD", "NEW"]);
    lab.expect_played();
}

/// Seconds since 1970 as `date` writes them.
fn date_command(seconds: u64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// An `aws` that notes that it ran and puts keys in place.
fn fake_aws(lab: &mut Lab, script: &str) {
    let program = lab.write("bin/aws", format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    lab.set_env("PATH", &path);
}

/// A sign-in that is over, until `aws sso login` is run.
fn signed_out(lab: &mut Lab) {
    let keys_file = lab.outside().join(".aws/keys.json");
    let profile = format!(
        "[profile p]\ncredential_process = /bin/cat {}\n",
        keys_file.display()
    );
    write_aws(lab, "config", &profile);
    write_aws(lab, "new.json", &document("SIGNED-IN"));
    fake_aws(
        lab,
        "echo \"$@\" >> \"$HOME/ran\"; cp \"$HOME/.aws/new.json\" \"$HOME/.aws/keys.json\"",
    );
    let aws = "profile = \"p\"\nregion = \"us-east-1\"\nauth_refresh = { command = \"aws\", args = [\"sso\", \"login\"] }";
    lab.write_config(&config(lab, aws));
}

#[tokio::test]
async fn signing_in_again_is_run_where_a_sign_in_is_over() {
    let mut lab = bedrock(&[&answer()]).await;
    signed_out(&mut lab);
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(keys(&lab), ["SIGNED-IN"]);
    let ran = std::fs::read_to_string(lab.outside().join("ran")).unwrap();
    assert_eq!(ran, "sso login\n");
}

#[tokio::test]
async fn of_many_processes_one_signs_in() {
    let all = vec![answer(); 4].concat();
    let mut lab = bedrock(&[&all]).await;
    signed_out(&mut lab);
    let running: Vec<_> = (0..4).map(|_| lab.start_exec(&["hello"])).collect();
    for running in running {
        running.finish().await.expect_code(0);
    }
    assert_eq!(keys(&lab), ["SIGNED-IN"; 4]);
    let ran = std::fs::read_to_string(lab.outside().join("ran")).unwrap();
    assert_eq!(ran, "sso login\n");
}

#[tokio::test]
async fn a_sign_in_that_fails_fails_the_turn_with_its_words() {
    let mut lab = bedrock(&[&script::status(403, EXPIRED), &answer()]).await;
    set_keys(&mut lab, "SAME");
    fake_aws(&mut lab, "echo no browser >&2; exit 255");
    lab.write_config(&config(
        &lab,
        "region = \"us-east-1\"\nauth_refresh = { command = \"aws\", args = [\"sso\", \"login\"] }",
    ));
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .contains("aws.auth_refresh `aws` ended with exit code 255: no browser"),
        "{}",
        ran.failure()
    );
    assert_eq!(keys(&lab), ["SAME"]);
}

#[tokio::test]
async fn a_clock_that_is_off_is_corrected_by_the_service() {
    for minutes in [-10_i64, 10] {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let theirs = now.saturating_add_signed(minutes * 60);
        let output = std::process::Command::new("date")
            .args([
                "-u",
                "-d",
                &format!("@{theirs}"),
                "+%a, %d %b %Y %H:%M:%S GMT",
            ])
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let date = String::from_utf8(output.stdout).unwrap();
        let refused = script::response(&format!(
            "{{ headers = {{ date = {} }} }},\n{{ status = 403, body = {} }}",
            script::quoted(date.trim()),
            script::quoted(
                r#"{"message":"Signature expired: 20260102T030405Z is now earlier than it was"}"#
            )
        ));
        let refused = refused.replace(
            "{ usage = { input_tokens = 100, output_tokens = 10 } },\n",
            "",
        );
        let mut lab = bedrock(&[&refused, &answer()]).await;
        set_keys(&mut lab, "AKID");
        lab.exec(&["hello"]).await.expect_code(0);
        let signed = checked(&lab);
        let day_and_time = |seconds: u64| date_command(seconds).replace(['-', ':'], "");
        assert_eq!(signed.len(), 2);
        // Within the minute that the turn may take.
        let window: Vec<String> = (theirs..theirs + 60).map(day_and_time).collect();
        assert!(
            window.contains(&signed[1].date),
            "{minutes}: {} and {}",
            signed[1].date,
            window[0]
        );
    }
}
