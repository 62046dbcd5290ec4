//! Takes out of texts what differs from run to run.

use regex_lite::Regex;
use serde_json::Value;

/// What differs, and what stands for it.
const VARYING: &[(&str, &str)] = &[
    (
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "<id>",
    ),
    (r"Chunk ID: [0-9a-f]{6}", "Chunk ID: <chunk>"),
    (r"Wall time: [0-9.]+ seconds", "Wall time: <time>"),
    (r"session ID [0-9]+", "session ID <session>"),
    // Paths are part of output, and not equally long everywhere.
    (
        r"Original token count: [0-9]+",
        "Original token count: <count>",
    ),
    (r"127\.0\.0\.1:[0-9]+", "127.0.0.1:<port>"),
    (r"<current_date>[^<]*", "<current_date>"),
    (r"\bresp_[0-9]+\b", "<response>"),
    (r"\b[0-9a-f]{40}\b", "<commit>"),
    (
        r"\b(codex_\w+)/(\S+) \([^)]*\) (\S+) \([^)]*\)",
        "$1/$2 (<system>) $3 (<client>)",
    ),
];

/// A text without ids, times, ports, and with `/project` and the like for directories.
pub fn normal(text: &str, directories: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (directory, name) in directories {
        text = text.replace(directory, name);
    }
    for (pattern, name) in VARYING {
        let pattern = Regex::new(pattern).expect("the patterns above are well formed");
        text = pattern.replace_all(&text, *name).into_owned();
    }
    text
}

/// The same for every text in a value, keys included.
pub fn normal_json(value: &Value, directories: &[(&str, &str)]) -> Value {
    match value {
        Value::String(text) => normal(text, directories).into(),
        Value::Array(values) => values
            .iter()
            .map(|value| normal_json(value, directories))
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (normal(key, directories), normal_json(value, directories)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_named() {
        let text = "01a1fb58-2811-7ea0-9e27-e6be064a83e5:0 Wall time: 0.1479 seconds http://127.0.0.1:4711/v1 /tmp/x/a";
        assert_eq!(
            normal(text, &[("/tmp/x", "/project")]),
            "<id>:0 Wall time: <time> http://127.0.0.1:<port>/v1 /project/a"
        );
    }
}
