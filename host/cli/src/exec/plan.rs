//! What `exec` was asked for: decided before anything runs.

use std::path::{Path, PathBuf};

use dovetail_config::{
    ApprovalPolicy, Config, ConfigError, LoadRequest, Override, SYSTEM_CONFIG, TrustLevel,
};
use dovetail_core::review::ReviewTarget;
use dovetail_core::turn::Prompt;
use dovetail_store::ForkAt;

use super::review;
use crate::args::{ConfigOverrides, ExecArgs, ExecCommand, ExecOptions, LocalProvider, RunOptions};
use crate::fatal::Fatal;
use crate::turn_setup::TurnSetup;
use crate::{git, local_provider, output, prompt, prompt_images};

/// Everything that was decided before anything runs.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) setup: TurnSetup,
    pub(super) options: ExecOptions,
    /// None for a fork that is only made. For a review, what people are told is reviewed.
    pub(super) prompt: Option<Prompt>,
    pub(super) target: Target,
    pub(super) local_provider: Option<LocalProvider>,
    pub(super) warnings: Vec<String>,
}

/// Which conversation.
pub(super) enum Target {
    New,
    Resume(PathBuf),
    Fork {
        path: PathBuf,
        at: ForkAt,
    },
    /// A new one, in which another thread reviews something.
    Review(ReviewTarget),
}

/// What options and files decide, whatever is said.
struct Settled {
    config: Config,
    options: ExecOptions,
    local_provider: Option<LocalProvider>,
}

fn settle(run: RunOptions, home: Option<PathBuf>) -> anyhow::Result<Settled> {
    let RunOptions {
        config: mut overrides,
        options,
    } = run;
    refuse_unsupported(&options)?;
    overrides.settings.extend(options.settings());
    let home = home.map_or_else(dovetail_config::codex_home, Ok)?;
    let cwd = working_directory(options.cd.as_deref())?;
    let mut config = load_config(&home, &cwd, &overrides)?;
    let local_provider = local_provider::chosen(&options, config.oss_provider.as_deref())?;
    if let Some(provider) = local_provider {
        overrides = local_provider::overrides(provider, &overrides);
        config = load_config(&home, &cwd, &overrides)?;
    }
    if options.trust && trust(&config)? {
        config = load_config(&home, &cwd, &overrides)?;
    }
    if !options.skip_git_repo_check
        && !options.dangerously_bypass_approvals_and_sandbox
        && !config.project.trusted()
        && git::root_of(&cwd).is_none()
    {
        return Err(Fatal::new(
            "Not inside a trusted directory and --skip-git-repo-check was not specified.",
        )
        .hint("run it in a git work tree, or add `--skip-git-repo-check` or `--trust`")
        .into());
    }
    Ok(Settled {
        config,
        options,
        local_provider,
    })
}

/// A new conversation in which nothing is said yet, and somebody can be asked.
pub(super) fn plan_session(run: RunOptions) -> anyhow::Result<Plan> {
    let Settled {
        config,
        options,
        local_provider,
    } = settle(run, None)?;
    let mut setup = TurnSetup::of(&options, &config)?;
    setup.approval = config.approval_policy.unwrap_or(ApprovalPolicy::OnRequest);
    Ok(Plan {
        warnings: remarks(&config),
        config,
        setup,
        options,
        prompt: None,
        target: Target::New,
        local_provider,
    })
}

/// What a person should know of the configuration. Settings that nobody knows are one warning: a misspelt `env_key` is a
/// provider without a credential.
fn remarks(config: &Config) -> Vec<String> {
    const MOST_NAMED: usize = 8;
    let mut remarks = config.warnings.clone();
    let unknown = &config.unknown_keys;
    let mut named: Vec<String> = unknown
        .iter()
        .take(MOST_NAMED)
        .map(ToString::to_string)
        .collect();
    if unknown.len() > MOST_NAMED {
        let rest = unknown.len() - MOST_NAMED;
        named.push(format!("{rest} more are shown by `dovetail doctor`"));
    }
    if !named.is_empty() {
        remarks.push(named.join("; "));
    }
    remarks
}

pub(super) fn plan(args: ExecArgs, home: Option<PathBuf>) -> anyhow::Result<Plan> {
    let ExecArgs {
        command,
        prompt: prompt_text,
        run,
    } = args;
    let Settled {
        config,
        mut options,
        local_provider,
    } = settle(run, home)?;
    let setup = TurnSetup::of(&options, &config)?;
    let (target, prompt_text) = target(command, prompt_text, &config.home, &config.cwd)?;
    let prompt_text = prompt::separate(prompt_text, &mut options.images);
    let images = prompt_images::read(&options.images, setup.image_detail())?;
    let prompt = match (&target, prompt_text) {
        (Target::Review(target), _) => Some(Prompt {
            images,
            text: target.hint(),
        }),
        // A fork needs no prompt: it can be gone on with later.
        (Target::Fork { .. }, None) if images.is_empty() => None,
        (_, text) => Some(Prompt {
            images,
            text: prompt::text(text.as_deref())?,
        }),
    };
    if let Some(path) = &options.output_last_message {
        output::check_answer_file(path)?;
    }
    let mut warnings = remarks(&config);
    if matches!(target, Target::Review(_)) && setup.output_schema.is_some() {
        warnings
            .push("`--output-schema` has no effect: reviews have a form of their own".to_owned());
    }
    if let Some(program) = options.cyber_access_program
        && config.model_provider == "openai"
    {
        warnings.push(format!(
            "the access program `{}` is not asked for: that is not supported yet",
            program.name()
        ));
    }
    Ok(Plan {
        config,
        setup,
        options,
        prompt,
        target,
        local_provider,
        warnings,
    })
}

/// Trusts the project from now on; says whether that changed anything. Distrust that somebody wrote down is not
/// overruled by a flag, which may stand in a script for all projects.
fn trust(config: &Config) -> anyhow::Result<bool> {
    let root = &config.project.root;
    match config.project.trust {
        Some(TrustLevel::Trusted) => Ok(false),
        Some(TrustLevel::Untrusted) => {
            let file = config.home.join("config.toml");
            Err(
                Fatal::new(format!("`{}` is marked as untrusted", root.display()))
                    .hint(format!("change its `trust_level` in `{}`", file.display()))
                    .into(),
            )
        }
        None => {
            dovetail_config::trust_project(&config.home, root).map_err(anyhow::Error::from)?;
            Ok(true)
        }
    }
}

/// Flags of other clients that promise what is not there: running without it would be another thing than asked for.
fn refuse_unsupported(options: &ExecOptions) -> anyhow::Result<()> {
    let (flag, hint) = if options.approve_for_me {
        (
            "--approve-for-me",
            "choose with `--sandbox` what commands may do: nobody is asked",
        )
    } else if options.worktree {
        (
            "--worktree",
            "make a work tree with `git worktree add ../copy`, and add `-C ../copy`",
        )
    } else {
        return Ok(());
    };
    Err(Fatal::new(format!("`{flag}` is not supported yet"))
        .hint(hint)
        .into())
}

/// The directory to work in, resolved: hooks, sandbox and records must agree on its name.
///
/// # Errors
/// There is no such directory.
pub(crate) fn working_directory(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()
        .map_err(|error| Fatal::new(format!("the working directory is gone: {error}")))?;
    let wanted = given.map_or_else(|| here.clone(), |dir| here.join(dir));
    let dir = wanted.canonicalize().map_err(|error| {
        Fatal::new(format!(
            "cannot use `{}` as working directory: {error}",
            wanted.display()
        ))
    })?;
    if !dir.is_dir() {
        return Err(Fatal::new(format!("`{}` is not a directory", dir.display())).into());
    }
    Ok(dir)
}

/// Reads the configuration with the flags of a command on top.
///
/// # Errors
/// Names the file or flag that is wrong.
pub(crate) fn load_config(
    home: &Path,
    cwd: &Path,
    flags: &ConfigOverrides,
) -> anyhow::Result<Config> {
    load_config_by(home, cwd, flags, dovetail_config::load)
}

/// The same by another way of reading the layers.
///
/// # Errors
/// As [`load_config`].
pub(crate) fn load_config_by<T>(
    home: &Path,
    cwd: &Path,
    flags: &ConfigOverrides,
    read: impl FnOnce(&LoadRequest<'_>) -> Result<T, ConfigError>,
) -> anyhow::Result<T> {
    let mut overrides = flags
        .overrides
        .iter()
        .map(|text| Override::parse(text))
        .collect::<Result<Vec<_>, _>>()?;
    for (names, on) in [(&flags.enable, true), (&flags.disable, false)] {
        let flag = if on { "--enable" } else { "--disable" };
        overrides.extend(
            names
                .iter()
                .map(|name| Override::flag(flag, &["features", name], on)),
        );
    }
    overrides.extend(flags.settings.iter().cloned());
    let request = LoadRequest {
        home,
        cwd,
        system: Path::new(SYSTEM_CONFIG),
        profile: flags.profile.as_deref(),
        overrides: &overrides,
        managed: &dovetail_config::managed_files(home),
        strict: flags.strict_config,
        ignore_user: flags.ignore_user_config,
    };
    Ok(read(&request)?)
}

fn target(
    command: Option<ExecCommand>,
    prompt: Option<String>,
    home: &Path,
    cwd: &Path,
) -> anyhow::Result<(Target, Option<String>)> {
    match command {
        None => Ok((Target::New, prompt)),
        Some(ExecCommand::Review(args)) => Ok((Target::Review(review::target(*args)?), None)),
        Some(ExecCommand::Resume {
            id,
            prompt,
            last: true,
            all,
            ..
        }) => {
            // With `--last` there is no id, so a lone argument is the prompt.
            if let (Some(first), Some(second)) = (&id, &prompt) {
                return Err(Fatal::new(format!(
                    "with `--last` there is one argument, the prompt: `{first}` and `{second}` are two"
                ))
                .hint("put the prompt in quotes, or leave `--last` out")
                .into());
            }
            let text = prompt.or(id);
            let found = dovetail_store::find_last(home, (!all).then_some(cwd))?;
            Ok((Target::Resume(found), text))
        }
        Some(ExecCommand::Resume { id, prompt, .. }) => {
            let id = id.ok_or_else(which)?;
            let path = dovetail_store::find_called(home, &id)?;
            Ok((Target::Resume(path), prompt))
        }
        Some(ExecCommand::Fork { id, prompt, at, .. }) => {
            let path = dovetail_store::find_called(home, &id)?;
            let at = at.map_or(ForkAt::End, ForkAt::Turn);
            Ok((Target::Fork { path, at }, prompt))
        }
    }
}

fn which() -> Fatal {
    Fatal::new("which conversation?")
        .hint("give its id or name, or use `--last` for the newest of this directory")
}
