//! Where a request goes, and how that is shown.

use dovetail_core::plugin::Endpoint;
use url::Url;

/// The base URL of an endpoint, with the query appended.
pub(crate) fn base_url(endpoint: &Endpoint) -> Result<Url, String> {
    let mut url = checked(&endpoint.base_url)?;
    if url.cannot_be_a_base() {
        return Err("it has no path".to_owned());
    }
    if !endpoint.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&endpoint.query);
    }
    Ok(url)
}

/// A URL that requests may go to.
pub(crate) fn checked(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` is neither `http` nor `https`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it contains a user name or a password; use a header or a provider plugin".to_owned(),
        );
    }
    url.set_fragment(None);
    Ok(url)
}

/// The address of a path below a base URL. The path may have a query, which is appended. It cannot lead elsewhere.
pub(crate) fn below(base: &Url, path: &str) -> Result<Url, &'static str> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, query),
        None => (path, ""),
    };
    let mut url = base.clone();
    let Ok(mut segments) = url.path_segments_mut() else {
        return Err("is below nothing");
    };
    segments.pop_if_empty();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if matches!(segment, "." | "..") {
            return Err("leads out of the base URL");
        }
        segments.push(segment);
    }
    drop(segments);
    if !query.is_empty() {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(url)
}

/// A URL for people: without user, and with the names of its query alone, since values may be keys.
pub(crate) fn shown(url: &Url) -> String {
    let names: Vec<String> = url
        .query_pairs()
        .map(|(name, _)| format!("{name}=…"))
        .collect();
    let query = if names.is_empty() {
        String::new()
    } else {
        format!("?{}", names.join("&"))
    };
    format!(
        "{}{}{query}",
        url.origin().ascii_serialization(),
        url.path()
    )
}

/// The same for a WebSocket there.
pub(crate) fn shown_socket(url: &Url) -> String {
    let shown = shown(url);
    shown.replacen("http", "ws", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(base_url: &str, query: &[(&str, &str)]) -> Endpoint {
        Endpoint {
            name: "test".to_owned(),
            base_url: base_url.to_owned(),
            query: query
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            headers: Vec::new(),
            capabilities: None,
        }
    }

    #[track_caller]
    fn check(base_url: &str, query: &[(&str, &str)], expected: &str, expected_shown: &str) {
        let base = super::base_url(&endpoint(base_url, query)).expect("a valid base URL");
        let url = below(&base, "responses").expect("a path below it");
        assert_eq!(
            (url.as_str(), shown(&url).as_str()),
            (expected, expected_shown)
        );
    }

    #[test]
    fn urls_are_put_together() {
        check(
            "https://a.example/v1",
            &[],
            "https://a.example/v1/responses",
            "https://a.example/v1/responses",
        );
        check(
            "https://a.example/v1/",
            &[],
            "https://a.example/v1/responses",
            "https://a.example/v1/responses",
        );
        check(
            "http://[::1]:80",
            &[],
            "http://[::1]/responses",
            "http://[::1]/responses",
        );
        check(
            "https://a.example/x?key=1",
            &[("api-version", "2026 a&b")],
            "https://a.example/x/responses?key=1&api-version=2026+a%26b",
            "https://a.example/x/responses?key=…&api-version=…",
        );
    }

    #[test]
    fn a_path_stays_below_its_base() {
        let at = |path: &str| {
            let base = super::base_url(&endpoint("https://a.example/v1/", &[("k", "1")]));
            below(&base.expect("valid"), path).map(|url| url.to_string())
        };
        let is = |path: &str, expected: &str| {
            assert_eq!(at(path).as_deref(), Ok(expected), "{path}");
        };
        is("/messages", "https://a.example/v1/messages?k=1");
        is(
            "//evil.example/x",
            "https://a.example/v1/evil.example/x?k=1",
        );
        is(
            "https://evil.example",
            "https://a.example/v1/https:/evil.example?k=1",
        );
        is(
            "models/m:stream?alt=sse",
            "https://a.example/v1/models/m:stream?k=1&alt=sse",
        );
        is(
            "a/%2e%2e/b#c",
            "https://a.example/v1/a/%252e%252e/b%23c?k=1",
        );
        assert!(at("../admin").is_err() && at("a/./b").is_err());
    }

    #[test]
    fn urls_that_cannot_be_used_are_refused() {
        for base_url in [
            "",
            "a.example/v1",
            "ftp://a.example",
            "https://user:pass@a.example",
            "mailto:a@b.example",
        ] {
            assert!(
                super::base_url(&endpoint(base_url, &[])).is_err(),
                "{base_url}"
            );
        }
    }
}
