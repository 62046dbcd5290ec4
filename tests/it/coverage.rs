//! The document that says which test shows which rule.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The tests that a row of the document names.
fn named(row: &str) -> impl Iterator<Item = &str> {
    let cell = row.trim_end_matches('|').rsplit('|').next();
    let quoted = cell.unwrap_or_default().split('`').skip(1).step_by(2);
    quoted.filter(|name| name.contains("::"))
}

/// The file of a test, and its name there.
fn place(test: &str) -> (PathBuf, &str) {
    let (module, name) = test.rsplit_once("::").expect("a path");
    let file = module.replace("::", "/") + ".rs";
    (Path::new(ROOT).join("tests/it").join(file), name)
}

#[test]
fn every_test_that_the_document_names_is_there() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/coverage.md")).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.ends_with("| shown by |"))
        .collect();
    for row in &rows {
        let tests: Vec<&str> = named(row).collect();
        assert!(!tests.is_empty(), "nothing shows `{row}`");
        for test in tests {
            let (file, name) = place(test);
            let source = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                source.contains(&format!("]\nasync fn {name}()"))
                    || source.contains(&format!("]\nfn {name}()")),
                "`{test}` is not in `{}`",
                file.display()
            );
        }
    }
    assert!(rows.len() > 60, "only {} rows", rows.len());
}
