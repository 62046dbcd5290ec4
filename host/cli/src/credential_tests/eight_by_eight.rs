//! Eight processes with eight threads each want the same credential at once: whoever gives it is asked once, and once more when it
//! is refused.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dovetail_core::model::{ModelClient as _, ModelError};
use dovetail_core::plugin::Recovery;
use dovetail_core::retry::RecoveryStep;
use dovetail_responses::ResponsesClient;
use dovetail_tests::{Answer, Asked, Service, shared_cache};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use super::{request, thread};
use crate::args::ConfigOverrides;
use crate::exec::load_config;
use crate::{model_port, plugins};

const PROCESSES: usize = 8;
const THREADS: usize = 8;
/// Where a process asks to begin, which is answered when all have come this far.
const START: &str = "/start";
/// Names the test that is one of the processes.
const PROCESS: &str = "credential_tests::eight_by_eight::one_of_the_processes";

/// A model that takes this token alone, and an authority which gives it.
async fn service(good: &str) -> Service {
    let all = Arc::new(Barrier::new(PROCESSES));
    let good = good.to_owned();
    Service::start(move |asked| {
        let (all, good) = (Arc::clone(&all), good.clone());
        async move {
            if asked.path == START {
                all.wait().await;
                return Answer::new(200, "");
            }
            answer(&asked, &good)
        }
    })
    .await
}

fn answer(asked: &Asked, good: &str) -> Answer {
    if asked.path == "/oauth/token" {
        return Answer::json(
            200,
            &json!({ "access_token": good, "refresh_token": "r-2" }),
        );
    }
    if asked.header("authorization") == Some(&format!("Bearer {good}")) {
        let done = r#"data: {"type":"response.completed","response":{"id":"r"}}"#;
        return Answer::new(200, &format!("{done}\n\n"))
            .with_header("content-type: text/event-stream");
    }
    Answer::json(401, &json!({ "error": { "message": "expired" } }))
}

/// Runs the processes in this home until each of their threads has got its answer.
async fn run(home: &Path, service: &Service) {
    let program = std::env::current_exe().expect("this program is a file");
    let cache = shared_cache(program.parent().expect("a file is in a directory"));
    let processes = (0..PROCESSES).map(|_| {
        Command::new(&program)
            .args(["--exact", PROCESS, "--ignored", "--nocapture"])
            .env("CODEX_HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env("DOVETAIL_CACHE", &cache)
            .env("START", format!("{}{START}", service.url()))
            .env(
                "CODEX_REFRESH_TOKEN_URL_OVERRIDE",
                format!("{}/oauth/token", service.url()),
            )
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .output()
    });
    for ended in futures_util::future::join_all(processes).await {
        let ended = ended.expect("the process runs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{said}");
    }
}

/// One of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "is started by the other tests here"]
async fn one_of_the_processes() {
    let home = dovetail_config::codex_home().expect("there is a home");
    let config = load_config(&home, &home, &ConfigOverrides::default());
    let config = config.expect("the configuration is sound");
    let house = plugins::load(&config, true, false).await;
    let house = house.expect("the built-in plugins load");
    let client = || {
        let info = thread(&config.model_provider, &home);
        model_port::client(&house, &config, &info).expect("the endpoint is sound")
    };
    let clients: Vec<_> = (0..THREADS).map(|_| client()).collect();
    dovetail_http::choose_crypto();
    let start = std::env::var("START").expect("it says where to wait");
    let started = reqwest::get(start).await.expect("the service is there");
    assert!(started.status().is_success());
    let asking: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(async move { ask(&client).await }))
        .collect();
    for asked in futures_util::future::join_all(asking).await {
        asked.expect("nothing panics").expect("there is an answer");
    }
}

/// Asks as a turn does: again after each step of recovery.
async fn ask(client: &ResponsesClient) -> Result<(), ModelError> {
    let never = CancellationToken::new();
    let mut asked = client.send(&request(), &never).await.map(drop);
    for step in [RecoveryStep::First, RecoveryStep::Second] {
        let Err(refused) = &asked else { break };
        assert_eq!(client.recover(refused, step).await, Recovery::Changed);
        asked = client.send(&request(), &never).await.map(drop);
    }
    asked
}

/// How many requests the model took, and how many it refused.
fn taken_and_refused(service: &Service, good: &str) -> (usize, usize) {
    let all = service.asked();
    let good = format!("Bearer {good}");
    let turns = all
        .iter()
        .filter(|asked| asked.path.ends_with("/responses"));
    let (taken, refused): (Vec<_>, Vec<_>) =
        turns.partition(|asked| asked.header("authorization") == Some(good.as_str()));
    (taken.len(), refused.len())
}

#[tokio::test]
async fn a_token_command_runs_once_for_all_and_once_more_for_a_refused_token() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let service = service("t-2").await;
    let script = "echo run >> runs; sleep 0.2; echo t-$(wc -l < runs)";
    let config = format!(
        "model_provider = \"gateway\"\n[model_providers.gateway]\nname = \"Gateway\"\nbase_url = \"{}/v1\"\n\
         auth = {{ command = \"/bin/sh\", args = [\"-c\", \"{script}\"], cwd = \"{}\" }}\n",
        service.url(),
        home.path().display()
    );
    std::fs::write(home.path().join("config.toml"), config).expect("written");
    run(home.path(), &service).await;
    let runs = std::fs::read_to_string(home.path().join("runs")).expect("it ran");
    assert_eq!(runs, "run\nrun\n");
    let (taken, refused) = taken_and_refused(&service, "t-2");
    assert_eq!(taken, PROCESSES * THREADS);
    assert!((1..=PROCESSES * THREADS).contains(&refused), "{refused}");
}

/// A token of an account that ends then.
fn access_token(name: &str, ends_in: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "name": name, "exp": now + ends_in });
    format!("{}.{}.c2ln", part(&json!({ "alg": "none" })), part(&claims))
}

/// Has the threads ask with a login whose token ends then; returns how many requests were refused.
async fn with_login(ends_in: i64) -> usize {
    let home = tempfile::tempdir().expect("a temporary directory");
    let good = access_token("new", 3600);
    let service = service(&good).await;
    let config = format!(
        "openai_base_url = \"{}/v1\"\n[dovetail]\nwebsockets = false\n",
        service.url()
    );
    std::fs::write(home.path().join("config.toml"), config).expect("written");
    let old = access_token("old", ends_in);
    let login = json!({
        "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
        "tokens": { "id_token": old, "access_token": old, "refresh_token": "r-1", "account_id": "acct-1" },
        "last_refresh": "2026-01-01T00:00:00Z",
    });
    std::fs::write(home.path().join("auth.json"), login.to_string()).expect("written");
    run(home.path(), &service).await;
    let refreshes: Vec<Asked> = service
        .asked()
        .into_iter()
        .filter(|asked| asked.path == "/oauth/token")
        .collect();
    let refreshed: Vec<Value> = refreshes
        .iter()
        .map(|asked| asked.json()["refresh_token"].clone())
        .collect();
    assert_eq!(
        refreshed,
        ["r-1"],
        "a second refresh would use up the login"
    );
    let (taken, refused) = taken_and_refused(&service, &good);
    assert_eq!(taken, PROCESSES * THREADS);
    refused
}

#[tokio::test]
async fn a_login_that_ends_is_refreshed_once_for_all() {
    assert_eq!(with_login(60).await, 0);
}

#[tokio::test]
async fn a_login_that_is_refused_is_refreshed_once_for_all() {
    assert!(with_login(3600).await > 0);
}
