//! Files that variables name.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// All public authorities together take a quarter of a megabyte.
const LONGEST: u64 = 4 << 20;

/// A file that cannot be used. Requests fail then: without it they would fail later, with less of a reason.
#[derive(Debug, thiserror::Error)]
#[error("`{variable}` names `{}`, which cannot be used: {why}", path.display())]
pub struct UnusableFile {
    variable: &'static str,
    path: PathBuf,
    why: String,
}

impl UnusableFile {
    pub(crate) fn new(variable: &'static str, path: &Path, why: impl Into<String>) -> Self {
        Self {
            variable,
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

/// The whole content, which has to be of a sensible length.
pub(crate) fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>, UnusableFile> {
    let unusable = |error: std::io::Error| UnusableFile::new(variable, path, error.to_string());
    let file = File::open(path).map_err(unusable)?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(unusable)?;
    match bytes.len() as u64 > LONGEST {
        true => Err(UnusableFile::new(
            variable,
            path,
            format!("it is longer than {} MB", LONGEST >> 20),
        )),
        false => Ok(bytes),
    }
}
