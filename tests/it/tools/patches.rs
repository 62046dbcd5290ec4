//! `apply_patch`: the envelope, what it does to files, and what it says when it cannot.

use std::fs;

use dovetail_tests::{Lab, script};

use super::{run, run_in, with_script};

/// A lab in which the model applies one patch; the envelope's first and last lines are added.
async fn with_patch(body: &str) -> Lab {
    let patch = format!("*** Begin Patch\n{body}\n*** End Patch\n");
    with_script(&script::patch("p", &patch)).await
}

fn read(lab: &Lab, name: &str) -> String {
    fs::read_to_string(lab.project().join(name)).unwrap_or_else(|error| format!("{name}: {error}"))
}

fn applied(files: &str) -> String {
    format!("Exit code: 0\nWall time: <time>\nOutput:\nThe patch was applied:\n{files}\n")
}

#[tokio::test]
async fn files_are_added_changed_moved_and_deleted_together() {
    let lab = with_patch(
        "*** Add File: new/deep.txt\n+one\n+\n+two\n*** Update File: keep.txt\n@@ fn b\n-old\n+new\n\
         *** Update File: from.txt\n*** Move to: sub/to.txt\n@@\n-x\n+y\n*** Delete File: gone.txt",
    )
    .await;
    lab.write("keep.txt", "fn a\nold\nfn b\nold\nend");
    lab.write("from.txt", "x\n");
    lab.write("gone.txt", "bye\n");
    let ran = run_in(&lab, "workspace-write").await;
    let files = "A new/deep.txt\nM keep.txt\nM sub/to.txt\nD gone.txt";
    assert_eq!(lab.normal(&lab.output_of("p")), applied(files));
    assert_eq!(read(&lab, "new/deep.txt"), "one\n\ntwo\n");
    assert_eq!(
        read(&lab, "keep.txt"),
        "fn a\nold\nfn b\nnew\nend",
        "it still ends without a line end"
    );
    assert_eq!(read(&lab, "sub/to.txt"), "y\n");
    for gone in ["from.txt", "gone.txt"] {
        assert!(!lab.project().join(gone).exists(), "{gone}");
    }
    let events = ran.events();
    let items: Vec<String> = events
        .iter()
        .filter(|event| event["item"]["type"] == "file_change")
        .map(|event| {
            lab.normal(&format!(
                "{} {} {}",
                event["type"], event["item"]["status"], event["item"]["changes"]
            ))
        })
        .collect();
    let changes = r#"[{"path":"/project/new/deep.txt","kind":"add"},{"path":"/project/keep.txt","kind":"update"},{"path":"/project/from.txt","kind":"update"},{"path":"/project/gone.txt","kind":"delete"}]"#;
    assert_eq!(
        items,
        [
            format!("\"item.started\" \"in_progress\" {changes}"),
            format!("\"item.completed\" \"completed\" {changes}"),
        ]
    );
}

#[tokio::test]
async fn line_ends_stay_as_they_are() {
    let lab = with_patch("*** Update File: dos.txt\n@@\n a\n-b\n+B\n+C").await;
    lab.write("dos.txt", "a\r\nb\r\nc\r\n");
    run(&lab).await;
    assert_eq!(read(&lab, "dos.txt"), "a\r\nB\r\nC\r\nc\r\n");
}

/// The patch is refused with these words, and `f.txt` and `first.txt` are as they were.
async fn check_refused(body: &str, expected: &str) {
    let lab = with_patch(&format!(
        "*** Update File: first.txt\n@@\n-1\n+2\n*** Add File: added.txt\n+x\n{body}"
    ))
    .await;
    lab.write("first.txt", "1\n");
    lab.write("f.txt", "a\nb\nc\n");
    lab.write("image.bin", b"\xff\xfe\0\n");
    fs::write(lab.outside().join("theirs.txt"), "theirs\n").unwrap();
    std::os::unix::fs::symlink(
        lab.outside().join("theirs.txt"),
        lab.project().join("link.txt"),
    )
    .unwrap();
    // The lab is among temporary files.
    lab.add_config(
        "[sandbox_workspace_write]\nexclude_slash_tmp = true\nexclude_tmpdir_env_var = true",
    );
    let ran = run_in(&lab, "workspace-write").await;
    assert_eq!(lab.normal(&lab.output_of("p")), expected, "{body}");
    assert_eq!(
        (&*read(&lab, "first.txt"), &*read(&lab, "f.txt")),
        ("1\n", "a\nb\nc\n"),
        "{body}"
    );
    assert!(!lab.project().join("added.txt").exists(), "{body}");
    assert_eq!(
        fs::read_to_string(lab.outside().join("theirs.txt")).unwrap(),
        "theirs\n",
        "{body}"
    );
    assert!(
        !ran.stdout.contains("file_change"),
        "{body}: nothing is shown of what was not done"
    );
}

#[tokio::test]
async fn a_patch_that_does_not_fit_says_where_and_changes_nothing() {
    for (body, expected) in [
        (
            "*** Update File: f.txt\n@@\n a\n b\n-x",
            "`f.txt` does not have the expected lines (patch line 9): closest is line 1, but line 3 is `c` where the patch expects `x`",
        ),
        (
            "*** Update File: f.txt\n@@ nowhere\n-a",
            "`f.txt` has no line `nowhere` (patch line 9)",
        ),
        (
            "*** Update File: none.txt\n@@\n-a",
            "`none.txt` does not exist",
        ),
        ("*** Delete File: none.txt", "`none.txt` does not exist"),
        (
            "*** Add File: f.txt\n+x",
            "`f.txt` exists already; update it, or delete it first",
        ),
        (
            "*** Update File: image.bin\n@@\n-a",
            "`image.bin` is not UTF-8 text, so it cannot be patched",
        ),
        (
            "*** Delete File: .",
            "patch rejected: writing outside of the project; rejected by user approval settings (`/project/.` is outside the writable roots)",
        ),
        (
            "*** Rename File: f.txt",
            "invalid patch: line 8: expected `*** Add File: `, `*** Delete File: ` or `*** Update File: `, found `*** Rename File: f.txt`",
        ),
        (
            "*** Update File: f.txt",
            "invalid patch: line 8: the update of `f.txt` changes nothing",
        ),
        (
            "*** Update File: f.txt\n@@\n-a\noops",
            "invalid patch: line 11: a line of an update starts with a space, `-` or `+`, found `oops`",
        ),
        (
            "*** Add File: new.txt\noops",
            "invalid patch: line 9: a line of a new file starts with `+`, found `oops`",
        ),
    ] {
        check_refused(body, expected).await;
    }
}

#[tokio::test]
async fn a_patch_stays_where_it_may_write() {
    let rejected =
        "patch rejected: writing outside of the project; rejected by user approval settings";
    for (body, expected) in [
        (
            "*** Add File: ../user/new.txt\n+x",
            format!("{rejected} (`/project/../user/new.txt` is outside the writable roots)"),
        ),
        (
            "*** Update File: link.txt\n@@\n-theirs\n+mine",
            format!("{rejected} (`/project/link.txt` is outside the writable roots)"),
        ),
        (
            "*** Update File: f.txt\n*** Move to: /etc/f.txt\n@@\n-a\n+b",
            format!("{rejected} (`/etc/f.txt` is outside the writable roots)"),
        ),
        (
            "*** Add File: .git/hooks/pre-commit\n+x",
            "patch rejected: `/project/.git/hooks/pre-commit` is protected and stays read-only"
                .to_owned(),
        ),
        (
            "*** Add File: .codex/config.toml\n+x",
            "patch rejected: `/project/.codex/config.toml` is protected and stays read-only"
                .to_owned(),
        ),
    ] {
        check_refused(body, &expected).await;
    }
}

#[tokio::test]
async fn deleting_a_link_leaves_what_it_leads_to() {
    let lab = with_patch("*** Delete File: link.txt\n*** Delete File: lost.txt").await;
    let theirs = lab.outside().join("theirs.txt");
    fs::write(&theirs, "theirs\n").unwrap();
    let link = |target: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(target, lab.project().join(name)).unwrap();
    };
    link(&theirs, "link.txt");
    link("nowhere".as_ref(), "lost.txt");
    run_in(&lab, "workspace-write").await;
    assert_eq!(
        lab.normal(&lab.output_of("p")),
        applied("D link.txt\nD lost.txt")
    );
    for name in ["link.txt", "lost.txt"] {
        assert!(
            fs::symlink_metadata(lab.project().join(name)).is_err(),
            "{name}"
        );
    }
    assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs\n");
}

#[tokio::test]
async fn an_envelope_that_is_none_is_refused() {
    for (patch, expected) in [
        (
            "",
            "invalid patch: the first line must be `*** Begin Patch`, it is ``",
        ),
        (
            "hello",
            "invalid patch: the first line must be `*** Begin Patch`, it is `hello`",
        ),
        (
            "*** Begin Patch\n*** Add File: a\n+x",
            "invalid patch: the last line must be `*** End Patch`, it is `+x`",
        ),
        (
            "*** Begin Patch\n*** End Patch",
            "invalid patch: the patch names no file",
        ),
    ] {
        let lab = with_script(&script::patch("p", patch)).await;
        run(&lab).await;
        assert_eq!(lab.output_of("p"), expected, "{patch:?}");
    }
}

#[tokio::test]
async fn a_failing_write_leaves_every_file_as_it_was() {
    // The second file's directory cannot be made: a file of that name is in the way.
    let lab =
        with_patch("*** Update File: f.txt\n@@\n-a\n+A\n*** Add File: f.txt/inside\n+x").await;
    lab.write("f.txt", "a\n");
    run(&lab).await;
    let output = lab.normal(&lab.output_of("p"));
    assert!(output.contains("Not a directory"), "{output}");
    assert_eq!(read(&lab, "f.txt"), "a\n");
    let names = fs::read_dir(lab.project())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, [".git", "f.txt"], "nothing is left lying about");
}
