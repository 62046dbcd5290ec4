#![expect(
    clippy::panic,
    reason = "a test that gets something else ends that way"
)]

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::*;
use crate::discovery::Wasm;
use crate::manifest::Manifest;

fn id() -> PluginId {
    PluginId::parse("acme").expect("valid")
}

fn config() -> Sha256 {
    Sha256::of(b"config")
}

/// Judges by the user's lock, and by one beside the plugin.
fn state(found: &Found, own: &Path, pins: Option<&Pins>, lock_is_trust: bool) -> State {
    let lock = PluginsLock::load(own).expect("readable");
    let evidence = Evidence {
        lock: &lock,
        pins,
        config: config(),
        lock_is_trust,
    };
    State::of(found, &evidence)
}

fn found(request: &str, wasm: &'static [u8], scope: Scope) -> Found {
    let text = format!(
        "id = \"acme\"\nversion = \"1.0.0\"\napi = \"^0.1\"\nkinds = [\"tools\"]\n[request]\n{request}"
    );
    let manifest = Manifest::parse(&text, Path::new("plugin.toml")).expect("right");
    Found {
        manifest,
        scope,
        dir: None,
        wasm: Wasm {
            sha256: Sha256::of(wasm),
            bytes: Cow::Borrowed(wasm),
        },
        files: Vec::new(),
    }
}

fn entry(found: &Found, granted: Capabilities) -> LockEntry {
    LockEntry {
        scope: found.scope.clone(),
        id: id(),
        version: "1.0.0".to_owned(),
        wasm: found.wasm.sha256,
        request: found.manifest.request_digest(),
        api: Some(found.manifest.api.to_string()),
        limits: Some(found.manifest.limits),
        config: Some(config()),
        source: None,
        signer: None,
        granted,
        secrets: Default::default(),
        granted_at: "2026-11-21T00:00:00Z".to_owned(),
        enabled: true,
    }
}

/// Grants `before` all it asks for, then judges `now`.
fn judge(before: &Found, now: &Found) -> State {
    let dir = tempfile::tempdir().expect("a temporary directory");
    PluginsLock::put(dir.path(), entry(before, before.manifest.request.clone())).expect("written");
    state(now, dir.path(), None, false)
}

fn sentence(state: &State) -> String {
    state.refusal(&id()).expect("it is refused").to_string()
}

const NET: &str = "net = [\"https://a.example\"]";

#[test]
fn a_granted_plugin_is_ready_with_what_it_asked_for() {
    let plugin = found(NET, b"v1", Scope::User);
    let State::Ready(grant) = judge(&plugin, &plugin) else {
        panic!("it is not ready")
    };
    assert_eq!(grant.capabilities().to_string(), "net https://a.example");
    assert_eq!(judge(&plugin, &plugin).refusal(&id()), None);
}

#[test]
fn what_nobody_granted_says_what_it_asks_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = state(&found(NET, b"v1", Scope::User), dir.path(), None, false);
    assert_eq!(
        sentence(&state),
        "plugin `acme` is installed but nobody has granted it; it asks for net https://a.example\n\
         hint: dovetail plugin grant acme    shows what it asks for, and asks"
    );
}

#[test]
fn changed_bytes_stop_a_plugin() {
    let state = judge(
        &found(NET, b"v1", Scope::User),
        &found(NET, b"v2", Scope::User),
    );
    assert!(
        sentence(&state).starts_with("plugin `acme` changed since it was granted (sha256 "),
        "{}",
        sentence(&state)
    );
}

#[test]
fn a_wider_request_stops_a_plugin_and_a_narrower_one_does_not() {
    let narrow = found(NET, b"v1", Scope::User);
    let wide = found(
        "net = [\"https://a.example\", \"https://b.example\"]\nenv = [\"HOME\"]",
        b"v1",
        Scope::User,
    );
    assert_eq!(
        sentence(&judge(&narrow, &wide)).lines().next(),
        Some("plugin `acme` now asks for more than was granted: net https://b.example, env HOME")
    );
    let State::Ready(grant) = judge(&wide, &narrow) else {
        panic!("it is not ready")
    };
    assert_eq!(grant.capabilities().to_string(), "net https://a.example");
}

#[test]
fn a_grant_of_less_than_asked_is_a_grant() {
    let plugin = found(
        "net = [\"https://a.example\"]\nclient = true",
        b"v1",
        Scope::User,
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    let granted = Capabilities {
        client: true,
        kv: 5,
        ..Capabilities::default()
    };
    PluginsLock::put(dir.path(), entry(&plugin, granted)).expect("written");
    let State::Ready(grant) = state(&plugin, dir.path(), None, false) else {
        panic!("it is not ready")
    };
    assert_eq!(grant.capabilities().to_string(), "client");
}

#[test]
fn a_disabled_plugin_says_how_to_enable_it() {
    let plugin = found("", b"v1", Scope::User);
    let dir = tempfile::tempdir().expect("a temporary directory");
    PluginsLock::put(
        dir.path(),
        LockEntry {
            enabled: false,
            ..entry(&plugin, Capabilities::default())
        },
    )
    .expect("written");
    let lock = PluginsLock::load(dir.path()).expect("readable");
    let disabled = state(&plugin, dir.path(), None, false);
    assert_eq!(
        sentence(&disabled),
        "plugin `acme` is disabled\nhint: dovetail plugin enable acme"
    );
    // The record is about the user's plugin, not about one of the host of the same name.
    assert!(matches!(
        State::of_builtin(&id(), Capabilities::default(), &lock),
        State::Ready(_)
    ));
}

#[test]
fn a_builtin_can_be_turned_off_by_the_user_but_not_by_a_forged_record() {
    let plugin = found("", b"v1", Scope::Builtin);
    let dir = tempfile::tempdir().expect("a temporary directory");
    PluginsLock::put(
        dir.path(),
        LockEntry {
            enabled: false,
            ..entry(&plugin, Capabilities::default())
        },
    )
    .expect("written");
    let judge = || {
        State::of_builtin(
            &id(),
            Capabilities::default(),
            &PluginsLock::load(dir.path()).expect("readable"),
        )
    };
    assert_eq!(judge(), State::Disabled);
    std::fs::remove_file(dir.path().join("lock.key")).expect("removed");
    assert!(matches!(judge(), State::Ready(_)));
}

#[test]
fn a_projects_lock_can_refuse_and_narrow_but_not_grant() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let own = tempfile::tempdir().expect("a temporary directory");
    let plugins = root.path().join(".codex/dovetail/plugins");
    let scope = Scope::Project(PathBuf::from(root.path()));
    let plugin = found(
        "net = [\"https://a.example\"]\nclient = true",
        b"v1",
        scope.clone(),
    );
    let all = plugin.manifest.request.clone();
    let judge = || {
        let pins = Pins::of_project(root.path()).expect("readable");
        state(&plugin, own.path(), pins.as_ref(), false)
    };

    let other = PluginId::parse("other").expect("valid");
    Pins::put(
        &plugins,
        &LockEntry {
            id: other,
            ..entry(&plugin, all.clone())
        },
    )
    .expect("written");
    assert!(matches!(judge(), State::NotGranted { .. }));
    PluginsLock::put(own.path(), entry(&plugin, all.clone())).expect("written");
    assert_eq!(judge(), State::Unpinned { listed: false });
    let narrow = Capabilities {
        client: true,
        ..Capabilities::default()
    };
    Pins::put(&plugins, &entry(&plugin, narrow)).expect("written");
    let State::Ready(grant) = judge() else {
        panic!("it is not ready")
    };
    assert_eq!(grant.capabilities().to_string(), "client");
    Pins::put(
        &plugins,
        &LockEntry {
            wasm: Sha256::of(b"v0"),
            ..entry(&plugin, all)
        },
    )
    .expect("written");
    assert_eq!(judge(), State::Unpinned { listed: true });
}

#[test]
fn where_a_lock_is_trust_it_grants_exactly_what_it_lists() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let own = tempfile::tempdir().expect("a temporary directory");
    let plugins = root.path().join(".codex/dovetail/plugins");
    let scope = Scope::Project(PathBuf::from(root.path()));
    let plugin = found(NET, b"v1", scope.clone());
    let judge = |plugin: &Found| {
        let pins = Pins::of_project(root.path()).expect("readable");
        state(plugin, own.path(), pins.as_ref(), true)
    };
    assert_eq!(judge(&plugin), State::Unpinned { listed: false });
    let all = plugin.manifest.request.clone();
    Pins::put(&plugins, &entry(&plugin, all.clone())).expect("written");
    assert!(matches!(judge(&plugin), State::Ready(_)));
    assert!(matches!(
        judge(&found(NET, b"v2", scope.clone())),
        State::Changed { .. }
    ));
    assert!(matches!(
        judge(&found("kv = 1", b"v1", scope)),
        State::Wider { .. }
    ));
    // What this user decided counts more.
    let disabled = LockEntry {
        enabled: false,
        ..entry(&plugin, all)
    };
    PluginsLock::put(own.path(), disabled).expect("written");
    assert_eq!(judge(&plugin), State::Disabled);
}

#[test]
fn the_machines_lock_grants_the_machines_plugins_where_few_can_write_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = tempfile::tempdir().expect("a temporary directory");
    let own = tempfile::tempdir().expect("a temporary directory");
    let plugins = machine.path().join("plugins");
    let plugin = found(NET, b"v1", Scope::System);
    let all = plugin.manifest.request.clone();
    Pins::put(&plugins, &entry(&plugin, all)).expect("written");
    let pins = Pins::of_system(&plugins).expect("readable");
    assert!(matches!(
        state(&plugin, own.path(), pins.as_ref(), false),
        State::Ready(_)
    ));
    let path = Pins::path_beside(&plugins);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).expect("changed");
    let error = Pins::of_system(&plugins).expect_err("too many can write it");
    assert!(error.to_string().contains("is not used"), "{error}");
}

#[test]
fn another_configuration_or_further_limits_stop_a_plugin() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let plugin = found(NET, b"v1", Scope::User);
    let granted = entry(&plugin, plugin.manifest.request.clone());
    let put = |entry| PluginsLock::put(dir.path(), entry).expect("written");
    let judge = |plugin: &Found| state(plugin, dir.path(), None, false);
    put(LockEntry {
        config: Some(Sha256::of(b"other")),
        ..granted.clone()
    });
    let words = sentence(&judge(&plugin));
    assert!(
        words.starts_with(
            "the configuration of plugin `acme` changed since it was granted (sha256 "
        ) && words.ends_with("hint: dovetail trust review acme    shows the difference, and asks"),
        "{words}"
    );
    put(granted);
    let further = found(
        &format!("{NET}\n[limits]\nmemory_mb = 128\ndeadline_ms = 90000"),
        b"v1",
        Scope::User,
    );
    assert_eq!(
        sentence(&judge(&further)).lines().next(),
        Some("plugin `acme` now asks for more than was granted: 128 MB of memory, 90000 ms a call")
    );
    let nearer = found(
        &format!("{NET}\n[limits]\nmemory_mb = 8"),
        b"v1",
        Scope::User,
    );
    assert!(matches!(judge(&nearer), State::Ready(_)));
}
