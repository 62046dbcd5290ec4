#![expect(
    clippy::panic,
    reason = "a test that gets something else ends that way"
)]

use std::fs;

use serde_json::Value;

use super::super::testing::World;

const NET: &str = "net = [\"https://llm.acme.example\"]\nenv = [\"ACME\"]\n";

/// A world with a plugin that was accepted, in this version and with this request.
fn accepted(request: &str) -> World {
    let world = World::new();
    world.package("acme", "provider", request);
    world.ok("install packages/acme --yes");
    world
}

/// Puts another version of the plugin in its place, past `dovetail plugin`.
fn replace(world: &World, request: &str, component: Option<&[u8]>) {
    let dir = world.context.places.user_dir().join("acme");
    let manifest = format!(
        "id = \"acme\"\nversion = \"1.3.0\"\napi = \"^0.1\"\nkinds = [\"provider\"]\n[request]\n{request}"
    );
    fs::write(dir.join("plugin.toml"), manifest).expect("written");
    if let Some(bytes) = component {
        fs::write(dir.join("acme.wasm"), bytes).expect("written");
    }
}

/// The same component with one more section that says nothing.
fn other_component() -> Vec<u8> {
    let mut bytes = super::super::testing::component("provider");
    bytes.extend([0, 2, 1, b'x']);
    bytes
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_is_as_it_was_accepted_needs_no_review() {
    let world = accepted(NET);
    let same = Ok("every plugin is as you accepted it\n".to_owned());
    assert_eq!(world.trust("review acme"), same);
    assert_eq!(world.trust("review"), same);
    let listed = json(&world.trust("list --json").expect("a list"));
    assert_eq!(listed["records"][0]["state"], "ready");
    assert_eq!(
        world.trust("verify").expect("verified"),
        format!(
            "ok    acme             user     ready 1.2.0, sha256 {}\n",
            dovetail_runtime::digest::Sha256::of(&super::super::testing::component("provider"))
                .short()
        )
    );
}

#[test]
fn a_review_shows_each_difference_and_accepts_it_only_when_told() {
    let world = accepted(NET);
    replace(
        &world,
        "net = [\"https://llm.acme.example\", \"https://other.example\"]\n[limits]\nmemory_mb = 128\n",
        Some(&other_component()),
    );
    assert_eq!(world.state("acme"), "changed");
    let shown = world.trust("review acme --json").expect_err("it is open");
    assert_eq!(
        shown,
        "error: a plugin is not as you accepted it\n\
         hint: to accept it as it is: dovetail trust review acme --yes\n"
    );
    assert_eq!(world.state("acme"), "changed");
    let accepted = json(&world.trust("review acme --json --yes").expect("accepted"));
    let plugin = &accepted["plugins"][0];
    let changed: Vec<&str> = plugin["changes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| change["what"].as_str().expect("a text"))
        .collect();
    assert_eq!(changed, ["version", "sha256", "limits", "source"]);
    assert_eq!(
        plugin["capabilities"],
        serde_json::json!({
            "added": ["net https://other.example"],
            "removed": ["env ACME"],
            "kept": ["net https://llm.acme.example"],
        })
    );
    assert_eq!(world.state("acme"), "ready");
}

#[test]
fn what_was_withheld_stays_withheld_while_the_request_is_the_same() {
    let world = World::new();
    world.package("acme", "provider", NET);
    let dir = world.context.places.user_dir();
    fs::create_dir_all(&dir).expect("made");
    fs::rename(world.context.cwd.join("packages/acme"), dir.join("acme")).expect("moved");
    world.ok("grant --yes acme net https://llm.acme.example");
    replace(&world, NET, Some(&other_component()));
    world.trust("review acme --yes").expect("accepted");
    let shown: Value = json(&world.ok("inspect acme --json"));
    assert_eq!(shown["granted"]["env"], serde_json::json!([]));
    assert_eq!(
        shown["granted"]["net"],
        serde_json::json!(["https://llm.acme.example"])
    );
}

#[test]
fn verification_names_each_plugin_that_is_not_as_accepted() {
    let world = accepted(NET);
    replace(&world, NET, Some(&other_component()));
    assert_eq!(
        world.trust("verify").expect_err("not as accepted"),
        "error: 1 plugin is not covered by what you accepted\n\
         hint: review what changed: dovetail trust review\n"
    );
}

#[test]
fn a_grant_is_taken_back_and_the_plugin_stays() {
    let world = accepted(NET);
    let told = world.trust("revoke acme").expect("revoked");
    assert!(
        told.starts_with("plugin `acme` has no grant any more"),
        "{told}"
    );
    assert_eq!(world.state("acme"), "not granted");
    assert!(
        world
            .trust("revoke acme")
            .expect_err("it is gone")
            .starts_with("error: you accepted nothing of a plugin `acme` here\n")
    );
}

/// A world with a plugin of the project, listed in its lock and granted by nobody.
fn committed() -> World {
    let world = World::new();
    world.package("acme", "tools", NET);
    world.ok("install packages/acme --project --yes");
    world.trust("revoke acme").expect("revoked");
    world
}

#[test]
fn in_ci_a_committed_lock_is_enough_and_anything_else_is_named() {
    let mut world = committed();
    assert!(world.trust("verify").is_err(), "nobody accepted it");
    world.trust("verify --ci").expect("the lock covers it");
    let plugins = world.context.cwd.join("project/.codex/dovetail/plugins");
    // Whether the project is trusted here makes no difference: nothing of it is run.
    if let Some(project) = &mut world.context.places.project {
        project.trusted = false;
    }
    world.trust("verify --ci").expect("the lock covers it");
    fs::rename(plugins.join("acme"), plugins.join(".gone")).expect("moved");
    assert!(
        world.trust("verify --ci").is_err(),
        "a listed plugin is gone"
    );
    fs::rename(plugins.join(".gone"), plugins.join("acme")).expect("moved");
    world.trust("verify --ci").expect("it is back");
    fs::remove_file(plugins.with_file_name("plugins.lock")).expect("removed");
    assert!(world.trust("verify --ci").is_err(), "there is no lock");
}

#[test]
fn what_a_user_accepted_does_not_cover_for_a_lock() {
    let world = committed();
    let plugin = world
        .context
        .cwd
        .join("project/.codex/dovetail/plugins/acme/acme.wasm");
    let mut bytes = fs::read(&plugin).expect("readable");
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&plugin, bytes).expect("written");
    world.ok("grant acme --yes");
    assert!(world.trust("verify --ci").is_err());
    world
        .trust("review acme --write-lock --yes")
        .expect("accepted");
    world.trust("verify --ci").expect("the lock has it now");
}

#[test]
fn a_lock_is_written_once_for_the_whole_project() {
    let world = World::new();
    for id in ["one", "two"] {
        world.package(id, "tools", "");
        let dir = world.context.cwd.join("project/.codex/dovetail/plugins");
        fs::create_dir_all(&dir).expect("made");
        fs::rename(world.context.cwd.join("packages").join(id), dir.join(id)).expect("moved");
    }
    assert!(world.trust("verify --ci").is_err());
    let told = world.trust("review --write-lock --yes").expect("accepted");
    assert_eq!(
        told,
        "accepted one 1.2.0 · project\naccepted two 1.2.0 · project\n"
    );
    world.trust("verify --ci").expect("all is covered");
    assert_eq!(
        world.trust("review --write-lock").expect("nothing to do"),
        "every plugin is as you accepted it\n"
    );
}
