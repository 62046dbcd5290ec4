//! Where a package is: a folder, an archive, a URL or a reference into an OCI registry.

use std::path::{Path, PathBuf};

use oci_client::Reference;
use url::{Host, Url};

use crate::EXTENSION;

/// Where a package is.
#[derive(Debug, Clone, PartialEq)]
pub enum PackageSource {
    /// A folder with a plugin's files.
    Folder(PathBuf),
    /// An archive on this machine.
    File(PathBuf),
    /// An archive on a web server.
    Url(Url),
    /// An artifact in a registry.
    Oci(Reference),
}

/// Why a text names no package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// It would be fetched in the clear.
    #[error("`{0}` would be fetched without encryption: use https://")]
    Exposed(String),
    /// Credentials would be written into the lock.
    #[error("a URL for a package must not hold a user name or password")]
    Credentials,
    /// Nobody knows how to fetch it.
    #[error(
        "`{0}` cannot be fetched: a package is a folder, a .tar.zst, an https:// URL or an oci:// reference"
    )]
    Scheme(String),
    /// It is no reference.
    #[error("`{text}` is not a reference into a registry: {why}")]
    Reference {
        /// The text.
        text: String,
        /// Why.
        why: String,
    },
    /// A file of another kind.
    #[error("`{}` is no package: packages are .tar.zst archives, or folders", .0.display())]
    NoArchive(PathBuf),
}

impl PackageSource {
    /// Reads a text; relative paths start at `cwd`.
    ///
    /// # Errors
    /// Says what a package can be.
    pub fn parse(text: &str, cwd: &Path) -> Result<Self, InvalidSource> {
        if let Some(reference) = text.strip_prefix("oci://") {
            let parsed = reference.parse::<Reference>();
            return parsed
                .map(Self::Oci)
                .map_err(|error| InvalidSource::Reference {
                    text: text.escape_debug().to_string(),
                    why: error.to_string(),
                });
        }
        if text.contains("://") {
            return url(text).map(Self::Url);
        }
        let path = cwd.join(text);
        if path.is_file() {
            return match text.ends_with(EXTENSION) {
                true => Ok(Self::File(path)),
                false => Err(InvalidSource::NoArchive(path)),
            };
        }
        Ok(Self::Folder(path))
    }

    /// The form in which locks and policies write a source that is not in a registry.
    pub fn record(&self) -> String {
        let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match self {
            Self::Folder(path) => format!("folder:{}", absolute(path).display()),
            Self::File(path) => format!("file:{}", absolute(path).display()),
            Self::Url(url) => {
                // A query may hold a token.
                let mut url = url.clone();
                url.set_query(None);
                url.set_fragment(None);
                url.to_string()
            }
            Self::Oci(reference) => format!("oci://{}", reference.whole()),
        }
    }
}

fn url(text: &str) -> Result<Url, InvalidSource> {
    let shown = || text.escape_debug().to_string();
    let url = Url::parse(text).map_err(|_| InvalidSource::Scheme(shown()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidSource::Credentials);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(InvalidSource::Exposed(shown())),
        _ => Err(InvalidSource::Scheme(shown())),
    }
}

/// Whether a URL leads to this machine, whatever a name server says.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PackageSource, String> {
        PackageSource::parse(text, Path::new("/nowhere")).map_err(|error| error.to_string())
    }

    #[test]
    fn urls_are_encrypted_or_of_this_machine() {
        for text in [
            "https://p.example/a.tar.zst",
            "http://127.0.0.1:8000/a.tar.zst",
            "http://localhost/a.tar.zst",
            "http://[::1]:9/a.tar.zst",
        ] {
            assert!(matches!(parse(text), Ok(PackageSource::Url(_))), "{text}");
        }
        for (text, words) in [
            ("http://p.example/a.tar.zst", "without encryption"),
            ("http://127.0.0.1.evil.example/a", "without encryption"),
            ("https://me:pw@p.example/a", "must not hold a user name"),
            ("ftp://p.example/a", "cannot be fetched"),
            ("oci://", "is not a reference"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_record_holds_no_query() {
        let source = parse("https://p.example/a.tar.zst?token=x#y").expect("a URL");
        assert_eq!(source.record(), "https://p.example/a.tar.zst");
        let source = parse("oci://r.example/acme/x:1.2").expect("a reference");
        assert_eq!(source.record(), "oci://r.example/acme/x:1.2");
        assert_eq!(parse("a").expect("a folder").record(), "folder:/nowhere/a");
    }
}
