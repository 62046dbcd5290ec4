use std::os::unix::fs::symlink;

use super::*;

struct Place {
    _keep: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(keep.path()).unwrap();
        for directory in ["work/sub", "other/.git", "outside"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        Self { _keep: keep, root }
    }

    fn layout(&self, protected: &[&str]) -> Layout {
        let mode = SandboxMode::WorkspaceWrite {
            writable_roots: vec![self.root.join("other"), PathBuf::from("sub")],
            network_access: false,
            exclude_slash_tmp: true,
            exclude_tmpdir: true,
        };
        let protected = protected.iter().map(|path| self.root.join(path)).collect();
        SandboxPolicy {
            mode,
            cwd: self.root.join("work"),
            protected,
        }
        .layout()
    }

    #[track_caller]
    fn check(&self, layout: &Layout, path: &str, expected: &str) {
        let path = self.root.join(path);
        let verdict = match layout.check_write(&path) {
            Ok(resolved) => resolved
                .strip_prefix(&self.root)
                .unwrap()
                .display()
                .to_string(),
            Err(WriteDenied::ReadOnly) => "read-only".to_owned(),
            Err(WriteDenied::Outside(_)) => "outside".to_owned(),
            Err(WriteDenied::Protected(_)) => "protected".to_owned(),
            Err(WriteDenied::Unresolved { why, .. }) => why,
        };
        assert_eq!(verdict, expected, "{}", path.display());
    }
}

#[test]
fn paths_inside_the_roots_may_be_written_and_others_not() {
    let place = Place::new();
    let layout = place.layout(&["work/sub/plugins"]);
    place.check(&layout, "work/new.txt", "work/new.txt");
    place.check(&layout, "work/new/deep/file", "work/new/deep/file");
    place.check(&layout, "other/x", "other/x");
    place.check(&layout, "work/sub/../x", "work/x");
    place.check(&layout, "outside/x", "outside");
    place.check(&layout, "work/../outside/x", "outside");
    place.check(&layout, "work", "outside");
    place.check(&layout, "work/.git/config", "protected");
    place.check(&layout, "work/.codex", "protected");
    place.check(&layout, "other/.agents/skill", "protected");
    place.check(&layout, "work/sub/plugins/a.wasm", "protected");
    place.check(&layout, "work/sub/pluginsx", "work/sub/pluginsx");
    place.check(
        &layout,
        "work/missing/../../outside/x",
        "it goes up from a directory that does not exist",
    );
}

#[test]
fn links_are_judged_by_where_they_lead() {
    let place = Place::new();
    symlink("../outside", place.root.join("work/out")).unwrap();
    symlink("../other", place.root.join("work/in")).unwrap();
    symlink("nowhere", place.root.join("work/dangling")).unwrap();
    symlink("sub/real", place.root.join("work/.codex")).unwrap();
    let layout = place.layout(&[]);
    place.check(&layout, "work/out/x", "outside");
    place.check(&layout, "work/in/x", "other/x");
    place.check(
        &layout,
        "work/dangling",
        "it is a symbolic link to something that does not exist",
    );
    place.check(&layout, "work/sub/real/x", "protected");
}

#[test]
fn a_worktrees_real_git_directories_are_protected_too() {
    let place = Place::new();
    let shared = place.root.join("other/main.git");
    fs::create_dir_all(shared.join("worktrees/w")).unwrap();
    fs::write(shared.join("worktrees/w/commondir"), "../..\n").unwrap();
    fs::write(
        place.root.join("work/.git"),
        "gitdir: ../other/main.git/worktrees/w\n",
    )
    .unwrap();
    let layout = place.layout(&[]);
    place.check(&layout, "other/main.git/worktrees/w/HEAD", "protected");
    place.check(&layout, "other/main.git/hooks/pre-commit", "protected");
}

#[test]
fn read_only_denies_and_full_access_allows_every_path() {
    let cwd = PathBuf::from("/");
    let read_only = SandboxPolicy {
        mode: SandboxMode::ReadOnly,
        cwd: cwd.clone(),
        protected: vec![],
    };
    assert_eq!(
        read_only.layout().check_write(Path::new("/tmp/x")),
        Err(WriteDenied::ReadOnly)
    );
    let full = SandboxPolicy {
        mode: SandboxMode::DangerFullAccess,
        cwd,
        protected: vec![],
    };
    assert_eq!(
        full.layout().check_write(Path::new("/dev/.git")),
        Ok(PathBuf::from("/dev/.git"))
    );
}
