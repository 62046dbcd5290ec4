use serde_json::{Value, json};

use super::*;
use crate::testing::{World, text};

const NOW: u64 = 1_795_224_440_000;

fn served(table: Value) -> Served {
    let settings =
        Settings::parse("amazon-bedrock", table.as_object().expect("a table")).expect("valid");
    Served::new(settings, Some("us-east-1".to_owned()))
}

fn head() -> RequestHead {
    RequestHead {
        method: "POST".to_owned(),
        url: "https://bedrock-mantle.us-east-1.api.aws/openai/v1/responses".to_owned(),
        headers: Vec::new(),
    }
}

/// The access key id that a request is signed with.
fn signed_with(served: &Served, now: u64) -> Result<String, Error> {
    let headers = served.authorize(&head(), &[0; 32], now)?;
    let authorization = headers
        .iter()
        .find(|header| header.name() == "authorization")
        .expect("it is signed");
    let value = text(authorization).expect("the plugin made it");
    let (_, rest) = value.split_once("Credential=").expect("it names the key");
    Ok(rest.split('/').next().expect("it is there").to_owned())
}

fn keys(id: &str) -> World {
    World::new()
        .slot("env:AWS_ACCESS_KEY_ID", id)
        .slot("env:AWS_SECRET_ACCESS_KEY", "s")
}

fn printed(id: &str, expiration: &str) -> String {
    json!({ "AccessKeyId": id, "SecretAccessKey": "s", "Expiration": expiration }).to_string()
}

#[test]
fn an_api_key_is_the_hosts_to_fill_in() {
    let mut served = served(json!({}));
    let world = keys("AK").slot("env:AWS_BEARER_TOKEN_BEDROCK", "k");
    let slot = Secret::slot("env:AWS_BEARER_TOKEN_BEDROCK");
    assert_eq!(
        served.prepare(&world, NOW),
        Ok(Prepared::header(Header::bearer(slot)))
    );
    assert_eq!(served.authorize(&head(), &[0; 32], NOW), Ok(Vec::new()));
    assert_eq!(served.recover(&world, NOW), Ok(Recovery::Unchanged));
}

#[test]
fn a_login_with_keys_comes_before_the_variable() {
    let mut served = served(json!({}));
    let world = World::new()
        .slot("env:AWS_BEARER_TOKEN_BEDROCK", "k")
        .slot("auth:bedrock_access_keys.access_key_id", "LOGIN")
        .slot("auth:bedrock_access_keys.secret_access_key", "s");
    assert_eq!(served.prepare(&world, NOW), Ok(Prepared::no_credential()));
    assert_eq!(signed_with(&served, NOW), Ok("LOGIN".to_owned()));
}

#[test]
fn nothing_is_sent_before_there_are_credentials() {
    let mut served = served(json!({}));
    let error = served
        .authorize(&head(), &[0; 32], NOW)
        .expect_err("nothing to sign with");
    assert!(matches!(error, Error::Retryable { .. }), "{error}");
    let world = World::new().variable("AWS_EC2_METADATA_DISABLED", "true");
    assert!(matches!(
        served.prepare(&world, NOW),
        Err(Error::Unavailable(_))
    ));
    assert!(served.authorize(&head(), &[0; 32], NOW).is_err());
}

const EXPORT: &str = "print-keys";

fn exporting(more: Value) -> Served {
    let mut aws = json!({ "credential_export": { "command": EXPORT } });
    let (Value::Object(aws_table), Value::Object(more)) = (&mut aws, more) else {
        unreachable!("both are tables")
    };
    aws_table.extend(more);
    served(json!({ "aws": aws }))
}

#[test]
fn credentials_are_kept_until_shortly_before_they_end() {
    let world = World::new()
        .program(EXPORT, 0, &printed("FIRST", "2026-11-21T01:37:20Z"))
        .program(EXPORT, 0, &printed("SECOND", "2026-11-21T02:37:20Z"));
    let mut served = exporting(json!({}));
    let prepared = served.prepare(&world, NOW).expect("there are");
    assert_eq!(prepared.expires_at_unix_ms, Some(NOW + 600_000));
    served.prepare(&world, NOW + 500_000).expect("still good");
    assert_eq!(world.asked().len(), 1);
    assert_eq!(signed_with(&served, NOW + 599_999), Ok("FIRST".to_owned()));
    assert!(
        signed_with(&served, NOW + 600_000).is_err(),
        "what has ended signs nothing"
    );
    served.prepare(&world, NOW + 560_000).expect("renewed");
    assert_eq!(signed_with(&served, NOW + 600_000), Ok("SECOND".to_owned()));
}

#[test]
fn credentials_that_have_ended_already_are_not_used() {
    let world = World::new().program(EXPORT, 0, &printed("OLD", "2026-11-21T01:27:20Z"));
    let error = exporting(json!({})).prepare(&world, NOW).expect_err("over");
    assert_eq!(
        error.to_string(),
        "the AWS credentials with the key `OLD` have ended"
    );
}

#[test]
fn refused_credentials_are_looked_for_again() {
    let mut served = served(json!({}));
    let world = keys("OLD");
    served.prepare(&world, NOW).expect("there are");
    assert_eq!(served.recover(&world, NOW), Ok(Recovery::Unchanged));
    served.prepare(&world, NOW).expect("there are");
    world.put("env:AWS_ACCESS_KEY_ID", "NEW");
    assert_eq!(served.recover(&world, NOW), Ok(Recovery::Changed));
    assert_eq!(signed_with(&served, NOW), Ok("NEW".to_owned()));
}

#[test]
fn signing_in_again_is_tried_once_where_it_can_help() {
    let refresh = json!({ "auth_refresh": { "command": "aws", "args": ["sso", "login"] } });
    let world = World::new()
        .program(EXPORT, 1, "")
        .program(EXPORT, 1, "")
        .program(EXPORT, 0, &printed("NEW", "2026-11-21T02:37:20Z"))
        .program("aws sso login", 0, "");
    let mut served = exporting(refresh.clone());
    served.prepare(&world, NOW).expect("signed in");
    assert_eq!(
        world.asked(),
        [EXPORT, "lock auth-refresh", EXPORT, "aws sso login", EXPORT]
    );
    assert_eq!(signed_with(&served, NOW), Ok("NEW".to_owned()));

    let failing = World::new()
        .program(EXPORT, 1, "")
        .program("aws sso login", 255, "");
    let error = exporting(refresh)
        .prepare(&failing, NOW)
        .expect_err("not signed in");
    assert_eq!(
        error.to_string(),
        "aws.auth_refresh `aws` ended with exit code 255: log in first"
    );
}

#[test]
fn another_process_may_have_signed_in_meanwhile() {
    let world = World::new().program(EXPORT, 1, "").program(
        EXPORT,
        0,
        &printed("THEIRS", "2026-11-21T02:37:20Z"),
    );
    let mut served =
        exporting(json!({ "auth_refresh": { "command": "aws", "args": ["sso", "login"] } }));
    served.prepare(&world, NOW).expect("somebody signed in");
    assert_eq!(world.asked(), [EXPORT, "lock auth-refresh", EXPORT]);
    assert_eq!(signed_with(&served, NOW), Ok("THEIRS".to_owned()));
}

#[test]
fn what_was_refused_and_cannot_be_renewed_says_so() {
    let world = World::new()
        .program(EXPORT, 0, &printed("OLD", "2026-11-21T02:37:20Z"))
        .program(EXPORT, 3, "");
    let mut served = exporting(json!({}));
    served.prepare(&world, NOW).expect("there are");
    let words = "aws.credential_export `print-keys` ended with exit code 3: log in first";
    assert_eq!(
        served.recover(&world, NOW),
        Ok(Recovery::Permanent(words.to_owned()))
    );
}

#[test]
fn a_command_may_print_a_token_instead() {
    let world = World::new()
        .program("token", 0, " t-1\n")
        .program("token", 0, "t-2\n");
    let mut served = served(json!({ "auth": { "command": "token", "refresh_interval_ms": 1000 } }));
    let bearer = |token: &str| Prepared::header(Header::bearer(token).sensitive());
    assert_eq!(
        served.prepare(&world, NOW),
        Ok(bearer("t-1").until(NOW + 1000))
    );
    assert_eq!(served.recover(&world, NOW), Ok(Recovery::Changed));
    assert_eq!(
        served.prepare(&world, NOW),
        Ok(bearer("t-2").until(NOW + 1000))
    );
    assert_eq!(served.authorize(&head(), &[0; 32], NOW), Ok(Vec::new()));
    assert_eq!(world.asked().len(), 2);
    for (printed, words) in [
        ("", "printed no token"),
        (
            "a\nb",
            "printed more than one word, or characters that no token has",
        ),
    ] {
        let world = World::new().program("token", 0, printed);
        let error = self::served(json!({ "auth": { "command": "token" } }))
            .prepare(&world, NOW)
            .expect_err("no token");
        assert_eq!(error.to_string(), format!("auth command `token` {words}"));
    }
}
