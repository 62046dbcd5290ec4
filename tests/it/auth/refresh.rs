//! The tokens of an account are kept fresh, once for everybody, and recovered when they are refused.

use std::os::unix::fs::PermissionsExt as _;

use dovetail_tests::script;
use serde_json::{Value, json};

use super::{World, access_token, bearer, chatgpt, refused};

const TOKEN: &str = "/oauth/token";

fn fresh(access_token: &str) -> Value {
    json!({ "access_token": access_token, "refresh_token": "r-2" })
}

#[tokio::test]
async fn a_token_that_ends_soon_is_refreshed_before_it_is_used() {
    let (old, new) = (access_token("old", 60), access_token("new", 3600));
    let world = World::new(&script::answer("hi"), &[(TOKEN, 200, fresh(&new))]).await;
    let mut login = chatgpt(&old, "r-1", "acct-1");
    login["later"] = json!({ "kept": true });
    login["tokens"]["provenance"] = json!("kept");
    world.store(&login);
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), [bearer(&new)]);
    let asked = world.authority.asked();
    assert_eq!(
        asked[0].json(),
        json!({
            "client_id": "app_EMoamEEZ73f0CkXaXp7hrann", "grant_type": "refresh_token", "refresh_token": "r-1",
            "refresh_reason": "proactive_expiry",
        })
    );
    assert_eq!((asked.len(), asked[0].header("authorization")), (1, None));
    let stored = world.stored();
    assert_ne!(stored["last_refresh"], login["last_refresh"]);
    login["tokens"]["access_token"] = json!(new);
    login["tokens"]["refresh_token"] = json!("r-2");
    login["last_refresh"] = stored["last_refresh"].clone();
    assert_eq!(stored, login);
    let file = std::fs::metadata(world.lab.home().join("auth.json")).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_token_that_is_good_is_not_refreshed_however_old_the_login_is() {
    let token = access_token("a", 3600);
    let world = World::new(&script::answer("hi"), &[(TOKEN, 500, json!({}))]).await;
    world.store(&chatgpt(&token, "r-1", "acct-1"));
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), [bearer(&token)]);
    assert!(world.authority.paths().is_empty());
}

#[tokio::test]
async fn a_token_that_does_not_say_when_it_ends_is_refreshed_after_eight_days() {
    let new = access_token("new", 3600);
    let world = World::new(&script::answer("hi"), &[(TOKEN, 200, fresh(&new))]).await;
    world.store(&chatgpt("opaque", "r-1", "acct-1"));
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), [bearer(&new)]);
}

#[tokio::test]
async fn a_refused_token_is_refreshed_and_the_request_repeated() {
    let (old, new) = (access_token("old", 3600), access_token("new", 3600));
    let model = [refused(), script::answer("hi")].concat();
    let world = World::new(&model, &[(TOKEN, 200, fresh(&new))]).await;
    world.store(&chatgpt(&old, "r-1", "acct-1"));
    let ran = world.lab.exec_json(&["hello"], 0).await;
    assert_eq!(ran.complaints(), Vec::<String>::new());
    assert_eq!(world.authorizations(), [bearer(&old), bearer(&new)]);
    assert_eq!(
        world.authority.asked()[0].json()["refresh_reason"],
        "unauthorized_recovery"
    );
}

/// A model that lets a command store another login before it refuses the one in use.
fn meanwhile(more: &[String]) -> String {
    let copy = script::command("c", "cp other.json \"$CODEX_HOME/auth.json\"");
    [copy, refused()]
        .into_iter()
        .chain(more.iter().cloned())
        .collect()
}

/// Runs such a turn; the other login is stored while the turn runs.
async fn run_meanwhile(world: &World, other: &Value, code: i32) -> dovetail_tests::Ran {
    world.lab.write("other.json", other.to_string());
    world
        .lab
        .exec_json(
            &["--dangerously-bypass-approvals-and-sandbox", "hello"],
            code,
        )
        .await
}

#[tokio::test]
async fn what_somebody_else_stored_is_tried_before_the_authority_is_asked() {
    let (old, theirs) = (access_token("old", 3600), access_token("theirs", 3600));
    let world = World::new(&meanwhile(&[script::answer("hi")]), &[]).await;
    world.store(&chatgpt(&old, "r-1", "acct-1"));
    run_meanwhile(&world, &chatgpt(&theirs, "r-2", "acct-1"), 0).await;
    assert_eq!(
        world.authorizations(),
        [bearer(&old), bearer(&old), bearer(&theirs)]
    );
    assert!(world.authority.paths().is_empty());
}

#[tokio::test]
async fn where_that_is_refused_too_the_authority_is_asked_in_the_same_turn() {
    let [old, theirs, new] = ["old", "theirs", "new"].map(|name| access_token(name, 3600));
    let model = meanwhile(&[refused(), script::answer("hi")]);
    let world = World::new(&model, &[(TOKEN, 200, fresh(&new))]).await;
    world.store(&chatgpt(&old, "r-1", "acct-1"));
    run_meanwhile(&world, &chatgpt(&theirs, "r-9", "acct-1"), 0).await;
    assert_eq!(
        world.authorizations(),
        [bearer(&old), bearer(&old), bearer(&theirs), bearer(&new)]
    );
    assert_eq!(world.authority.asked()[0].json()["refresh_token"], "r-9");
}

#[tokio::test]
async fn another_account_in_the_store_ends_the_turn() {
    let old = access_token("old", 3600);
    let world = World::new(&meanwhile(&[]), &[]).await;
    world.store(&chatgpt(&old, "r-1", "acct-1"));
    let other = chatgpt(&access_token("theirs", 3600), "r-2", "acct-2");
    let ran = run_meanwhile(&world, &other, 1).await;
    assert!(
        ran.failure()
            .starts_with("somebody has signed in to another account"),
        "{}",
        ran.failure()
    );
    assert_eq!(world.authorizations(), [bearer(&old), bearer(&old)]);
    assert_eq!(world.stored(), other);
}

#[tokio::test]
async fn a_model_that_always_refuses_costs_one_recovery() {
    let (old, new) = (access_token("old", 3600), access_token("new", 3600));
    let world = World::new(&refused().repeat(9), &[(TOKEN, 200, fresh(&new))]).await;
    world.store(&chatgpt(&old, "r-1", "acct-1"));
    let ran = world.lab.exec_json(&["hello"], 1).await;
    assert!(ran.failure().contains("401"), "{}", ran.failure());
    assert_eq!(world.authorizations(), [bearer(&old), bearer(&new)]);
    assert_eq!(world.authority.paths(), ["POST /oauth/token"]);
}

#[tokio::test]
async fn what_nobody_can_renew_is_refused_once() {
    let person = json!({ "chatgpt_account_id": "acct-7" });
    for (login, sent) in [
        (json!({ "OPENAI_API_KEY": "sk-1" }), "sk-1"),
        (json!({ "personal_access_token": "at-1" }), "at-1"),
    ] {
        let answers = [
            ("/v1/user-auth-credential/whoami", 200, person.clone()),
            (TOKEN, 200, fresh("never")),
        ];
        let world = World::new(&refused().repeat(9), &answers).await;
        world.store(&login);
        let ran = world.lab.exec_json(&["hello"], 1).await;
        assert!(
            ran.failure()
                .starts_with("unexpected status 401 Unauthorized: no"),
            "{}",
            ran.failure()
        );
        assert_eq!(world.authorizations(), [bearer(sent)]);
        assert!(
            !world
                .authority
                .paths()
                .contains(&"POST /oauth/token".to_owned())
        );
        assert_eq!(world.stored(), login);
    }
}

#[tokio::test]
async fn a_login_that_has_ended_says_why_and_what_to_do() {
    for (status, code, why) in [
        (
            400,
            "refresh_token_expired",
            "it has not been used for too long",
        ),
        (
            401,
            "refresh_token_reused",
            "its refresh token was used already, by another program or machine",
        ),
        (400, "refresh_token_invalidated", "it was revoked"),
        (401, "unknown", "the authority does not accept it any more"),
    ] {
        let token = access_token("old", 3600);
        let body = json!({ "error": { "code": code, "message": "secret words" } });
        let world = World::new(&refused().repeat(3), &[(TOKEN, status, body)]).await;
        let login = chatgpt(&token, "r-1", "acct-1");
        world.store(&login);
        let ran = world.lab.exec_json(&["hello"], 1).await;
        let words =
            format!("the ChatGPT login has ended, {why}: sign in again with `dovetail login`");
        assert!(ran.failure().starts_with(&words), "{}", ran.failure());
        assert_eq!(world.authorizations(), [bearer(&token)], "{code}");
        assert_eq!(
            (world.authority.asked().len(), world.stored()),
            (1, login),
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_refresh_that_fails_for_now_leaves_the_old_token_in_use() {
    let token = access_token("old", 120);
    let model = [
        script::command("c", "true"),
        script::command("d", "true"),
        script::answer("hi"),
    ];
    let world = World::new(&model.concat(), &[(TOKEN, 503, json!({}))]).await;
    let login = chatgpt(&token, "r-1", "acct-1");
    world.store(&login);
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), vec![bearer(&token); 3]);
    assert_eq!(world.stored(), login);
    // An authority that hangs would hold each request up.
    assert_eq!(world.authority.paths(), ["POST /oauth/token"]);
}

#[tokio::test]
async fn answers_that_are_no_tokens_end_the_turn_and_keep_what_there_is() {
    let other = super::id_token("acct-2", false);
    for (status, answer, kept, words) in [
        (
            200,
            json!("<html>"),
            "r-1",
            "the answer has no tokens that can be used",
        ),
        (
            200,
            json!({}),
            "r-1",
            "the answer has no tokens that can be used",
        ),
        (
            200,
            json!({ "access_token": "a\r\nb" }),
            "r-1",
            "the answer has no tokens that can be used",
        ),
        (
            307,
            json!({}),
            "r-1",
            "the authority answered with status 307",
        ),
        (
            429,
            json!({ "error": "slow_down" }),
            "r-1",
            "the authority answered with status 429: slow_down",
        ),
        // The refresh token that was sent is spent, so the new one is kept, whatever is beside it.
        (
            200,
            json!({ "refresh_token": "r-2" }),
            "r-2",
            "the authority gave no other access token",
        ),
        (
            200,
            json!({ "access_token": access_token("new", 3600), "id_token": other }),
            "r-1",
            "the authority gave tokens of another account for this login",
        ),
    ] {
        let token = access_token("old", 3600);
        let world = World::new(&refused().repeat(3), &[(TOKEN, status, answer.clone())]).await;
        world.store(&chatgpt(&token, "r-1", "acct-1"));
        let ran = world.lab.exec_json(&["hello"], 1).await;
        assert!(ran.failure().contains(words), "{answer}: {}", ran.failure());
        assert_eq!(world.authorizations(), [bearer(&token)], "{answer}");
        assert_eq!(world.authority.paths(), ["POST /oauth/token"], "{answer}");
        let stored = &world.stored()["tokens"];
        assert_eq!(
            (&stored["access_token"], &stored["refresh_token"]),
            (&json!(token), &json!(kept)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn processes_that_refresh_at_once_share_one_refresh() {
    let (old, new) = (access_token("old", 60), access_token("new", 3600));
    let answers = [
        (TOKEN, 200, fresh(&new)),
        (
            TOKEN,
            401,
            json!({ "error": { "code": "refresh_token_reused" } }),
        ),
    ];
    let count = 6;
    let world = World::new(&script::answer("hi").repeat(count), &answers).await;
    world.store(&chatgpt(&old, "r-1", "acct-1"));
    let running: Vec<_> = (0..count)
        .map(|_| world.lab.start_exec(&["hello"]))
        .collect();
    for running in running {
        running.finish().await.expect_code(0);
    }
    assert_eq!(world.authority.paths(), ["POST /oauth/token"]);
    assert_eq!(world.authorizations(), vec![bearer(&new); count]);
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_refreshes_once_at_most() {
    // A machine ahead by ten minutes takes every token of ten minutes for ended, the new ones too.
    let (old, new) = (access_token("old", 0), access_token("new", 0));
    let model = [
        script::command("c", "true"),
        script::command("d", "true"),
        script::answer("hi"),
    ]
    .concat();
    let world = World::new(
        &model,
        &[(TOKEN, 200, fresh(&new)), (TOKEN, 500, json!({}))],
    )
    .await;
    world.store(&chatgpt(&old, "r-1", "acct-1"));
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), vec![bearer(&new); 3]);
    assert_eq!(world.authority.paths(), ["POST /oauth/token"]);
    // One that is behind learns from the refusal.
    let (old, new) = (access_token("old", 600), access_token("new", 1200));
    let model = [refused(), script::answer("hi")].concat();
    let world = World::new(&model, &[(TOKEN, 200, fresh(&new))]).await;
    world.store(&chatgpt(&old, "r-1", "acct-1"));
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), [bearer(&old), bearer(&new)]);
}

#[tokio::test]
async fn a_store_that_is_a_link_stays_one() {
    let (old, new) = (access_token("old", 60), access_token("new", 3600));
    let world = World::new(&script::answer("hi"), &[(TOKEN, 200, fresh(&new))]).await;
    let shared = world.lab.outside().join("shared.json");
    std::fs::write(&shared, chatgpt(&old, "r-1", "acct-1").to_string()).unwrap();
    std::os::unix::fs::symlink(&shared, world.lab.home().join("auth.json")).unwrap();
    world.lab.exec(&["hello"]).await.expect_code(0);
    let text = std::fs::read_to_string(&shared).unwrap();
    assert!(text.contains(&new) && world.lab.home().join("auth.json").is_symlink());
}
