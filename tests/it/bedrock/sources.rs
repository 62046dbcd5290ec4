//! Where credentials come from, each at the real program.

use dovetail_tests::Lab;
use serde_json::json;

use super::cloud::Cloud;
use super::signature::Arrived;
use super::signing::checked;
use super::{SECRET, answer, bedrock, config, document, set_keys, write_aws};

/// Runs a turn and gives the key that its request was signed with.
async fn key_used(lab: &Lab) -> String {
    let ran = lab.exec(&["hello"]).await;
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(!ran.stderr.contains(SECRET) && !ran.stdout.contains(SECRET));
    let signed = checked(lab);
    assert_eq!(signed.len(), 1);
    signed[0].access_key_id.clone()
}

fn static_keys(profile: &str, id: &str) -> String {
    format!("[{profile}]\naws_access_key_id = {id}\naws_secret_access_key = {SECRET}\n")
}

#[tokio::test]
async fn keys_in_the_environment() {
    let mut lab = bedrock(&[&answer()]).await;
    write_aws(&lab, "credentials", &static_keys("default", "FILE"));
    set_keys(&mut lab, "ENV");
    assert_eq!(key_used(&lab).await, "ENV");
}

#[tokio::test]
async fn the_default_profile_of_the_credentials_file() {
    let lab = bedrock(&[&answer()]).await;
    write_aws(&lab, "credentials", &static_keys("default", "FILE"));
    assert_eq!(key_used(&lab).await, "FILE");
}

#[tokio::test]
async fn a_profile_of_the_users_table_wins_over_the_environment() {
    let mut lab = bedrock(&[&answer()]).await;
    write_aws(&lab, "credentials", &static_keys("dev", "DEV"));
    write_aws(&lab, "config", "[profile dev]\nregion = eu-west-1\n");
    set_keys(&mut lab, "ENV");
    lab.set_env("AWS_BEARER_TOKEN_BEDROCK", "bearer");
    lab.write_config(&config(&lab, "profile = \"dev\""));
    assert_eq!(key_used(&lab).await, "DEV");
    assert_eq!(checked(&lab)[0].scope, "eu-west-1/bedrock-mantle");
}

#[tokio::test]
async fn files_somewhere_else() {
    let mut lab = bedrock(&[&answer()]).await;
    let path = lab.write_home("my-keys", static_keys("work", "ELSEWHERE"));
    lab.set_env("AWS_SHARED_CREDENTIALS_FILE", &path.display().to_string());
    lab.set_env("AWS_PROFILE", "work");
    assert_eq!(key_used(&lab).await, "ELSEWHERE");
}

#[tokio::test]
async fn a_program_that_a_profile_names() {
    let mut lab = bedrock(&[&answer()]).await;
    let printed = lab.write("keys.json", document("PROGRAM"));
    write_aws(
        &lab,
        "config",
        &format!(
            "[profile p]\ncredential_process = /bin/cat '{}'\n",
            printed.display()
        ),
    );
    lab.set_env("AWS_PROFILE", "p");
    assert_eq!(key_used(&lab).await, "PROGRAM");
    assert_eq!(
        lab.requests()[0].header("x-amz-security-token"),
        Some("tok-PROGRAM")
    );
}

#[tokio::test]
async fn a_program_of_the_users_table() {
    let mut lab = bedrock(&[&answer()]).await;
    let printed = lab.write("keys.json", document("EXPORT"));
    set_keys(&mut lab, "ENV");
    let export = format!(
        "region = \"us-east-1\"\ncredential_export = {{ command = \"/bin/cat\", args = [\"{}\"] }}",
        printed.display()
    );
    lab.write_config(&config(&lab, &export));
    assert_eq!(key_used(&lab).await, "EXPORT");
}

fn assumed(id: &str) -> String {
    format!(
        "<R><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
         <SessionToken>tok-{id}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>"
    )
}

#[tokio::test]
async fn a_role_that_is_assumed_with_another_profile() {
    let mut lab = bedrock(&[&answer()]).await;
    let cloud = Cloud::start(&[("POST /", 200, &assumed("ROLE"))]).await;
    lab.set_env("AWS_ENDPOINT_URL_STS", &cloud.url());
    lab.set_env("AWS_PROFILE", "role");
    let role = "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\nregion = eu-west-1\n";
    write_aws(&lab, "config", role);
    write_aws(&lab, "credentials", &static_keys("base", "BASE"));
    assert_eq!(key_used(&lab).await, "ROLE");
    let asked = &cloud.asked()[0];
    let signed = Arrived {
        method: &asked.method,
        path: &asked.path,
        headers: asked.headers(),
        body: &asked.body,
    }
    .check();
    assert_eq!(
        (signed.access_key_id.as_str(), signed.scope.as_str()),
        ("BASE", "eu-west-1/sts")
    );
}

#[tokio::test]
async fn a_token_of_an_identity_provider() {
    let mut lab = bedrock(&[&answer()]).await;
    let cloud = Cloud::start(&[("POST /", 200, &assumed("WEB"))]).await;
    let token = lab.write_home("web-token", "web.token\n");
    lab.set_env("AWS_ENDPOINT_URL_STS", &cloud.url());
    lab.set_env("AWS_ROLE_ARN", "arn:aws:iam::1:role/x");
    lab.set_env("AWS_WEB_IDENTITY_TOKEN_FILE", &token.display().to_string());
    assert_eq!(key_used(&lab).await, "WEB");
    let asked = cloud.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
    let body = asked[0].text().to_owned();
    assert!(body.ends_with("&WebIdentityToken=web.token"), "{body}");
}

#[tokio::test]
async fn a_sign_in() {
    let mut lab = bedrock(&[&answer()]).await;
    let credentials = json!({ "roleCredentials": {
        "accessKeyId": "SSO", "secretAccessKey": SECRET, "sessionToken": "tok", "expiration": 4_070_908_800_000_u64,
    }});
    let path = "GET /federation/credentials?role_name=Dev&account_id=123";
    let cloud = Cloud::start(&[(path, 200, &credentials.to_string())]).await;
    lab.set_env("AWS_ENDPOINT_URL_SSO", &cloud.url());
    lab.set_env("AWS_PROFILE", "p");
    write_aws(
        &lab,
        "config",
        "[profile p]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = Dev\n[sso-session corp]\n\
         sso_start_url = https://corp.example/start\nsso_region = eu-west-1\n",
    );
    write_aws(
        &lab,
        "sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
        r#"{"accessToken":"sso-token","expiresAt":"2099-01-01T00:00:00Z"}"#,
    );
    let path = lab
        .outside()
        .join(".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(key_used(&lab).await, "SSO");
    assert_eq!(
        cloud.asked()[0].header("x-amz-sso_bearer_token"),
        Some("sso-token")
    );
}

#[tokio::test]
async fn a_sign_in_that_ends_is_renewed_and_written_back() {
    let mut lab = bedrock(&[&answer()]).await;
    let credentials = json!({ "roleCredentials": {
        "accessKeyId": "SSO", "secretAccessKey": SECRET, "sessionToken": "tok", "expiration": 4_070_908_800_000_u64,
    }});
    let path = "GET /federation/credentials?role_name=Dev&account_id=123";
    let renewed = json!({ "accessToken": "new", "expiresIn": 3600, "refreshToken": "r2" });
    let cloud = Cloud::start(&[
        (path, 200, &credentials.to_string()),
        ("POST /token", 200, &renewed.to_string()),
    ])
    .await;
    lab.set_env("AWS_ENDPOINT_URL", &cloud.url());
    lab.set_env("AWS_PROFILE", "p");
    let session = "[profile p]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = Dev\n[sso-session corp]\n\
                   sso_start_url = https://corp.example/start\nsso_region = eu-west-1\n";
    write_aws(&lab, "config", session);
    let kept = json!({
        "accessToken": "old", "expiresAt": "2020-01-01T00:00:00Z", "clientId": "id", "clientSecret": "hush",
        "refreshToken": "r1", "registrationExpiresAt": "2099-01-01T00:00:00Z", "startUrl": "https://corp.example/start",
    });
    let file = "sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    write_aws(&lab, file, &kept.to_string());
    let path = lab.outside().join(".aws").join(file);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(key_used(&lab).await, "SSO");
    let asked = cloud.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].header("x-amz-sso_bearer_token"), Some("new"));
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        (&written["accessToken"], &written["refreshToken"]),
        (&json!("new"), &json!("r2"))
    );
    assert_eq!(
        (&written["startUrl"], &written["clientSecret"]),
        (&kept["startUrl"], &kept["clientSecret"])
    );
}

#[tokio::test]
async fn a_container() {
    let mut lab = bedrock(&[&answer()]).await;
    let cloud = Cloud::start(&[("GET /creds", 200, &document("CONTAINER"))]).await;
    lab.set_env(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        &format!("{}/creds", cloud.url()),
    );
    lab.set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token");
    assert_eq!(key_used(&lab).await, "CONTAINER");
    assert_eq!(
        cloud.asked()[0].header("authorization"),
        Some("container-token")
    );
}

#[tokio::test]
async fn an_instance_which_knows_its_region_too() {
    let mut lab = bedrock(&[&answer()]).await;
    let cloud = Cloud::start(&[
        ("PUT /latest/api/token", 200, "metadata-token"),
        ("GET /latest/meta-data/placement/region", 200, "ap-south-1"),
        (
            "GET /latest/meta-data/iam/security-credentials/",
            200,
            "role",
        ),
        (
            "GET /latest/meta-data/iam/security-credentials/role",
            200,
            &document("INSTANCE"),
        ),
    ])
    .await;
    lab.remove_env("AWS_EC2_METADATA_DISABLED");
    lab.set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &cloud.url());
    lab.write_config(&config(&lab, ""));
    assert_eq!(key_used(&lab).await, "INSTANCE");
    assert_eq!(checked(&lab)[0].scope, "ap-south-1/bedrock-mantle");
    let asked = cloud.asked();
    assert!(
        asked
            .iter()
            .skip(3)
            .all(|asked| asked.header("x-aws-ec2-metadata-token") == Some("metadata-token"))
    );
    assert_eq!(asked.len(), 5, "{:?}", cloud.paths());
}

#[tokio::test]
async fn a_login_with_keys() {
    let mut lab = bedrock(&[&answer()]).await;
    let login = json!({ "auth_mode": "bedrockAccessKeys", "OPENAI_API_KEY": null, "bedrock_access_keys": {
        "access_key_id": "LOGIN", "secret_access_key": SECRET, "session_token": "tok",
    }});
    lab.write_home("auth.json", login.to_string());
    set_keys(&mut lab, "ENV");
    lab.set_env("AWS_BEARER_TOKEN_BEDROCK", "bearer");
    assert_eq!(key_used(&lab).await, "LOGIN");
}

/// The one request of a turn carries this token, and no signature.
async fn expect_bearer(lab: &Lab, token: &str) {
    lab.exec(&["hello"]).await.expect_code(0);
    let requests = lab.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(
        requests[0].header("authorization"),
        Some(format!("Bearer {token}").as_str())
    );
    assert_eq!(requests[0].header("x-amz-date"), None);
}

#[tokio::test]
async fn an_api_key_of_the_environment() {
    let mut lab = bedrock(&[&answer()]).await;
    set_keys(&mut lab, "ENV");
    lab.set_env("AWS_BEARER_TOKEN_BEDROCK", " bearer \n");
    expect_bearer(&lab, "bearer").await;
}

#[tokio::test]
async fn an_api_key_of_the_login() {
    let mut lab = bedrock(&[&answer()]).await;
    let login = json!({ "auth_mode": "bedrockApiKey", "bedrock_api_key": { "api_key": "managed", "region": "eu-west-1" } });
    lab.write_home("auth.json", login.to_string());
    lab.set_env("AWS_BEARER_TOKEN_BEDROCK", "bearer");
    expect_bearer(&lab, "managed").await;
}

#[tokio::test]
async fn a_command_that_prints_a_token() {
    let lab = bedrock(&[&answer()]).await;
    let config = format!(
        "model_provider = \"amazon-bedrock\"\n[model_providers.amazon-bedrock]\nbase_url = \"{}\"\n\
         auth = {{ command = \"echo\", args = [\"from-command\"] }}\n",
        lab.server().base_url()
    );
    lab.write_config(&config);
    expect_bearer(&lab, "from-command").await;
}
