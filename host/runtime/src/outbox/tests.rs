use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use dovetail_core::ids::ThreadId;
use dovetail_core::plugin::{Field, FieldValue};

use super::*;

fn event(id: &str, text: &str) -> Pending {
    let value = FieldValue::Text(text.to_owned());
    let record = EventRecord {
        id: id.to_owned(),
        sequence: 0,
        kind: "turn.started".to_owned(),
        version: 1,
        time: SystemTime::UNIX_EPOCH,
        thread_id: ThreadId::generate(),
        turn_id: None,
        fields: vec![Field {
            name: "text",
            class: FieldClass::Basic,
            value,
        }],
    };
    Pending {
        record: Arc::new(record),
        breaks: 0,
    }
}

fn outbox(dir: &Path) -> Outbox {
    Outbox::new(
        &dir.join("outbox"),
        &PluginId::parse("a-sink").expect("a valid id"),
    )
}

fn ids(claim: &Claim) -> Vec<&str> {
    claim
        .events
        .iter()
        .map(|event| event.record.id.as_str())
        .collect()
}

#[test]
fn events_are_kept_privately_and_taken_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let outbox = outbox(dir.path());
    assert!(outbox.claim().expect("readable").is_none());
    outbox
        .keep(&[event("1", "a"), event("2", "b")], &[])
        .expect("kept");
    let kept = outbox.keep(&[event("3", "c")], &[]).expect("kept");
    assert_eq!(
        kept,
        Kept {
            spooled: 1,
            ..Kept::default()
        }
    );
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&outbox.path), 0o600);
    assert_eq!(mode(outbox.path.parent().expect("a parent")), 0o700);

    let claim = outbox
        .claim()
        .expect("readable")
        .expect("there is something");
    assert_eq!(ids(&claim), ["1", "2", "3"]);
    assert!(
        outbox.claim().expect("readable").is_none(),
        "nobody takes it twice"
    );
    outbox
        .keep(&[event("4", "d")], &[])
        .expect("a claim is in nobody's way");
    claim.settle().expect("removed");
    let claim = outbox.claim().expect("readable").expect("the new one");
    assert_eq!(ids(&claim), ["4"]);
}

#[test]
fn what_a_dead_process_claimed_is_found_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let outbox = outbox(dir.path());
    outbox.keep(&[event("1", "a")], &[]).expect("kept");
    let claim = outbox
        .claim()
        .expect("readable")
        .expect("there is something");
    // The end of a process closes its files without settling them.
    drop(claim);
    let claim = outbox.claim().expect("readable").expect("still there");
    assert_eq!(ids(&claim), ["1"]);
    claim.settle().expect("removed");
    assert!(outbox.claim().expect("readable").is_none());
}

#[test]
fn the_outbox_is_bounded_and_events_are_given_up_at_last() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let outbox = outbox(dir.path());
    let large = "x".repeat(5 << 20);
    let kept = outbox.keep(
        &[event("1", &large), event("2", &large), event("3", "small")],
        &[],
    );
    let expected = Kept {
        spooled: 2,
        overflowed: 1,
        given_up: 0,
    };
    assert_eq!(kept.expect("kept"), expected);
    let old = Pending {
        breaks: MOST_BREAKS,
        ..event("4", "old")
    };
    let kept = outbox.keep(&[old], &[]).expect("kept");
    assert_eq!(
        kept,
        Kept {
            given_up: 1,
            ..Kept::default()
        }
    );
}

#[test]
fn a_torn_line_does_not_hide_the_others() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let outbox = outbox(dir.path());
    outbox.keep(&[event("1", "a")], &[]).expect("kept");
    let mut file = OpenOptions::new()
        .append(true)
        .open(&outbox.path)
        .expect("there");
    file.write_all(b"{\"breaks\":1,\"id\":\"2")
        .expect("written");
    outbox.keep(&[event("3", "c")], &[]).expect("kept");
    let claim = outbox
        .claim()
        .expect("readable")
        .expect("there is something");
    assert_eq!(ids(&claim), ["1", "3"]);
}
