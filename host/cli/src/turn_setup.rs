//! How a turn is to run, resolved once from flags, configuration and what is known of the model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dovetail_config::{ApprovalPolicy, CompactLimitScope, Config, SandboxMode};
use dovetail_core::compaction::{COMPACT_PROMPT, CompactionOptions, LimitScope};
use dovetail_core::context::{BASE_INSTRUCTIONS, ContextFacts, GitFacts};
use dovetail_core::event::TurnSettings;
use dovetail_core::model::TextOptions;
use dovetail_core::plugin::ProviderCapabilities;
use dovetail_core::retry::RetryLimits;
use dovetail_core::snapshot::{Extras, Workspaces};
use dovetail_core::turn::TurnOptions;
use serde_json::Value;

use crate::args::ExecOptions;
use crate::fatal::Fatal;
use crate::identity::COMPATIBLE_VERSION;
use crate::model_options::{self, ModelOptions};
use crate::models::{self, Known, Model};
use crate::{git, surroundings};

/// No provider may be asked more often than this, whatever its table says.
const MAX_RETRIES: u64 = 100;

/// What flags and configuration say together.
#[derive(Debug, Clone)]
pub(crate) struct TurnSetup {
    /// The working directory.
    pub(crate) cwd: PathBuf,
    /// What is known of models.
    pub(crate) known: Arc<Known>,
    /// The model and what is known of it.
    pub(crate) model: Model,
    /// What is asked of it.
    pub(crate) asked: ModelOptions,
    /// The base instructions of a new conversation.
    pub(crate) base_instructions: String,
    /// What the model is asked for where it has to sum a conversation up.
    pub(crate) compact_prompt: String,
    /// What commands may do.
    pub(crate) sandbox: SandboxMode,
    /// Whether anybody can be asked; in headless runs nobody can.
    pub(crate) approval: ApprovalPolicy,
    /// Directories that may be written besides the configured ones.
    pub(crate) added_roots: Vec<PathBuf>,
    /// A schema for the answer.
    pub(crate) output_schema: Option<Value>,
    /// Entries that the configuration adds to the metadata of requests.
    pub(crate) metadata: Extras,
}

impl TurnSetup {
    /// Resolves the configuration, which knows the flags already, and what else flags say.
    ///
    /// # Errors
    /// A file that a flag names cannot be used.
    pub(crate) fn of(options: &ExecOptions, config: &Config) -> anyhow::Result<Self> {
        let known = Known::of(config)?;
        let model = known.resolve(config, models::chosen(config));
        let sandbox = config.sandbox_mode.unwrap_or_default();
        let added_roots = options
            .add_dir
            .iter()
            .map(|dir| absolute(&config.cwd, dir))
            .collect();
        Ok(Self {
            cwd: config.cwd.clone(),
            asked: model_options::decide(config, &model, sandbox, None),
            model,
            known: Arc::new(known),
            base_instructions: base_instructions(config)?,
            compact_prompt: compact_prompt(config)?,
            sandbox,
            approval: ApprovalPolicy::Never,
            added_roots,
            output_schema: options
                .output_schema
                .as_deref()
                .map(read_schema)
                .transpose()?,
            metadata: metadata(config)?,
        })
    }

    /// The same for a reviewer, whose model may be another one.
    pub(crate) fn for_review(&self, config: &Config, model: &str) -> Self {
        let model = self.known.resolve(config, model);
        Self {
            asked: model_options::decide(config, &model, self.sandbox, None),
            model,
            output_schema: None,
            ..self.clone()
        }
    }

    /// Takes in what has become known of models since.
    pub(crate) fn learn(&mut self, config: &Config, known: &Arc<Known>) {
        self.model = known.resolve(config, &self.model.slug);
        self.asked = model_options::decide(config, &self.model, self.sandbox, None);
        self.known = Arc::clone(known);
    }

    /// How much of an image the model is to see: all of it, where it is known to cope.
    pub(crate) fn image_detail(&self) -> &'static str {
        match self.model.info.supports_image_detail_original {
            true => "original",
            false => "high",
        }
    }

    /// Goes on in the queue of the service that a conversation used before, unless the configuration names one.
    pub(crate) fn keep_service_tier(&mut self, config: &Config, tier: &str) {
        self.asked = model_options::decide(config, &self.model, self.sandbox, Some(tier));
    }

    /// The same for another model.
    pub(crate) fn with_model(&self, config: &Config, slug: &str) -> Self {
        let model = self.known.resolve(config, slug);
        let tier = self.asked.service_tier.value.as_deref();
        Self {
            asked: model_options::decide(config, &model, self.sandbox, tier),
            model,
            ..self.clone()
        }
    }

    /// What a person should know of the model and of what is asked of it.
    pub(crate) fn warnings(&self, config: &Config) -> Vec<String> {
        let mut warnings = models::warnings(config, &self.known, &self.model);
        warnings.extend(self.asked.warnings.iter().cloned());
        warnings
    }

    /// Everything the turn loop wants to know.
    pub(crate) fn turn_options(
        &self,
        config: &Config,
        installation_id: String,
        agents_md: Option<String>,
        provider: ProviderCapabilities,
        transcript: Option<&Path>,
    ) -> TurnOptions {
        let mode = self.sandbox.as_str();
        let network =
            self.sandbox == SandboxMode::DangerFullAccess || self.network_in_workspace(config);
        let roots =
            surroundings::writable_roots(config, self.sandbox, &self.cwd, &self.added_roots);
        let facts = ContextFacts {
            sandbox_mode: mode.to_owned(),
            approval_policy: self.approval.as_str().to_owned(),
            network_access: network,
            writable_roots: roots,
            git: self.git_facts(config),
            agents_md,
            developer_instructions: config.developer_instructions.clone(),
            ..surroundings::facts(config, &self.cwd, &self.added_roots)
        };
        TurnOptions {
            settings: TurnSettings {
                model: self.model.slug.clone(),
                provider_id: config.model_provider.clone(),
                cwd: self.cwd.clone(),
                approval_policy: self.approval.as_str().to_owned(),
                sandbox_mode: mode.to_owned(),
                network_access: network,
                writable_roots: surroundings::more_roots(config, &self.added_roots),
                effort: self.asked.effort.value.clone(),
                summary: self.asked.summary.value.clone(),
                service_tier: self.asked.service_tier.value.clone(),
                output_schema: self.output_schema.clone(),
            },
            facts,
            reasoning: self.asked.reasoning(&self.model),
            text: self.text(),
            model: model_options::traits(&self.model),
            web_search: provider
                .hosted_tools
                .then(|| self.asked.web_search(&self.model))
                .flatten(),
            parallel_tool_calls: self.model.info.supports_parallel_tool_calls,
            image_input: self.model.info.takes_images(),
            context_window: Some(self.model.info.usable_window()),
            compaction: CompactionOptions {
                limit: self.model.info.auto_compact_token_limit,
                scope: match config.compact_limit_scope {
                    CompactLimitScope::Total => LimitScope::Total,
                    CompactLimitScope::BodyAfterPrefix => LimitScope::BodyAfterPrefix,
                },
                remote: provider.remote_compaction,
                prompt: self.compact_prompt.clone(),
            },
            installation_id,
            turn_trigger: Some("exec".to_owned()),
            parent_turn: None,
            workspaces: self.workspaces(),
            configured_extras: self.metadata.clone(),
            extras: Extras::default(),
            retries: retries(config),
            client_version: COMPATIBLE_VERSION.to_owned(),
            transcript_path: transcript.map(|path| path.display().to_string()),
        }
    }

    fn network_in_workspace(&self, config: &Config) -> bool {
        self.sandbox == SandboxMode::WorkspaceWrite && config.sandbox_workspace_write.network_access
    }

    fn text(&self) -> Option<TextOptions> {
        let options = TextOptions {
            verbosity: self.asked.verbosity.value.clone(),
            output_schema: self.output_schema.clone(),
        };
        (options != TextOptions::default()).then_some(options)
    }

    /// Where the work tree stands. Commits move on, so it is said only where the user wants it.
    fn git_facts(&self, config: &Config) -> Option<GitFacts> {
        if !config.has_feature("git_context") {
            return None;
        }
        git::standing(&git::root_of(&self.cwd)?)
    }

    fn workspaces(&self) -> Workspaces {
        let Some(root) = git::root_of(&self.cwd) else {
            return Workspaces::default();
        };
        let facts = git::workspace_facts(&root).map(|facts| (root.display().to_string(), facts));
        Workspaces::new(facts.into_iter().collect())
    }
}

/// How often to try, from the provider's table.
fn retries(config: &Config) -> RetryLimits {
    let defaults = RetryLimits::default();
    let table = config.model_providers.get(&config.model_provider);
    let number = |key: &str, default: u32| {
        table
            .and_then(|table| table.get(key))
            .and_then(Value::as_u64)
            .map_or(default, |count| {
                u32::try_from(count.min(MAX_RETRIES)).unwrap_or(default)
            })
    };
    let unbounded = config.features.get("unbounded_connection_retries");
    RetryLimits {
        request_max: number("request_max_retries", defaults.request_max),
        stream_max: number("stream_max_retries", defaults.stream_max),
        // Off where nothing is said: a run that nobody watches must end, and say why.
        unbounded_connections: unbounded.copied().unwrap_or(defaults.unbounded_connections),
    }
}

fn metadata(config: &Config) -> anyhow::Result<Extras> {
    let entries = config.responses_api_metadata.clone();
    Ok(Extras::of_config(entries).map_err(|error| {
        let place = config.place(&["responses_api_metadata"]);
        let hint = place.map_or_else(String::new, |place| format!("it was set in {place}"));
        Fatal::new(error.to_string()).hint(hint)
    })?)
}

/// The file that the configuration names, else its text, else those that come with the host.
fn base_instructions(config: &Config) -> anyhow::Result<String> {
    let Some(path) = &config.model_instructions_file else {
        let text = config.instructions.as_deref();
        return Ok(text.unwrap_or(BASE_INSTRUCTIONS).to_owned());
    };
    told_in(
        path,
        "the instructions",
        "`model_instructions_file` names it; leave that out to use the built-in instructions",
    )
}

/// The text of the configuration, else the file that it names, else the one that comes with the host.
fn compact_prompt(config: &Config) -> anyhow::Result<String> {
    match (&config.compact_prompt, &config.compact_prompt_file) {
        (Some(prompt), _) => Ok(prompt.clone()),
        (None, Some(path)) => told_in(
            path,
            "the prompt",
            "`experimental_compact_prompt_file` names it; leave that out to use the built-in prompt",
        ),
        (None, None) => Ok(COMPACT_PROMPT.to_owned()),
    }
}

/// The text of a file that tells the model something.
fn told_in(path: &Path, what: &str, hint: &str) -> anyhow::Result<String> {
    let unusable = |problem: String| {
        Fatal::new(format!("cannot use {what} `{}`: {problem}", path.display())).hint(hint)
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    if text.trim().is_empty() {
        return Err(unusable("it is empty".to_owned()).into());
    }
    Ok(text)
}

fn absolute(base: &Path, path: &Path) -> PathBuf {
    let path = base.join(path);
    // A directory that does not exist yet keeps its written form; the sandbox reports it.
    path.canonicalize().unwrap_or(path)
}

fn read_schema(path: &Path) -> anyhow::Result<Value> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fatal::new(format!("cannot read the output schema `{shown}`: {error}")))?;
    let schema: Value = serde_json::from_str(&text)
        .map_err(|error| Fatal::new(format!("the output schema `{shown}` is not JSON: {error}")))?;
    if !schema.is_object() {
        return Err(
            Fatal::new(format!("the output schema `{shown}` must be a JSON object")).into(),
        );
    }
    Ok(schema)
}
