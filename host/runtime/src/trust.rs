//! The key that authenticates trust records, so that writing a file is not enough to grant something.
//!
//! The key keeps out programs that can write the lock but not read the key: a sandboxed command, a restored or synced
//! copy of the directory, a careless script. It cannot keep out a program that runs unconfined as the same user.

mod kept;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use zeroize::Zeroizing;

pub use self::kept::KeyPlace;
use crate::digest::{from_hex, to_hex};
use crate::private_file;

const KEY_BYTES: usize = 32;
/// Binds a MAC to its use.
const PURPOSE: &[u8] = b"dovetail plugins.lock entry v1\0";
/// The same for names that stand for secrets.
const PSEUDONYM: &[u8] = b"dovetail pseudonym v1\0";

/// The secret key of this user's trust records, kept in `$CODEX_HOME/dovetail/lock.key`, or where that says.
pub struct TrustKey(Zeroizing<[u8; KEY_BYTES]>);

/// Why the key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustKeyError {
    /// The file cannot be read or made.
    #[error("cannot {action} the trust key `{}`", path.display())]
    Io {
        /// `read` or `make`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The system has no randomness to give.
    #[error("cannot make a trust key: {0}")]
    Random(getrandom::Error),
    /// Others could have read or written it.
    #[error("the trust key `{}` is open to other users: `chmod 600` it, or remove it and grant again", .0.display())]
    Shared(PathBuf),
    /// Its content is not a key.
    #[error("the trust key `{}` is damaged: remove it and grant again", .0.display())]
    Damaged(PathBuf),
    /// The file says that it is in the keyring, and it cannot be had from there.
    #[error(
        "the trust key is in keyring entry `{entry}`: {why}; where that cannot be helped, remove `{}` and grant again", path.display()
    )]
    Keyring {
        /// The file.
        path: PathBuf,
        /// The entry.
        entry: String,
        /// What is wrong.
        why: String,
    },
}

impl TrustKey {
    /// Reads the key; none where there is no file. Where the file says that the key is in the keyring, that is asked, which
    /// may wait for a person to unlock it.
    ///
    /// # Errors
    /// Where the file is open to others, damaged or unreadable, or the keyring does not have the key.
    pub fn load(path: &Path) -> Result<Option<Self>, TrustKeyError> {
        let Some(text) = read(path)? else {
            return Ok(None);
        };
        if text.trim() == kept::IN_KEYRING {
            return kept::from_keyring(path).map(Some);
        }
        let key = parse(&text).ok_or_else(|| TrustKeyError::Damaged(path.to_owned()))?;
        Ok(Some(key))
    }

    /// Reads the key, or makes one where there is none. Two processes that do so at once get the same key.
    ///
    /// # Errors
    /// As [`TrustKey::load`], and where the file cannot be made.
    pub fn load_or_make(path: &Path) -> Result<Self, TrustKeyError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(key.as_mut()).map_err(TrustKeyError::Random)?;
        let text = Zeroizing::new(to_hex(key.as_ref()));
        let io = |source| TrustKeyError::Io {
            action: "make",
            path: path.to_owned(),
            source,
        };
        let staged = private_file::temporary_beside(path);
        private_file::replace(&staged, text.as_bytes()).map_err(io)?;
        // A link, not a rename: it fails where another process has made the key meanwhile.
        let linked = fs::hard_link(&staged, path);
        fs::remove_file(&staged).map_err(io)?;
        match linked {
            Ok(()) => Ok(Self(key)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::load(path)?.ok_or_else(|| TrustKeyError::Damaged(path.to_owned()))
            }
            Err(error) => Err(io(error)),
        }
    }

    /// A name that stands for a secret, always the same one: two can be told apart by it. Without this key nobody finds out
    /// what it stands for, not even by guessing.
    pub fn pseudonym(&self, secret: &[u8]) -> String {
        to_hex(&self.code(PSEUDONYM, secret).finalize().into_bytes())
    }

    /// The authentication code of a record, as hex.
    pub(crate) fn sign(&self, record: &[u8]) -> String {
        to_hex(&self.mac(record).finalize().into_bytes())
    }

    /// Whether a code is the one that [`TrustKey::sign`] gives, compared in constant time.
    pub(crate) fn verify(&self, record: &[u8], code: &str) -> bool {
        from_hex(code).is_some_and(|code| self.mac(record).verify_slice(&code).is_ok())
    }

    fn mac(&self, record: &[u8]) -> Hmac<sha2::Sha256> {
        self.code(PURPOSE, record)
    }

    fn code(&self, purpose: &[u8], text: &[u8]) -> Hmac<sha2::Sha256> {
        let mac = Hmac::<sha2::Sha256>::new_from_slice(self.0.as_ref());
        mac.expect("HMAC takes keys of any length")
            .chain_update(purpose)
            .chain_update(text)
    }
}

/// What a key file says; none where there is none.
fn read(path: &Path) -> Result<Option<Zeroizing<String>>, TrustKeyError> {
    let io = |source| TrustKeyError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    // SAFETY: `geteuid` has no preconditions and cannot fail.
    let me = unsafe { libc::geteuid() };
    if private_file::is_shared(&metadata) || metadata.uid() != me {
        return Err(TrustKeyError::Shared(path.to_owned()));
    }
    Ok(Some(Zeroizing::new(fs::read_to_string(path).map_err(io)?)))
}

/// A key that is written as hex.
fn parse(text: &str) -> Option<TrustKey> {
    let bytes = from_hex(text.trim()).map(Zeroizing::new)?;
    let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).ok()?;
    Some(TrustKey(Zeroizing::new(key)))
}

impl std::fmt::Debug for TrustKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TrustKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("dovetail/lock.key");
        assert!(TrustKey::load(&path).expect("no key is no error").is_none());
        let first = TrustKey::load_or_make(&path).expect("made");
        let second = TrustKey::load_or_make(&path).expect("read");
        let code = first.sign(b"record");
        assert!(second.verify(b"record", &code));
        assert!(!second.verify(b"recorD", &code));
        assert!(!second.verify(b"record", ""));
        let name = first.pseudonym(b"record");
        assert_eq!(name, second.pseudonym(b"record"));
        assert!(name != code && name != first.pseudonym(b"recorD"));
        assert_eq!(
            fs::read_dir(path.parent().expect("a parent"))
                .expect("listable")
                .count(),
            1
        );
    }

    #[test]
    fn keys_differ_between_users() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let one = TrustKey::load_or_make(&dir.path().join("one")).expect("made");
        let two = TrustKey::load_or_make(&dir.path().join("two")).expect("made");
        assert!(!two.verify(b"record", &one.sign(b"record")));
    }

    #[test]
    fn a_key_others_can_read_or_that_is_damaged_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("lock.key");
        TrustKey::load_or_make(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changed");
        assert!(matches!(
            TrustKey::load(&path),
            Err(TrustKeyError::Shared(_))
        ));
        private_file::replace(&path, b"not a key").expect("written");
        assert!(matches!(
            TrustKey::load(&path),
            Err(TrustKeyError::Damaged(_))
        ));
    }
}
