//! Which settings exist, so that a mistyped one can be named.

use crate::layer::Layer;
use crate::settings::UnknownKey;
use crate::tree::{self, Node, Table};

/// Ids of `model_providers` that a user cannot define.
pub(crate) const RESERVED_PROVIDERS: &[&str] = &["openai", "ollama", "lmstudio"];

/// Ids that are known without a table: plugins that come with the host serve or will serve them.
pub(crate) const BUILT_IN_PROVIDERS: &[&str] = &[
    "openai",
    "amazon-bedrock",
    "amazon-bedrock-runtime",
    "gcp",
    "ollama",
    "lmstudio",
];

/// What may be at a place in the tree.
enum Shape {
    /// A value, or a table that somebody else checks.
    Any,
    /// A table with these keys.
    Keys(&'static [(&'static str, Shape)]),
    /// A table with any keys, each of this shape.
    Each(&'static Shape),
}

/// Every setting, sorted. Those that this version does not use yet are known all the same: a configuration that other
/// clients accept must not fail here.
const ROOT: Shape = Shape::Keys(&[
    ("agents", Shape::Any),
    ("allow_login_shell", Shape::Any),
    ("analytics", Shape::Any),
    ("approval_policy", Shape::Any),
    ("approvals_reviewer", Shape::Any),
    ("apps", Shape::Any),
    ("audio", Shape::Any),
    ("background_terminal_max_timeout", Shape::Any),
    ("chatgpt_base_url", Shape::Any),
    ("check_for_update_on_startup", Shape::Any),
    ("cli_auth_credentials_store", Shape::Any),
    ("commit_attribution", Shape::Any),
    ("compact_prompt", Shape::Any),
    ("default_permissions", Shape::Any),
    ("developer_instructions", Shape::Any),
    ("disable_paste_burst", Shape::Any),
    ("dovetail", DOVETAIL),
    ("experimental_compact_prompt_file", Shape::Any),
    ("experimental_instructions_file", Shape::Any),
    ("features", Shape::Each(&Shape::Any)),
    ("feedback", Shape::Any),
    ("file_opener", Shape::Any),
    ("forced_chatgpt_workspace_id", Shape::Any),
    ("forced_login_method", Shape::Any),
    ("hide_agent_reasoning", Shape::Any),
    (
        "history",
        Shape::Keys(&[("max_bytes", Shape::Any), ("persistence", Shape::Any)]),
    ),
    ("hooks", Shape::Any),
    ("instructions", Shape::Any),
    ("log_dir", Shape::Any),
    ("marketplaces", Shape::Any),
    ("mcp_oauth_callback_port", Shape::Any),
    ("mcp_oauth_credentials_store", Shape::Any),
    ("mcp_servers", Shape::Each(&MCP_SERVER)),
    ("memories", Shape::Any),
    ("model", Shape::Any),
    ("model_auto_compact_token_limit", Shape::Any),
    ("model_auto_compact_token_limit_scope", Shape::Any),
    ("model_catalog_json", Shape::Any),
    ("model_context_window", Shape::Any),
    ("model_instructions_file", Shape::Any),
    ("model_provider", Shape::Any),
    ("model_providers", Shape::Each(&Shape::Any)),
    ("model_reasoning_effort", Shape::Any),
    ("model_reasoning_summary", Shape::Any),
    ("model_supports_reasoning_summaries", Shape::Any),
    ("model_verbosity", Shape::Any),
    ("notice", Shape::Any),
    ("notify", Shape::Any),
    ("openai_base_url", Shape::Any),
    ("oss_provider", Shape::Any),
    ("otel", Shape::Any),
    ("permissions", Shape::Any),
    ("personality", Shape::Any),
    ("plan_mode_reasoning_effort", Shape::Any),
    ("plugins", Shape::Any),
    ("project_doc_fallback_filenames", Shape::Any),
    ("project_doc_max_bytes", Shape::Any),
    ("project_root_markers", Shape::Any),
    (
        "projects",
        Shape::Each(&Shape::Keys(&[("trust_level", Shape::Any)])),
    ),
    ("realtime", Shape::Any),
    ("responses_api_metadata", Shape::Each(&Shape::Any)),
    ("review_model", Shape::Any),
    ("sandbox_mode", Shape::Any),
    (
        "sandbox_workspace_write",
        Shape::Keys(&[
            ("exclude_slash_tmp", Shape::Any),
            ("exclude_tmpdir_env_var", Shape::Any),
            ("network_access", Shape::Any),
            ("writable_roots", Shape::Any),
        ]),
    ),
    ("service_tier", Shape::Any),
    (
        "shell_environment_policy",
        Shape::Keys(&[
            ("exclude", Shape::Any),
            ("experimental_use_profile", Shape::Any),
            ("ignore_default_excludes", Shape::Any),
            ("include_only", Shape::Any),
            ("inherit", Shape::Any),
            ("set", Shape::Any),
        ]),
    ),
    ("show_raw_agent_reasoning", Shape::Any),
    ("skills", Shape::Any),
    ("sqlite_home", Shape::Any),
    ("suppress_unstable_features_warning", Shape::Any),
    ("tool_output_token_limit", Shape::Any),
    ("tool_suggest", Shape::Any),
    ("tools", Shape::Any),
    ("tui", Shape::Any),
    ("web_search", Shape::Any),
    ("windows", Shape::Any),
    ("zsh_path", Shape::Any),
]);

const DOVETAIL: Shape = Shape::Keys(&[
    ("allow_native", Shape::Any),
    ("auth_policy", Shape::Any),
    (
        "plugins",
        Shape::Each(&Shape::Keys(&[
            ("classes", Shape::Any),
            ("config", Shape::Any),
            ("enabled", Shape::Any),
            ("grant", Shape::Any),
            ("limits", Shape::Any),
            ("on_error", Shape::Any),
            ("secrets", Shape::Each(&Shape::Any)),
        ])),
    ),
    ("strict", Shape::Any),
]);

const MCP_SERVER: Shape = Shape::Keys(&[
    ("args", Shape::Any),
    ("bearer_token_env_var", Shape::Any),
    ("command", Shape::Any),
    ("cwd", Shape::Any),
    ("default_tools_approval_mode", Shape::Any),
    ("disabled_tools", Shape::Any),
    ("enabled", Shape::Any),
    ("enabled_tools", Shape::Any),
    ("env", Shape::Any),
    ("env_http_headers", Shape::Any),
    ("env_vars", Shape::Any),
    ("http_headers", Shape::Any),
    ("oauth", Shape::Any),
    ("oauth_resource", Shape::Any),
    ("required", Shape::Any),
    ("scopes", Shape::Any),
    ("startup_timeout_ms", Shape::Any),
    ("startup_timeout_sec", Shape::Any),
    ("supports_parallel_tool_calls", Shape::Any),
    ("tool_timeout_sec", Shape::Any),
    ("tools", Shape::Any),
    ("url", Shape::Any),
]);

/// Collects the settings of a layer that do not exist.
pub(crate) fn unknown_keys(layer: &Layer) -> Vec<UnknownKey> {
    let mut found = Vec::new();
    walk(
        &ROOT,
        &layer.table,
        &mut Vec::new(),
        &mut |path, line, nearest| {
            found.push(UnknownKey {
                key: tree::dotted(path),
                place: layer.place(line),
                nearest,
            });
        },
    );
    found
}

type Report<'r> = dyn FnMut(&[&str], u32, Option<String>) + 'r;

fn walk<'t>(shape: &Shape, table: &'t Table, path: &mut Vec<&'t str>, report: &mut Report<'_>) {
    for (key, entry) in table {
        let inner = match shape {
            Shape::Any => return,
            Shape::Each(inner) => Some(*inner),
            Shape::Keys(keys) => keys
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, inner)| inner),
        };
        path.push(key);
        match (inner, &entry.node) {
            (Some(inner), Node::Table(table)) => walk(inner, table, path, report),
            (Some(_), Node::Leaf(_)) => {}
            (None, _) => report(path, entry.origin.line, nearest(shape, path)),
        }
        path.pop();
    }
}

/// The known key that looks most like the last of the path, if any does.
fn nearest(shape: &Shape, path: &[&str]) -> Option<String> {
    let (Shape::Keys(keys), Some((last, parents))) = (shape, path.split_last()) else {
        return None;
    };
    let (distance, best) = keys
        .iter()
        .map(|(name, _)| (edit_distance(last, name), *name))
        .min()?;
    let similar = distance <= 1 + last.chars().count() / 4;
    similar.then(|| tree::dotted(&[parents, &[best]].concat()))
}

/// Levenshtein's distance. Keys are short, so the plain table is fast enough.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_right() {
        for (a, b, distance) in [
            ("", "abc", 3),
            ("model", "modle", 2),
            ("notify", "notify", 0),
            ("histroy", "history", 2),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn known_keys_are_sorted_so_that_one_is_found_at_a_glance() {
        let Shape::Keys(keys) = ROOT else { return };
        assert!(keys.is_sorted_by_key(|(name, _)| *name));
    }
}
