//! The built-in tools of a session, from flags, configuration and what is known of the model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dovetail_config::{Config, InheritEnv, SYSTEM_CONFIG, SandboxMode as Mode, env};
use dovetail_core::approval::Approver;
use dovetail_core::toolbox::Toolbox;
use dovetail_models::{Origin, PatchToolType};
use dovetail_sandbox::{SandboxMode, SandboxPolicy};
use dovetail_tools::{BuiltinTools, EnvironmentPolicy, Inherit, Offer, PatchForm, ToolOptions};
use serde_json::Value;

use crate::identity::COMPATIBLE_VERSION;
use crate::plugins::House;
use crate::surroundings;
use crate::turn_setup::TurnSetup;

/// Makes the tools.
pub(crate) fn builtin(setup: &TurnSetup, config: &Config, house: &House) -> BuiltinTools {
    dovetail_tools::builtin_tools(options(setup, config, house, true))
}

/// Makes the tools of a session in which somebody can be asked.
pub(crate) fn for_client(
    setup: &TurnSetup,
    config: &Config,
    house: &House,
    approver: Arc<dyn Approver>,
) -> BuiltinTools {
    dovetail_tools::builtin_tools(ToolOptions {
        approver: Some(approver),
        ..options(setup, config, house, true)
    })
}

/// Makes the tools of a reviewer: a plan of its own is of no use to anybody.
pub(crate) fn for_review(setup: &TurnSetup, config: &Config, house: &House) -> BuiltinTools {
    dovetail_tools::builtin_tools(options(setup, config, house, false))
}

/// All tools of a thread: those that are built in, and those of plugins.
pub(crate) fn toolbox(
    builtin: &BuiltinTools,
    house: &House,
    setup: &TurnSetup,
    config: &Config,
) -> Toolbox {
    let all = builtin.tools.iter().chain(&house.tools).cloned();
    let tools = Toolbox::new(all.collect()).with_output_tokens(builtin.output_tokens);
    match can_search(setup, config) {
        true => tools.deferring(),
        false => tools,
    }
}

/// Whether the tools of plugins are to be searched for. A model that takes all its tools as an item gets all of them.
fn can_search(setup: &TurnSetup, config: &Config) -> bool {
    let model = &setup.model.info;
    model.supports_search_tool && !model.use_responses_lite && config.has_feature("tool_search")
}

fn options(setup: &TurnSetup, config: &Config, house: &House, plan: bool) -> ToolOptions {
    let environment = &config.shell_environment_policy;
    let model = &setup.model.info;
    let freeform = model.apply_patch_tool_type == Some(PatchToolType::Freeform)
        || (model.apply_patch_tool_type.is_none() && config.has_feature("apply_patch_freeform"));
    // What the catalogue says is what commands keep to anyway, unless the model asks for more of one.
    let limit = match setup.model.origin("truncation_policy") {
        Origin::Said(_) => Some(model.truncation_policy.in_tokens()),
        Origin::Fallback | Origin::Derived | Origin::Catalogue => None,
    };
    ToolOptions {
        sandbox: policy(setup, config),
        approval_policy: setup.approval.as_str().to_owned(),
        approver: None,
        shell: Some(surroundings::shell().into()),
        learn_profile: config.features.get("shell_snapshot") != Some(&false),
        environment: EnvironmentPolicy {
            inherit: match environment.inherit {
                InheritEnv::All => Inherit::All,
                InheritEnv::Core => Inherit::Core,
                InheritEnv::None => Inherit::None,
            },
            ignore_default_excludes: environment.ignore_default_excludes,
            exclude: environment.exclude.clone(),
            set: environment.set.clone(),
            include_only: environment.include_only.clone(),
        },
        secret_variables: secret_variables(config, house),
        codex_home: config.home.clone(),
        version: COMPATIBLE_VERSION.to_owned(),
        output_token_limit: limit,
        offer: Offer {
            commands: config.has_feature("shell_tool"),
            image: model.takes_images() && config.has_feature("view_image"),
            patch: Some(if freeform {
                PatchForm::Custom
            } else {
                PatchForm::Function
            }),
            plan,
        },
    }
}

fn policy(setup: &TurnSetup, config: &Config) -> SandboxPolicy {
    let settings = &config.sandbox_workspace_write;
    let mode = match setup.sandbox {
        Mode::ReadOnly => SandboxMode::ReadOnly,
        Mode::WorkspaceWrite => SandboxMode::WorkspaceWrite {
            writable_roots: settings
                .writable_roots
                .iter()
                .chain(&setup.added_roots)
                .cloned()
                .collect(),
            network_access: settings.network_access,
            exclude_slash_tmp: settings.exclude_slash_tmp,
            exclude_tmpdir: settings.exclude_tmpdir_env_var,
        },
        Mode::DangerFullAccess => SandboxMode::DangerFullAccess,
    };
    SandboxPolicy {
        mode,
        cwd: setup.cwd.clone(),
        protected: trusted_places(config),
    }
}

/// What decides about trust outside of `$CODEX_HOME`: below a wide root such as `--add-dir ~` it would be writable.
fn trusted_places(config: &Config) -> Vec<PathBuf> {
    let mut places = vec![
        config.project.root.join(".codex"),
        Path::new(SYSTEM_CONFIG)
            .parent()
            .unwrap_or(Path::new("/etc"))
            .to_owned(),
    ];
    // Compiled plugins are code that runs as it is.
    places.extend(env::DOVETAIL_CACHE.get_os().map(PathBuf::from));
    places
}

/// Variables that hold the credentials of providers and plugins: no program that is started sees them.
pub(crate) fn secret_variables(config: &Config, house: &House) -> Vec<String> {
    let own = [
        env::CODEX_API_KEY,
        env::OPENAI_API_KEY,
        env::AWS_BEARER_TOKEN_BEDROCK,
    ];
    let mut names: Vec<String> = own.map(|variable| variable.name.to_owned()).to_vec();
    names.extend(house.secret_variables.iter().cloned());
    for table in config.model_providers.values() {
        names.extend(
            table
                .get("env_key")
                .and_then(Value::as_str)
                .map(str::to_owned),
        );
        let headers = table.get("env_http_headers").and_then(Value::as_object);
        names.extend(
            headers
                .into_iter()
                .flat_map(|map| map.values())
                .filter_map(Value::as_str)
                .map(str::to_owned),
        );
    }
    for plugin in config.dovetail.plugins.values() {
        let named = plugin.secrets.values().filter_map(|source| match source {
            Value::String(text) => text.strip_prefix("env:"),
            other => other.get("env").and_then(Value::as_str),
        });
        names.extend(named.map(str::to_owned));
    }
    names
}
