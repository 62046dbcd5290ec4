//! Trust is written into the user's own file, and nothing else there changes.

use std::os::unix::fs::{PermissionsExt, symlink};

use dovetail_config::{TrustError, TrustLevel, load, trust_project};

use crate::stage::Stage;

fn trusted(stage: &Stage) -> String {
    trust_project(&stage.home(), &stage.path("project")).expect("it is written");
    stage.normal(&std::fs::read_to_string(stage.path("home/config.toml")).expect("the file"))
}

#[test]
fn comments_and_order_stay() {
    let stage =
        Stage::new().user("# mine\nmodel = 'm' # odd quotes\n\n[features] # last\nx = true\n");
    let expected = "# mine\nmodel = 'm' # odd quotes\n\n[features] # last\nx = true\n\n[projects.\"$STAGE/project\"]\ntrust_level = \"trusted\"\n";
    assert_eq!(trusted(&stage), expected);
    assert_eq!(trusted(&stage), expected, "a second time changes nothing");
    assert!(stage.load().project.trusted());
}

#[test]
fn a_missing_file_is_made_for_its_owner_alone() {
    let stage = Stage::new();
    std::fs::remove_dir(stage.home()).expect("it was empty");
    assert_eq!(
        trusted(&stage),
        "[projects.\"$STAGE/project\"]\ntrust_level = \"trusted\"\n"
    );
    let mode = std::fs::metadata(stage.path("home/config.toml"))
        .expect("the file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn distrust_is_replaced_and_a_link_stays_a_link() {
    let stage = Stage::new().file(
        "dotfiles/c.toml",
        "projects.\"$STAGE/project\" = { trust_level = \"untrusted\" }\n",
    );
    symlink(
        stage.path("dotfiles/c.toml"),
        stage.path("home/config.toml"),
    )
    .expect("a link");
    assert_eq!(
        trusted(&stage),
        "projects.\"$STAGE/project\" = { trust_level = \"trusted\" }\n"
    );
    assert!(stage.path("home/config.toml").is_symlink());
}

#[test]
fn a_file_that_cannot_be_understood_is_left_alone() {
    for (text, malformed) in [("= broken", true), ("projects = 5", false)] {
        let stage = Stage::new().user(text);
        let error =
            trust_project(&stage.home(), &stage.path("project")).expect_err("it is refused");
        assert_eq!(
            matches!(error, TrustError::Malformed { .. }),
            malformed,
            "{error}"
        );
        assert_eq!(
            std::fs::read_to_string(stage.path("home/config.toml")).expect("the file"),
            text
        );
    }
}

/// What a configuration says of the directory `project`.
#[track_caller]
fn check_level(user: &str, expected: Option<TrustLevel>) {
    let stage = Stage::new();
    symlink(stage.path("project"), stage.path("link")).expect("a link");
    symlink(stage.path(""), stage.path("all")).expect("a link");
    assert_eq!(stage.user(user).load().project.trust, expected, "{user}");
}

#[test]
fn a_project_may_be_named_through_links() {
    let (trusted, untrusted) = (Some(TrustLevel::Trusted), Some(TrustLevel::Untrusted));
    let entry = |name: &str, level: &str| {
        format!("[projects.\"$STAGE/{name}\"]\ntrust_level = \"{level}\"\n")
    };
    check_level(&entry("link", "trusted"), trusted);
    check_level(&entry("project/", "trusted"), trusted);
    check_level(&entry("all/project", "untrusted"), untrusted);
    check_level(&entry("all", "trusted"), None);
    check_level(&entry("link/inner", "trusted"), None);
    let both = [entry("all/project", "trusted"), entry("link", "untrusted")];
    check_level(&both.concat(), untrusted);
    let own = [entry("link", "untrusted"), entry("project", "trusted")];
    check_level(&own.concat(), trusted);
}

/// A stage whose directory `copy` says that it is a work tree of the repository `project`, which says the same where
/// `listed` names its file.
fn work_tree(listed: Option<&str>) -> Stage {
    let stage = Stage::new()
        .user("[projects.\"$STAGE/project\"]\ntrust_level = \"trusted\"")
        .file("copy/.git", "gitdir: $STAGE/project/.git/worktrees/copy\n")
        .file("copy/.codex/config.toml", "model = \"of the copy\"");
    match listed {
        Some(link) => stage
            .file("project/.git/worktrees/copy/gitdir", &format!("{link}\n"))
            .file("project/.git/worktrees/copy/commondir", "../..\n"),
        None => stage,
    }
}

#[track_caller]
fn check_copy(stage: &Stage, expected: Option<&str>) {
    let config = load(&stage.request_in(&stage.path("copy"))).expect("it loads");
    assert_eq!(config.model.as_deref(), expected);
}

#[test]
fn work_trees_of_a_trusted_repository_are_trusted() {
    check_copy(&work_tree(Some("$STAGE/copy/.git")), Some("of the copy"));
    check_copy(
        &work_tree(Some("../../../../copy/.git")),
        Some("of the copy"),
    );
}

#[test]
fn a_directory_cannot_call_itself_a_work_tree_of_a_trusted_repository() {
    check_copy(&work_tree(None), None);
    check_copy(&work_tree(Some("$STAGE/elsewhere/.git")), None);
    let forged = work_tree(None)
        .file("copy/.git", "gitdir: $STAGE/copy/admin\n")
        .file("copy/admin/gitdir", "$STAGE/copy/.git\n")
        .file("copy/admin/commondir", "$STAGE/project/.git\n");
    check_copy(&forged, None);
}

#[test]
fn what_is_said_of_a_work_tree_itself_counts_more() {
    let stage = work_tree(Some("$STAGE/copy/.git")).user(
        "[projects.\"$STAGE/project\"]\ntrust_level = \"trusted\"\n\
         [projects.\"$STAGE/copy\"]\ntrust_level = \"untrusted\"",
    );
    check_copy(&stage, None);
}
