//! Facts about where a turn runs, gathered for the model's context.

use std::path::{Path, PathBuf};

use dovetail_config::{Config, SandboxMode};
use dovetail_core::context::ContextFacts;

/// The directories that the work is about besides the working directory.
pub(crate) fn more_roots(config: &Config, added: &[PathBuf]) -> Vec<PathBuf> {
    let configured = &config.sandbox_workspace_write.writable_roots;
    added.iter().chain(configured).cloned().collect()
}

/// What commands may write, as paths for people and the model.
pub(crate) fn writable_roots(
    config: &Config,
    mode: SandboxMode,
    cwd: &Path,
    added: &[PathBuf],
) -> Vec<String> {
    if mode != SandboxMode::WorkspaceWrite {
        return Vec::new();
    }
    let settings = &config.sandbox_workspace_write;
    let mut roots = workspace_roots(config, cwd, added);
    if !settings.exclude_slash_tmp {
        roots.push("/tmp".to_owned());
    }
    if !settings.exclude_tmpdir_env_var
        && let Ok(tmpdir) = std::env::var("TMPDIR")
        && !tmpdir.is_empty()
    {
        roots.push(tmpdir);
    }
    roots.dedup();
    roots
}

fn workspace_roots(config: &Config, cwd: &Path, added: &[PathBuf]) -> Vec<String> {
    let more = more_roots(config, added);
    let roots = std::iter::once(cwd).chain(more.iter().map(PathBuf::as_path));
    roots.map(|root| root.display().to_string()).collect()
}

/// The facts, but for the permissions, which the caller knows.
pub(crate) fn facts(config: &Config, cwd: &Path, added: &[PathBuf]) -> ContextFacts {
    let now = jiff::Timestamp::now().to_zoned(dovetail_store::local_zone());
    let settings = &config.sandbox_workspace_write;
    ContextFacts {
        workspace_roots: workspace_roots(config, cwd, added),
        slash_tmp: !settings.exclude_slash_tmp,
        tmpdir: !settings.exclude_tmpdir_env_var,
        cwd: cwd.display().to_string(),
        shell: shell_name(),
        current_date: now.date().to_string(),
        timezone: now.time_zone().iana_name().unwrap_or("Etc/UTC").to_owned(),
        ..ContextFacts::default()
    }
}

/// The user's shell.
pub(crate) fn shell() -> String {
    std::env::var("SHELL")
        .ok()
        .filter(|shell| shell.starts_with('/'))
        .unwrap_or_else(|| "/bin/bash".to_owned())
}

fn shell_name() -> String {
    let shell = shell();
    shell.rsplit('/').next().unwrap_or(&shell).to_owned()
}
