//! No failure to get credentials leads to a request without any.

use dovetail_tests::Lab;

use super::cloud::Cloud;
use super::{answer, bedrock, config, set_keys, write_aws};

/// A failure: what makes it, and words of the message.
struct Failure {
    name: &'static str,
    make: fn(&mut Lab, &str),
    words: &'static str,
}

/// The profile of a file, chosen in the environment.
fn profile(lab: &mut Lab, keys: &str) {
    write_aws(lab, "config", &format!("[profile p]\n{keys}\n"));
    lab.set_env("AWS_PROFILE", "p");
}

fn export(lab: &Lab, script: &str) {
    let aws = format!(
        "region = \"us-east-1\"\ncredential_export = {{ command = \"/bin/sh\", args = [\"-c\", \"{script}\"], timeout_ms = 500 }}"
    );
    lab.write_config(&config(lab, &aws));
}

const FAILURES: [Failure; 22] = [
    Failure {
        name: "nothing",
        make: |_, _| {},
        words: "there are no AWS credentials",
    },
    Failure {
        name: "half a pair of keys",
        make: |lab, _| lab.set_env("AWS_ACCESS_KEY_ID", "AKID"),
        words: "the environment has an access key id and no secret access key",
    },
    Failure {
        name: "an unknown profile",
        make: |lab, _| lab.set_env("AWS_PROFILE", "nope"),
        words: "AWS profile `nope` is neither",
    },
    Failure {
        name: "export: exit code",
        make: |lab, _| export(lab, "echo why >&2; exit 3"),
        words: "exit code 3: why",
    },
    Failure {
        name: "export: nothing",
        make: |lab, _| export(lab, "true"),
        words: "gave no credentials",
    },
    Failure {
        name: "export: no JSON",
        make: |lab, _| export(lab, "echo AKID"),
        words: "not the expected JSON",
    },
    Failure {
        name: "export: time",
        make: |lab, _| export(lab, "sleep 60"),
        words: "did not end within 500 ms",
    },
    Failure {
        name: "export: over",
        make: |lab, _| {
            let path = lab.write("old.json", super::document("OLD").replace("2099", "2020"));
            export(lab, &format!("cat '{}'", path.display()));
        },
        words: "the AWS credentials with the key `OLD` have ended",
    },
    Failure {
        name: "export: missing",
        make: |lab, _| {
            let aws = "region = \"us-east-1\"\ncredential_export = { command = \"/nowhere/keys\" }";
            lab.write_config(&config(lab, aws));
        },
        words: "/nowhere/keys",
    },
    Failure {
        name: "process: exit code",
        make: |lab, _| profile(lab, "credential_process = false"),
        words: "exit code 1",
    },
    Failure {
        name: "process: quotes",
        make: |lab, _| profile(lab, "credential_process = 'x"),
        words: "is no command",
    },
    Failure {
        name: "role: refused",
        make: |lab, url| {
            lab.set_env("AWS_ENDPOINT_URL_STS", &format!("{url}/refused"));
            write_aws(
                lab,
                "credentials",
                "[base]\naws_access_key_id = a\naws_secret_access_key = b\n",
            );
            profile(lab, "role_arn = arn:1\nsource_profile = base");
        },
        words: "assuming role `arn:1`: AccessDenied no",
    },
    Failure {
        name: "role: circle",
        make: |lab, _| {
            profile(
                lab,
                "role_arn = arn:1\nsource_profile = q\n[profile q]\nrole_arn = arn:2\nsource_profile = p",
            )
        },
        words: "refers to itself",
    },
    Failure {
        name: "role: code of a device",
        make: |lab, _| {
            profile(
                lab,
                "role_arn = arn:1\nsource_profile = p\nmfa_serial = x\naws_access_key_id = a\naws_secret_access_key = b",
            )
        },
        words: "mfa_serial",
    },
    Failure {
        name: "web identity: no file",
        make: |lab, _| {
            lab.set_env("AWS_ROLE_ARN", "arn:1");
            lab.set_env("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token");
        },
        words: "is not there: `/nowhere/token`",
    },
    Failure {
        name: "sign-in: missing",
        make: |lab, _| {
            profile(
                lab,
                "sso_start_url = https://x\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = r",
            )
        },
        words: "run: aws sso login --profile p",
    },
    Failure {
        name: "container: refused",
        make: |lab, url| {
            lab.set_env(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                &format!("{url}/nothing-here"),
            )
        },
        words: "the container's credentials were refused: status 404",
    },
    Failure {
        name: "container: elsewhere",
        make: |lab, _| {
            lab.set_env(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://metadata.example/x",
            )
        },
        words: "may not connect to `http://metadata.example`",
    },
    Failure {
        name: "instance: no role",
        make: |lab, url| {
            lab.remove_env("AWS_EC2_METADATA_DISABLED");
            lab.set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
        },
        words: "there are no AWS credentials",
    },
    Failure {
        name: "a key with control characters",
        make: |lab, _| lab.set_env("AWS_BEARER_TOKEN_BEDROCK", "a\u{7}b"),
        words: "control character",
    },
    Failure {
        name: "auth command",
        make: |lab, _| {
            let url = lab.server().base_url();
            lab.write_config(&format!(
                "model_provider = \"amazon-bedrock\"\n[model_providers.amazon-bedrock]\nbase_url = \"{url}\"\n\
                 auth = {{ command = \"false\" }}\n"
            ));
        },
        words: "auth command `false` ended with exit code 1",
    },
    Failure {
        name: "files that are no text",
        make: |lab, _| {
            let path = lab.outside().join(".aws/credentials");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"\xff\xfe").unwrap();
        },
        words: "it is not UTF-8",
    },
];

#[tokio::test]
async fn no_failure_leads_to_a_request() {
    let refused = "<E><Error><Code>AccessDenied</Code><Message>no</Message></Error></E>";
    let cloud = Cloud::start(&[("POST /refused/", 403, refused)]).await;
    for failure in FAILURES {
        let mut lab = bedrock(&[&answer()]).await;
        (failure.make)(&mut lab, &cloud.url());
        let ran = lab.exec_json(&["hello"], 1).await;
        let said = ran.failure();
        assert!(said.contains(failure.words), "{}: {said}", failure.name);
        assert_eq!(lab.requests().len(), 0, "{}", failure.name);
    }
}

#[tokio::test]
async fn a_service_that_cannot_be_asked_now_is_asked_again() {
    let mut lab = bedrock(&[&answer()]).await;
    let cloud = Cloud::start(&[("GET /creds", 500, "")]).await;
    lab.set_env(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        &format!("{}/creds", cloud.url()),
    );
    let ran = lab.exec_json(&["hello"], 1).await;
    assert!(
        ran.failure()
            .contains("the container's credentials cannot be had now: status 500"),
        "{}",
        ran.failure()
    );
    assert!(cloud.asked().len() > 1, "{:?}", cloud.paths());
    assert_eq!(lab.requests().len(), 0);
}

#[tokio::test]
async fn a_projects_files_cannot_choose_credentials() {
    let mut lab = bedrock(&[&answer()]).await;
    set_keys(&mut lab, "ENV");
    lab.write(
        ".codex/config.toml",
        "[model_providers.amazon-bedrock.aws]\ncredential_export = { command = \"touch\", args = [\"stolen\"] }\n",
    );
    lab.exec(&["--trust", "hello"]).await.expect_code(0);
    assert!(!lab.project().join("stolen").exists());
    assert_eq!(super::signing::checked(&lab)[0].access_key_id, "ENV");
}

#[tokio::test]
async fn a_damaged_login_is_not_passed_over() {
    let mut lab = bedrock(&[&answer()]).await;
    set_keys(&mut lab, "ENV");
    for (store, words) in [
        ("{ \"bedrock_api_key", "line 1 is not JSON"),
        (r#"{"bedrock_api_key":{"api_key":5}}"#, "it is no text"),
        (
            r#"{"bedrock_access_keys":{"access_key_id":["AKID"]}}"#,
            "it is no text",
        ),
        (
            r#"{"bedrock_access_keys":{"access_key_id":"AKID"}}"#,
            "the login has an access key id and no secret access key",
        ),
    ] {
        lab.write_home("auth.json", store);
        let ran = lab.exec(&["hello"]).await.expect_code(1);
        ran.expect_errors(&[words]);
        assert!(lab.requests().is_empty(), "{store}");
    }
}
