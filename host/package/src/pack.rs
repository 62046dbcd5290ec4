//! Makes packages. The same files make the same bytes, whoever packs them and whenever.

use std::io;

use tar::{Builder, EntryType, Header};

/// How hard to pack: a good size within a second or two for a component of 18 MB.
const LEVEL: i32 = 12;

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// Its path within the package, with `/`, of at most 100 bytes.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Packs files, in the order of their paths.
///
/// # Errors
/// A path is too long.
pub fn pack(mut files: Vec<File>) -> io::Result<Vec<u8>> {
    files.sort();
    let mut builder = Builder::new(Vec::new());
    for file in &files {
        let mut header = Header::new_ustar();
        header.set_path(&file.path)?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(file.content.len() as u64);
        header.set_cksum();
        builder.append(&header, file.content.as_slice())?;
    }
    zstd::encode_all(builder.into_inner()?.as_slice(), LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unpack::unpack;

    fn file(path: &str, content: &str) -> File {
        File {
            path: path.to_owned(),
            content: content.as_bytes().to_vec(),
        }
    }

    #[test]
    fn the_same_files_make_the_same_bytes_and_are_unpacked_again() {
        let (a, b) = (file("a/plugin.toml", "id"), file("b/b.wasm", "wasm"));
        let packed = pack(vec![a.clone(), b.clone()]).expect("packed");
        assert_eq!(packed, pack(vec![b, a]).expect("packed"));
        let dir = tempfile::tempdir().expect("a temporary directory");
        unpack(packed.as_slice(), packed.len() as u64, dir.path()).expect("unpacked");
        let read = |path| std::fs::read_to_string(dir.path().join(path)).expect("there");
        assert_eq!(
            (read("a/plugin.toml").as_str(), read("b/b.wasm").as_str()),
            ("id", "wasm")
        );
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        assert!(pack(vec![file(&"x".repeat(300), "")]).is_err());
    }
}
