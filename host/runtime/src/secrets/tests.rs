use std::os::unix::fs::PermissionsExt as _;

use super::*;

struct World {
    dir: tempfile::TempDir,
    secrets: Secrets,
}

fn id() -> PluginId {
    PluginId::parse("acme").expect("valid")
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let pairs = [
            ("HOME".into(), dir.path().into()),
            ("ACME_TOKEN".into(), "from env".into()),
            ("EMPTY".into(), " \n".into()),
            ("OPENAI_API_KEY".into(), "sk-host".into()),
            ("PATH".into(), path),
        ];
        let env: HostEnv = pairs.into_iter().collect();
        let secrets = Secrets::new(Arc::new(env), dir.path().to_owned());
        Self { dir, secrets }
    }

    fn file(&self, name: &str, mode: u32, content: &[u8]) {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changed");
    }

    fn get(&self, source: &str) -> Result<String, String> {
        let source = SecretSource::parse(source).expect("a source");
        self.secrets
            .bind(id(), BTreeMap::from([("slot".to_owned(), source)]));
        let got = self
            .secrets
            .get(&id(), "slot")
            .map(|value| value.expose().to_owned());
        got.map_err(|error| {
            error
                .to_string()
                .replace(&*self.dir.path().to_string_lossy(), "…")
        })
    }
}

#[test]
fn every_kind_of_source_gives_its_value() {
    let world = World::new();
    world.file("token", 0o600, b"from file\n");
    world.file(
        "auth.json",
        0o600,
        br#"{"OPENAI_API_KEY":"from auth","tokens":{"access_token":"nested"}}"#,
    );
    let cases = [
        ("env:ACME_TOKEN", "from env"),
        ("file:~/token", "from file"),
        ("auth:OPENAI_API_KEY", "from auth"),
        ("auth:tokens.access_token", "nested"),
        ("command:printf '%s\\n' 'from command'", "from command"),
    ];
    for (source, expected) in cases {
        assert_eq!(world.get(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn what_cannot_be_had_names_slot_and_source_but_no_value() {
    let world = World::new();
    world.file("open", 0o644, b"hush");
    world.file("binary", 0o600, b"\xff\xfe");
    world.file("auth.json", 0o600, br#"{"OPENAI_API_KEY":7,"tokens":null}"#);
    let cases = [
        (
            "env:NOT_SET",
            "secret `slot` is not set: environment variable `NOT_SET` is missing or empty",
        ),
        (
            "env:EMPTY",
            "secret `slot` is not set: environment variable `EMPTY` is missing or empty",
        ),
        (
            "file:~/nowhere",
            "secret `slot` is not set: file `~/nowhere` is missing or empty",
        ),
        (
            "file:~/open",
            "secret `slot` cannot be read from file `~/open`: other users can read it; run: chmod 600 …/open",
        ),
        (
            "file:~/binary",
            "secret `slot` cannot be read from file `~/binary`: it is not UTF-8",
        ),
        (
            "auth:OPENAI_API_KEY",
            "secret `slot` cannot be read from `OPENAI_API_KEY` in auth.json: it is no text",
        ),
        (
            "auth:tokens.access_token",
            "secret `slot` is not set: `tokens.access_token` in auth.json is missing or empty",
        ),
        (
            "command:sh -c 'echo hush; exit 3'",
            "secret `slot` cannot be read from output of `sh -c 'echo hush; exit 3'`: it ended with exit code 3",
        ),
        (
            "command:true",
            "secret `slot` is not set: output of `true` is missing or empty",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(world.get(source), Err(expected.to_owned()), "{source}");
    }
    let error = world
        .get("command:dovetail-no-such-program")
        .expect_err("not there");
    assert!(
        error.contains("cannot start `dovetail-no-such-program`"),
        "{error}"
    );
}

#[test]
fn the_hosts_own_credential_is_never_a_default() {
    let world = World::new();
    let error = world
        .secrets
        .get(&id(), "openai-api-key")
        .expect_err("not unasked")
        .to_string();
    assert!(
        error.starts_with("secret `openai-api-key` has no source"),
        "{error}"
    );
    assert_eq!(world.get("env:OPENAI_API_KEY").as_deref(), Ok("sk-host"));
}

#[test]
fn a_command_runs_once_until_it_is_forgotten() {
    let world = World::new();
    let count = world.dir.path().join("count");
    let source = format!(
        "command:sh -c 'echo x >> {0}; wc -l < {0}'",
        count.display()
    );
    assert_eq!(world.get(&source).as_deref(), Ok("1"));
    assert_eq!(world.get(&source).as_deref(), Ok("1"));
    world.secrets.forget(&id(), "slot");
    assert_eq!(world.get(&source).as_deref(), Ok("2"));
}

#[tokio::test]
async fn a_command_can_be_read_from_async_code() {
    assert_eq!(World::new().get("command:echo ok").as_deref(), Ok("ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_command_holds_up_no_other_task() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let fifo = dir.path().join("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .expect("mkfifo is there");
    assert!(made.success());
    // The command ends when the other task has written; both are on the one worker.
    let source = format!("command:cat {}", fifo.display());
    let reading = tokio::spawn(async move { World::new().get(&source) });
    let writing = tokio::spawn(async move { tokio::fs::write(&fifo, "ok").await });
    writing.await.expect("it ends").expect("written");
    assert_eq!(reading.await.expect("it ends").as_deref(), Ok("ok"));
}

#[test]
fn nothing_prints_a_value() {
    let world = World::new();
    let inline = SecretSource::Inline(SecretText::new("hush".to_owned()));
    assert!(!format!("{inline:?} {inline}").contains("hush"));
    assert!(!format!("{:?}", world.secrets).contains("from env"));
    assert!(!format!("{:?}", world.secrets.env).contains("from env"));
}

/// A world whose environment leads to this session bus.
fn on_bus(address: Option<&str>) -> World {
    let world = World::new();
    let bus = address.map(|address| ("DBUS_SESSION_BUS_ADDRESS".into(), address.into()));
    let secrets = Secrets::new(
        Arc::new(bus.into_iter().collect()),
        world.dir.path().to_owned(),
    );
    World { secrets, ..world }
}

#[test]
fn without_a_bus_a_slot_in_the_keyring_says_so() {
    let missing = on_bus(None).get("keyring:acme/ann");
    assert_eq!(
        missing,
        Err(
            "secret `slot` cannot be read from keyring entry `acme/ann`: there is no session bus to ask a keyring on: \
             `DBUS_SESSION_BUS_ADDRESS` is not set, as on a machine without a desktop"
                .to_owned()
        )
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_is_read_from_the_keyring_once() {
    use dovetail_tests::keyring::{Bus, Prompting, Scripted};

    let Some(bus) = Bus::start() else { return };
    let service = Scripted::start(&bus, Prompting::Never).await;
    let world = on_bus(Some(bus.address()));
    assert_eq!(service.asked(), 0, "nobody asked for it yet");
    assert_eq!(
        world.get("keyring:acme/ann"),
        Err("secret `slot` is not set: keyring entry `acme/ann` is missing or empty".to_owned())
    );
    service
        .keep(
            &[("service", "acme"), ("username", "ann")],
            b"from keyring\n",
        )
        .await;
    for _ in 0..2 {
        assert_eq!(world.get("keyring:acme/ann").as_deref(), Ok("from keyring"));
    }
    assert_eq!(service.asked(), 2, "what was found is kept");
    assert!(world.secrets.may_wait(&id(), "slot"));
    world.secrets.forget(&id(), "slot");
    assert_eq!(world.get("keyring:acme/ann").as_deref(), Ok("from keyring"));
    assert_eq!(service.asked(), 3);
}
