//! Proxies of the environment, for people: whoever cannot reach a server must know that it was tried through one.

use url::Url;

use crate::client::is_loopback;

/// The variable of this process that names a proxy for requests to `url`.
pub fn of_environment(url: &Url) -> Option<&'static str> {
    variable(url, |name| std::env::var(name).ok()) // No text: as good as none.
}

/// The variable that names a proxy for requests to `url`. Exceptions that are networks rather than names are not looked
/// at. `value` gives a variable's value; one that is no text is as good as none.
fn variable(url: &Url, value: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let host = url.host_str()?;
    if is_loopback(url) {
        return None;
    }
    let exceptions = value("NO_PROXY").or_else(|| value("no_proxy"));
    if exceptions.is_some_and(|names| is_among(host, &names)) {
        return None;
    }
    let own = if url.scheme() == "https" {
        ["HTTPS_PROXY", "https_proxy"]
    } else {
        ["HTTP_PROXY", "http_proxy"]
    };
    let mut names = own.into_iter().chain(["ALL_PROXY", "all_proxy"]);
    names.find(|name| value(name).is_some_and(|value| !value.trim().is_empty()))
}

/// Whether a host is one of these, or below one.
fn is_among(host: &str, names: &str) -> bool {
    let mut names = names.split(',').map(str::trim);
    names.any(|name| {
        let name = name.trim_start_matches('.');
        let below = host
            .strip_suffix(name)
            .is_some_and(|rest| rest.ends_with('.'));
        name == "*" || host == name || (!name.is_empty() && below)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, variables: &[(&str, &str)], expected: Option<&str>) {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let url = Url::parse(url).expect("a URL");
        assert_eq!(variable(&url, value), expected, "{url} {variables:?}");
    }

    #[test]
    fn the_variable_that_counts_is_named() {
        let api = "https://api.example.com/v1";
        let proxy = "http://proxy:3128";
        check(api, &[], None);
        check(api, &[("HTTPS_PROXY", proxy)], Some("HTTPS_PROXY"));
        check(api, &[("https_proxy", proxy)], Some("https_proxy"));
        check(
            api,
            &[("HTTPS_PROXY", ""), ("all_proxy", proxy)],
            Some("all_proxy"),
        );
        check(api, &[("http_proxy", proxy)], None);
        check(
            "http://api.example.com",
            &[("http_proxy", proxy)],
            Some("http_proxy"),
        );
        check("http://127.0.0.1:8080", &[("ALL_PROXY", proxy)], None);
    }

    #[test]
    fn exceptions_are_not_said_to_go_through_it() {
        for (exceptions, excepted) in [
            ("api.example.com", true),
            ("other.org, .example.com", true),
            ("example.com", true),
            ("*", true),
            ("ample.com", false),
            ("", false),
            (",", false),
        ] {
            let variables = [("HTTPS_PROXY", "p"), ("NO_PROXY", exceptions)];
            let expected = (!excepted).then_some("HTTPS_PROXY");
            check("https://api.example.com", &variables, expected);
        }
    }
}
