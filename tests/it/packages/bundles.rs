//! Installed plugins in one archive, for machines that reach nothing else.

use dovetail_package::pack::{File, pack};
use dovetail_package::unpack::unpack;
use dovetail_tests::{Lab, NO_RM, NOTES};

use super::{check_refused, listed, with_more};
use crate::DOVETAIL;

#[tokio::test]
async fn a_bundle_is_the_same_each_time_and_installs_elsewhere() {
    let lab = Lab::bare(DOVETAIL);
    lab.install(&NOTES).await;
    lab.install(&NO_RM).await;
    for name in ["one.tar.zst", "two.tar.zst"] {
        let ran = lab
            .run(&["plugin", "bundle", "-o", name])
            .await
            .expect_code(0);
        assert!(
            ran.stdout.contains("bundled no-rm, notes in "),
            "{}",
            ran.stdout
        );
    }
    let read = |name| std::fs::read(lab.project().join(name)).unwrap();
    assert_eq!(read("one.tar.zst"), read("two.tar.zst"));
    let other = Lab::bare(DOVETAIL);
    other.write("plugins.tar.zst", read("one.tar.zst"));
    other
        .run(&["plugin", "install", "plugins.tar.zst", "--yes"])
        .await
        .expect_code(0);
    for id in ["notes", "no-rm"] {
        assert_eq!(listed(&other, id).await["state"], "ready", "{id}");
    }
}

#[tokio::test]
async fn a_bundle_that_is_not_as_it_lists_is_refused() {
    let lab = Lab::bare(DOVETAIL);
    lab.install(&NOTES).await;
    lab.run(&["plugin", "bundle", "notes", "-o", "good.tar.zst"])
        .await
        .expect_code(0);
    let good = std::fs::read(lab.project().join("good.tar.zst")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    unpack(good.as_slice(), good.len() as u64, dir.path()).unwrap();
    let read = |path: &str| File {
        path: path.to_owned(),
        content: std::fs::read(dir.path().join(path)).unwrap(),
    };
    let list = read("bundle.toml");
    let (manifest, wasm) = (read("notes/plugin.toml"), read("notes/notes.wasm"));
    let other = File {
        content: with_more(&wasm.content),
        ..wasm
    };
    let other_lab = Lab::bare(DOVETAIL);
    other_lab.write("bad.tar.zst", pack(vec![list, manifest, other]).unwrap());
    check_refused(
        &other_lab,
        &["bad.tar.zst"],
        1,
        &["does not hold what its bundle.toml lists"],
    )
    .await;
}

#[tokio::test]
async fn what_does_not_run_here_is_not_bundled_for_others() {
    let lab = Lab::bare(DOVETAIL);
    lab.run(&["plugin", "bundle"])
        .await
        .expect_code(1)
        .expect_errors(&["there are no plugins to bundle"]);
    lab.drop_in(&NOTES);
    lab.run(&["plugin", "bundle", "notes"])
        .await
        .expect_code(3)
        .expect_errors(&["nobody has granted it"]);
    assert!(!lab.project().join("plugins.tar.zst").exists());
}
