use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::capability::{Capabilities, SlotName};
use crate::secret_source::SecretSource;

struct World {
    dir: tempfile::TempDir,
    credentials: Credentials,
    grant: Grant,
}

fn id() -> PluginId {
    PluginId::parse("acme").expect("valid")
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let secrets = Arc::new(Secrets::new(
            Arc::new([("SET".into(), "value".into())].into_iter().collect()),
            dir.path().to_owned(),
        ));
        let sources = [
            ("token", SecretSource::File(dir.path().join("token"))),
            ("env", SecretSource::Env("X".to_owned())),
            ("set", SecretSource::Env("SET".to_owned())),
            ("shared", SecretSource::Document(dir.path().join("shared"))),
        ];
        secrets.bind(
            id(),
            sources
                .into_iter()
                .map(|(slot, source)| (slot.to_owned(), source))
                .collect::<BTreeMap<_, _>>(),
        );
        let owns = ["token", "env", "set", "shared"]
            .map(|slot| SlotName::parse(slot).expect("valid"))
            .into();
        let grant = Grant::builtin(Capabilities {
            owns,
            ..Capabilities::default()
        });
        let credentials = Credentials::new(secrets, dir.path().join("locks"));
        Self {
            dir,
            credentials,
            grant,
        }
    }

    async fn reveal(&self, slot: &str) -> Result<(Vec<u8>, u64), PluginError> {
        let versioned = self.credentials.reveal(&id(), &self.grant, slot).await?;
        Ok((versioned.value.to_vec(), versioned.generation))
    }

    async fn update(&self, expected: u64, value: &[u8]) -> Result<u64, PluginError> {
        self.credentials
            .update(
                &id(),
                &self.grant,
                "token",
                expected,
                Zeroizing::new(value.to_vec()),
            )
            .await
    }
}

#[tokio::test]
async fn a_credential_is_replaced_only_where_nobody_was_faster() {
    let world = World::new();
    let first = world.update(0, b"one").await.expect("there was none");
    assert_eq!(world.reveal("token").await, Ok((b"one".to_vec(), first)));
    let second = world
        .update(first, b"two")
        .await
        .expect("nobody was faster");
    assert_ne!(first, second);
    let late = world.update(first, b"late").await;
    assert!(
        matches!(late, Err(PluginError::Retryable { .. })),
        "{late:?}"
    );
    assert_eq!(world.reveal("token").await, Ok((b"two".to_vec(), second)));
    let same = world
        .update(second, b"two")
        .await
        .expect("nobody was faster");
    assert_ne!(second, same, "an update with the same value is an update");
}

#[tokio::test]
async fn a_change_by_another_program_is_noticed() {
    let world = World::new();
    let generation = world.update(0, b"one").await.expect("there was none");
    private_file::replace(&world.dir.path().join("token"), b"two").expect("written");
    assert!(matches!(
        world.update(generation, b"mine").await,
        Err(PluginError::Retryable { .. })
    ));
    assert_eq!(world.reveal("token").await.expect("readable").0, b"two");
}

#[tokio::test]
async fn what_is_not_owned_missing_or_open_is_refused() {
    let world = World::new();
    assert!(matches!(
        world.reveal("other").await,
        Err(PluginError::Denied(_))
    ));
    assert!(matches!(
        world.reveal("env").await,
        Err(PluginError::Unavailable(_))
    ));
    assert!(matches!(
        world.reveal("token").await,
        Err(PluginError::Unavailable(_))
    ));
    let path = world.dir.path().join("token");
    fs::write(&path, "hush").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
    let error = world
        .reveal("token")
        .await
        .expect_err("open to others")
        .to_string();
    assert!(
        error.contains("other users can read it") && !error.contains("hush"),
        "{error}"
    );
}

const FOR_EVER: Duration = Duration::MAX;

#[tokio::test(start_paused = true)]
async fn a_lock_that_nobody_lets_go_of_is_given_up() {
    let world = World::new();
    let plugin = id();
    let lock = |patience| world.credentials.lock(&plugin, "refresh", patience);
    let _held = lock(FOR_EVER).await.expect("free");
    let refused = lock(Duration::from_secs(30)).await;
    assert_eq!(
        refused.expect_err("it is held"),
        PluginError::Retryable {
            reason: "another process has held lock `refresh` for more than 30 s".to_owned(),
            after: None,
        }
    );
}

#[tokio::test]
async fn a_lock_is_held_by_one_and_passed_on() {
    let world = World::new();
    let held = world
        .credentials
        .lock(&id(), "refresh", FOR_EVER)
        .await
        .expect("free");
    let other_name = world
        .credentials
        .lock(&id(), "../else", FOR_EVER)
        .await
        .expect("another name is another lock");
    let plugin = id();
    let mut waiting = Box::pin(world.credentials.lock(&plugin, "refresh", FOR_EVER));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(held);
    waiting.await.expect("it is free now");
    drop(other_name);
    assert_eq!(
        fs::read_dir(world.dir.path().join("locks"))
            .expect("listable")
            .count(),
        2
    );
}

#[tokio::test]
async fn what_lies_elsewhere_is_shown_and_not_replaced() {
    let world = World::new();
    let (value, generation) = world.reveal("set").await.expect("it is set");
    assert_eq!(value, b"value");
    assert_eq!(
        world.reveal("set").await,
        Ok((b"value".to_vec(), generation))
    );
    let path = world.dir.path().join("shared");
    assert!(matches!(
        world.reveal("shared").await,
        Err(PluginError::Unavailable(_))
    ));
    fs::write(&path, "[default]\n").expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
    let (value, generation) = world
        .reveal("shared")
        .await
        .expect("others may read it too");
    assert_eq!(value, b"[default]");
    let replaced = world
        .credentials
        .update(
            &id(),
            &world.grant,
            "shared",
            generation,
            Zeroizing::new(b"mine".to_vec()),
        )
        .await;
    assert!(
        matches!(replaced, Err(PluginError::Unavailable(_))),
        "{replaced:?}"
    );
    fs::write(&path, b"\xff").expect("written");
    assert!(matches!(
        world.reveal("shared").await,
        Err(PluginError::Other(_))
    ));
}
