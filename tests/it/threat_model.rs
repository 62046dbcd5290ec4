//! The threat model: every row names the tests that show it.

use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The tests of a row, as `file#function`.
fn named(row: &str) -> impl Iterator<Item = (&str, &str)> {
    let cell = row.trim_end_matches('|').rsplit('|').next();
    let quoted = cell.unwrap_or_default().split('`').skip(1).step_by(2);
    quoted.filter_map(|name| name.split_once('#'))
}

fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| {
        let attribute = pair[0].starts_with("#[test") || pair[0].starts_with("#[tokio::test");
        let function = pair[1].trim_start_matches("async ");
        attribute && function.starts_with(&format!("fn {name}("))
    })
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/threat-model-running.md")).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.ends_with("| test |"))
        .collect();
    for row in &rows {
        assert!(named(row).next().is_some(), "nothing shows `{row}`");
        for (file, name) in named(row) {
            let source = fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_default();
            assert!(is_test(&source, name), "`{name}` is no test in `{file}`");
        }
    }
    assert!(rows.len() > 35, "only {} rows", rows.len());
}

#[test]
fn a_function_that_is_no_test_shows_nothing() {
    assert!(is_test("#[tokio::test]\nasync fn a() {}", "a"));
    assert!(is_test("    #[test]\n    fn a() {}", "a"));
    assert!(!is_test("fn a() {}", "a"));
    assert!(!is_test("#[test]\nfn ab() {}", "a"));
}
