//! The components that tests install.

/// A component with its manifest.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// Its id.
    pub id: &'static str,
    /// Its `plugin.toml`.
    pub manifest: &'static str,
    /// The component.
    pub wasm: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/guests.rs"));
