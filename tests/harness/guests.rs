//! The components and libraries that tests install.

/// A component with its manifest, or a native plugin's library with its own.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// Its id.
    pub id: &'static str,
    /// Its `plugin.toml`.
    pub manifest: &'static str,
    /// The component or library.
    pub wasm: &'static [u8],
}

impl Guest {
    /// The name of its file under a manifest.
    pub fn file(&self, manifest: &str) -> String {
        let suffix = match manifest.lines().any(|line| line == "native = true") {
            true => "so",
            false => "wasm",
        };
        format!("{}.{suffix}", self.id)
    }
}

include!(concat!(env!("OUT_DIR"), "/guests.rs"));
