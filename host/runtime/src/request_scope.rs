//! Which requests to an origin a grant means: all, or some methods, or what is below a path.

use std::collections::BTreeSet;
use std::fmt;

use url::Url;

/// Methods and a path that narrow an origin. The default narrows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestScope {
    /// None for all.
    methods: Option<BTreeSet<String>>,
    /// Begins with `/` and does not end with it; none for all.
    path: Option<String>,
}

impl RequestScope {
    /// Reads what stands before an origin, such as `GET,HEAD`, and behind it, such as `/v1/models`.
    pub(crate) fn parse(methods: Option<&str>, path: Option<&str>) -> Result<Self, &'static str> {
        let methods = methods.map(read_methods).transpose()?;
        let path = path.map(read_path).transpose()?.flatten();
        Ok(Self { methods, path })
    }

    /// Whether a request with that method is one of those meant; without a method, whether any may be.
    pub(crate) fn matches(&self, method: Option<&str>, url: &Url) -> bool {
        let method_fits = match (&self.methods, method) {
            (Some(methods), Some(method)) => methods.contains(method),
            (None, _) | (_, None) => true,
        };
        method_fits
            && self
                .path
                .as_ref()
                .is_none_or(|path| is_below(url.path(), path))
    }

    /// What both mean, if there is anything.
    pub(crate) fn meet(&self, other: &Self) -> Option<Self> {
        let methods = match (&self.methods, &other.methods) {
            (Some(a), Some(b)) => {
                let both: BTreeSet<String> = a.intersection(b).cloned().collect();
                Some((!both.is_empty()).then_some(both)?)
            }
            (methods, None) | (None, methods) => methods.clone(),
        };
        let path = match (&self.path, &other.path) {
            (Some(a), Some(b)) if is_below(a, b) => Some(a.clone()),
            (Some(a), Some(b)) if is_below(b, a) => Some(b.clone()),
            (Some(_), Some(_)) => return None,
            (path, None) | (None, path) => path.clone(),
        };
        Some(Self { methods, path })
    }

    /// What stands before the origin, with a blank behind it.
    pub(crate) fn before(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| {
            let Some(methods) = &self.methods else {
                return Ok(());
            };
            for (index, method) in methods.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(f, "{comma}{method}")?;
            }
            f.write_str(" ")
        })
    }

    /// What stands behind the origin.
    pub(crate) fn behind(&self) -> &str {
        self.path.as_deref().unwrap_or_default()
    }
}

fn read_methods(text: &str) -> Result<BTreeSet<String>, &'static str> {
    text.split(',')
        .map(|method| {
            let letters =
                !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
            letters.then(|| method.to_owned()).ok_or(
                "methods are words in capitals with commas between, such as `GET,POST https://…`",
            )
        })
        .collect()
}

/// A path as URLs have it; none for the root, which is all there is.
fn read_path(text: &str) -> Result<Option<String>, &'static str> {
    const WRONG: &str = "the path is that of a URL, without `*`, query, `//` and encoded slashes; all that is below it is meant";
    let path = text.strip_suffix('/').unwrap_or(text);
    if path.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(&format!("https://host.example{path}")).map_err(|_| WRONG)?;
    let as_written = url.path() == path && url.query().is_none() && url.fragment().is_none();
    if !as_written || path.contains('*') || is_ambiguous(path) {
        return Err(WRONG);
    }
    Ok(Some(path.to_owned()))
}

/// Whether a path is another or below it.
fn is_below(path: &str, top: &str) -> bool {
    let rest = path.strip_prefix(top);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && !is_ambiguous(path)
}

/// Whether servers disagree on what a path means: some decode slashes, some merge them.
fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    ["//", "%2f", "%5c", "%2e", "\\"]
        .iter()
        .any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(methods: Option<&str>, path: Option<&str>) -> RequestScope {
        RequestScope::parse(methods, path).expect("valid")
    }

    #[test]
    fn methods_and_paths_narrow() {
        let scope = scope(Some("GET,HEAD"), Some("/v1/models"));
        for (method, path, expected) in [
            ("GET", "/v1/models", true),
            ("HEAD", "/v1/models/one?x=../../y", true),
            ("POST", "/v1/models", false),
            ("get", "/v1/models", false),
            ("GET", "/v1/models2", false),
            ("GET", "/v1", false),
            ("GET", "/v1/models/../keys", false),
            ("GET", "/v1/models/%2e%2e/keys", false),
            ("GET", "/v1/models/..%2fkeys", false),
            ("GET", "/v1/models/a%5c..%5ckeys", false),
            ("GET", "/v1/models//keys", false),
        ] {
            let url = Url::parse(&format!("https://a.example{path}")).expect("valid");
            assert_eq!(
                scope.matches(Some(method), &url),
                expected,
                "{method} {path}"
            );
        }
        let all = RequestScope::default();
        let url = Url::parse("https://a.example/a//b").expect("valid");
        assert!(all.matches(Some("POST"), &url), "nothing is narrowed");
    }

    #[test]
    fn what_is_no_path_and_no_method_is_refused() {
        for path in [
            "/v1/*", "/a/../b", "/a?b", "/a#b", "/a//b", "/a%2Fb", "/a b",
        ] {
            assert!(RequestScope::parse(None, Some(path)).is_err(), "{path}");
        }
        for methods in ["", "get", "GET,", "GET POST", "GET/1"] {
            assert!(
                RequestScope::parse(Some(methods), None).is_err(),
                "{methods}"
            );
        }
        assert_eq!(scope(None, Some("/")), RequestScope::default());
    }

    #[test]
    fn both_is_the_narrower_of_each() {
        let meet = |a: (Option<&str>, Option<&str>), b: (Option<&str>, Option<&str>)| {
            let (a, b) = (scope(a.0, a.1), scope(b.0, b.1));
            assert_eq!(a.meet(&b), b.meet(&a));
            let both = a.meet(&b)?;
            Some(format!("{}{}", both.before(), both.behind()))
        };
        let all = (None, None);
        assert_eq!(
            meet((Some("GET"), Some("/v1")), all),
            Some("GET /v1".to_owned())
        );
        assert_eq!(
            meet((Some("GET,PUT"), Some("/v1")), (Some("PUT"), Some("/v1/x"))),
            Some("PUT /v1/x".to_owned())
        );
        assert_eq!(meet((Some("GET"), None), (Some("PUT"), None)), None);
        assert_eq!(meet((None, Some("/v1")), (None, Some("/v10"))), None);
    }
}
