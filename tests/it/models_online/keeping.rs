//! How long a list counts, for whom, and what is kept of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::service::{list, status};
use super::{LIST, TURN, World, tagged, usual};

#[tokio::test]
async fn a_list_is_kept_in_the_form_that_existing_clients_know() {
    let world = World::new(vec![tagged("\"e1\"")]).await;
    world.turn().await;
    let kept = world.kept();
    let fields: Vec<&str> = kept
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        fields,
        ["fetched_at", "etag", "client_version", "identity", "models"]
    );
    assert_eq!(kept["etag"], "\"e1\"");
    assert_eq!(kept["client_version"], "0.169.0");
    assert_eq!(kept["models"], usual()["models"]);
    let identity = kept["identity"].as_str().unwrap();
    assert!(
        identity.len() == 64 && identity.bytes().all(|b| b.is_ascii_hexdigit()),
        "{identity}"
    );
    let mode = fs::metadata(world.kept_path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(world.kept_path()).unwrap();
    assert!(
        !text.contains("token-1") && !text.contains("corp"),
        "{text}"
    );
}

#[tokio::test]
async fn an_old_list_is_asked_about_by_its_tag() {
    let world = World::new(vec![tagged("\"e1\""), status(304, "")]).await;
    world.turn().await;
    let old = json!("2026-01-01T00:00:00Z");
    world.change_kept("fetched_at", old.clone());
    world.asked();
    world.turn().await;
    let asked = world.service.take();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    assert_eq!(asked[1].header("if-none-match"), Some("\"e1\""));
    let kept = world.kept();
    assert_ne!(kept["fetched_at"], old, "it is vouched for once more");
    assert_eq!(kept["models"], usual()["models"]);
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
}

#[tokio::test]
async fn a_list_of_another_version_or_of_the_future_is_asked_for_again() {
    let world = World::new(vec![list(&usual())]).await;
    world.turn().await;
    world.asked();
    for (field, value) in [
        ("client_version", json!("0.168.0")),
        ("client_version", Value::Null),
        ("identity", json!("0".repeat(64))),
        ("identity", Value::Null),
        ("fetched_at", json!("2999-01-01T00:00:00Z")),
    ] {
        world.change_kept(field, value.clone());
        world.turn().await;
        assert_eq!(world.asked(), [TURN, LIST], "{field} {value}");
        assert_ne!(world.kept()[field], value);
        world.turn().await;
        assert_eq!(world.asked(), [TURN], "{field} {value}");
    }
}

#[tokio::test]
async fn a_tag_that_an_answer_names_keeps_the_list_or_replaces_it() {
    let newer = json!({"models": [{"slug": "newest", "visibility": "list"}]});
    let newer = list(&newer).with_header("etag: \"e2\"");
    let world = World::new(vec![tagged("\"e1\""), newer]).await;
    world.turn().await;
    // Not old enough to be asked for anew, old enough to see that it is younger afterwards.
    let before = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(200);
    world.change_kept("fetched_at", json!(before.to_string()));
    world.asked();
    world.service.tell("x-models-etag: W/\"e1\"");
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
    let renewed: jiff::Timestamp = world.kept()["fetched_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(renewed > before);

    world.service.tell("x-models-etag: \"e2\"");
    world.turn().await;
    assert_eq!(world.asked(), [TURN, LIST]);
    let kept = world.kept();
    assert_eq!(kept["etag"], "\"e2\"");
    assert_eq!(kept["models"][0]["slug"], "newest");
    world.turn().await;
    assert_eq!(world.asked(), [TURN]);
}

#[tokio::test]
async fn a_server_whose_tags_never_agree_is_asked_once_a_session() {
    let world = World::new(vec![tagged("\"e1\"")]).await;
    world.service.tell("x-models-etag: \"else\"");
    world.turn().await;
    // The list that came beside the answer is no older than the answer's tag.
    assert_eq!(world.asked(), [TURN, LIST]);
    world.turn().await;
    assert_eq!(world.asked(), [TURN, LIST]);
}

#[tokio::test]
async fn a_damaged_list_is_replaced() {
    let world = World::new(vec![list(&usual())]).await;
    for damaged in [
        "",
        "{\"fetched_at\":",
        "[]",
        "\u{0}\u{1}",
        "{\"models\": \"none\"}",
    ] {
        fs::write(world.kept_path(), damaged).unwrap();
        world.turn().await;
        assert_eq!(world.asked(), [TURN, LIST], "{damaged:?}");
        assert_eq!(world.kept()["models"], usual()["models"]);
    }
    // What can neither be read nor replaced is done without.
    fs::remove_file(world.kept_path()).unwrap();
    fs::create_dir(world.kept_path()).unwrap();
    world.turn().await;
    assert_eq!(world.asked(), [TURN, LIST]);
}

#[tokio::test]
async fn a_list_of_the_existing_client_is_left_to_it() {
    let world = World::new(vec![list(&usual())]).await;
    let theirs = json!({
        "fetched_at": jiff::Timestamp::now().to_string(), "etag": "\"theirs\"", "client_version": "0.169.0",
        "identity": "6fed7da93e2c7bea68b48e5db6be4d4aeb085fc81543553c880e37afd9a03d9d",
        "models": [{"slug": "theirs", "visibility": "list", "base_instructions": "…"}],
    });
    fs::write(world.kept_path(), theirs.to_string()).unwrap();
    let names = world.listed(&[]).await;
    assert!(!names.contains(&"theirs".to_owned()) && names.contains(&"brand-new".to_owned()));
    assert_eq!(world.asked(), [LIST]);
    let aside = world.lab.home().join("models_cache.6fed7da93e2c7bea.json");
    let aside: Value = serde_json::from_str(&fs::read_to_string(aside).unwrap()).unwrap();
    assert_eq!(aside, theirs);
}

#[tokio::test]
async fn two_processes_at_once_leave_a_whole_list() {
    let world = World::new(vec![list(&usual())]).await;
    let runs = (0..4).map(|_| world.lab.exec_json(&["hello"], 0));
    futures_util::future::join_all(runs).await;
    assert_eq!(world.kept()["models"], usual()["models"]);
    let left = fs::read_dir(world.lab.home()).unwrap().flatten();
    let left: Vec<String> = left
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("models") || name.starts_with(".tmp"))
        .collect();
    assert_eq!(left, ["models_cache.json"]);
}
