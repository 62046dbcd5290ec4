//! `AGENTS.md`: what people tell the model about themselves and their project.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::project::Project;
use crate::settings::ProjectDocSettings;

const DEFAULT_NAME: &str = "AGENTS.md";
/// Wins over the default name, so that a person can keep their own version beside a shared one.
const OVERRIDE_NAME: &str = "AGENTS.override.md";
const SEPARATOR: &str = "\n\n--- project-doc ---\n\n";
/// The user's own file has no budget, but a file of this size is not what it should be.
const MAX_GLOBAL_BYTES: u64 = 1 << 20;

/// The documents that apply in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectDocs {
    /// Their text: the user's own first, then the project's from its root down.
    pub text: String,
    /// The files in that order.
    pub files: Vec<PathBuf>,
    /// What was cut or could not be read.
    pub warnings: Vec<String>,
}

impl ProjectDocs {
    /// The text as the model gets it; none where there are no documents.
    pub fn block(&self, cwd: &Path) -> Option<String> {
        (!self.text.is_empty()).then(|| {
            format!(
                "# AGENTS.md instructions for {}\n\n<INSTRUCTIONS>\n{}\n</INSTRUCTIONS>",
                cwd.display(),
                self.text
            )
        })
    }
}

/// Collects the documents for a working directory. Files that cannot be read become warnings: a turn can do without.
pub fn collect_project_docs(
    home: &Path,
    project: &Project,
    cwd: &Path,
    settings: &ProjectDocSettings,
) -> ProjectDocs {
    let mut docs = ProjectDocs::default();
    let global = docs.add_first_of(home, &[OVERRIDE_NAME, DEFAULT_NAME], MAX_GLOBAL_BYTES);
    // The user's own text is sent without the blank lines around it, the project's as it is.
    let global = global.map(|text| text.trim().to_owned());
    let mut names = vec![OVERRIDE_NAME, DEFAULT_NAME];
    names.extend(settings.fallback_filenames.iter().map(String::as_str));
    let mut left = settings.max_bytes;
    let mut parts = Vec::new();
    for directory in project.directories_to(cwd) {
        if left == 0 {
            break;
        }
        if let Some(text) = docs.add_first_of(&directory, &names, left) {
            left -= (text.len() as u64).min(left);
            parts.push(text);
        }
    }
    let local = (!parts.is_empty()).then(|| parts.join("\n\n"));
    docs.text = [global, local]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(SEPARATOR);
    docs
}

impl ProjectDocs {
    /// Reads the first file that is there; none where there is none, or it is blank.
    fn add_first_of(&mut self, directory: &Path, names: &[&str], limit: u64) -> Option<String> {
        let path = names
            .iter()
            .map(|name| directory.join(name))
            .find(|path| path.is_file())?;
        let (text, cut) = match read_up_to(&path, limit) {
            Ok(read) => read,
            Err(error) => {
                self.warnings
                    .push(format!("cannot read `{}`: {error}", path.display()));
                return None;
            }
        };
        if cut {
            self.warnings.push(format!(
                "`{}` is cut: only {limit} bytes of it fit",
                path.display()
            ));
        }
        if text.trim().is_empty() {
            return None;
        }
        self.files.push(path);
        Some(text)
    }
}

/// Reads at most so many bytes, and says whether there were more. Never cuts through a character.
fn read_up_to(path: &Path, limit: u64) -> std::io::Result<(String, bool)> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let cut = bytes.len() as u64 > limit;
    if cut {
        bytes.pop();
        let whole = match std::str::from_utf8(&bytes) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) | Err(_) => bytes.len(),
        };
        bytes.truncate(whole);
    }
    Ok((String::from_utf8_lossy(&bytes).into_owned(), cut))
}
