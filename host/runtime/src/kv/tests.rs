use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn id(text: &str) -> PluginId {
    PluginId::parse(text).expect("valid")
}

#[tokio::test]
async fn values_are_kept_per_plugin_and_outlive_the_store() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let kv = Kv::new(dir.path().join("kv"));
    let (a, b) = (id("a"), id("b"));
    assert_eq!(kv.get(&a, "k".into()).await, Ok(None));
    kv.set(&a, 100, "k".into(), b"one".to_vec())
        .await
        .expect("set");
    kv.set(&a, 100, "k".into(), b"two".to_vec())
        .await
        .expect("set again");
    kv.set(&a, 100, "other".into(), Vec::new())
        .await
        .expect("set");
    let kv = Kv::new(dir.path().join("kv"));
    assert_eq!(kv.get(&a, "k".into()).await, Ok(Some(b"two".to_vec())));
    assert_eq!(kv.get(&a, "other".into()).await, Ok(Some(Vec::new())));
    assert_eq!(kv.get(&b, "k".into()).await, Ok(None));
    assert_eq!(
        kv.keys(&a, String::new()).await,
        Ok(vec!["k".to_owned(), "other".to_owned()])
    );
    assert_eq!(kv.keys(&a, "o".into()).await, Ok(vec!["other".to_owned()]));
    kv.delete(&a, "k".into()).await.expect("deleted");
    kv.delete(&a, "k".into())
        .await
        .expect("not there is no error");
    assert_eq!(kv.get(&a, "k".into()).await, Ok(None));
    kv.purge(&a).expect("purged");
    assert_eq!(kv.keys(&a, String::new()).await, Ok(Vec::new()));
    kv.purge(&a).expect("purged already");
}

#[tokio::test]
async fn the_quota_counts_keys_and_values_and_keeps_the_old_state() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (kv, a) = (Kv::new(dir.path().to_owned()), id("a"));
    kv.set(&a, 10, "key".into(), b"1234567".to_vec())
        .await
        .expect("it fits exactly");
    let denied = kv.set(&a, 10, "x".into(), Vec::new()).await;
    assert_eq!(
        denied,
        Err(PluginError::Denied(
            "plugin `a` may keep 10 bytes, this makes 11".to_owned()
        ))
    );
    assert_eq!(kv.keys(&a, String::new()).await, Ok(vec!["key".to_owned()]));
    kv.set(&a, 10, "key".into(), b"1".to_vec())
        .await
        .expect("a smaller value makes room");
    let long = kv.set(&a, 1 << 20, "k".repeat(1025), Vec::new()).await;
    assert!(matches!(long, Err(PluginError::Invalid(_))));
}

#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let kv = Kv::new(dir.path().to_owned());
    let writers: Vec<_> = (0..16)
        .map(|index| {
            let kv = kv.clone();
            tokio::spawn(async move {
                kv.set(&id("a"), 1000, format!("{index:02}"), vec![index])
                    .await
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("it ends").expect("it is set");
    }
    assert_eq!(
        kv.keys(&id("a"), String::new())
            .await
            .expect("readable")
            .len(),
        16
    );
}

#[tokio::test]
async fn a_store_is_private_and_a_damaged_one_is_an_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (kv, a) = (Kv::new(dir.path().to_owned()), id("a"));
    kv.set(&a, 10, "k".into(), b"v".to_vec())
        .await
        .expect("set");
    let path = dir.path().join("a.kv");
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let whole = fs::read(&path).expect("readable");
    for broken in [
        &whole[..whole.len() - 1],
        b"",
        b"something else",
        &[whole.as_slice(), &[255; 4]].concat(),
    ] {
        fs::write(&path, broken).expect("written");
        let error = kv
            .get(&a, "k".into())
            .await
            .expect_err("damaged")
            .to_string();
        assert_eq!(
            error,
            "the store of plugin `a` cannot be used: the file is damaged"
        );
    }
}

#[test]
fn no_plugin_id_reaches_another_file() {
    let kv = Kv::new(PathBuf::from("/kv"));
    let paths = ["a", "a..", "a.lock", "a.kv"].map(|text| kv.store(&id(text)));
    assert!(
        paths
            .iter()
            .all(|path| path.parent() == Some(std::path::Path::new("/kv")))
    );
    assert!(
        paths
            .iter()
            .all(|path| path.extension().is_some_and(|extension| extension == "kv"))
    );
}

proptest::proptest! {
    #[test]
    fn what_is_written_is_read_back(entries in proptest::collection::btree_map(".{0,8}", proptest::collection::vec(0_u8.., 0..20), 0..8)) {
        proptest::prop_assert_eq!(decode(&encode(&entries)), Some(entries));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(0_u8.., 0..64)) {
        drop(decode(&bytes));
        drop(decode(&[MAGIC, &bytes].concat()));
    }
}
