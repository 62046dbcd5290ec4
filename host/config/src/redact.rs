//! Which values stay out of sight when a configuration is shown.

use serde_json::Value;

/// What is shown instead.
const MASK: &str = "<redacted>";

/// Parts of names that credentials have.
const SECRET_WORDS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "authorization",
    "cookie",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "access-key",
    "private_key",
    "private-key",
    "bearer",
];

/// Keys that hold the *name* of a secret, not the secret.
const NAMES_OF_SECRETS: &[&str] = &[
    "env_key",
    "env_key_instructions",
    "bearer_token_env_var",
    "env_http_headers",
    "env_vars",
];

/// Whether a name is one that credentials have.
pub fn looks_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    if NAMES_OF_SECRETS.contains(&lower.as_str()) {
        return false;
    }
    SECRET_WORDS.iter().any(|word| lower.contains(word))
        || lower == "key"
        || lower.ends_with("_key")
        || lower.ends_with("-key")
}

/// A value as it may be shown.
pub(crate) fn shown(path: &[&str], value: &Value) -> Value {
    let hidden = match path {
        // Static headers are where people put gateway credentials, under names nobody can guess.
        [.., "http_headers", _] => true,
        [.., "env_http_headers", _] => false,
        [.., last] => looks_secret(last),
        [] => false,
    };
    match value {
        Value::String(_) if hidden => Value::from(MASK),
        Value::String(text) => Value::String(without_userinfo(text)),
        Value::Array(items) if hidden => {
            Value::Array(items.iter().map(|_| Value::from(MASK)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| shown(path, item)).collect()),
        Value::Object(fields) => {
            let inner = |(key, value): (&String, &Value)| {
                let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                (key.clone(), shown(&path, value))
            };
            Value::Object(fields.iter().map(inner).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A URL without the name and password in it.
fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://{MASK}@{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

/// A line of a file that could not be parsed, with what follows a secret's name masked.
pub(crate) fn mask_line(line: &str) -> String {
    match line.find('=') {
        Some(at)
            if looks_secret(&line[..at]) || line[at..].to_ascii_lowercase().contains("bearer ") =>
        {
            format!("{}= {MASK}", &line[..at])
        }
        Some(_) | None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_masked_and_names_of_credentials_are_not() {
        let value = json!({
            "base_url": "https://user:pw@host/v1", "env_key": "ACME_KEY", "experimental_bearer_token": "t",
            "http_headers": {"x-anything": "v"}, "env_http_headers": {"x-token": "ACME"},
            "query_params": {"api-key": "k", "api-version": "2"}, "auth": {"command": "print-it", "args": ["a"]},
            "env": {"GITHUB_TOKEN": "g", "PATH": "/bin"}, "tokens": 5,
        });
        let expected = json!({
            "base_url": "https://<redacted>@host/v1", "env_key": "ACME_KEY", "experimental_bearer_token": "<redacted>",
            "http_headers": {"x-anything": "<redacted>"}, "env_http_headers": {"x-token": "ACME"},
            "query_params": {"api-key": "<redacted>", "api-version": "2"}, "auth": {"command": "print-it", "args": ["a"]},
            "env": {"GITHUB_TOKEN": "<redacted>", "PATH": "/bin"}, "tokens": 5,
        });
        assert_eq!(shown(&["model_providers", "acme"], &value), expected);
    }

    #[test]
    fn a_broken_line_does_not_show_a_secret() {
        assert_eq!(
            mask_line("experimental_bearer_token = \"sk-1"),
            "experimental_bearer_token = <redacted>"
        );
        assert_eq!(mask_line("x-h = \"Bearer abc"), "x-h = <redacted>");
        assert_eq!(mask_line("model = = 1"), "model = = 1");
    }
}
