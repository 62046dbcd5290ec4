//! `dovetail plugin …`: shows plugins, and changes which are there and what they may do.

mod bundle;
mod check;
mod check_native;
mod consent;
mod explain;
mod grant;
mod incoming;
mod inspect;
mod install;
mod json;
mod known;
pub(crate) mod layout;
mod list;
mod package;
mod placing;
mod record;
mod reload;
mod remove;
mod toggle;
pub(crate) mod trust;
mod try_out;
mod update;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use dovetail_core::ids::PluginId;
use dovetail_runtime::capability::Capabilities;
use dovetail_runtime::catalogue::{Catalogue, Entry};
use dovetail_runtime::discovery::{Found, Places};
use dovetail_runtime::lock::{LockEntry, PluginsLock, Scope};
use dovetail_runtime::manifest::Manifest;
use dovetail_runtime::native::UNSANDBOXED;
use dovetail_runtime::plugin_dir::{self, PluginDirError};
use dovetail_runtime::plugin_settings::PluginSettings;
use dovetail_runtime::provenance::PublicKey;
use dovetail_runtime::secret_source::SecretSource;
use dovetail_runtime::state::State;

use self::consent::Sources;
pub(crate) use self::list::with_mark;
use crate::fatal::Fatal;
use crate::out;

/// `dovetail plugin`.
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Show all plugins, what they may do, and why some do not run.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one plugin: what it asks for, what it was granted, what is in its file.
    Inspect {
        /// An installed plugin's id, or a folder that is not installed yet.
        plugin: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what a file or folder is, installed or not, without running any of it.
    Check {
        /// A component or native library, or a folder with a plugin.toml.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say whether a plugin would be let do something, and by which line: `explain notes net https://llm.example/v1`.
    ///
    /// Exits with 1 where it would not.
    Explain {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// The plugin's id.
        plugin: String,
        /// net URL, fs read|append|write PATH, process COMMAND…, env NAME, secret SLOT, owns SLOT, kv BYTES, client,
        /// class NAME.
        #[arg(required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
        action: Vec<String>,
    },
    /// Try a plugin out against a made-up host, with cases of table files. Exits with 1 where something is wrong.
    Test(try_out::TestArgs),
    /// Install a plugin from a folder, an archive, a URL or a registry, and grant it what it asks for.
    Install(install::InstallArgs),
    /// Install newer versions of plugins from where they came from.
    Update(update::UpdateArgs),
    /// Write installed plugins into one archive, for machines that reach nothing else.
    Bundle(bundle::BundleArgs),
    /// Remove an installed plugin and its grant.
    Remove(remove::RemoveArgs),
    /// Grant an installed plugin what it asks for: all of it, or one capability.
    Grant(grant::GrantArgs),
    /// See whether plugins can be loaded as they are now, and have running sessions do so.
    Reload {
        /// The plugin's id; all that are granted where it is left out.
        plugin: Option<String>,
    },
    /// Let a plugin run again that is disabled, or quarantined because it broke.
    Enable {
        /// The plugin's id.
        plugin: String,
    },
    /// Keep a plugin from running, without removing it.
    Disable {
        /// The plugin's id.
        plugin: String,
    },
}

/// What the commands work on.
#[derive(Debug)]
pub(crate) struct PluginContext {
    /// Where plugins are looked for.
    pub(crate) places: Places,
    /// What the configuration says about trust in them.
    pub(crate) settings: PluginSettings,
    /// The keys that packages may be signed with, by name.
    pub(crate) keys: BTreeMap<String, PublicKey>,
    /// Where the configuration says that secrets come from, by plugin and slot.
    pub(crate) sources: BTreeMap<PluginId, BTreeMap<String, SecretSource>>,
    /// What the configuration tells plugins, by plugin.
    pub(crate) configs: BTreeMap<PluginId, serde_json::Value>,
    /// Where compiled components are kept; none where nothing is compiled before it is installed.
    pub(crate) compiled: Option<PathBuf>,
    /// `$CODEX_HOME`.
    pub(crate) home: PathBuf,
    /// The working directory.
    pub(crate) cwd: PathBuf,
}

/// Runs a command.
///
/// # Errors
/// What could not be done, with the next step.
pub(crate) async fn run(args: PluginArgs, context: &PluginContext) -> anyhow::Result<ExitCode> {
    let done = dispatch(args, context).await?;
    out::stdout(&done.text);
    Ok(if done.declined {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn dispatch(args: PluginArgs, context: &PluginContext) -> anyhow::Result<Done> {
    match args.command {
        PluginCommand::List { json } => list::run(context, json),
        PluginCommand::Inspect { plugin, json } => inspect::run(context, &plugin, json),
        PluginCommand::Reload { plugin } => reload::run(context, plugin.as_deref()).await,
        PluginCommand::Test(args) => try_out::run(context, &args).await,
        PluginCommand::Check { file, json } => check::run(context, &file, json),
        PluginCommand::Explain {
            json,
            plugin,
            action,
        } => explain::run(context, &plugin, &action, json),
        PluginCommand::Install(args) => install::run(context, &args).await,
        PluginCommand::Update(args) => update::run(context, &args).await,
        PluginCommand::Bundle(args) => bundle::run(context, &args),
        PluginCommand::Remove(args) => remove::run(context, &args),
        PluginCommand::Grant(args) => grant::run(context, &args),
        PluginCommand::Enable { plugin } => toggle::run(context, &plugin, true),
        PluginCommand::Disable { plugin } => toggle::run(context, &plugin, false),
    }
}

/// What came of a command.
#[derive(Debug, Default, PartialEq, Eq)]
struct Done {
    /// For standard output.
    text: String,
    /// Whether the user said no.
    declined: bool,
}

impl Done {
    fn with(text: String) -> Self {
        Self {
            text,
            declined: false,
        }
    }

    fn declined() -> Self {
        Self {
            text: String::new(),
            declined: true,
        }
    }
}

/// Grants a user's plugin in `dir` all it asks for, without a question. `own` is `$CODEX_HOME/dovetail`.
///
/// # Errors
/// The plugin or the lock cannot be read.
pub(crate) fn grant_all(own: &Path, dir: &Path) -> anyhow::Result<()> {
    let found = plugin_dir::read(dir, &Scope::User).map_err(dir_error)?;
    let config = PluginSettings::default().config_of(&found.manifest.id);
    let entry = record::of(
        &found,
        found.manifest.request.clone(),
        BTreeMap::new(),
        config,
    );
    Ok(PluginsLock::put(own, entry)?)
}

impl PluginContext {
    /// A key as people know it: by the name that the user gave it, where there is one.
    fn key_name(&self, key: &PublicKey) -> String {
        let named = self.keys.iter().find(|(_, known)| *known == key);
        match named {
            Some((name, _)) => format!("{name} ({})", key.short()),
            None => key.short(),
        }
    }

    /// An entry that grants a plugin as it is now. Where it came from stays known while its bytes are the same.
    fn record(
        &self,
        found: &Found,
        granted: Capabilities,
        secrets: Sources,
    ) -> anyhow::Result<LockEntry> {
        let lock = PluginsLock::load(&self.places.own_dir)?;
        let config = self.settings.config_of(&found.manifest.id);
        let mut entry = record::of(found, granted, secrets, config);
        if let Some(earlier) = record::earlier(&lock, found)
            && earlier.wasm == entry.wasm
        {
            entry.source = earlier.source;
            entry.signer = earlier.signer;
        }
        Ok(entry)
    }

    fn survey(&self) -> Catalogue {
        Catalogue::survey(&self.places, &self.settings)
    }

    /// Fails for a native plugin where none are allowed: a grant is no way around that.
    fn check_native(&self, manifest: &Manifest) -> anyhow::Result<()> {
        if !manifest.native || self.settings.allow_native {
            return Ok(());
        }
        let id = &manifest.id;
        match State::NativeOff.refusal(id) {
            Some(refusal) => Err(Fatal::new(refusal.sentence).hint(refusal.hint).into()),
            None => Ok(()),
        }
    }

    /// Where a plugin's secrets come from, as far as the user said; the configuration wins over the lock.
    fn sources_of(&self, entry: &Entry) -> BTreeMap<String, SecretSource> {
        let mut sources = entry.secrets.clone();
        if let Some(configured) = self.sources.get(&entry.found.manifest.id) {
            sources.extend(configured.clone());
        }
        sources
    }

    /// The root of the project, where its plugins may be used.
    fn trusted_project(&self) -> anyhow::Result<&Path> {
        match &self.places.project {
            Some(project) if project.trusted => Ok(&project.root),
            Some(project) => Err(Fatal::new(format!(
                "the project `{}` is not trusted",
                project.root.display()
            ))
            .hint("install for yourself (without --project), or trust the project first")
            .into()),
            None => Err(Fatal::new("there is no project here")
                .hint("install for yourself, without --project")
                .into()),
        }
    }
}

/// The plugin of that id, or a sentence that says what there is instead.
fn find<'c>(catalogue: &'c Catalogue, id: &str) -> anyhow::Result<&'c Entry> {
    let entry = catalogue
        .entries
        .iter()
        .find(|entry| entry.found.manifest.id.as_str() == id);
    if let Some(entry) = entry {
        return Ok(entry);
    }
    if let Some(problem) = catalogue.problems.iter().find(|problem| problem.name == id) {
        let fatal = Fatal::new(format!(
            "plugin `{id}` cannot be used: {}",
            whole(&problem.error)
        ));
        return Err(hinted(fatal, problem.error.hint()).into());
    }
    let known: Vec<&str> = catalogue
        .entries
        .iter()
        .map(|entry| entry.found.manifest.id.as_str())
        .collect();
    let hint = if known.is_empty() {
        "none is installed".to_owned()
    } else {
        format!("there are {}", known.join(", "))
    };
    Err(
        Fatal::new(format!("there is no plugin `{}`", id.escape_debug()))
            .hint(hint)
            .into(),
    )
}

/// What stands behind the name of a native plugin; nothing behind others.
fn mark_of(manifest: &Manifest) -> String {
    match manifest.native {
        true => format!(" · {UNSANDBOXED}"),
        false => String::new(),
    }
}

fn dir_error(error: PluginDirError) -> anyhow::Error {
    hinted(Fatal::new(whole(&error)), error.hint()).into()
}

fn hinted(fatal: Fatal, hint: Option<String>) -> Fatal {
    match hint {
        Some(hint) => fatal.hint(hint),
        None => fatal,
    }
}

/// An error with its causes, in one line.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
