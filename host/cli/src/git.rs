//! Facts about the git work tree, read from its files: starting `git` would cost more than the whole turn's set-up.
//! Only whether there are changes is asked of `git` itself, beside a turn that has been running for a while.

mod ask;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use dovetail_core::context::GitFacts;
use dovetail_core::snapshot::{WorkspaceFacts, Workspaces};
use tokio::io::AsyncReadExt as _;
use tokio_util::task::AbortOnDropHandle;

pub(crate) use ask::{Answer, ask};

/// How long a turn runs before anybody looks for changes: one that ends sooner sends no request that could say so.
const CHANGES_AFTER: Duration = Duration::from_millis(200);

/// A list of a million refs is smaller.
const MAX_BYTES: u64 = 64 << 20;

/// The root of the work tree that a directory is in.
pub(crate) fn root_of(dir: &Path) -> Option<PathBuf> {
    dir.ancestors()
        .find(|dir| dovetail_config::is_marker(&dir.join(".git")))
        .map(Path::to_owned)
}

/// What requests carry about the work tree: remotes (credentials removed) and the commit.
pub(crate) fn workspace_facts(root: &Path) -> Option<WorkspaceFacts> {
    let git_dir = git_dir(root)?;
    let common = common_dir(&git_dir);
    let facts = WorkspaceFacts {
        associated_remote_urls: remotes(&common),
        latest_git_commit_hash: head_commit(&git_dir, &common),
        has_changes: None,
    };
    (facts != WorkspaceFacts::default()).then_some(facts)
}

/// Where a work tree stands, for the model.
pub(crate) fn standing(root: &Path) -> Option<GitFacts> {
    let git_dir = git_dir(root)?;
    Some(GitFacts {
        root: root.display().to_string(),
        branch: head_branch(&git_dir),
        commit: head_commit(&git_dir, &common_dir(&git_dir)),
    })
}

fn head_branch(git_dir: &Path) -> Option<String> {
    let head = text_of(&git_dir.join("HEAD"))?;
    let name = head.trim().strip_prefix("ref:")?.trim();
    Some(name.strip_prefix("refs/heads/").unwrap_or(name).to_owned())
}

/// Finds out whether the work trees have uncommitted changes, while a turn runs. Later requests say so.
///
/// For trusted projects alone: `git` runs programs that the configuration of a repository names.
pub(crate) fn look_for_changes(workspaces: Workspaces) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::time::sleep(CHANGES_AFTER).await;
        for root in workspaces.facts().into_keys() {
            if let Some(changed) = has_changes(Path::new(&root)).await {
                workspaces.set_has_changes(&root, changed);
            }
        }
    }))
}

/// Whether anything is uncommitted, untracked files included; none where `git` cannot say.
async fn has_changes(root: &Path) -> Option<bool> {
    let mut command = tokio::process::Command::new("git");
    command
        .args(["-c", "core.fsmonitor=false", "status", "--porcelain"])
        .current_dir(root)
        .env_clear()
        .envs(
            ["PATH", "HOME"]
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        // Reads the index and leaves it alone, so that a `git` of the user's never finds it locked.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    // A machine without `git` sends a field less.
    let mut child = command.spawn().ok()?;
    let read = child.stdout.take()?.read(&mut [0; 1]).await.ok()?;
    if read > 0 {
        // One line is enough; the rest may be long.
        return Some(true);
    }
    let ended = child.wait().await.ok()?;
    ended.success().then_some(false)
}

/// The text of a file. Where a repository has a pipe instead, or names a device, nobody waits for its end.
fn text_of(path: &Path) -> Option<String> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

/// `.git` is a directory, or in linked work trees a file that names one.
fn git_dir(root: &Path) -> Option<PathBuf> {
    let dot_git = root.join(".git");
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let text = text_of(&dot_git)?;
    let named = text.strip_prefix("gitdir:")?.trim();
    Some(root.join(named))
}

/// Where refs and configuration live: linked work trees share the main one's.
fn common_dir(git_dir: &Path) -> PathBuf {
    match text_of(&git_dir.join("commondir")) {
        Some(text) => git_dir.join(text.trim()),
        None => git_dir.to_owned(),
    }
}

fn head_commit(git_dir: &Path, common: &Path) -> Option<String> {
    let head = text_of(&git_dir.join("HEAD"))?;
    let head = head.trim();
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else {
        return is_hash(head).then(|| head.to_owned());
    };
    let loose = text_of(&common.join(name));
    if let Some(hash) = loose.as_deref().map(str::trim).filter(|text| is_hash(text)) {
        return Some(hash.to_owned());
    }
    let packed = text_of(&common.join("packed-refs"))?;
    packed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(hash, reference)| *reference == name && is_hash(hash))
        .map(|(hash, _)| hash.to_owned())
}

fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn remotes(common: &Path) -> BTreeMap<String, String> {
    let Some(config) = text_of(&common.join("config")) else {
        return BTreeMap::new();
    };
    let mut remotes = BTreeMap::new();
    let mut remote = None;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            remote = remote_of(line);
        } else if let (Some(name), Some((key, url))) = (&remote, line.split_once('='))
            && key.trim().eq_ignore_ascii_case("url")
        {
            // Of several URLs the first is the one that is fetched from.
            remotes
                .entry(name.clone())
                .or_insert_with(|| without_credentials(&unquoted(url.trim())));
        }
    }
    remotes
}

/// The remote that a section of the configuration is about.
fn remote_of(header: &str) -> Option<String> {
    let (section, rest) = header.strip_prefix('[')?.split_once('"')?;
    let (name, _) = rest.split_once("\"]")?;
    section
        .trim()
        .eq_ignore_ascii_case("remote")
        .then(|| name.to_owned())
}

/// A value as `git` understands it: quotes are no part of it, and outside of them a comment ends it.
fn unquoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut quoted = false;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' => text.extend(chars.next()),
            '#' | ';' if !quoted => break,
            c => text.push(c),
        }
    }
    text.trim_end().to_owned()
}

/// Removes what may be a secret: what stands before the host's `@`, where `https` has a user name or a token, and
/// what follows a `?`, where some services take one. `git@host:path` keeps its user, which is none.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url.split_once('@') {
            Some((user, rest)) if user.contains(':') => rest.to_owned(),
            Some(_) | None => url.to_owned(),
        };
    };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => format!("{scheme}://{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_urls_lose_their_credentials() {
        for (url, expected) in [
            (
                "https://user:token@example.org/a.git",
                "https://example.org/a.git",
            ),
            (
                "https://tok@en@example.org/a.git",
                "https://example.org/a.git",
            ),
            ("https://example.org/a@b.git", "https://example.org/a@b.git"),
            ("git@example.org:a/b.git", "git@example.org:a/b.git"),
            ("ssh://git@example.org/a.git", "ssh://example.org/a.git"),
            ("oauth2:tok@example.org:a/b.git", "example.org:a/b.git"),
            (
                "https://example.org/a.git?private_token=tok#x",
                "https://example.org/a.git",
            ),
            ("/srv/git/a.git", "/srv/git/a.git"),
        ] {
            assert_eq!(without_credentials(url), expected, "{url}");
        }
    }

    #[test]
    fn remotes_are_read_as_git_reads_them() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = "[core]\n\turl = no\n[Remote \"origin\"] ; ours\n\tURL = \"https://me:tok@example.org/a.git\" # main\n\
                      \turl = https://second.example/a.git\n\tpushurl = https://push.example/a.git\n\
                      [remote \"up\"]\nurl=git@example.org:a.git\n[branch \"main\"]\n\turl = no\n";
        std::fs::write(dir.path().join("config"), config).expect("a file");
        let found: Vec<(String, String)> = remotes(dir.path()).into_iter().collect();
        let pair = |name: &str, url: &str| (name.to_owned(), url.to_owned());
        assert_eq!(
            found,
            [
                pair("origin", "https://example.org/a.git"),
                pair("up", "git@example.org:a.git")
            ]
        );
    }

    #[test]
    fn packed_and_loose_heads_are_found() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let git = dir.path().join(".git");
        std::fs::create_dir_all(git.join("refs/heads")).expect("directories");
        std::fs::write(git.join("HEAD"), "ref: refs/heads/main\n").expect("HEAD");
        assert_eq!(workspace_facts(dir.path()), None);
        let packed = "a".repeat(40);
        std::fs::write(
            git.join("packed-refs"),
            format!("# pack-refs\n{packed} refs/heads/main\n"),
        )
        .expect("refs");
        let facts = workspace_facts(dir.path()).expect("facts");
        assert_eq!(facts.latest_git_commit_hash, Some(packed));
        let loose = "b".repeat(40);
        std::fs::write(git.join("refs/heads/main"), format!("{loose}\n")).expect("ref");
        let facts = workspace_facts(dir.path()).expect("facts");
        assert_eq!(facts.latest_git_commit_hash, Some(loose));
    }

    #[tokio::test]
    async fn a_work_tree_has_changes_once_a_file_is_there_that_nobody_committed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(has_changes(dir.path()).await, None, "it is no work tree");
        let made = std::process::Command::new("git")
            .args(["init", "-q"])
            .current_dir(dir.path())
            .status()
            .expect("git runs");
        assert!(made.success());
        assert_eq!(has_changes(dir.path()).await, Some(false));
        std::fs::write(dir.path().join("new"), "x").expect("a file");
        assert_eq!(has_changes(dir.path()).await, Some(true));
    }
}
