use super::*;
use crate::origin::OriginPattern;
use crate::pins::Pins;

fn id(text: &str) -> PluginId {
    PluginId::parse(text).expect("valid")
}

fn entry(name: &str, scope: Scope) -> LockEntry {
    let net = [OriginPattern::parse("https://llm.acme.example").expect("valid")].into();
    let slot = SlotName::parse("acme-token").expect("valid");
    LockEntry {
        scope,
        id: id(name),
        version: "1.2.0".to_owned(),
        wasm: Sha256::of(b"wasm"),
        request: Sha256::of(b"request"),
        api: Some("^0.1".to_owned()),
        limits: Some(Limits::new(Some(32), None, None)),
        config: Some(Sha256::of(b"config")),
        source: Some(Source::parse("oci://r.example/acme@sha256:00").expect("a source")),
        signer: None,
        granted: Capabilities {
            net,
            kv: 10,
            ..Capabilities::default()
        },
        secrets: [(slot, "env:ACME".to_owned())].into(),
        granted_at: "2026-11-21T01:02:03Z".to_owned(),
        enabled: true,
    }
}

fn rewrite(dir: &Path, from: &str, to: &str) {
    let path = PluginsLock::path_in(dir);
    let text = fs::read_to_string(&path).expect("readable");
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).expect("written");
}

#[test]
fn entries_are_kept_apart_by_id_and_scope() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let project = Scope::Project(PathBuf::from("/srv/app"));
    let entries = [
        entry("a", Scope::User),
        entry("a", project.clone()),
        entry("b", Scope::System),
    ];
    for entry in &entries {
        PluginsLock::put(dir.path(), entry.clone()).expect("written");
    }
    let lock = PluginsLock::load(dir.path()).expect("readable");
    for entry in &entries {
        assert_eq!(lock.get(&entry.scope, &entry.id), Record::Authentic(entry));
    }
    assert_eq!(
        lock.get(&Scope::Project(PathBuf::from("/srv/other")), &id("a")),
        Record::Absent
    );
    assert_eq!(lock.get(&Scope::User, &id("b")), Record::Absent);
}

#[test]
fn a_lock_looks_like_this() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    PluginsLock::put(dir.path(), entry("acme", Scope::User)).expect("written");
    let text = fs::read_to_string(PluginsLock::path_in(dir.path())).expect("readable");
    let (_, mac) = text.split_once("mac = \"").expect("a code");
    let text = text.replace(&mac[..64], "…");
    let expected = format!(
        "# What plugins were granted, and for which bytes. Written by `dovetail plugin grant`; entries changed\n\
         # by hand are not accepted.\n\nversion = 2\n\n[[plugin]]\nscope = \"user\"\nid = \"acme\"\nversion = \"1.2.0\"\n\
         sha256 = \"{}\"\nrequest = \"{}\"\napi = \"^0.1\"\nconfig = \"{}\"\nsource = \"oci://r.example/acme@sha256:00\"\ngranted_at = \"2026-11-21T01:02:03Z\"\nenabled = true\nmac = \"…\"\n\n\
         [plugin.limits]\nmemory_mb = 32\noutput_kb = 1024\n\n[plugin.granted]\nnet = [\"https://llm.acme.example\"]\nkv = 10\n\n[plugin.secrets]\nacme-token = \"env:ACME\"\n",
        Sha256::of(b"wasm"),
        Sha256::of(b"request"),
        Sha256::of(b"config")
    );
    assert_eq!(text, expected);
    assert!(!private_file::is_shared(
        &fs::metadata(PluginsLock::path_in(dir.path())).expect("there")
    ));
}

#[test]
fn any_change_by_hand_is_noticed() {
    let changes = [
        ("llm.acme.example", "evil.example"),
        ("kv = 10", "kv = 11"),
        ("env:ACME", "env:OPENAI_API_KEY"),
        ("1.2.0", "1.2.1"),
        ("enabled = true", "enabled = false"),
        ("scope = \"user\"", "scope = \"system\""),
        ("kv = 10", "kv = 10\nclient = true"),
        ("mac = \"", "mac = \"00"),
        ("memory_mb = 32", "memory_mb = 64"),
        ("r.example", "evil.example"),
        ("api = \"^0.1\"\n", ""),
    ];
    for (from, to) in changes {
        let dir = tempfile::tempdir().expect("a temporary directory");
        PluginsLock::put(dir.path(), entry("acme", Scope::User)).expect("written");
        rewrite(dir.path(), from, to);
        let lock = PluginsLock::load(dir.path()).expect("readable");
        let scope = if to.contains("system") {
            Scope::System
        } else {
            Scope::User
        };
        assert_eq!(
            lock.get(&scope, &id("acme")),
            Record::Forged,
            "{from} → {to}"
        );
    }
}

#[test]
fn layout_and_comments_may_change() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    PluginsLock::put(dir.path(), entry("acme", Scope::User)).expect("written");
    rewrite(dir.path(), "kv = 10", "# mine\nkv   =   10");
    let lock = PluginsLock::load(dir.path()).expect("readable");
    assert_eq!(
        lock.get(&Scope::User, &id("acme")),
        Record::Authentic(&entry("acme", Scope::User))
    );
}

#[test]
fn a_grant_does_not_authenticate_its_neighbours() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    PluginsLock::put(dir.path(), entry("acme", Scope::User)).expect("written");
    rewrite(dir.path(), "llm.acme.example", "evil.example");
    PluginsLock::put(dir.path(), entry("other", Scope::User)).expect("written");
    let lock = PluginsLock::load(dir.path()).expect("readable");
    assert_eq!(lock.get(&Scope::User, &id("acme")), Record::Forged);
    assert!(matches!(
        lock.get(&Scope::User, &id("other")),
        Record::Authentic(_)
    ));
}

#[test]
fn without_its_key_a_lock_grants_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    PluginsLock::put(dir.path(), entry("acme", Scope::User)).expect("written");
    fs::remove_file(dir.path().join("lock.key")).expect("removed");
    let lock = PluginsLock::load(dir.path()).expect("readable");
    assert_eq!(lock.get(&Scope::User, &id("acme")), Record::Forged);
}

#[test]
fn entries_are_removed_one_by_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    PluginsLock::put(dir.path(), entry("a", Scope::User)).expect("written");
    PluginsLock::put(dir.path(), entry("b", Scope::User)).expect("written");
    assert!(PluginsLock::remove(dir.path(), &Scope::User, &id("a")).expect("removed"));
    assert!(!PluginsLock::remove(dir.path(), &Scope::User, &id("a")).expect("not there"));
    let lock = PluginsLock::load(dir.path()).expect("readable");
    assert_eq!(lock.get(&Scope::User, &id("a")), Record::Absent);
    assert!(matches!(
        lock.get(&Scope::User, &id("b")),
        Record::Authentic(_)
    ));
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::thread::scope(|scope| {
        for index in 0..8 {
            let dir = dir.path();
            scope.spawn(move || {
                PluginsLock::put(dir, entry(&format!("p{index}"), Scope::User)).expect("written")
            });
        }
    });
    let lock = PluginsLock::load(dir.path()).expect("readable");
    for index in 0..8 {
        assert!(matches!(
            lock.get(&Scope::User, &id(&format!("p{index}"))),
            Record::Authentic(_)
        ));
    }
}

#[test]
fn a_damaged_lock_names_its_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(
        PluginsLock::path_in(dir.path()),
        "version = 1\nplugins = []\n",
    )
    .expect("written");
    let error = PluginsLock::load(dir.path())
        .expect_err("damaged")
        .to_string();
    assert!(
        error
            .ends_with("plugins.lock:2: unknown key `plugins` in the lock; did you mean `plugin`?"),
        "{error}"
    );
    fs::write(PluginsLock::path_in(dir.path()), "version = 3\n").expect("written");
    let error = PluginsLock::load(dir.path())
        .expect_err("too new")
        .to_string();
    assert!(
        error.ends_with("plugins.lock:1: `version` in the lock must be a whole number from 1 to 2"),
        "{error}"
    );
}

/// What the first version of the form wrote, with the key that its code was made with.
#[test]
fn a_lock_of_the_first_version_is_still_authentic() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let old = LockEntry {
        api: None,
        limits: None,
        config: None,
        source: None,
        ..entry("acme", Scope::User)
    };
    let record = format!(
        "scope = \"user\"\nid = \"acme\"\nversion = \"1.2.0\"\nsha256 = \"{}\"\nrequest = \"{}\"\n\
         granted_at = \"2026-11-21T01:02:03Z\"\nenabled = true\n",
        Sha256::of(b"wasm"),
        Sha256::of(b"request")
    );
    let granted = "granted]\nnet = [\"https://llm.acme.example\"]\nkv = 10\n";
    let secrets = "secrets]\nacme-token = \"env:ACME\"\n";
    let key = TrustKey::load_or_make(&key_path(dir.path())).expect("made");
    let mac = key.sign(format!("{record}\n[{granted}\n[{secrets}").as_bytes());
    let text = format!(
        "version = 1\n\n[[plugin]]\n{record}mac = \"{mac}\"\n\n[plugin.{granted}\n[plugin.{secrets}"
    );
    fs::write(PluginsLock::path_in(dir.path()), text).expect("written");
    let lock = PluginsLock::load(dir.path()).expect("readable");
    assert_eq!(lock.get(&Scope::User, &id("acme")), Record::Authentic(&old));
    // Another grant writes the new form, and the old entry stays good.
    PluginsLock::put(dir.path(), entry("other", Scope::User)).expect("written");
    let lock = PluginsLock::load(dir.path()).expect("readable");
    assert_eq!(lock.get(&Scope::User, &id("acme")), Record::Authentic(&old));
}

#[test]
fn a_projects_lock_holds_no_secrets_and_no_code() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let plugins = dir.path().join(".codex/dovetail/plugins");
    assert_eq!(
        Pins::of_project(dir.path()).expect("no lock is no error"),
        None
    );
    let scope = Scope::Project(dir.path().to_owned());
    Pins::put(&plugins, &entry("acme", scope.clone())).expect("written");
    let pins = Pins::of_project(dir.path())
        .expect("readable")
        .expect("there");
    let expected = LockEntry {
        secrets: BTreeMap::new(),
        ..entry("acme", scope)
    };
    assert_eq!(pins.get(&id("acme")), Some(&expected));
    let text = fs::read_to_string(pins.path()).expect("readable");
    assert!(
        !text.contains("mac") && !text.contains("env:") && !text.contains("scope"),
        "{text}"
    );
}
