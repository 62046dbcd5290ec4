//! The table of settings in the documentation is what the schema says.

use std::fmt::Write as _;

use serde_json::Value;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");
const BEGIN: &str =
    "<!-- keys: generated from the schema; see host/config/tests/it/reference.rs -->\n";
const END: &str = "<!-- end of keys -->\n";

/// Tables whose keys are listed one by one; the others are described elsewhere or understood elsewhere.
const LISTED: &[&str] = &[
    "dovetail",
    "history",
    "sandbox_workspace_write",
    "shell_environment_policy",
];

fn rows(schema: &Value, table: &Value, prefix: &str, text: &mut String) {
    for (key, property) in table["properties"].as_object().expect("properties") {
        let name = format!("{prefix}{key}");
        let target = property["$ref"]
            .as_str()
            .and_then(|target| target.strip_prefix("#/$defs/"))
            .map(|name| &schema["$defs"][name]);
        match target {
            Some(inner)
                if LISTED.contains(&key.as_str()) && property["x-not-supported"].is_null() =>
            {
                rows(schema, inner, &format!("{name}."), text);
            }
            _ => row(&name, property, text),
        }
    }
}

fn row(name: &str, property: &Value, text: &mut String) {
    let meaning = property["description"].as_str().unwrap_or_default();
    let meaning = meaning.replace('\n', " ").replace('|', "\\|");
    let idle = property["x-not-supported"]
        .as_str()
        .map_or_else(|| "yes".to_owned(), |reason| format!("no: {reason}"));
    writeln!(text, "| `{name}` | {meaning} | {idle} |").expect("a string takes all text");
}

#[test]
fn the_table_of_settings_is_what_the_schema_says() {
    let document = std::fs::read_to_string(DOCUMENT).expect("the document");
    let (before, rest) = document.split_once(BEGIN).expect("the beginning is marked");
    let (table, after) = rest.split_once(END).expect("the end is marked");
    let schema = dovetail_config::config_schema();
    let mut expected = "\n| key | meaning | honoured |\n|---|---|---|\n".to_owned();
    rows(&schema, &schema, "", &mut expected);
    expected.push('\n');
    if std::env::var_os("DOVETAIL_WRITE_REFERENCE").is_some() {
        let whole = format!("{before}{BEGIN}{expected}{END}{after}");
        std::fs::write(DOCUMENT, whole).expect("the document can be written");
        return;
    }
    assert!(
        table == expected,
        "docs/config.md is out of date: DOVETAIL_WRITE_REFERENCE=1 cargo test -p dovetail-config reference"
    );
}
