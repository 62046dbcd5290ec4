//! The workspace that the guests are packages of.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// Where guests live.
const GUEST_DIRECTORIES: &[&str] = &["plugins", "examples", "tests/guests"];

/// What every guest is built from.
const SHARED: &[&str] = &[
    "wit",
    "plugin-api",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
];

/// The root of the workspace.
pub(crate) struct Workspace(PathBuf);

impl Workspace {
    /// The workspace that a package is in.
    pub(crate) fn around(package: &Path) -> Result<Self, Failure> {
        let is_root = |path: &&Path| path.join("wit").is_dir() && path.join("Cargo.lock").is_file();
        let root = package.ancestors().find(is_root);
        let root = root
            .ok_or_else(|| Failure(format!("{} is in no dovetail workspace", package.display())))?;
        Ok(Self(root.to_owned()))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    /// Has cargo run the build script again when something the packages are built from changes.
    pub(crate) fn watch(&self, packages: &[&str]) -> Result<(), Failure> {
        for package in packages {
            let directory = self
                .directory(package)
                .ok_or_else(|| Failure(format!("there is no guest package `{package}`")))?;
            println!("cargo::rerun-if-changed={}", directory.display());
        }
        for path in SHARED
            .iter()
            .map(|path| self.0.join(path))
            .filter(|path| path.exists())
        {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        Ok(())
    }

    fn directory(&self, package: &str) -> Option<PathBuf> {
        let name = format!("name = \"{package}\"");
        let names = |path: &PathBuf| {
            // A directory without a manifest is no package.
            fs::read_to_string(path.join("Cargo.toml"))
                .is_ok_and(|text| text.lines().any(|line| line.trim() == name))
        };
        let parents = GUEST_DIRECTORIES
            .iter()
            .filter_map(|path| fs::read_dir(self.0.join(path)).ok());
        parents
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .find(names)
    }
}
