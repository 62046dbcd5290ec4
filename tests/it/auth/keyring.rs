//! Logins in the desktop's keyring.

use dovetail_tests::keyring::{Bus, Kept, Prompting, Scripted};
use dovetail_tests::script;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{World, bearer};

/// A world on a session bus with a keyring.
struct Desktop {
    world: World,
    keyring: Scripted,
    _bus: Bus,
}

/// None, having said why, where there is no bus to be had.
async fn desktop(store: &str, prompting: Prompting) -> Option<Desktop> {
    let bus = Bus::start()?;
    let keyring = Scripted::start(&bus, prompting).await;
    let mut world = World::new(&script::answer("hi"), &[]).await;
    let address = bus.address();
    world.lab.set_env("DBUS_SESSION_BUS_ADDRESS", address);
    world.configure(&format!("cli_auth_credentials_store = \"{store}\""), "");
    Some(Desktop {
        world,
        keyring,
        _bus: bus,
    })
}

impl Desktop {
    async fn login(&self, key: &str) {
        let login = ["login", "--with-api-key"];
        let ran = self.world.lab.run_with_input(&login, key).await;
        ran.expect_code(0);
    }

    /// The attributes and the document of the one entry there is.
    fn kept(&self) -> (Vec<(String, String)>, Value) {
        let items = self.keyring.items();
        let [(attributes, value)] = <[Kept; 1]>::try_from(items).expect("there is one entry");
        let value = serde_json::from_slice(&value).expect("it is JSON");
        (attributes.into_iter().collect(), value)
    }

    fn has_file(&self) -> bool {
        self.world.lab.home().join("auth.json").exists()
    }
}

#[tokio::test]
async fn a_login_is_kept_in_the_keyring_alone() {
    let Some(desktop) = desktop("keyring", Prompting::Never).await else {
        return;
    };
    let lab = &desktop.world.lab;
    lab.write_home("auth.json", "{\"OPENAI_API_KEY\":\"sk-old\"}");
    desktop.login("sk-1\n").await;
    let (attributes, document) = desktop.kept();
    let [(service, of_service), (user, account)] = &attributes[..] else {
        panic!("two attributes: {attributes:?}");
    };
    assert_eq!(
        (service.as_str(), of_service.as_str(), user.as_str()),
        ("service", "Codex Auth", "username")
    );
    // As other clients name it, so that a login holds for all of them: by where the home is.
    let home = lab.home().canonicalize().unwrap();
    let digest = Sha256::digest(home.to_str().unwrap().as_bytes());
    let hex: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(*account, format!("cli|{hex}"));
    assert_eq!(
        document,
        json!({ "auth_mode": "apikey", "OPENAI_API_KEY": "sk-1" })
    );
    assert!(!desktop.has_file(), "no copy stays in a file");
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(desktop.world.authorizations(), [bearer("sk-1")]);
    let ran = lab.run(&["login", "status"]).await.expect_code(0);
    assert!(ran.stdout.contains("the keyring"), "{}", ran.stdout);
    lab.run(&["logout"]).await.expect_code(0);
    assert_eq!(desktop.keyring.items(), []);
    lab.exec(&["hello"]).await.expect_code(1);
    assert_eq!(desktop.world.authorizations().len(), 1, "nothing more");
}

#[tokio::test]
async fn a_login_goes_to_the_keyring_where_there_is_one_and_else_to_the_file() {
    let Some(desktop) = desktop("auto", Prompting::Never).await else {
        return;
    };
    let lab = &desktop.world.lab;
    lab.write_home("auth.json", "{\"OPENAI_API_KEY\":\"sk-file\"}");
    lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(desktop.world.authorizations(), [bearer("sk-file")]);
    desktop.login("sk-1\n").await;
    assert_eq!(desktop.kept().1["OPENAI_API_KEY"], "sk-1");
    assert!(!desktop.has_file());

    let world = World::new(&script::answer("hi"), &[]).await;
    world.configure("cli_auth_credentials_store = \"auto\"", "");
    let login = ["login", "--with-api-key"];
    world
        .lab
        .run_with_input(&login, "sk-2\n")
        .await
        .expect_code(0);
    assert_eq!(world.stored()["OPENAI_API_KEY"], "sk-2");
    world.lab.exec(&["hello"]).await.expect_code(0);
    assert_eq!(world.authorizations(), [bearer("sk-2")]);
}

#[tokio::test]
async fn a_keyring_that_cannot_be_asked_is_an_error_and_no_file_is_used_instead() {
    let world = World::new(&script::answer("hi"), &[]).await;
    world.configure("cli_auth_credentials_store = \"keyring\"", "");
    world.store(&json!({ "OPENAI_API_KEY": "sk-1" }));
    let ran = world.lab.exec(&["hello"]).await.expect_code(1);
    let ran = ran.expect_errors(&["there is no session bus to ask a keyring on"]);
    assert_eq!(ran.stdout, "");
    assert!(world.lab.requests().is_empty());

    for store in ["keyring", "auto"] {
        let Some(desktop) = desktop(store, Prompting::Dismissed).await else {
            return;
        };
        let kept = [("service", "Codex Auth"), ("username", "somebody")];
        desktop.keyring.keep(&kept, b"{}").await;
        desktop.world.store(&json!({ "OPENAI_API_KEY": "sk-1" }));
        let login = ["login", "--with-api-key"];
        let ran = desktop.world.lab.run_with_input(&login, "sk-2\n").await;
        ran.expect_code(1)
            .expect_errors(&["the keyring is locked, and was not unlocked"]);
        assert_eq!(desktop.world.stored()["OPENAI_API_KEY"], "sk-1", "{store}");
    }
}
