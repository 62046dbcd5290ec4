//! Hosts that no WebSocket can be had from, so that not every thread and every run finds it out anew: behind some proxies
//! that takes as long as the whole patience for one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use url::Url;

/// How long a host is taken at its word. Proxies are mended and services learn, and finding out costs little then.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// A file that is longer was not written here.
const MAX_FILE: u64 = 64 * 1024;

/// Hosts that are asked over HTTP. Copies share what they know.
#[derive(Debug, Clone, Default)]
pub struct PlainHosts(Arc<Memory>);

#[derive(Debug, Default)]
struct Memory {
    file: Option<PathBuf>,
    read: OnceLock<()>,
    hosts: Mutex<Hosts>,
}

/// When each was found out, in seconds since 1970, by origin.
type Hosts = BTreeMap<String, u64>;

impl PlainHosts {
    /// Remembers them in a file too, for other processes. A file that cannot be read or written is done without.
    pub fn kept_in(file: PathBuf) -> Self {
        let file = Some(file);
        Self(Arc::new(Memory {
            file,
            ..Memory::default()
        }))
    }

    pub(super) fn contains(&self, url: &Url) -> bool {
        if let Some(file) = &self.0.file {
            self.0.read.get_or_init(|| match read(file) {
                Ok(hosts) => self.hosts().extend(hosts),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::debug!(%error, "hosts without WebSockets are not known"),
            });
        }
        let found = self.hosts().get(&origin(url)).copied();
        found.is_some_and(|at| is_fresh(at, now()))
    }

    pub(super) fn remember(&self, url: &Url) {
        let now = now();
        self.hosts().insert(origin(url), now);
        let Some(file) = &self.0.file else {
            return;
        };
        // Another process may have written meanwhile; one that cannot be read any more is written anew.
        let mut hosts = read(file).unwrap_or_default();
        hosts.retain(|_, at| is_fresh(*at, now));
        hosts.insert(origin(url), now);
        if let Err(error) = write(file, &hosts) {
            tracing::debug!(%error, "a host without WebSockets is remembered in this process alone");
        }
    }

    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        // A panic elsewhere leaves facts that are still true.
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs()) // A clock set before 1970: everything is of the future, and forgotten.
}

fn is_fresh(at: u64, now: u64) -> bool {
    now.checked_sub(at)
        .is_some_and(|age| age < MEMORY.as_secs())
}

fn read(file: &Path) -> io::Result<Hosts> {
    let mut text = Vec::new();
    File::open(file)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Puts a whole file in the place of the old one.
fn write(file: &Path, hosts: &Hosts) -> io::Result<()> {
    let dir = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut new, hosts)?;
    new.flush()?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn a_host_is_remembered_by_origin() {
        let hosts = PlainHosts::default();
        hosts.remember(&url("https://a.example/v1/responses"));
        assert!(hosts.contains(&url("https://a.example:443/v2/responses")));
        assert!(!hosts.contains(&url("http://a.example/v1/responses")));
        assert!(!hosts.contains(&url("https://a.example:8443/v1/responses")));
    }

    #[test]
    fn other_processes_learn_of_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("below/hosts.json");
        let (one, other) = (url("https://a.example"), url("http://127.0.0.1:81"));
        for url in [&one, &other] {
            PlainHosts::kept_in(file.clone()).remember(url);
        }
        let later = PlainHosts::kept_in(file.clone());
        assert!(later.contains(&one) && later.contains(&other));
        assert!(!later.contains(&url("https://b.example")));
    }

    #[test]
    fn what_is_old_or_of_the_future_is_forgotten() {
        let now = 1_000_000;
        let hour = MEMORY.as_secs();
        let fresh = |at| is_fresh(at, now);
        assert!(fresh(now) && fresh(now - hour + 1));
        assert!(!fresh(now - hour) && !fresh(now + 1) && !fresh(0) && !fresh(u64::MAX));
    }

    #[test]
    fn a_file_that_is_something_else_is_done_without_and_written_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("hosts.json");
        let host = url("https://a.example");
        for text in ["", "[]", "{\"https://a.example\":\"x\"}", "\u{0}"] {
            std::fs::write(&file, text).expect("a file");
            assert!(!PlainHosts::kept_in(file.clone()).contains(&host), "{text}");
            PlainHosts::kept_in(file.clone()).remember(&host);
            assert!(PlainHosts::kept_in(file.clone()).contains(&host), "{text}");
        }
        let nowhere = PlainHosts::kept_in(file.join("no-directory"));
        nowhere.remember(&host);
        assert!(nowhere.contains(&host));
    }
}
