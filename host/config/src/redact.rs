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
    // Tokens of text.
    "model_auto_compact_token_limit_scope",
    "env_http_headers",
    "env_vars",
];

/// How credentials of well-known services begin.
const TOKEN_STARTS: &[&str] = &[
    "sk-",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AIza",
    "eyJ",
    "hf_",
];
/// A shorter word is a name that happens to begin like one.
const SHORTEST_TOKEN: usize = 20;

/// Whether a name is one that credentials have.
pub fn looks_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // Where credentials are kept is none.
    if NAMES_OF_SECRETS.contains(&lower.as_str()) || lower.ends_with("_store") {
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
        // So are the variables of tool servers.
        ["mcp_servers", _, "env", _] => true,
        [.., last] => looks_secret(last),
        [] => false,
    };
    match value {
        Value::String(_) if hidden => Value::from(MASK),
        Value::String(text) => Value::String(without_secrets(text)),
        Value::Array(items) if hidden => {
            Value::Array(items.iter().map(|_| Value::from(MASK)).collect())
        }
        Value::Array(items) => {
            let before = std::iter::once(None).chain(items.iter().map(Some));
            let shown = before.zip(items).map(|(before, item)| {
                let named = before.and_then(Value::as_str).is_some_and(names_a_secret);
                match item {
                    Value::String(_) if named => Value::from(MASK),
                    _ => shown(path, item),
                }
            });
            Value::Array(shown.collect())
        }
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

/// Whether an argument is a flag whose value, a secret, comes next.
fn names_a_secret(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains('=') && looks_secret(argument)
}

/// A text without the secrets that its own form gives away.
fn without_secrets(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://")
        && !scheme.contains([' ', '='])
    {
        return format!("{scheme}://{}", without_credentials(rest));
    }
    // `--token=…`, `NAME_TOKEN=…`, `Authorization: …`
    let named = text
        .find(['=', ':'])
        .filter(|at| looks_secret(text[..*at].trim()) && !text[..*at].trim().contains(' '));
    if let Some(at) = named {
        return format!("{}{MASK}", &text[..=at]);
    }
    let mut shown = text.to_owned();
    for word in text
        .split_whitespace()
        .filter(|word| looks_like_token(word))
    {
        shown = shown.replace(word, MASK);
    }
    shown
}

/// Whether a word begins like the credentials of a well-known service, and is as long.
pub fn looks_like_token(word: &str) -> bool {
    word.len() >= SHORTEST_TOKEN && TOKEN_STARTS.iter().any(|start| word.starts_with(start))
}

/// What follows `://` in a URL, without the name and password in it and without parameters that credentials are put in.
fn without_credentials(rest: &str) -> String {
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (user, rest) = match rest[..authority].rfind('@') {
        Some(at) => (format!("{MASK}@"), &rest[at + 1..]),
        None => (String::new(), rest),
    };
    let Some((path, query)) = rest.split_once('?') else {
        return format!("{user}{rest}");
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if looks_secret(name) || name.starts_with("sig") || name == "code" => {
                format!("{name}={MASK}")
            }
            Some(_) | None => parameter.to_owned(),
        })
        .collect();
    format!("{user}{path}?{}", parameters.join("&"))
}

/// A line of a file, which may be no TOML at all, without its value where there may be a secret in it.
pub fn mask_line(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let suspect = SECRET_WORDS.iter().any(|word| lower.contains(word))
        || ["key", "header", "env", "://"]
            .iter()
            .any(|word| lower.contains(word))
        || line
            .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .any(|word| word.len() >= SHORTEST_TOKEN);
    match line.find('=') {
        Some(at) if suspect => format!("{}= {MASK}", &line[..at]),
        None if suspect => MASK.to_owned(),
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
    fn secrets_are_known_by_their_form_too() {
        let token = "sk-proj-0123456789abcdef";
        let value = json!({
            "args": ["-y", "--api-key", "abc", "--token=abc", "Authorization: Bearer abc", "A_TOKEN=abc", token, "x"],
            "command": format!("run --with {token}"),
            "env": {"PLAIN": "abc"},
            "url": "https://host/p?api_key=abc&sig=d&x=1",
            "cli_auth_credentials_store": "keyring",
            "note": "see https://host/?key=1: a=b",
        });
        let expected = json!({
            "args": [
                "-y", "--api-key", "<redacted>", "--token=<redacted>", "Authorization:<redacted>", "A_TOKEN=<redacted>",
                "<redacted>", "x",
            ],
            "command": "run --with <redacted>",
            "env": {"PLAIN": "<redacted>"},
            "url": "https://host/p?api_key=<redacted>&sig=<redacted>&x=1",
            "cli_auth_credentials_store": "keyring",
            "note": "see https://host/?key=1: a=b",
        });
        assert_eq!(shown(&["mcp_servers", "s"], &value), expected);
    }

    #[test]
    fn a_broken_line_does_not_show_a_secret() {
        assert_eq!(
            mask_line("experimental_bearer_token = \"sk-1"),
            "experimental_bearer_token = <redacted>"
        );
        assert_eq!(mask_line("x-h = \"Bearer abc"), "x-h = <redacted>");
        assert_eq!(
            mask_line("env = { GITHUB_TOKEN = \"ghp_1\""),
            "env = <redacted>"
        );
        assert_eq!(
            mask_line("http_headers = { \"X\" = \"1\""),
            "http_headers = <redacted>"
        );
        assert_eq!(mask_line("  \"--api-key\", \"1\" x"), "<redacted>");
        assert_eq!(mask_line("x = \"0123456789abcdefghij"), "x = <redacted>");
        assert_eq!(mask_line("model = = 1"), "model = = 1");
    }
}
