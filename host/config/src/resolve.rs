//! From the merged tree to one resolved [`Config`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::de::{self, Mismatch, Stray};
use crate::error::ConfigError;
use crate::features::{self, Feature};
use crate::file::{
    ApprovalSetting, ConfigFile, DovetailTable, PluginTable, PolicyTable, Workspaces,
};
use crate::layer::{Layer, Place};
use crate::nearest::nearest;
use crate::project::Project;
use crate::providers::RESERVED_PROVIDERS;
use crate::settings::{
    Config, Dovetail, History, LoginSettings, PluginPolicy, PluginSettings, ProjectDocSettings,
    ShellEnvironmentPolicy, UnknownKey, WorkspaceWrite,
};
use crate::stack::LoadRequest;
use crate::tree::{self, Node, Table};

/// Reads the merged tree.
pub(crate) fn resolve(
    request: &LoadRequest<'_>,
    project: Project,
    layers: Vec<Layer>,
    table: Table,
    mut warnings: Vec<String>,
) -> Result<Config, ConfigError> {
    let tree = Tree {
        table: &table,
        layers: &layers,
        cwd: request.cwd,
    };
    let json = Node::Table(table.clone()).to_json();
    let (file, strays) =
        de::read::<ConfigFile>(&json).map_err(|mismatch| tree.invalid(mismatch))?;
    let (open, closed): (Vec<Stray>, Vec<Stray>) =
        strays.into_iter().partition(|stray| stray.is_open);
    let unknown_keys: Vec<UnknownKey> = closed.iter().map(|stray| tree.unknown(stray)).collect();
    let unknown_features: Vec<UnknownKey> = file
        .features
        .keys()
        .filter(|name| Feature::find(name).is_none())
        .map(|name| tree.unknown_feature(name))
        .collect();
    let first = unknown_keys.iter().chain(&unknown_features).next();
    if let (true, Some(first)) = (request.strict, first.cloned()) {
        return Err(ConfigError::UnknownKey {
            key: first.key,
            place: first.place,
            nearest: first.nearest,
        });
    }
    warnings.extend(unknown_features.iter().map(UnknownKey::to_string));
    // A plugin may know any key; one that looks like a common key is rather that one, misspelt.
    let misspelt = open.iter().map(|stray| tree.unknown(stray));
    warnings.extend(misspelt.filter_map(|key| Some(doubt(&key, key.nearest.as_deref()?))));
    let mut config = tree.settings(file, request, project)?;
    config.warnings = warnings;
    config.unknown_keys = unknown_keys;
    config.table = table;
    config.layers = layers;
    Ok(config)
}

/// The words for a key that only a plugin may know.
fn doubt(key: &UnknownKey, nearest: &str) -> String {
    let UnknownKey { key, place, .. } = key;
    format!("`{key}` in {place} has no effect unless a plugin knows it (did you mean `{nearest}`?)")
}

/// The merged tree and what is needed to say where each part came from.
struct Tree<'t> {
    table: &'t Table,
    layers: &'t [Layer],
    /// The directory that relative paths of overrides and defaults start at.
    cwd: &'t Path,
}

impl Tree<'_> {
    fn settings(
        &self,
        file: ConfigFile,
        request: &LoadRequest<'_>,
        project: Project,
    ) -> Result<Config, ConfigError> {
        self.check_reserved(&file)?;
        let effort = file.model_reasoning_effort.as_deref();
        self.check_not_empty("model_reasoning_effort", effort)?;
        self.check_not_empty("model", file.model.as_deref())?;
        self.check_not_empty("review_model", file.review_model.as_deref())?;
        Ok(Config {
            home: request.home.to_owned(),
            cwd: request.cwd.to_owned(),
            project,
            model_catalog: self.path(&["model_catalog_json"], file.model_catalog_json),
            model_instructions_file: self
                .path(&["model_instructions_file"], file.model_instructions_file),
            sandbox_workspace_write: {
                let table = file.sandbox_workspace_write;
                let roots = ["sandbox_workspace_write", "writable_roots"];
                WorkspaceWrite {
                    writable_roots: self.paths(&roots, table.writable_roots.unwrap_or_default()),
                    network_access: self.defaulted(&roots, table.network_access)?,
                    exclude_tmpdir_env_var: self.defaulted(&roots, table.exclude_tmpdir_env_var)?,
                    exclude_slash_tmp: self.defaulted(&roots, table.exclude_slash_tmp)?,
                }
            },
            project_docs: ProjectDocSettings {
                max_bytes: self
                    .defaulted(&["project_doc_max_bytes"], file.project_doc_max_bytes)?,
                fallback_filenames: file.project_doc_fallback_filenames.unwrap_or_default(),
            },
            shell_environment_policy: {
                let (table, name) = (file.shell_environment_policy, "shell_environment_policy");
                ShellEnvironmentPolicy {
                    inherit: self.defaulted(&[name, "inherit"], table.inherit)?,
                    ignore_default_excludes: self.defaulted(
                        &[name, "ignore_default_excludes"],
                        table.ignore_default_excludes,
                    )?,
                    exclude: table.exclude.unwrap_or_default(),
                    set: table.set.unwrap_or_default(),
                    include_only: table.include_only.unwrap_or_default(),
                }
            },
            history: History {
                persistence: self
                    .defaulted(&["history", "persistence"], file.history.persistence)?,
                max_bytes: file.history.max_bytes,
            },
            model_provider: self.defaulted(&["model_provider"], file.model_provider)?,
            hide_agent_reasoning: self
                .defaulted(&["hide_agent_reasoning"], file.hide_agent_reasoning)?,
            show_raw_agent_reasoning: self
                .defaulted(&["show_raw_agent_reasoning"], file.show_raw_agent_reasoning)?,
            dovetail: self.dovetail(file.dovetail)?,
            model: file.model,
            review_model: file.review_model,
            model_providers: self.tables("model_providers"),
            mcp_servers: self.tables("mcp_servers"),
            oss_provider: file.oss_provider,
            login: LoginSettings {
                store: self.defaulted(
                    &["cli_auth_credentials_store"],
                    file.cli_auth_credentials_store,
                )?,
                forced_method: file.forced_login_method,
                forced_workspaces: file
                    .forced_chatgpt_workspace_id
                    .map(Workspaces::ids)
                    .unwrap_or_default(),
                chatgpt_base_url: file.chatgpt_base_url,
            },
            responses_api_metadata: file.responses_api_metadata,
            openai_base_url: file.openai_base_url,
            approval_policy: file.approval_policy.map(|ApprovalSetting(policy)| policy),
            sandbox_mode: file.sandbox_mode,
            compact_limit_scope: self.defaulted(
                &["model_auto_compact_token_limit_scope"],
                file.model_auto_compact_token_limit_scope,
            )?,
            // Nobody wants to ask for nothing: a blank prompt is one that was taken back.
            compact_prompt: file
                .compact_prompt
                .filter(|prompt| !prompt.trim().is_empty()),
            compact_prompt_file: self.path(
                &["experimental_compact_prompt_file"],
                file.experimental_compact_prompt_file,
            ),
            model_reasoning_effort: file.model_reasoning_effort,
            model_reasoning_summary: file.model_reasoning_summary,
            model_verbosity: file.model_verbosity,
            service_tier: file.service_tier,
            web_search: file.web_search,
            notify: file.notify.unwrap_or_default(),
            developer_instructions: file.developer_instructions,
            instructions: file.instructions,
            features: file
                .features
                .into_iter()
                .map(|(name, setting)| (name, setting.0))
                .collect(),
            warnings: Vec::new(),
            unknown_keys: Vec::new(),
            layers: Vec::new(),
            table: Table::new(),
        })
    }

    fn dovetail(&self, table: DovetailTable) -> Result<Dovetail, ConfigError> {
        let auth_policy = self.defaulted(&["dovetail", "auth_policy"], table.auth_policy)?;
        let policy = |policy: PolicyTable| PluginPolicy {
            keys: policy.allow_keys,
            digests: policy.allow_digests,
            sources: policy.allow_sources,
            place: self.place(&["dovetail", "plugin_policy"]),
        };
        let plugin = |(id, settings): (String, PluginTable)| {
            let whole = tree::get(self.table, &["dovetail", "plugins", &id]);
            let settings = PluginSettings {
                enabled: settings.enabled,
                required: settings.required.unwrap_or(false),
                config: settings.config,
                secrets: settings.secrets.unwrap_or_default(),
                table: whole.map_or(Value::Null, |entry| entry.node.to_json()),
            };
            (id, settings)
        };
        Ok(Dovetail {
            strict: self.defaulted(&["dovetail", "strict"], table.strict)?,
            allow_native: self.defaulted(&["dovetail", "allow_native"], table.allow_native)?,
            auth_policy: auth_policy.as_str().to_owned(),
            login_origins: table.login_origins,
            accept_project_lock: table.accept_project_lock,
            trusted_keys: table.trusted_keys,
            plugin_policy: table.plugin_policy.map(policy),
            websockets: self.defaulted(&["dovetail", "websockets"], table.websockets)?,
            websocket_connect_timeout_ms: self.defaulted(
                &["dovetail", "websocket_connect_timeout_ms"],
                table.websocket_connect_timeout_ms,
            )?,
            plugins: table.plugins.into_iter().map(plugin).collect(),
        })
    }

    fn check_reserved(&self, file: &ConfigFile) -> Result<(), ConfigError> {
        let reserved = RESERVED_PROVIDERS
            .iter()
            .find(|id| file.model_providers.contains_key(**id));
        match reserved {
            Some(id) => Err(ConfigError::ReservedProvider {
                id: (*id).to_owned(),
                place: self.place(&["model_providers", id]),
            }),
            None => Ok(()),
        }
    }

    fn check_not_empty(&self, key: &str, value: Option<&str>) -> Result<(), ConfigError> {
        match value.map(str::trim) {
            Some("") => Err(self.invalid(Mismatch {
                path: vec![key.to_owned()],
                problem: "it is empty; leave it out to use the default".to_owned(),
            })),
            Some(_) | None => Ok(()),
        }
    }

    /// A setting that the defaults always have.
    fn defaulted<T>(&self, path: &[&str], value: Option<T>) -> Result<T, ConfigError> {
        value.ok_or_else(|| {
            self.invalid(Mismatch {
                path: path.iter().map(|key| (*key).to_owned()).collect(),
                problem: "it has no default".to_owned(),
            })
        })
    }

    /// A path; a relative one starts at the directory of the file that has it.
    fn path(&self, key: &[&str], value: Option<String>) -> Option<PathBuf> {
        value.map(|text| self.base(key).join(text))
    }

    fn paths(&self, key: &[&str], values: Vec<String>) -> Vec<PathBuf> {
        let base = self.base(key);
        values.into_iter().map(|text| base.join(text)).collect()
    }

    fn base(&self, key: &[&str]) -> &Path {
        let file = tree::get(self.table, key)
            .and_then(|entry| self.layers[usize::from(entry.origin.layer)].path.as_deref());
        file.and_then(Path::parent).unwrap_or(self.cwd)
    }

    /// The tables under a table, as they are written. Reading has made sure that they are tables.
    fn tables(&self, key: &str) -> BTreeMap<String, Value> {
        tree::table_at(self.table, key)
            .into_iter()
            .flatten()
            .map(|(name, entry)| (name.clone(), entry.node.to_json()))
            .collect()
    }

    /// Where a setting, or the nearest table around it, was set.
    fn place(&self, path: &[&str]) -> Place {
        (1..=path.len())
            .rev()
            .find_map(|length| tree::get(self.table, &path[..length]))
            .map_or_else(
                || self.layers[0].place(0),
                |entry| self.layers[usize::from(entry.origin.layer)].place(entry.origin.line),
            )
    }

    fn invalid(&self, mismatch: Mismatch) -> ConfigError {
        let path: Vec<&str> = mismatch.path.iter().map(String::as_str).collect();
        ConfigError::Invalid {
            key: tree::dotted(&path),
            place: self.place(&path),
            problem: mismatch.problem,
        }
    }

    fn unknown(&self, stray: &Stray) -> UnknownKey {
        let path: Vec<&str> = stray.path.iter().map(String::as_str).collect();
        let (last, parents) = path
            .split_last()
            .map_or(("", &[][..]), |(last, parents)| (*last, parents));
        UnknownKey {
            key: tree::dotted(&path),
            place: self.place(&path),
            nearest: nearest(last, stray.known.iter().copied())
                .map(|known| tree::dotted(&[parents, &[known]].concat())),
        }
    }

    fn unknown_feature(&self, name: &str) -> UnknownKey {
        let path = ["features", name];
        UnknownKey {
            key: tree::dotted(&path),
            place: self.place(&path),
            nearest: features::nearest(name).map(|known| tree::dotted(&["features", known])),
        }
    }
}
