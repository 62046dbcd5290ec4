//! The documents that say which test shows which rule.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The tests that a row of a document names.
fn named(row: &str) -> impl Iterator<Item = &str> {
    let cell = row.trim_end_matches('|').rsplit('|').next();
    let quoted = cell.unwrap_or_default().split('`').skip(1).step_by(2);
    quoted.filter(|name| name.contains("::"))
}

/// The files that a test may be in, and its name there. Tests of the real program are named from `tests/it`; unit tests
/// and those of one crate begin with the crate's directory, as in `host/runtime::lock::tests::name` or `plugins/bedrock::…`.
fn places(test: &str) -> (Vec<PathBuf>, &str) {
    let (module, name) = test.rsplit_once("::").expect("a path");
    let root = Path::new(ROOT);
    let file = |module: &str| module.replace("::", "/") + ".rs";
    let in_a_crate = ["host/", "plugins/"]
        .iter()
        .any(|dir| module.starts_with(dir));
    let Some((member, module)) = in_a_crate.then(|| module.split_once("::")).flatten() else {
        return (vec![root.join("tests/it").join(file(module))], name);
    };
    let member = root.join(member);
    let around = module.strip_suffix("::tests").unwrap_or(module);
    let files = [
        member.join("src").join(file(module)),
        member.join("src").join(file(around)),
        member.join("tests").join(file(module)),
    ];
    (files.to_vec(), name)
}

fn check(document: &str, least: usize) {
    let text = fs::read_to_string(Path::new(ROOT).join(document)).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.ends_with("| shown by |"))
        .collect();
    for row in &rows {
        let tests: Vec<&str> = named(row).collect();
        assert!(!tests.is_empty(), "nothing shows `{row}`");
        for test in tests {
            let (files, name) = places(test);
            let is_there = |file: &PathBuf| {
                let source = fs::read_to_string(file).unwrap_or_default();
                let asynchronous = source.contains(&format!("]\nasync fn {name}()"));
                let inline = source.contains(&format!("]\n    fn {name}("));
                asynchronous || source.contains(&format!("]\nfn {name}()")) || inline
            };
            assert!(files.iter().any(is_there), "`{test}` is not in {files:?}");
        }
    }
    assert!(rows.len() > least, "only {} rows", rows.len());
}

#[test]
fn every_test_that_the_document_names_is_there() {
    check("docs/coverage.md", 60);
}

#[test]
fn every_attack_of_the_threat_model_has_its_test() {
    check("docs/threat-model.md", 30);
}
