//! Works a patch out: from operations on named files to the bytes to write, without writing any.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dovetail_core::event::{FileChange, FileChangeKind};
use dovetail_sandbox::{Layout, WriteDenied};
use similar::TextDiff;

use super::{Change, Entry, FileOp, Patch, updated};

/// Larger files are no source code; reading them to patch a line is a mistake.
const MAX_FILE: u64 = 32 * 1024 * 1024;
/// What the model reads where nothing may be written, in the words existing clients use.
const READ_ONLY: &str =
    "patch rejected: writing is blocked by read-only sandbox; rejected by user approval settings";
/// What it reads of a path outside, before the path itself.
const OUTSIDE: &str =
    "patch rejected: writing outside of the project; rejected by user approval settings";

/// A patch worked out: what to write, what to show, what to say.
pub(crate) struct Planned {
    pub(crate) changes: Vec<Change>,
    pub(crate) shown: Vec<FileChange>,
    pub(crate) summary: Vec<String>,
}

/// Files as they are while a patch is worked out: a file may be named twice.
struct Desk<'a> {
    cwd: &'a Path,
    layout: &'a Layout,
    files: BTreeMap<PathBuf, Sheet>,
    order: Vec<PathBuf>,
}

struct Sheet {
    before: Option<Entry>,
    now: Option<Entry>,
}

impl Sheet {
    /// Puts content in the place of whatever is there.
    fn write(&mut self, content: &str) {
        self.now = Some(Entry::File(content.as_bytes().to_vec()));
    }

    /// Whether the patch has taken a link away here: its name leads nowhere any more.
    fn was_link(&self) -> bool {
        self.now.is_none() && matches!(self.before, Some(Entry::Link(_)))
    }

    /// What the file is to hold in the end, where that is something else than now.
    fn change(&self, path: &Path) -> Option<Change> {
        let after = match &self.now {
            Some(Entry::File(content)) => Some(content.clone()),
            Some(Entry::Link(_)) => return None,
            None => None,
        };
        (self.before != self.now).then(|| Change {
            path: path.to_owned(),
            before: self.before.clone(),
            after,
        })
    }
}

/// Works a patch out against the files as they are.
///
/// # Errors
/// The text for the model: what is wrong with the patch, or which file may not or cannot be changed so.
pub(crate) fn plan(text: &str, cwd: &Path, layout: &Layout) -> Result<Planned, String> {
    let patch = Patch::parse(text).map_err(|error| format!("invalid patch: {error}"))?;
    let mut desk = Desk {
        cwd,
        layout,
        files: BTreeMap::new(),
        order: Vec::new(),
    };
    let (mut shown, mut summary) = (Vec::new(), Vec::new());
    for op in &patch.ops {
        let (change, line) = desk.work_out(op)?;
        shown.push(change);
        summary.push(line);
    }
    let changes = desk
        .order
        .iter()
        .filter_map(|path| desk.files.get(path)?.change(path))
        .collect();
    Ok(Planned {
        changes,
        shown,
        summary,
    })
}

impl Desk<'_> {
    fn work_out(&mut self, op: &FileOp) -> Result<(FileChange, String), String> {
        match op {
            FileOp::Add { path, content } => {
                let real = self.open(path)?;
                let sheet = self.sheet(&real)?;
                if sheet.now.is_some() {
                    return Err(format!(
                        "`{path}` exists already; update it, or delete it first"
                    ));
                }
                sheet.write(content);
                Ok((
                    change(&real, FileChangeKind::Add, "", content, None),
                    format!("A {path}"),
                ))
            }
            FileOp::Delete { path } => {
                let place = self.open_to_remove(path)?;
                let before = match self.sheet(&place)?.now.take() {
                    // What is no text can go too; only its difference is not worth showing in full.
                    Some(Entry::File(before)) => String::from_utf8(before).unwrap_or_default(),
                    Some(Entry::Link(_)) => String::new(),
                    None => return Err(format!("`{path}` does not exist")),
                };
                Ok((
                    change(&place, FileChangeKind::Delete, &before, "", None),
                    format!("D {path}"),
                ))
            }
            FileOp::Update {
                path,
                move_to,
                sections,
            } => {
                let real = self.open(path)?;
                let before = self.text(&real, path)?;
                let after = updated(path, &before, sections)?;
                let moved = move_to
                    .as_ref()
                    .map(|to| self.move_target(path, &real, to))
                    .transpose()?;
                match &moved {
                    Some(target) => {
                        let place = self.open_to_remove(path)?;
                        self.sheet(&place)?.now = None;
                        self.sheet(target)?.write(&after);
                    }
                    None => self.sheet(&real)?.write(&after),
                }
                let line = move_to
                    .as_ref()
                    .map_or_else(|| format!("M {path}"), |to| format!("M {to}"));
                Ok((
                    change(&real, FileChangeKind::Update, &before, &after, moved),
                    line,
                ))
            }
        }
    }

    fn move_target(&mut self, path: &str, real: &Path, to: &str) -> Result<PathBuf, String> {
        let target = self.open(to)?;
        if target != real && self.sheet(&target)?.now.is_some() {
            return Err(format!("`{path}` cannot be moved: `{to}` exists already"));
        }
        Ok(target)
    }

    /// Where a path really leads, if it may be written.
    fn open(&self, path: &str) -> Result<PathBuf, String> {
        if let Ok(place) = self.open_to_remove(path)
            && self.files.get(&place).is_some_and(Sheet::was_link)
        {
            return Ok(place);
        }
        let real = self.layout.check_write(&self.cwd.join(path));
        real.map_err(|denied| refusal(&denied))
    }

    /// Where a name is that is to go, if it may: a link goes itself, not what it leads to.
    fn open_to_remove(&self, path: &str) -> Result<PathBuf, String> {
        let place = self.layout.check_remove(&self.cwd.join(path));
        place.map_err(|denied| refusal(&denied))
    }

    fn sheet(&mut self, path: &Path) -> Result<&mut Sheet, String> {
        if !self.files.contains_key(path) {
            let before = read(path)?;
            self.order.push(path.to_owned());
            self.files.insert(
                path.to_owned(),
                Sheet {
                    now: before.clone(),
                    before,
                },
            );
        }
        self.files
            .get_mut(path)
            .ok_or_else(|| "a file was lost".to_owned())
    }

    fn text(&mut self, real: &Path, path: &str) -> Result<String, String> {
        match &self.sheet(real)?.now {
            Some(Entry::File(bytes)) => String::from_utf8(bytes.clone())
                .map_err(|_| format!("`{path}` is not UTF-8 text, so it cannot be patched")),
            Some(Entry::Link(_)) => Err(format!("`{path}` became a link just now")),
            None => Err(format!("`{path}` does not exist")),
        }
    }
}

fn refusal(denied: &WriteDenied) -> String {
    match denied {
        WriteDenied::ReadOnly => READ_ONLY.to_owned(),
        WriteDenied::Outside(_) => format!("{OUTSIDE} ({denied})"),
        WriteDenied::Protected(_) | WriteDenied::Unresolved { .. } => {
            format!("patch rejected: {denied}")
        }
    }
}

/// What is at a place whose path has no links in it, but perhaps is one.
fn read(path: &Path) -> Result<Option<Entry>, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("cannot read `{shown}`: {error}");
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => {
            let target = fs::read_link(path).map_err(unreadable)?;
            return Ok(Some(Entry::Link(target)));
        }
        Ok(meta) if meta.is_dir() => return Err(format!("`{shown}` is a directory")),
        Ok(meta) if !meta.is_file() => return Err(format!("`{shown}` is no ordinary file")),
        Ok(meta) if meta.len() > MAX_FILE => {
            return Err(format!("`{shown}` is larger than {} MiB", MAX_FILE >> 20));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    }
    let content = fs::read(path).map_err(unreadable)?;
    Ok(Some(Entry::File(content)))
}

fn change(
    path: &Path,
    kind: FileChangeKind,
    before: &str,
    after: &str,
    moved_to: Option<PathBuf>,
) -> FileChange {
    let diff = TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .to_string();
    FileChange {
        path: path.to_owned(),
        kind,
        diff,
        moved_to,
    }
}

/// What an operation would do, for showing what was declined.
pub(crate) fn intended(op: &FileOp, cwd: &Path) -> FileChange {
    let (path, kind, moved_to) = match op {
        FileOp::Add { path, .. } => (path, FileChangeKind::Add, None),
        FileOp::Delete { path } => (path, FileChangeKind::Delete, None),
        FileOp::Update { path, move_to, .. } => (path, FileChangeKind::Update, move_to.as_ref()),
    };
    FileChange {
        path: cwd.join(path),
        kind,
        diff: String::new(),
        moved_to: moved_to.map(|to| cwd.join(to)),
    }
}

#[cfg(test)]
mod tests {
    use dovetail_sandbox::{SandboxMode, SandboxPolicy};

    use super::*;

    fn lab(mode: SandboxMode) -> (tempfile::TempDir, PathBuf, Layout) {
        let dir = tempfile::tempdir().expect("a directory");
        let cwd = dir.path().canonicalize().expect("a path");
        let layout = SandboxPolicy {
            mode,
            cwd: cwd.clone(),
            protected: Vec::new(),
        }
        .layout();
        (dir, cwd, layout)
    }

    fn workspace() -> SandboxMode {
        SandboxMode::WorkspaceWrite {
            writable_roots: Vec::new(),
            network_access: false,
            exclude_slash_tmp: true,
            exclude_tmpdir: true,
        }
    }

    #[track_caller]
    fn refusal(mode: SandboxMode, body: &str) -> String {
        let (_dir, cwd, layout) = lab(mode);
        fs::write(cwd.join("there"), "x\n").expect("a file");
        plan(
            &format!("*** Begin Patch\n{body}\n*** End Patch"),
            &cwd,
            &layout,
        )
        .err()
        .expect("a refusal")
    }

    #[test]
    fn what_may_not_be_written_is_refused_with_the_reason() {
        assert_eq!(
            refusal(SandboxMode::ReadOnly, "*** Add File: a\n+x"),
            READ_ONLY
        );
        let outside = refusal(workspace(), "*** Add File: /etc/dovetail-test\n+x");
        assert_eq!(
            outside,
            format!("{OUTSIDE} (`/etc/dovetail-test` is outside the writable roots)")
        );
        assert!(
            refusal(workspace(), "*** Add File: ../up\n+x").contains("outside the writable roots")
        );
        assert!(refusal(workspace(), "*** Add File: .git/hooks/x\n+x").contains("protected"));
        assert!(refusal(workspace(), "*** Add File: .codex/config.toml\n+x").contains("protected"));
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        assert_eq!(
            refusal(workspace(), "*** Add File: there\n+x"),
            "`there` exists already; update it, or delete it first"
        );
        assert_eq!(
            refusal(workspace(), "*** Delete File: nowhere"),
            "`nowhere` does not exist"
        );
        assert_eq!(
            refusal(workspace(), "*** Update File: nowhere\n@@\n+x"),
            "`nowhere` does not exist"
        );
    }

    /// What a patch makes of a directory with `link` to `real`: both files' texts, none where there is no file; the
    /// first none too where it is still a link.
    fn with_link(body: &str) -> [Option<String>; 2] {
        let (_dir, cwd, layout) = lab(workspace());
        fs::write(cwd.join("real"), "x\n").expect("a file");
        std::os::unix::fs::symlink("real", cwd.join("link")).expect("a link");
        let patch = format!("*** Begin Patch\n{body}\n*** End Patch");
        let planned = plan(&patch, &cwd, &layout).unwrap_or_else(|error| panic!("{error}"));
        super::super::write_all(&planned.changes).expect("it is written");
        let at_link = fs::symlink_metadata(cwd.join("link"));
        assert!(
            body.starts_with("*** Update File: link\n@@")
                == at_link.as_ref().is_ok_and(|found| found.is_symlink()),
            "only a change in place goes through the link"
        );
        ["link", "real"].map(|name| fs::read_to_string(cwd.join(name)).ok())
    }

    #[test]
    fn a_link_is_changed_where_it_leads_and_removed_itself() {
        let text = |text: &str| Some(text.to_owned());
        for (body, expected) in [
            (
                "*** Update File: link\n@@\n-x\n+y",
                [text("y\n"), text("y\n")],
            ),
            ("*** Delete File: link", [None, text("x\n")]),
            (
                "*** Update File: link\n*** Move to: new\n@@\n-x\n+y",
                [None, text("x\n")],
            ),
            (
                "*** Delete File: link\n*** Add File: link\n+own",
                [text("own\n"), text("x\n")],
            ),
        ] {
            assert_eq!(with_link(body), expected, "{body}");
        }
    }

    #[test]
    fn a_file_may_be_named_twice() {
        let (_dir, cwd, layout) = lab(workspace());
        fs::write(cwd.join("f"), "a\nb\n").expect("a file");
        let text = "*** Begin Patch\n*** Update File: f\n@@\n-a\n+A\n*** Update File: f\n*** Move to: g\n@@\n-b\n+B\n*** End Patch";
        let planned = plan(text, &cwd, &layout).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            planned.changes,
            [
                Change {
                    path: cwd.join("f"),
                    before: Some(Entry::File(b"a\nb\n".to_vec())),
                    after: None
                },
                Change {
                    path: cwd.join("g"),
                    before: None,
                    after: Some(b"A\nB\n".to_vec())
                },
            ]
        );
        assert_eq!(planned.summary, ["M f", "M g"]);
        assert_eq!(planned.shown[0].diff, "@@ -1,2 +1,2 @@\n-a\n+A\n b\n");
    }
}
