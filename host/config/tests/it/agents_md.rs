//! Documents for the model.

use dovetail_config::{ProjectDocSettings, ProjectDocs, collect_project_docs};

use crate::stage::Stage;

fn collect(stage: &Stage, max_bytes: u64, fallback: &[&str]) -> ProjectDocs {
    let settings = ProjectDocSettings {
        max_bytes,
        fallback_filenames: fallback.iter().map(|name| (*name).to_owned()).collect(),
    };
    collect_project_docs(&stage.home(), &stage.load().project, stage.cwd(), &settings)
}

#[track_caller]
fn check(stage: &Stage, fallback: &[&str], expected: &str) {
    let docs = collect(stage, 32 * 1024, fallback);
    assert_eq!(docs.text, expected);
    assert!(docs.warnings.is_empty(), "{:?}", docs.warnings);
}

#[test]
fn the_users_come_first_then_the_projects_from_its_root() {
    let stage = Stage::new()
        .file("home/AGENTS.md", "mine\n")
        .file("project/AGENTS.md", "root\n")
        .file("project/inner/AGENTS.md", "inner\n")
        .file("AGENTS.md", "outside the project");
    check(
        &stage,
        &[],
        "mine\n\n--- project-doc ---\n\nroot\n\n\ninner\n",
    );
}

#[test]
fn overrides_win_and_fallbacks_lose() {
    let stage = Stage::new()
        .file("home/AGENTS.md", "mine")
        .file("home/AGENTS.override.md", "mine instead")
        .file("project/AGENTS.md", "root")
        .file("project/AGENTS.override.md", "root instead")
        .file("project/inner/CLAUDE.md", "fallback");
    check(
        &stage,
        &["CLAUDE.md"],
        "mine instead\n\n--- project-doc ---\n\nroot instead\n\nfallback",
    );
    check(
        &stage,
        &[],
        "mine instead\n\n--- project-doc ---\n\nroot instead",
    );
}

#[test]
fn nothing_is_nothing() {
    let stage = Stage::new().file("project/AGENTS.md", " \n");
    let docs = collect(&stage, 100, &[]);
    assert_eq!(
        (
            docs.text.as_str(),
            docs.files.len(),
            docs.block(stage.cwd())
        ),
        ("", 0, None)
    );
}

#[test]
fn the_block_has_its_form() {
    let stage = Stage::new().file("project/AGENTS.md", "be nice\n");
    let block = collect(&stage, 100, &[])
        .block(stage.cwd())
        .expect("a block");
    let expected = "# AGENTS.md instructions for $STAGE/project/inner\n\n<INSTRUCTIONS>\nbe nice\n\n</INSTRUCTIONS>";
    assert_eq!(stage.normal(&block), expected);
}

#[test]
fn the_budget_is_for_all_of_the_project_and_cuts_between_characters() {
    let stage = Stage::new()
        .file("home/AGENTS.md", "does not count")
        .file("project/AGENTS.md", "12345")
        .file("project/inner/AGENTS.md", "678é0");
    let docs = collect(&stage, 9, &[]);
    assert!(docs.text.ends_with("12345\n\n678"), "{}", docs.text);
    assert_eq!(
        stage.normal(&docs.warnings.join("\n")),
        "`$STAGE/project/inner/AGENTS.md` is cut: only 4 bytes of it fit"
    );
    assert_eq!(collect(&stage, 5, &[]).files.len(), 2);
    assert!(collect(&stage, 0, &[]).text.ends_with("does not count"));
}

#[test]
fn bytes_that_are_no_text_do_not_stop_a_turn() {
    let stage = Stage::new();
    std::fs::write(stage.path("project/AGENTS.md"), b"a\xffb").expect("a file");
    check(&stage, &[], "a\u{fffd}b");
}
