//! Where a request goes, and how that is shown.

use dovetail_core::plugin::Endpoint;
use url::Url;

/// The address of `responses` below a base URL, with the query appended.
pub(crate) fn responses_url(endpoint: &Endpoint) -> Result<Url, String> {
    let mut url = Url::parse(&endpoint.base_url).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` is neither `http` nor `https`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it contains a user name or a password; use a header or a provider plugin".to_owned(),
        );
    }
    url.set_fragment(None);
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().push("responses");
        }
        Err(()) => return Err("it has no path".to_owned()),
    }
    if !endpoint.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&endpoint.query);
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
        let url = responses_url(&endpoint(base_url, query)).expect("a valid base URL");
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
    fn urls_that_cannot_be_used_are_refused() {
        for base_url in [
            "",
            "a.example/v1",
            "ftp://a.example",
            "https://user:pass@a.example",
            "mailto:a@b.example",
        ] {
            assert!(
                responses_url(&endpoint(base_url, &[])).is_err(),
                "{base_url}"
            );
        }
    }
}
