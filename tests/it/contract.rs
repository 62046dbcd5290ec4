//! The contract only grows: what was released is in it as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What each interface or world declares, without comments and layout.
type Declarations = BTreeMap<String, BTreeSet<String>>;

/// Reads the declarations of WIT files.
fn declarations(text: &str) -> Declarations {
    let text: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ");
    let mut all = Declarations::new();
    let mut rest = text.as_str();
    while let Some((head, body, after)) = block(rest) {
        let name = head
            .rsplit(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        all.entry(name).or_default().extend(statements(body));
        rest = after;
    }
    all
}

/// What stands before the first pair of braces, in it, and after it.
fn block(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('{')?;
    let mut depth = 0;
    for (at, c) in text[open..].char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return Some((
                &text[..open],
                &text[open + 1..open + at],
                &text[open + at + 1..],
            ));
        }
    }
    None
}

/// The statements of a body: what ends with `;` or with a block.
fn statements(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut depth, mut statement) = (0, String::new());
    for c in body.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        let uses = statement.trim_start().starts_with("use ");
        let ends = depth == 0 && (c == ';' || c == '}' && !uses);
        if !(ends && c == ';') {
            statement.push(c);
        }
        if ends {
            let words: Vec<&str> = statement.split_whitespace().collect();
            if !words.is_empty() {
                found.push(words.join(" "));
            }
            statement.clear();
        }
    }
    found
}

/// What was released and is not there as it was.
fn broken(released: &Declarations, now: &Declarations) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, statements) in released {
        match now.get(name) {
            None => broken.push(format!("`{name}` is gone")),
            Some(kept) => broken.extend(
                statements
                    .iter()
                    .filter(|statement| !kept.contains(*statement))
                    .map(|statement| format!("{name}: `{statement}` changed or is gone")),
            ),
        }
    }
    broken
}

fn read(dir: &str) -> Declarations {
    let mut all = String::new();
    let mut files: Vec<_> = fs::read_dir(Path::new(ROOT).join(dir))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .collect();
    files.sort();
    for file in files {
        all.push_str(&fs::read_to_string(file).unwrap());
    }
    declarations(&all)
}

#[test]
fn nothing_that_was_released_has_changed() {
    let released = read("wit/frozen/0.1");
    let count: usize = released.values().map(BTreeSet::len).sum();
    assert!(
        released.len() > 15 && count > 100,
        "{} blocks, {count} statements",
        released.len()
    );
    assert_eq!(broken(&released, &read("wit")), Vec::<String>::new());
}

#[test]
fn additions_are_no_breaks_and_changes_are() {
    let released = declarations(
        "package a:b@0.1.0;\n/// What.\ninterface x {\n    use t.{e};\n    record r { a: u8, }\n    f: func() -> r;\n}\n",
    );
    let check = |now: &str, expected: &[&str]| {
        assert_eq!(broken(&released, &declarations(now)), expected, "{now}");
    };
    check(
        "interface x { use t.{e}; record r { a: u8, } f: func() -> r; g: func(); } interface y { }",
        &[],
    );
    check(
        "interface x { use t.{e}; record r { a: u8, b: u8, } f: func() -> r; }",
        &["interface x: `record r { a: u8, }` changed or is gone"],
    );
    check(
        "interface x { use t.{e}; record r { a: u8, } f: func(a: u8) -> r; }",
        &["interface x: `f: func() -> r` changed or is gone"],
    );
    check("interface y { }", &["`interface x` is gone"]);
}
