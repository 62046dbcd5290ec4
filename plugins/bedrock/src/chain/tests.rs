use serde_json::{Value, json};

use super::*;
use crate::testing::World;

const NOW: u64 = 1_795_224_440_000;
const METADATA: &str = "http://169.254.169.254/latest";

fn found(table: Value, world: &World) -> Result<String, String> {
    let settings =
        Settings::parse("amazon-bedrock", table.as_object().expect("a table")).expect("valid");
    let found = find(world, &settings, "us-east-1", NOW);
    found
        .map(|credentials| credentials.access_key_id)
        .map_err(|trouble| trouble.error.to_string())
}

fn document(id: &str) -> String {
    json!({ "AccessKeyId": id, "SecretAccessKey": "s", "Token": "t", "Expiration": "2026-11-21T02:27:20Z" }).to_string()
}

fn sts(id: &str) -> String {
    format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
         <SessionToken>t</SessionToken><Expiration>2026-11-21T02:27:20Z</Expiration></Credentials></AssumeRoleResult>\
         </AssumeRoleResponse>"
    )
}

/// Every place has credentials.
fn full() -> World {
    World::new()
        .slot("auth:bedrock_access_keys.access_key_id", "LOGIN")
        .slot("auth:bedrock_access_keys.secret_access_key", "s")
        .slot("env:AWS_ACCESS_KEY_ID", "ENV")
        .slot("env:AWS_SECRET_ACCESS_KEY", "s")
        .file(
            "~/.aws/credentials",
            "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n[dev]\naws_access_key_id = DEV\naws_secret_access_key = s\n",
        )
        .variable("AWS_ROLE_ARN", "arn:aws:iam::1:role/web")
        .variable("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token")
        .file("/run/token", "web-token\n")
        .answer("POST https://sts.us-east-1.amazonaws.com/", 200, &sts("WEB"))
        .variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")
        .answer("GET http://169.254.170.2/v2/x", 200, &document("CONTAINER"))
        .answer(&format!("PUT {METADATA}/api/token"), 200, "tok")
        .answer(&format!("GET {METADATA}/meta-data/iam/security-credentials/"), 200, "role\n")
        .answer(&format!("GET {METADATA}/meta-data/iam/security-credentials/role"), 200, &document("INSTANCE"))
        .program("print-keys --for bedrock", 0, r#"{"AccessKeyId":"EXPORT","SecretAccessKey":"s"}"#)
}

/// The same world without some of its variables, slots and files.
fn without(names: &[&str]) -> World {
    full().less(names)
}

#[test]
fn places_are_looked_at_in_order() {
    let export = json!({ "command": "print-keys", "args": ["--for", "bedrock"] });
    let profile = json!({ "aws": { "profile": "dev" } });
    let login = "auth:bedrock_access_keys.access_key_id";
    let (env, files, web, container) = (
        "env:AWS_ACCESS_KEY_ID",
        "file:~/.aws/credentials",
        "AWS_ROLE_ARN",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    );
    let cases = [
        (
            json!({ "aws": { "credential_export": export } }),
            vec![],
            "EXPORT",
        ),
        (profile, vec![], "DEV"),
        (json!({}), vec![], "LOGIN"),
        (json!({}), vec![login], "ENV"),
        (json!({}), vec![login, env], "DEFAULT"),
        (json!({}), vec![login, env, files], "WEB"),
        (json!({}), vec![login, env, files, web], "CONTAINER"),
        (
            json!({}),
            vec![login, env, files, web, container],
            "INSTANCE",
        ),
    ];
    for (table, missing, expected) in cases {
        assert_eq!(
            found(table, &without(&missing)),
            Ok(expected.to_owned()),
            "without {missing:?}"
        );
    }
}

#[test]
fn having_none_says_what_to_do() {
    let world = World::new().variable("AWS_EC2_METADATA_DISABLED", "true");
    let error = found(json!({}), &world).expect_err("there are none");
    assert!(
        error.starts_with("there are no AWS credentials") && error.contains("aws configure"),
        "{error}"
    );
    assert_eq!(world.asked(), Vec::<String>::new());
}

/// A world with this `~/.aws/config`, where the token service gives `ROLE1`, then `ROLE2`.
fn with_config(config: &str) -> World {
    World::new()
        .file("~/.aws/config", config)
        .variable("AWS_PROFILE", "p")
        .variable("AWS_EC2_METADATA_DISABLED", "true")
        .answer(
            "POST https://sts.us-east-1.amazonaws.com/",
            200,
            &sts("ROLE1"),
        )
        .answer(
            "POST https://sts.us-east-1.amazonaws.com/",
            200,
            &sts("ROLE2"),
        )
}

const KEYS: &str = "aws_access_key_id = BASE\naws_secret_access_key = s\n";

#[test]
fn roles_are_assumed_one_after_the_other() {
    let world = with_config(&format!(
        "[profile p]\nrole_arn = arn:2\nsource_profile = middle\nexternal_id = x y\nduration_seconds = 900\n\
         [profile middle]\nrole_arn = arn:1\nsource_profile = base\nrole_session_name = me\n[profile base]\n{KEYS}"
    ));
    assert_eq!(found(json!({}), &world), Ok("ROLE2".to_owned()));
    assert_eq!(
        world.asked(),
        [
            "POST https://sts.us-east-1.amazonaws.com/ Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3A1&RoleSessionName=me",
            "POST https://sts.us-east-1.amazonaws.com/ Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3A2&RoleSessionName=dovetail&ExternalId=x%20y&DurationSeconds=900",
        ]
    );
}

#[test]
fn a_role_may_be_assumed_with_what_stands_beside_it() {
    let own = with_config(&format!(
        "[profile p]\nrole_arn = arn:1\nsource_profile = p\n{KEYS}"
    ));
    assert_eq!(found(json!({}), &own), Ok("ROLE1".to_owned()));
    let variable = with_config("[profile p]\nrole_arn = arn:1\ncredential_source = Environment\n")
        .slot("env:AWS_ACCESS_KEY_ID", "ENV")
        .slot("env:AWS_SECRET_ACCESS_KEY", "s");
    // The variables alone would come first; the profile is asked for by name.
    assert_eq!(
        found(json!({ "aws": { "profile": "p" } }), &variable),
        Ok("ROLE1".to_owned())
    );
    let token = with_config("[profile p]\nrole_arn = arn:1\nweb_identity_token_file = /run/t\n")
        .file("/run/t", "w.t\n");
    assert_eq!(found(json!({}), &token), Ok("ROLE1".to_owned()));
    assert_eq!(
        token.asked(),
        [
            "POST https://sts.us-east-1.amazonaws.com/ Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3A1&RoleSessionName=dovetail&WebIdentityToken=w.t"
        ]
    );
}

#[test]
fn a_profile_may_name_a_program() {
    let world = with_config("[profile p]\ncredential_process = /opt/keys --name 'a b'\n").program(
        "/opt/keys --name a b",
        0,
        r#"{"Version":1,"AccessKeyId":"PRINTED","SecretAccessKey":"s"}"#,
    );
    assert_eq!(found(json!({}), &world), Ok("PRINTED".to_owned()));
    let failing = with_config("[profile p]\ncredential_process = keys\n").program("keys", 3, "");
    assert_eq!(
        found(json!({}), &failing),
        Err("credential_process `keys` ended with exit code 3: log in first".to_owned())
    );
}

/// A sign-in of session `corp` that ends then.
fn signed_in(expires_at: &str) -> World {
    with_config(
        "[profile p]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = Dev Role\n\
         [sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-1\n",
    )
    .file(
        "~/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
        &json!({ "accessToken": "at", "expiresAt": expires_at, "region": "eu-west-1" }).to_string(),
    )
}

const PORTAL: &str = "GET https://portal.sso.eu-west-1.amazonaws.com/federation/credentials?role_name=Dev%20Role&account_id=123";

#[test]
fn a_sign_in_gives_the_credentials_of_a_role() {
    let answer = json!({ "roleCredentials": { "accessKeyId": "SSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": 1 } });
    let world = signed_in("2026-11-21T01:27:21Z").answer(PORTAL, 200, &answer.to_string());
    assert_eq!(found(json!({}), &world), Ok("SSO".to_owned()));
    assert_eq!(world.asked(), [PORTAL]);
}

#[test]
fn a_sign_in_that_is_over_says_how_to_renew_it() {
    let hint = "; run: aws sso login --profile p";
    let over = signed_in("2026-11-21T01:27:20Z");
    assert_eq!(
        found(json!({}), &over),
        Err(format!("the sign-in of profile `p` is over{hint}"))
    );
    assert_eq!(over.asked(), ["lock sign-in corp"]);
    let refused = signed_in("2026-11-21T01:27:21Z").answer(PORTAL, 401, "{}");
    assert_eq!(
        found(json!({}), &refused),
        Err(format!(
            "the sign-in of profile `p` is not accepted any more{hint}"
        ))
    );
    let missing = signed_in("2026-11-21T01:27:21Z")
        .less(&["file:~/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json"]);
    assert_eq!(
        found(json!({}), &missing),
        Err(format!("the sign-in of profile `p` is not there{hint}"))
    );
}

#[test]
fn profiles_that_lead_nowhere_say_why() {
    let cases = [
        (
            "",
            "AWS profile `p` is neither in the config file nor in the credentials file",
        ),
        (
            "[profile p]\nrole_arn = a\n",
            "AWS profile `p` has a role and says not what to assume it with: `source_profile`, `credential_source` or `web_identity_token_file`",
        ),
        (
            "[profile p]\nrole_arn = a\nsource_profile = q\n",
            "AWS profile `q` is neither in the config file nor in the credentials file",
        ),
        (
            "[profile p]\nrole_arn = a\nsource_profile = q\n[profile q]\nrole_arn = b\nsource_profile = p\n",
            "AWS profile `p` refers to itself by way of others",
        ),
        (
            "[profile p]\nrole_arn = a\nsource_profile = p\n",
            "AWS profile `p` has no credentials",
        ),
        (
            "[profile p]\naws_access_key_id = a\n",
            "AWS profile `p` has an access key id and no secret access key",
        ),
        (
            "[profile p]\nsso_session = x\n",
            "profile `p` names the section `[sso-session x]`, which is not there",
        ),
        (
            "[profile p]\nsso_account_id = x\n",
            "profile `p` has no `sso_start_url`",
        ),
        (
            "[profile p]\ncredential_process = 'x\n",
            "`credential_process` of profile `p` is no command: its quotes are not closed, or it is empty",
        ),
        (
            "[profile p]\nrole_arn = a\ncredential_source = Moon\n",
            "`credential_source` of AWS profile `p` is `Moon`; there are Environment, EcsContainer and Ec2InstanceMetadata",
        ),
    ];
    for (config, expected) in cases {
        assert_eq!(
            found(json!({}), &with_config(config)),
            Err(expected.to_owned()),
            "{config}"
        );
    }
}

#[test]
fn the_token_services_words_are_shown() {
    let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not yours</Message></Error></ErrorResponse>";
    let world = World::new()
        .file(
            "~/.aws/config",
            &format!("[profile p]\nrole_arn = arn:1\nsource_profile = b\n[profile b]\n{KEYS}"),
        )
        .variable("AWS_PROFILE", "p")
        .answer("POST https://sts.us-east-1.amazonaws.com/", 403, xml);
    assert_eq!(
        found(json!({}), &world),
        Err("assuming role `arn:1`: AccessDenied not yours".to_owned())
    );
}

#[test]
fn services_can_be_somewhere_else() {
    let world = World::new()
        .variable(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://127.0.0.1:9/creds",
        )
        .variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/run/t")
        .file("/run/t", "tok")
        .answer("GET http://127.0.0.1:9/creds", 200, &document("POD"));
    assert_eq!(found(json!({}), &world), Ok("POD".to_owned()));
    let metadata = World::new()
        .variable("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9/")
        .answer("PUT http://127.0.0.1:9/latest/api/token", 404, "")
        .answer(
            "GET http://127.0.0.1:9/latest/meta-data/iam/security-credentials/",
            200,
            "r",
        )
        .answer(
            "GET http://127.0.0.1:9/latest/meta-data/iam/security-credentials/r",
            200,
            &document("OLD"),
        );
    assert_eq!(found(json!({}), &metadata), Ok("OLD".to_owned()));
}
