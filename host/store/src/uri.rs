//! `file://` URIs.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The URI of an absolute path. Bytes that URIs reserve, and those that are not ASCII, are percent-encoded.
pub(crate) fn file_uri(path: &Path) -> String {
    let mut uri = String::from("file://");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'/'
            | b'-'
            | b'.'
            | b'_'
            | b'~'
            | b'+'
            | b'='
            | b','
            | b'@'
            | b':' => {
                uri.push(char::from(*byte));
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(
            file_uri(Path::new("/home/user/proj")),
            "file:///home/user/proj"
        );
        assert_eq!(
            file_uri(Path::new("/a b/ü?#%")),
            "file:///a%20b/%C3%BC%3F%23%25"
        );
    }
}
