//! Trust is written into the user's own file, and nothing else there changes.

use std::os::unix::fs::PermissionsExt;

use dovetail_config::{TrustError, trust_project};

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
    assert!(stage.load().project.trusted);
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
    std::os::unix::fs::symlink(
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
