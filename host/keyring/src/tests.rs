//! Against a scripted service on a bus of its own.

use std::ffi::OsString;

use dovetail_tests::keyring::{Bus, Prompting, Scripted};

use super::*;

fn keyring(address: &str) -> Keyring {
    let address = OsString::from(address);
    Keyring::of_environment(|name| (name == "DBUS_SESSION_BUS_ADDRESS").then(|| address.clone()))
        .with_limits(Duration::from_secs(5), Duration::from_secs(5))
}

fn entry() -> Entry {
    Entry::parse("acme/ann").expect("valid")
}

/// What an entry holds, or why it cannot be had.
async fn got(keyring: &Keyring) -> Result<Option<String>, String> {
    match keyring.get(&entry()).await {
        Ok(value) => Ok(value.map(|value| String::from_utf8(value.to_vec()).expect("text"))),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn a_value_is_kept_replaced_and_removed() {
    let Some(bus) = Bus::start() else { return };
    let service = Scripted::start(&bus, Prompting::Never).await;
    let keyring = keyring(bus.address());
    assert_eq!(got(&keyring).await, Ok(None));
    assert!(!keyring.delete(&entry()).await.expect("nothing is there"));
    for value in ["one", "another"] {
        keyring.set(&entry(), value.as_bytes()).await.expect("kept");
        assert_eq!(got(&keyring).await, Ok(Some(value.to_owned())));
    }
    let kept = [("service", "acme"), ("username", "ann")];
    assert_eq!(
        service.items(),
        [(
            kept.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            b"another".to_vec()
        )]
    );
    assert!(keyring.delete(&entry()).await.expect("removed"));
    assert_eq!(got(&keyring).await, Ok(None));
}

#[tokio::test]
async fn what_another_program_keeps_is_found_by_service_and_account() {
    let Some(bus) = Bus::start() else { return };
    let service = Scripted::start(&bus, Prompting::Never).await;
    service
        .keep(&[("service", "acme"), ("username", "bob")], b"bobs")
        .await;
    service
        .keep(&[("service", "other"), ("username", "ann")], b"others")
        .await;
    service
        .keep(
            &[
                ("service", "acme"),
                ("username", "ann"),
                ("application", "x"),
            ],
            b"anns",
        )
        .await;
    let keyring = keyring(bus.address());
    assert_eq!(got(&keyring).await, Ok(Some("anns".to_owned())));
    service
        .keep(
            &[
                ("service", "acme"),
                ("username", "ann"),
                ("application", "y"),
            ],
            b"anns too",
        )
        .await;
    assert_eq!(
        got(&keyring).await,
        Err("2 entries of the keyring have that name; remove all but one".to_owned())
    );
}

#[tokio::test]
async fn a_locked_keyring_is_unlocked_by_whoever_answers_its_prompt() {
    for (prompting, expected) in [
        (Prompting::Accepted, Ok(Some("anns".to_owned()))),
        (
            Prompting::Dismissed,
            Err("the keyring is locked, and was not unlocked: the prompt was dismissed".to_owned()),
        ),
        (
            Prompting::Unanswered,
            Err(
                "the keyring is locked, and was not unlocked: nobody answered the prompt"
                    .to_owned(),
            ),
        ),
    ] {
        let Some(bus) = Bus::start() else { return };
        let service = Scripted::start(&bus, prompting).await;
        service
            .keep(&[("service", "acme"), ("username", "ann")], b"anns")
            .await;
        let keyring =
            keyring(bus.address()).with_limits(Duration::from_secs(5), Duration::from_millis(300));
        assert_eq!(got(&keyring).await, expected);
    }
}

#[tokio::test]
async fn a_bus_without_a_service_and_no_bus_are_said_to_be_that() {
    let Some(bus) = Bus::start() else { return };
    let said = got(&keyring(bus.address()))
        .await
        .expect_err("nobody serves");
    assert!(
        said.starts_with("no keyring service answers: ")
            && said.contains("org.freedesktop.secrets"),
        "{said}"
    );
    let said = got(&keyring("unix:path=/nowhere/bus")).await;
    assert_eq!(
        said,
        Err("no keyring service answers: No such file or directory (os error 2)".to_owned())
    );
    let said = got(&keyring("gibberish")).await.expect_err("no address");
    assert!(said.starts_with("no keyring service answers: "), "{said}");
    let none = Keyring::of_environment(|_| None);
    assert!(matches!(none.get(&entry()).await, Err(KeyringError::NoBus)));
}

#[tokio::test]
async fn a_bus_that_hangs_is_given_up() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("bus");
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let keyring = keyring(&format!("unix:path={}", path.display()))
        .with_limits(Duration::from_millis(100), Duration::from_secs(5));
    let said = got(&keyring).await;
    assert_eq!(
        said,
        Err("the keyring service does not answer within 100 ms".to_owned())
    );
}
