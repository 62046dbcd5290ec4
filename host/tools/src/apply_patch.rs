//! `apply_patch`: changes files as a patch envelope says, all of them or none, within the sandbox's limits.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use async_trait::async_trait;
use dovetail_core::event::{ActivityStatus, FileChange, FileChangeKind, ToolActivity};
use dovetail_core::item::OutputPayload;
use dovetail_core::tool::{
    CallContext, CallInput, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec,
};
use dovetail_core::verdict::Cleared;
use dovetail_sandbox::{Layout, SandboxPolicy, WriteDenied};
use serde_json::{Value, json};
use similar::TextDiff;

use crate::options::PatchForm;
use crate::patch::{Change, FileOp, GRAMMAR, Patch, updated, write_all};

/// Larger files are no source code; reading them to patch a line is a mistake.
const MAX_FILE: u64 = 32 * 1024 * 1024;
/// What the model reads where nothing may be written, in the words existing clients use.
const READ_ONLY: &str =
    "patch rejected: writing is blocked by read-only sandbox; rejected by user approval settings";

/// The tool.
pub(crate) struct ApplyPatch {
    spec: ToolSpec,
    policy: SandboxPolicy,
}

impl ApplyPatch {
    /// Makes the tool, described to the model in one of its forms.
    pub(crate) fn new(policy: SandboxPolicy, form: PatchForm) -> Self {
        let description = "Changes files. The input is a patch: `*** Begin Patch`, then for each file \
            `*** Add File: path` with lines that start with `+`, `*** Delete File: path`, or `*** Update File: path` \
            (and `*** Move to: path` to rename it) with sections that start with `@@`, optionally followed by a line \
            to find first; in a section, kept lines start with a space, removed ones with `-`, new ones with `+`. \
            Give three kept lines around a change. It ends with `*** End Patch`. Paths are relative.";
        let input = match form {
            PatchForm::Custom => ToolInput::Custom {
                grammar: GRAMMAR.to_owned(),
            },
            PatchForm::Function => ToolInput::Function {
                parameters: json!({
                    "type": "object",
                    "properties": { "input": { "type": "string", "description": "The whole patch." } },
                    "required": ["input"],
                    "additionalProperties": false,
                }),
            },
        };
        let spec = ToolSpec {
            name: "apply_patch".to_owned(),
            namespace: None,
            description: description.to_owned(),
            input,
            parallel_safe: false,
        };
        Self { spec, policy }
    }
}

#[async_trait]
impl Tool for ApplyPatch {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn hook_name(&self) -> String {
        "apply_patch".to_owned()
    }

    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        Ok(json!({ "command": patch_text(call)? }))
    }

    fn rewrite(&self, mut call: ToolCall, input: Value) -> Result<ToolCall, String> {
        let Some(text) = input.get("command").and_then(Value::as_str) else {
            return Err("the new input of a patch needs a text `command`".to_owned());
        };
        call.input = match call.input {
            CallInput::Custom(_) => CallInput::Custom(text.to_owned()),
            CallInput::Function(_) => CallInput::Function(json!({ "input": text }).to_string()),
        };
        Ok(call)
    }

    fn declined(&self, call: &ToolCall, _reason: &str) -> Option<ToolActivity> {
        let patch = Patch::parse(&patch_text(call).ok()?).ok()?;
        let changes = patch
            .ops
            .iter()
            .map(|op| intended(op, &self.policy.cwd))
            .collect();
        Some(ToolActivity::Patch {
            changes,
            status: ActivityStatus::Declined,
        })
    }

    async fn run(&self, call: Cleared<ToolCall>, context: &CallContext) -> ToolOutcome {
        let call = call.into_inner();
        let (policy, cwd) = (self.policy.clone(), context.cwd.clone());
        let text = match patch_text(&call) {
            Ok(text) => text,
            Err(text) => return ToolOutcome::refused(text),
        };
        let planned =
            tokio::task::spawn_blocking(move || plan(&text, &cwd, &policy.layout())).await;
        let planned = match planned {
            Ok(Ok(planned)) => planned,
            Ok(Err(text)) => return ToolOutcome::refused(text),
            Err(error) => return ToolOutcome::refused(format!("the patch tool broke: {error}")),
        };
        if context.cancel.is_cancelled() {
            return ToolOutcome::refused("aborted by user");
        }
        let started = Instant::now();
        let activity = |status| ToolActivity::Patch {
            changes: planned.shown.clone(),
            status,
        };
        context.started(&call.call_id, activity(ActivityStatus::InProgress));
        let changes = planned.changes;
        let written = tokio::task::spawn_blocking(move || {
            write_all(&changes).map_err(|error| error.to_string())
        })
        .await;
        let took = started.elapsed();
        let written = written.unwrap_or_else(|error| Err(format!("the patch tool broke: {error}")));
        let status = if written.is_ok() {
            ActivityStatus::Completed
        } else {
            ActivityStatus::Failed
        };
        context.finished(&call.call_id, activity(status), took);
        match written {
            Ok(()) => {
                let text = format!(
                    "Exit code: 0\nWall time: {:.1} seconds\nOutput:\nThe patch was applied:\n{}\n",
                    took.as_secs_f64(),
                    planned.summary.join("\n")
                );
                ToolOutcome {
                    output: OutputPayload::Text(text),
                    success: true,
                }
            }
            Err(why) => {
                ToolOutcome::refused(format!("the patch was not applied, nothing changed: {why}"))
            }
        }
    }
}

fn patch_text(call: &ToolCall) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct Input {
        input: String,
    }
    match &call.input {
        CallInput::Custom(text) => Ok(text.clone()),
        CallInput::Function(text) => serde_json::from_str::<Input>(text)
            .map(|arguments| arguments.input)
            .map_err(|error| format!("failed to parse function arguments: {error}")),
    }
}

/// A patch worked out: what to write, what to show, what to say.
struct Planned {
    changes: Vec<Change>,
    shown: Vec<FileChange>,
    summary: Vec<String>,
}

/// Files as they are while a patch is worked out: a file may be named twice.
struct Desk<'a> {
    cwd: &'a Path,
    layout: &'a Layout,
    files: BTreeMap<PathBuf, Sheet>,
    order: Vec<PathBuf>,
}

struct Sheet {
    before: Option<Vec<u8>>,
    now: Option<Vec<u8>>,
}

fn plan(text: &str, cwd: &Path, layout: &Layout) -> Result<Planned, String> {
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
        .filter_map(|path| {
            let sheet = desk.files.get(path)?;
            (sheet.before != sheet.now).then(|| Change {
                path: path.clone(),
                before: sheet.before.clone(),
                after: sheet.now.clone(),
            })
        })
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
                sheet.now = Some(content.clone().into_bytes());
                Ok((
                    change(&real, FileChangeKind::Add, "", content, None),
                    format!("A {path}"),
                ))
            }
            FileOp::Delete { path } => {
                let real = self.open(path)?;
                let before = self.text(&real, path)?;
                self.sheet(&real)?.now = None;
                Ok((
                    change(&real, FileChangeKind::Delete, &before, "", None),
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
                        self.sheet(&real)?.now = None;
                        self.sheet(target)?.now = Some(after.clone().into_bytes());
                    }
                    None => self.sheet(&real)?.now = Some(after.clone().into_bytes()),
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
        self.layout
            .check_write(&self.cwd.join(path))
            .map_err(|denied| match denied {
                WriteDenied::ReadOnly => READ_ONLY.to_owned(),
                WriteDenied::Outside(_)
                | WriteDenied::Protected(_)
                | WriteDenied::Unresolved { .. } => {
                    format!("patch rejected: {denied}")
                }
            })
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
        let Some(bytes) = self.sheet(real)?.now.clone() else {
            return Err(format!("`{path}` does not exist"));
        };
        String::from_utf8(bytes)
            .map_err(|_| format!("`{path}` is not UTF-8 text, so it cannot be patched"))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(format!("`{shown}` is a directory")),
        Ok(meta) if !meta.is_file() => return Err(format!("`{shown}` is no ordinary file")),
        Ok(meta) if meta.len() > MAX_FILE => {
            return Err(format!("`{shown}` is larger than {} MiB", MAX_FILE >> 20));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read `{shown}`: {error}")),
    }
    fs::read(path)
        .map(Some)
        .map_err(|error| format!("cannot read `{shown}`: {error}"))
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
fn intended(op: &FileOp, cwd: &Path) -> FileChange {
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
    use dovetail_sandbox::SandboxMode;

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
            "patch rejected: `/etc/dovetail-test` is outside the writable roots"
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
                    before: Some(b"a\nb\n".to_vec()),
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
