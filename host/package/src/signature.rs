//! Minisign signatures of packages, checked offline.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use minisign_verify::{Error, PublicKey, Signature};

/// A signature has four short lines.
pub const LONGEST: u64 = 8 << 10;

/// Who signed a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The owner of this one of the keys, by its place among them.
    Known(usize),
    /// Somebody else: as good as nobody.
    Unknown,
}

/// Why a signature is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// It is no signature.
    #[error("the signature is not one that minisign makes")]
    Damaged(#[source] Error),
    /// It was made in the old way, over the bytes themselves.
    #[error(
        "the signature is of minisign's legacy kind: sign the package again with a current minisign"
    )]
    Legacy,
    /// It was made with the key, and for other bytes.
    #[error("the signature is for other bytes: the package was changed after it was signed")]
    Wrong,
    /// A key is none.
    #[error("`{0}` is not a minisign public key")]
    Key(String),
    /// The package cannot be read.
    #[error("cannot read the package")]
    Read(#[from] io::Error),
}

/// Finds the key that a package was signed with.
///
/// # Errors
/// The signature is none, or it is for other bytes.
pub fn verify(package: &Path, signature: &str, keys: &[&str]) -> Result<Signer, SignatureError> {
    let signature = Signature::decode(signature).map_err(SignatureError::Damaged)?;
    for (place, text) in keys.iter().enumerate() {
        let key = PublicKey::from_base64(text)
            .map_err(|_| SignatureError::Key((*text).escape_debug().to_string()))?;
        let mut verifier = match key.verify_stream(&signature) {
            Ok(verifier) => verifier,
            Err(Error::UnexpectedKeyId) => continue,
            Err(Error::UnsupportedLegacyMode) => return Err(SignatureError::Legacy),
            Err(error) => return Err(SignatureError::Damaged(error)),
        };
        let mut file = File::open(package)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            verifier.update(&buffer[..read]);
        }
        return match verifier.finalize() {
            Ok(()) => Ok(Signer::Known(place)),
            Err(_) => Err(SignatureError::Wrong),
        };
    }
    Ok(Signer::Unknown)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use minisign::KeyPair;

    use super::*;

    fn key() -> (KeyPair, String) {
        let pair = KeyPair::generate_unencrypted_keypair().expect("a key");
        let text = pair.pk.to_base64();
        (pair, text)
    }

    fn sign(pair: &KeyPair, bytes: &[u8]) -> String {
        minisign::sign(
            None,
            &pair.sk,
            Cursor::new(bytes),
            Some("trusted"),
            Some("untrusted"),
        )
        .expect("signed")
        .into_string()
    }

    fn check(bytes: &[u8], signature: &str, keys: &[&str]) -> Result<Signer, String> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("package");
        std::fs::write(&path, bytes).expect("written");
        verify(&path, signature, keys).map_err(|error| error.to_string())
    }

    #[test]
    fn a_signature_names_its_key_and_holds_for_its_bytes_alone() {
        let ((one, one_text), (_, two_text)) = (key(), key());
        let signature = sign(&one, b"package");
        let keys = [two_text.as_str(), one_text.as_str()];
        assert_eq!(check(b"package", &signature, &keys), Ok(Signer::Known(1)));
        assert_eq!(
            check(b"package", &signature, &keys[..1]),
            Ok(Signer::Unknown)
        );
        let wrong = check(b"packagE", &signature, &keys).expect_err("other bytes");
        assert!(wrong.contains("changed after it was signed"), "{wrong}");
    }

    #[test]
    fn what_is_signed_beside_the_bytes_cannot_be_changed_either() {
        let (pair, text) = key();
        let signature =
            sign(&pair, b"package").replace("trusted comment: trusted", "trusted comment: other");
        assert!(check(b"package", &signature, &[&text]).is_err());
    }

    #[test]
    fn what_is_no_signature_or_no_key_is_refused() {
        let (pair, text) = key();
        for signature in ["", "nonsense", "untrusted comment: x\nRWQ\n"] {
            assert!(
                check(b"package", signature, &[&text]).is_err(),
                "{signature}"
            );
        }
        let signature = sign(&pair, b"package");
        let error = check(b"package", &signature, &["RWnonsense"]).expect_err("no key");
        assert_eq!(error, "`RWnonsense` is not a minisign public key");
    }
}
