//! Where a plugin came from and who signed it, as locks and policies write it down.

use std::fmt;

/// Where a package came from: `folder:/path`, `file:/path`, `https://…`, `http://…` (of this machine) or `oci://…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(String);

/// A source, or everything below one: `oci://registry.example/acme` covers `oci://registry.example/acme/x@sha256:…`,
/// and not `oci://registry.example/acme-evil`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePattern(String);

/// A minisign public key, as its file has it: 56 characters that begin with `RW`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(String);

/// Why a text is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a source: it begins with one of folder:/, file:/, https://, http://, oci://")]
pub struct InvalidSource(String);

/// Why a text is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is only the number of one.
    #[error(
        "`{0}` is the id of a key, which anybody can give to a key of their own: write the public key, which begins with RW"
    )]
    Id(String),
    /// It is something else.
    #[error("`{0}` is not a minisign public key: 56 characters that begin with RW")]
    Other(String),
}

const SCHEMES: [&str; 5] = ["folder:/", "file:/", "https://", "http://", "oci://"];

impl Source {
    /// Checks a text and makes it a source.
    ///
    /// # Errors
    /// Names what sources begin with.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        let known = SCHEMES.iter().any(|scheme| text.starts_with(scheme));
        // It is shown on terminals, in one line.
        if known && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSource(text.escape_debug().to_string()))
        }
    }

    /// The source as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SourcePattern {
    /// Checks a text and makes it a pattern.
    ///
    /// # Errors
    /// Names what sources begin with.
    pub fn parse(text: &str) -> Result<Self, InvalidSource> {
        Source::parse(text).map(|Source(text)| Self(text))
    }

    /// Whether a source is the one meant, or below it.
    pub fn covers(&self, source: &Source) -> bool {
        let Some(rest) = source.0.strip_prefix(&self.0) else {
            return false;
        };
        // Only behind a whole path do a tag and a digest follow; behind a host, `:` and `@` begin another one.
        let has_path = self
            .0
            .split_once("://")
            .is_some_and(|(_, place)| place.contains('/'));
        let ends_here = rest.is_empty() || self.0.ends_with('/') || rest.starts_with('/');
        let escapes = rest.split(['/', '\\']).any(|part| part == "..");
        (ends_here || (has_path && rest.starts_with([':', '@']))) && !escapes
    }
}

impl PublicKey {
    /// Checks a text and makes it a key.
    ///
    /// # Errors
    /// Says what a key looks like.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
        if text.len() == 56 && text.starts_with("RW") && text.chars().all(base64) {
            return Ok(Self(text.to_owned()));
        }
        let text = text.escape_debug().to_string();
        match text.len() == 16 && text.chars().all(|c| c.is_ascii_hexdigit()) {
            true => Err(InvalidKey::Id(text)),
            false => Err(InvalidKey::Other(text)),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its beginning and end, to show.
    pub fn short(&self) -> String {
        // Both are within 56 ASCII characters.
        format!("{}…{}", &self.0[..6], &self.0[52..])
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, source: &str) -> bool {
        let pattern = SourcePattern::parse(pattern).expect("a pattern");
        pattern.covers(&Source::parse(source).expect("a source"))
    }

    #[test]
    fn a_pattern_covers_what_is_below_it_and_no_neighbour() {
        for (pattern, source) in [
            ("oci://r.example", "oci://r.example/acme/x@sha256:00"),
            ("oci://r.example/acme", "oci://r.example/acme/x:1"),
            (
                "oci://r.example/acme/x",
                "oci://r.example/acme/x:1@sha256:00",
            ),
            ("https://p.example/a/", "https://p.example/a/b.tar.zst"),
            ("folder:/srv/plugins", "folder:/srv/plugins/a"),
        ] {
            assert!(covers(pattern, source), "{pattern} {source}");
        }
        for (pattern, source) in [
            ("oci://r.example", "oci://r.example:5000/acme"),
            ("oci://r.example", "oci://r.example.evil/acme"),
            ("oci://r.example/acme", "oci://r.example/acme-evil/x"),
            ("https://p.example", "https://p.example@evil.example/"),
            ("https://p.example/a", "http://p.example/a"),
            ("folder:/srv/plugins", "folder:/srv/plugins/../../tmp/a"),
        ] {
            assert!(!covers(pattern, source), "{pattern} {source}");
        }
    }

    #[test]
    fn a_key_is_written_in_full() {
        let text = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        let key = PublicKey::parse(text).expect("a key");
        assert_eq!((key.as_str(), key.short().as_str()), (text, "RWQf6L…GFO3"));
        let id = PublicKey::parse("1F0C0B0A0908E2D1").expect_err("only an id");
        assert!(id.to_string().contains("anybody can give"), "{id}");
        assert!(PublicKey::parse("RW").is_err());
        assert!(PublicKey::parse(&text.replace('f', "é")).is_err());
    }

    #[test]
    fn a_source_is_one_line() {
        assert!(Source::parse("file:/a\nb").is_err());
        assert!(Source::parse("ftp://a").is_err());
    }
}
