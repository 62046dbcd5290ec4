//! Tokens that a command prints: how often it runs, for whom, and what it may print.

use dovetail_tests::{Lab, script};

use crate::lab;

/// A model that takes this token from so many requests.
fn expecting(token: &str, times: usize) -> String {
    format!(
        "[[response]]\ntimes = {times}\nexpect = [{{ header = \"authorization\", equals = \"Bearer {token}\" }}]\n\
         actions = [{{ text = \"hi\" }}]\n"
    )
}

/// The provider's table with a command that notes each run and prints this; `$n` is the number of the run.
fn with_command(lab: &Lab, prints: &str, more: &str) {
    let script = format!("#!/bin/sh\necho run >> runs\nn=$(($(wc -l < runs)))\n{prints}\n");
    let command = lab.write("token.sh", script);
    let auth = format!(
        "auth = {{ command = \"/bin/sh\", args = [\"{}\"]{more} }}",
        command.display()
    );
    lab.write_config(
        &lab.provider_config(&auth)
            .replace("env_key = \"REHEARSAL_KEY\"\n", ""),
    );
}

fn runs(lab: &Lab) -> usize {
    let runs = std::fs::read_to_string(lab.project().join("runs")).unwrap();
    runs.lines().count()
}

fn tokens(lab: &Lab) -> Vec<String> {
    let of = |request: &dovetail_rehearsal::RecordedRequest| {
        request.header("authorization").unwrap().to_owned()
    };
    lab.requests().iter().map(of).collect()
}

#[tokio::test]
async fn it_runs_once_for_processes_that_want_a_token_at_once() {
    let lab = lab(&[&expecting("t-1", 8)]).await;
    with_command(&lab, "sleep 0.3; echo t-$n", "");
    let running: Vec<_> = (0..8).map(|_| lab.start_exec(&["hello"])).collect();
    for process in running {
        process.finish().await.expect_code(0);
    }
    lab.expect_played();
    assert_eq!(runs(&lab), 1);
}

#[tokio::test]
async fn a_token_is_used_by_later_processes_until_it_is_old_or_refused() {
    let refused = script::status(401, r#"{"error":{"message":"expired"}}"#);
    let model = [
        expecting("t-1", 2),
        refused,
        expecting("t-2", 2),
        expecting("t-3", 1),
    ];
    let mut lab = lab(&[&model.concat()]).await;
    with_command(&lab, "echo t-$n", "");
    for _ in 0..4 {
        lab.exec(&["hello"]).await.expect_code(0);
    }
    assert_eq!(runs(&lab), 2);

    // Another environment may mean another person.
    lab.set_env("CLOUD_PROFILE", "other");
    lab.exec(&["hello"]).await.expect_code(0);
    lab.expect_played();

    // Another address has another list of models, which is asked for with the one in between.
    lab.play(&[expecting("t-4", 1), expecting("t-6", 1)].concat())
        .await;
    with_command(&lab, "echo t-$n", ", refresh_interval_ms = 1");
    for _ in 0..2 {
        lab.exec(&["hello"]).await.expect_code(0);
    }
    lab.expect_played();
}

#[tokio::test]
async fn a_gateway_that_answers_403_has_it_run_again_once() {
    let refused = script::status(403, r#"{"error":{"message":"token expired"}}"#);
    let model = [refused.clone(), expecting("t-2", 1)].concat();
    let mut lab = lab(&[&model]).await;
    with_command(&lab, "echo t-$n", "");
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(tokens(&lab), ["Bearer t-1", "Bearer t-2"]);

    lab.play(&refused.repeat(2)).await;
    with_command(&lab, "echo t-$n", "");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(ran.failure().contains("403"), "{}", ran.failure());
    lab.expect_played();
}

#[tokio::test]
async fn it_may_print_json_with_an_end_and_headers() {
    let tenant = "[[response]]\nexpect = [\
        { header = \"authorization\", equals = \"Bearer t-1\" }, { header = \"x-tenant\", equals = \"acme\" }]\n\
        actions = [{ text = \"hi\" }]\n";
    let lab = lab(&[tenant, tenant, &tenant.replace("t-1", "t-3")]).await;
    let printing = |end: &str| {
        format!(
            "echo '{{\"token\": \"t-'$n'\", \"expires_at\": {end}, \"headers\": {{\"X-Tenant\": \"acme\"}}}}'"
        )
    };
    with_command(&lab, &printing("4102444800"), "");
    for _ in 0..2 {
        lab.exec(&["hello"]).await.expect_code(0);
    }
    assert_eq!(runs(&lab), 1);
    with_command(&lab, &printing("\"soon\""), ", timeout_ms = 4999");
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .contains("neither an RFC 3339 time nor seconds"),
        "{}",
        ran.failure()
    );
    with_command(
        &lab,
        &printing("\"2100-01-01T00:00:00+00:00\""),
        ", timeout_ms = 4998",
    );
    lab.exec(&["hello"]).await.expect_code(0);
    lab.expect_played();
}
