//! Brings a package into a directory of ours, within bounds, so that what is checked is what is unpacked.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_http::Way;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::source::{PackageSource, is_loopback};
use crate::{MOST_PACKED, SIGNATURE_EXTENSION, oci, signature};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that sends nothing for so long sends nothing any more.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Release pages send to a storage server, which may have mirrors.
const MOST_REDIRECTS: usize = 5;

/// A package that is here.
#[derive(Debug)]
pub struct Fetched {
    /// The archive.
    pub archive: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 digest, as lower-case hex.
    pub sha256: String,
    /// The text of its signature, where there is one.
    pub signature: Option<String>,
    /// Where it came from, as locks write it.
    pub source: String,
}

/// Why a package cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A file cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than packages are.
    #[error("`{0}` is larger than {most} MB", most = MOST_PACKED >> 20)]
    TooLarge(String),
    /// The server cannot be asked, or breaks off.
    #[error("cannot fetch `{url}`: {why}")]
    Http {
        /// What was asked for.
        url: String,
        /// Why, without the URL.
        why: String,
    },
    /// The server says no.
    #[error("cannot fetch `{url}`: the server answers {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// The registry cannot be asked, or its answer is not accepted.
    #[error("cannot fetch `{reference}`: {why}")]
    Registry {
        /// What was asked for.
        reference: String,
        /// Why.
        why: String,
    },
}

/// Fetches an archive into a directory, which must be the caller's own. `plain_http` lets a registry on this machine be
/// asked without encryption.
///
/// # Errors
/// Says what cannot be had, and why. A folder is no archive and is never asked for.
pub async fn fetch(
    source: &PackageSource,
    into: &Path,
    plain_http: bool,
) -> Result<Fetched, FetchError> {
    let archive = into.join("package.tar.zst");
    match source {
        PackageSource::Folder(path) => Err(FetchError::Io {
            action: "read",
            path: path.clone(),
            source: io::ErrorKind::IsADirectory.into(),
        }),
        PackageSource::File(path) => copy(source, path, archive),
        PackageSource::Url(url) => download(source, url, archive).await,
        PackageSource::Oci(reference) => oci::pull(reference, archive, plain_http).await,
    }
}

fn copy(source: &PackageSource, path: &Path, archive: PathBuf) -> Result<Fetched, FetchError> {
    let failed = |error| FetchError::Io {
        action: "read",
        path: path.to_owned(),
        source: error,
    };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut writer = Writer::create(archive, path.display().to_string())?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        writer.take(&buffer[..read])?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(SIGNATURE_EXTENSION);
    let signature = match fs::File::open(&beside) {
        Ok(file) => {
            let mut text = String::new();
            let read = file.take(signature::LONGEST).read_to_string(&mut text);
            read.map_err(|error| FetchError::Io {
                action: "read",
                path: beside.into(),
                source: error,
            })?;
            Some(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(FetchError::Io {
                action: "read",
                path: beside.into(),
                source: error,
            });
        }
    };
    writer.finish(signature, source.record())
}

async fn download(
    source: &PackageSource,
    url: &Url,
    archive: PathBuf,
) -> Result<Fetched, FetchError> {
    let client = client(url)?;
    let mut writer = Writer::create(archive, source.record())?;
    let mut response = client
        .get(url.clone())
        .send()
        .await
        .map_err(|error| http(url, error))?;
    if !response.status().is_success() {
        return Err(status(url, response.status()));
    }
    if response
        .content_length()
        .is_some_and(|length| length > MOST_PACKED)
    {
        return Err(FetchError::TooLarge(source.record()));
    }
    while let Some(chunk) = response.chunk().await.map_err(|error| http(url, error))? {
        writer.take(&chunk)?;
    }
    let signature = download_signature(&client, url).await?;
    writer.finish(signature, source.record())
}

async fn download_signature(client: &Client, url: &Url) -> Result<Option<String>, FetchError> {
    let mut beside = url.clone();
    beside.set_path(&format!("{}{SIGNATURE_EXTENSION}", url.path()));
    let response = client.get(beside.clone()).send().await;
    let mut response = response.map_err(|error| http(&beside, error))?;
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
        // Some storage servers say so of what does not exist.
        StatusCode::FORBIDDEN => return Ok(None),
        status if status.is_success() => {}
        other => return Err(status(&beside, other)),
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| http(&beside, error))?
    {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > signature::LONGEST {
            break;
        }
    }
    // What is no text is no signature, and is refused as such.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Makes a client that goes on asking only as safely as it began.
pub(crate) fn client(url: &Url) -> Result<Client, FetchError> {
    let from_here = is_loopback(url);
    let redirects = Policy::custom(move |attempt| {
        let next = attempt.url();
        let safe = next.scheme() == "https" || (from_here && is_loopback(next));
        match safe && attempt.previous().len() <= MOST_REDIRECTS {
            true => attempt.follow(),
            false => attempt.error("it redirects without encryption, or without end"),
        }
    });
    let builder = dovetail_http::builder(Way::to(url)).map_err(|error| FetchError::Http {
        url: shown(url),
        why: error.to_string(),
    })?;
    builder
        .redirect(redirects)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(concat!("dovetail/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| http(url, error))
}

fn http(url: &Url, error: reqwest::Error) -> FetchError {
    FetchError::Http {
        url: shown(url),
        why: cause(error),
    }
}

/// The words of the innermost cause, without the URL.
pub(crate) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn status(url: &Url, status: StatusCode) -> FetchError {
    FetchError::Status {
        url: shown(url),
        status,
    }
}

/// Without the query, which may hold a token.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// Writes an archive as it comes in, counts and digests it.
pub(crate) struct Writer {
    file: fs::File,
    path: PathBuf,
    name: String,
    bytes: u64,
    digest: Sha256,
}

impl Writer {
    pub(crate) fn create(path: PathBuf, name: String) -> Result<Self, FetchError> {
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let file = made.map_err(|source| FetchError::Io {
            action: "write",
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            file,
            path,
            name,
            bytes: 0,
            digest: Sha256::new(),
        })
    }

    pub(crate) fn take(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        self.bytes += chunk.len() as u64;
        if self.bytes > MOST_PACKED {
            return Err(FetchError::TooLarge(self.name.clone()));
        }
        self.digest.update(chunk);
        self.file.write_all(chunk).map_err(|source| FetchError::Io {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }

    pub(crate) fn finish(
        self,
        signature: Option<String>,
        source: String,
    ) -> Result<Fetched, FetchError> {
        let digest = self.digest.finalize();
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Fetched {
            archive: self.path,
            bytes: self.bytes,
            sha256,
            signature,
            source,
        })
    }
}
