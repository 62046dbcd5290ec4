//! What the user's own file says of a project: under its path, under another name of it, or as a work tree of a
//! repository that it names.

use std::path::{Path, PathBuf};

use crate::enums::TrustLevel;
use crate::tree::{self, Node, Table};

/// No path is longer; a longer file is none of git's pointers.
const MAX_POINTER_BYTES: u64 = 8 << 10;

/// How far a project is trusted, by the table of projects.
pub(crate) fn level(root: &Path, projects: &Table) -> Option<TrustLevel> {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    named(&root, projects).or_else(|| named(&main_work_tree(&root)?, projects))
}

/// What is said of a path. An entry that leads there through links counts where none has the path itself, and distrust
/// counts more than trust.
fn named(root: &Path, projects: &Table) -> Option<TrustLevel> {
    if let Some(level) = root.to_str().and_then(|name| said(name, projects)) {
        return Some(level);
    }
    let mut levels = projects
        .keys()
        .filter(|name| {
            Path::new(name)
                .canonicalize()
                .is_ok_and(|path| path == root)
        })
        .filter_map(|name| said(name, projects));
    let first = levels.next()?;
    match levels.any(|level| level == TrustLevel::Untrusted) {
        true => Some(TrustLevel::Untrusted),
        false => Some(first),
    }
}

fn said(name: &str, projects: &Table) -> Option<TrustLevel> {
    match &tree::get(projects, &[name, "trust_level"])?.node {
        Node::Leaf(level) => TrustLevel::parse(level.as_str()?),
        Node::Table(_) => None,
    }
}

/// The first work tree of the repository that a linked one belongs to. That the linked one claims so is not enough:
/// anybody can write such a file into an archive. The repository has to know of it too.
fn main_work_tree(root: &Path) -> Option<PathBuf> {
    let link = root.join(".git");
    let admin = root.join(pointer(&link)?.strip_prefix("gitdir: ")?);
    let back = admin.join(pointer(&admin.join("gitdir"))?);
    if back.canonicalize().ok()? != link.canonicalize().ok()? {
        return None;
    }
    let repository = admin.join(pointer(&admin.join("commondir"))?);
    let repository = repository.canonicalize().ok()?;
    // A repository without a work tree of its own has nothing that could be trusted.
    let of_work_tree = repository.file_name()? == ".git";
    // The repository's own list is what makes it know: `<repository>/worktrees/<name>`.
    let listed = admin.canonicalize().ok()?.parent()? == repository.join("worktrees");
    (of_work_tree && listed).then(|| repository.parent().map(Path::to_owned))?
}

/// The line in one of the small files with which git points somewhere else.
fn pointer(path: &Path) -> Option<String> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_POINTER_BYTES {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim_end_matches(['\r', '\n']).to_owned())
}
