//! The file that servers' lists are kept in between runs.
//!
//! `models_cache.json` is the place and the form that existing clients know; it holds one list. Whoever uses two providers
//! or accounts in turns would ask anew at every turn, so that a list which another one displaces is kept beside it, under
//! its own name, until it is asked for again. Lists are only ever replaced whole, so that two processes at once do no harm:
//! the later one wins, and the other asks again some time.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use dovetail_models::{KeptList, Whose};

/// The file's name below the home.
const NAME: &str = "models_cache";
/// A longer file was not written here.
const MOST_BYTES: u64 = 16 << 20;
/// How much of an identity tells two files apart.
const IN_A_NAME: usize = 16;
/// Nobody uses more in turns; the oldest make room.
const MOST_ASIDE: usize = 8;

/// The lists that are kept below a home.
#[derive(Debug, Clone)]
pub(crate) struct KeptFile {
    home: PathBuf,
}

impl KeptFile {
    pub(crate) fn below(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
        }
    }

    /// The list that is kept for somebody. One that cannot be read is as good as none: it is replaced by the next.
    pub(crate) fn read(&self, whose: &Whose) -> Option<KeptList> {
        [self.path(), self.aside(&whose.identity)]
            .iter()
            .filter_map(|path| read(path))
            .find(|list| list.is_of(whose))
    }

    /// Keeps a list.
    ///
    /// # Errors
    /// It cannot be written; what was there is then unchanged.
    pub(crate) fn write(&self, whose: &Whose, list: &KeptList) -> io::Result<()> {
        let path = self.path();
        if let Some(other) = read(&path).filter(|known| known.identity() != list.identity()) {
            self.put_aside(&path, &other);
        }
        fs::create_dir_all(&self.home)?;
        let mut new = tempfile::NamedTempFile::new_in(&self.home)?;
        serde_json::to_writer_pretty(&mut new, list)?;
        new.flush()?;
        new.persist(&path)?;
        // What was put aside earlier is older than this.
        match fs::remove_file(self.aside(&whose.identity)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Keeps a displaced list. Another process may have done so already, which is as good.
    fn put_aside(&self, path: &Path, list: &KeptList) {
        let identity = list.identity().filter(|identity| is_identity(identity));
        let Some(identity) = identity else { return };
        let kept = fs::rename(path, self.aside(identity)).and_then(|()| self.make_room());
        if let Err(error) = kept {
            tracing::debug!(%error, "a displaced list of models is not kept");
        }
    }

    fn make_room(&self) -> io::Result<()> {
        let mut aside = Vec::new();
        for entry in fs::read_dir(&self.home)? {
            let entry = entry?;
            let name = entry.file_name();
            let identity = name.to_str().and_then(|name| {
                let rest = name.strip_prefix(NAME)?.strip_prefix('.')?;
                rest.strip_suffix(".json")
            });
            if identity.is_some_and(is_identity) {
                aside.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        aside.sort();
        let surplus = aside.len().saturating_sub(MOST_ASIDE);
        aside
            .iter()
            .take(surplus)
            .try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn path(&self) -> PathBuf {
        self.home.join(format!("{NAME}.json"))
    }

    fn aside(&self, identity: &str) -> PathBuf {
        let short: String = identity.chars().take(IN_A_NAME).collect();
        self.home.join(format!("{NAME}.{short}.json"))
    }
}

/// Only what cannot lead elsewhere becomes part of a name.
fn is_identity(text: &str) -> bool {
    text.len() >= IN_A_NAME && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn read(path: &Path) -> Option<KeptList> {
    match read_whole(path) {
        Ok(text) => match KeptList::parse(&text) {
            Ok(list) => Some(list),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a kept list of models is damaged; the next one replaces it");
                None
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "a kept list of models cannot be read");
            None
        }
    }
}

fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    // Opening anything else, such as a pipe, may never end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut text)?;
    match text.len() as u64 > MOST_BYTES {
        true => Err(io::Error::other("it is too long")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn whose(name: &str) -> Whose {
        Whose {
            identity: dovetail_models::identity(&[name]),
            client_version: "1.0.0".to_owned(),
        }
    }

    fn list(whose: &Whose) -> KeptList {
        KeptList::new(whose, None, Vec::new(), SystemTime::now())
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("a directory").flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn two_in_turns_both_find_their_list() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = KeptFile::below(dir.path());
        let (ada, bob) = (whose("ada"), whose("bob"));
        let (of_ada, of_bob) = (list(&ada), list(&bob));
        assert_eq!(file.read(&ada), None);
        file.write(&ada, &of_ada).expect("written");
        file.write(&bob, &of_bob).expect("written");
        assert_eq!(file.read(&ada), Some(of_ada.clone()));
        assert_eq!(file.read(&bob), Some(of_bob));
        assert_eq!(file.read(&whose("eve")), None);
        file.write(&ada, &of_ada).expect("written");
        let bobs = format!("models_cache.{}.json", &bob.identity[..IN_A_NAME]);
        assert_eq!(names(dir.path()), [bobs, "models_cache.json".to_owned()]);
    }

    #[test]
    fn not_everybody_who_ever_asked_is_remembered() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = KeptFile::below(dir.path());
        for number in 0..20 {
            let whose = whose(&number.to_string());
            file.write(&whose, &list(&whose)).expect("written");
        }
        assert_eq!(names(dir.path()).len(), 1 + MOST_ASIDE);
    }

    #[test]
    fn what_cannot_be_read_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = KeptFile::below(dir.path());
        let ada = whose("ada");
        fs::write(file.path(), "{ damaged").expect("written");
        assert_eq!(file.read(&ada), None);
        file.write(&ada, &list(&ada)).expect("written");
        assert!(file.read(&ada).is_some());
        assert_eq!(names(dir.path()), ["models_cache.json"]);
    }

    #[test]
    fn a_name_in_a_file_leads_nowhere() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = KeptFile::below(dir.path());
        let evil = r#"{"fetched_at": "2026-01-01T00:00:00Z", "identity": "../../../../../evil", "models": []}"#;
        fs::write(file.path(), evil).expect("written");
        file.write(&whose("ada"), &list(&whose("ada")))
            .expect("written");
        assert_eq!(names(dir.path()), ["models_cache.json"]);
    }
}
