//! Writing trust in a project into the user's own file, with every comment kept.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, value};

use crate::error::ConfigError;
use crate::layer;
use crate::replace::replace;

/// Why trust could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The user's file cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The user's file is not TOML, so nothing can be added to it.
    #[error("cannot add trust to `{}`, since it is not valid TOML", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The user's file has something else where trust should go.
    #[error("cannot add trust to `{}`, since `projects` is not a table there", path.display())]
    NotATable {
        /// The file.
        path: PathBuf,
    },
    /// The project's path is not text, which TOML needs.
    #[error("`{}` cannot be trusted: its name is not UTF-8", path.display())]
    NotText {
        /// The project.
        path: PathBuf,
    },
    /// Writing failed.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Sets `projects."<root>".trust_level = "trusted"` in `$CODEX_HOME/config.toml`, which is made where it is missing.
///
/// The file is replaced in one step; a link to it stays a link.
///
/// # Errors
/// The file cannot be read, understood or written; it is then as it was.
pub fn trust_project(home: &Path, root: &Path) -> Result<(), TrustError> {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let name = root
        .to_str()
        .ok_or_else(|| TrustError::NotText { path: root.clone() })?;
    let link = home.join("config.toml");
    let path = link.canonicalize().unwrap_or(link);
    let text = layer::read_text(&path)?.unwrap_or_default();
    let mut document: DocumentMut = text
        .parse()
        .map_err(|_| TrustError::Malformed { path: path.clone() })?;
    set_trust(&mut document, name).ok_or_else(|| TrustError::NotATable { path: path.clone() })?;
    replace(&path, document.to_string().as_bytes())
        .map_err(|source| TrustError::Write { path, source })
}

fn set_trust(document: &mut DocumentMut, root: &str) -> Option<()> {
    let projects = document.entry("projects").or_insert_with(|| {
        let mut table = Table::new();
        // Only `[projects."…"]` headers, none for the table of tables.
        table.set_implicit(true);
        Item::Table(table)
    });
    let project = projects
        .as_table_like_mut()?
        .entry(root)
        .or_insert_with(|| Item::Table(Table::new()));
    project
        .as_table_like_mut()?
        .insert("trust_level", value("trusted"));
    Some(())
}
