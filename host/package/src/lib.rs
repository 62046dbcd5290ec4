//! Packages of plugins: archives, signatures, and where they come from.
//!
//! A package is a `.tar.zst` with the files of one plugin (`plugin.toml`, `<id>.wasm`), or with a folder for each of
//! several. Nothing in here decides whether a plugin may be used, and nothing of a package is run: bytes are fetched,
//! checked and laid out in a directory that the caller throws away or looks at.

pub mod fetch;
mod oci;
pub mod pack;
mod registry;
pub mod signature;
pub mod source;
pub mod unpack;

/// The largest package. The largest known component (a whole Python) makes one of 6 MB.
pub const MOST_PACKED: u64 = 512 << 20;

/// The ending of packages.
pub const EXTENSION: &str = ".tar.zst";

/// The ending of signatures, behind that of the package.
pub const SIGNATURE_EXTENSION: &str = ".minisig";
