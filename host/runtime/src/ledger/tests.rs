use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn manifest(more: &str) -> Manifest {
    let text =
        format!("id = \"acme\"\nversion = \"1.0.0\"\napi = \"^0.1\"\nkinds = [\"tools\"]\n{more}");
    Manifest::parse(&text, Path::new("plugin.toml")).expect("a manifest")
}

fn subject(component: &[u8]) -> Subject {
    let component = Sha256::of(component);
    Subject::new(&Scope::User, &manifest(""), component, &Value::Null)
}

fn ledger() -> (tempfile::TempDir, Ledger) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ledger = Ledger::new(dir.path());
    (dir, ledger)
}

fn calls(calls: u64, bucket: usize) -> Tally {
    Tally {
        calls,
        durations: BTreeMap::from([(bucket, calls)]),
        ..Tally::default()
    }
}

#[test]
fn what_several_processes_note_adds_up() {
    let (_dir, ledger) = ledger();
    let subject = subject(b"one");
    assert_eq!(ledger.activity(&subject), None);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..10 {
                    ledger
                        .note_activity(&subject, &calls(3, 8), 5)
                        .expect("noted");
                }
            });
        }
    });
    let activity = ledger.activity(&subject).expect("noted");
    assert_eq!((activity.generation, activity.stats.calls), (1, 120));
    assert!(activity.stats.p50.is_some());
}

#[test]
fn another_component_is_another_generation_with_numbers_of_its_own() {
    let (_dir, ledger) = ledger();
    let note = |component: &[u8], more| {
        ledger
            .note_activity(&subject(component), &calls(more, 0), 7)
            .expect("noted");
        let activity = ledger.activity(&subject(component)).expect("noted");
        (activity.generation, activity.stats.calls)
    };
    assert_eq!(note(b"one", 5), (1, 5));
    assert_eq!(note(b"two", 2), (2, 2));
    assert_eq!(ledger.activity(&subject(b"one")), None);
    assert_eq!(note(b"two", 1), (2, 3));
}

#[test]
fn files_that_are_not_ours_are_no_records() {
    let (dir, ledger) = ledger();
    let subject = subject(b"one");
    fs::create_dir_all(dir.path().join("state")).expect("made");
    for text in ["", "{}", "null", "[1]", "{\"component\":1}"] {
        for what in ["activity", "faults"] {
            fs::write(ledger.path(&subject, what), text).expect("written");
        }
        assert_eq!(ledger.activity(&subject), None, "{text}");
        assert_eq!(ledger.faults(&subject), None, "{text}");
    }
    let huge = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    fs::write(ledger.path(&subject, "faults"), huge).expect("written");
    assert_eq!(ledger.faults(&subject), None);
}

#[test]
fn a_change_of_file_limits_or_configuration_is_another_form() {
    let form = |more: &str, component: &[u8], config: Value| {
        Subject::new(
            &Scope::User,
            &manifest(more),
            Sha256::of(component),
            &config,
        )
        .form
    };
    let first = form("", b"one", Value::Null);
    assert_eq!(first, form("", b"one", Value::Null));
    for other in [
        form("", b"two", Value::Null),
        form("[limits]\ndeadline_ms = 5\n", b"one", Value::Null),
        form("[request]\nkv = 5\n", b"one", Value::Null),
        form("", b"one", json!({ "x": 1 })),
    ] {
        assert_ne!(first, other);
    }
}

#[test]
fn plugins_of_one_id_have_records_of_their_own() {
    let id = PluginId::parse("acme").expect("valid");
    let names = [
        Scope::Builtin,
        Scope::System,
        Scope::User,
        Scope::Project("/a".into()),
        Scope::Project("/b".into()),
    ]
    .map(|scope| name(&id, &scope));
    let different: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
}
