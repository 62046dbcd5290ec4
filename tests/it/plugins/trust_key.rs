//! The key of trust records can be kept in the desktop's keyring.

use dovetail_tests::keyring::{Bus, Prompting, Scripted};
use dovetail_tests::{NOTES, script};
use serde_json::json;

use super::{notes, search};
use crate::lab;

#[tokio::test]
async fn the_key_can_be_kept_in_the_keyring_and_what_it_granted_stays_granted() {
    let Some(bus) = Bus::start() else { return };
    let keyring = Scripted::start(&bus, Prompting::Never).await;
    let calls = [search("n"), script::answer("ok")].concat().repeat(4);
    let mut lab = lab(&[&calls]).await;
    notes(&lab);
    let ran = lab.run(&["trust", "key"]).await.expect_code(0);
    let none = "there is no trust key yet; it is made with your first grant\n";
    assert_eq!(ran.stdout, none);
    lab.install(&NOTES).await;
    let file = lab.home().join("dovetail/lock.key");
    let ran = lab.run(&["trust", "key"]).await.expect_code(0);
    assert_eq!(
        ran.stdout,
        format!("the trust key is in `{}`\n", file.display())
    );
    let key = std::fs::read_to_string(&file).unwrap();

    // Without a keyring nothing is moved.
    let into = ["trust", "key", "--keep-in", "keyring", "--json"];
    let ran = lab.run(&into).await.expect_code(1);
    ran.expect_errors(&["there is no session bus to ask a keyring on"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key);

    lab.set_env("DBUS_SESSION_BUS_ADDRESS", bus.address());
    let ran = lab.run(&into).await.expect_code(0);
    assert_eq!(ran.json(), json!({ "kept_in": "keyring" }));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "keyring");
    let values: Vec<_> = keyring
        .items()
        .into_iter()
        .map(|(_, value)| value)
        .collect();
    assert_eq!(values, [key.clone().into_bytes()]);
    lab.exec_json(&["look"], 0).await;
    let found = "A greeting ends with a comma.";
    assert!(lab.output_of("n").contains(found));

    // Where it cannot be had, nothing is taken for granted.
    lab.remove_env("DBUS_SESSION_BUS_ADDRESS");
    let ran = lab.exec(&["look"]).await;
    assert!(
        ran.stderr
            .contains("the trust key is in keyring entry `Dovetail/trust|"),
        "{}",
        ran.stderr
    );

    lab.set_env("DBUS_SESSION_BUS_ADDRESS", bus.address());
    let back = ["trust", "key", "--keep-in", "file", "--json"];
    let ran = lab.run(&back).await.expect_code(0);
    assert_eq!(ran.json(), json!({ "kept_in": "file" }));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
    assert_eq!(keyring.items(), []);
    lab.exec_json(&["look"], 0).await;
    assert!(lab.output_of("n").contains(found));
}
