//! Certificate authorities that somebody runs privately.
//!
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of the platform's authorities; the TLS library sees to that. What is
//! read here comes on top of them.

use std::path::Path;

use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::file::{self, UnusableFile};

/// The variable that names a file of certificates in PEM form; the same as for existing clients.
pub const CA_VARIABLE: &str = "CODEX_CA_CERTIFICATE";

/// The certificates of the file that the environment of this process names, in DER form.
///
/// # Errors
/// Names the file and says what is wrong with it.
pub fn extra() -> Result<Vec<Vec<u8>>, UnusableFile> {
    let named = std::env::var_os(CA_VARIABLE).filter(|path| !path.is_empty());
    named.map_or_else(|| Ok(Vec::new()), |path| read(Path::new(&path)))
}

/// The same for an HTTP client.
pub(crate) fn certificates() -> Result<Vec<Certificate>, UnusableFile> {
    let certificates = extra()?;
    let parse = |der: &Vec<u8>| Certificate::from_der(der).expect("the TLS library has taken it");
    Ok(certificates.iter().map(parse).collect())
}

fn read(path: &Path) -> Result<Vec<Vec<u8>>, UnusableFile> {
    let invalid = |why: &str| UnusableFile::new(CA_VARIABLE, path, why);
    let bytes = file::read(CA_VARIABLE, path)?;
    let mut roots = RootCertStore::empty();
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate =
            certificate.map_err(|_| invalid("it is no file of certificates in PEM form"))?;
        roots
            .add(certificate.clone())
            .map_err(|_| invalid("it holds something that is no certificate"))?;
        certificates.push(certificate.to_vec());
    }
    match certificates.is_empty() {
        true => Err(invalid("it holds no certificate in PEM form")),
        false => Ok(certificates),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(content: &[u8], expected: &str) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, content).expect("written");
        let error = read(&path).expect_err("refused").to_string();
        let error = error.replace(&*dir.path().to_string_lossy(), "…");
        assert_eq!(
            error,
            format!("`CODEX_CA_CERTIFICATE` names `…/ca.pem`, which cannot be used: {expected}")
        );
    }

    #[test]
    fn a_file_that_holds_no_authority_is_refused_with_its_name() {
        refused(b"", "it holds no certificate in PEM form");
        refused(b"hello\n", "it holds no certificate in PEM form");
        refused(
            b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
            "it holds something that is no certificate",
        );
        refused(
            b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n",
            "it is no file of certificates in PEM form",
        );
        let long = vec![b'x'; 1 + (4 << 20)];
        refused(&long, "it is longer than 4 MB");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let error = read(Path::new("/nowhere/ca.pem")).expect_err("missing");
        assert_eq!(
            error.to_string(),
            "`CODEX_CA_CERTIFICATE` names `/nowhere/ca.pem`, which cannot be used: \
             No such file or directory (os error 2)"
        );
    }
}
