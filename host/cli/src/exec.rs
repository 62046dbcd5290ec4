//! `dovetail exec`: one prompt, run to its end, without questions.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use dovetail_config::{Config, LoadRequest, Override, SYSTEM_CONFIG, TrustLevel};
use dovetail_core::event::{Observer, Recorder, ThreadInfo};
use dovetail_core::ids::{ThreadId, WindowId};
use dovetail_core::records::EventRecords;
use dovetail_core::toolbox::Toolbox;
use dovetail_core::turn::{Ports, Prompt, Resumed, Thread, TurnOutcome};
use dovetail_core::verdict::HookChain;
use dovetail_store::{ForkAt, ForkSettings, LoadedThread, NullRecorder, RolloutRecorder, Syncer};
use tokio_util::sync::CancellationToken;

use crate::args::{ConfigOverrides, ExecArgs, ExecCommand, ExecOptions, LocalProvider, RunOptions};
use crate::fatal::{self, Fatal};
use crate::plugins::{self, House};
use crate::render::Thinking;
use crate::sink_feed::SinkFeed;
use crate::turn_setup::TurnSetup;
use crate::{
    git, identity, interrupt, local_provider, model_port, notify, out, output, prompt,
    prompt_images, tools,
};

/// Everything that was decided before anything runs.
struct Plan {
    config: Config,
    setup: TurnSetup,
    options: ExecOptions,
    /// None for a fork that is only made.
    prompt: Option<Prompt>,
    target: Target,
    local_provider: Option<LocalProvider>,
    warnings: Vec<String>,
}

/// Which conversation.
enum Target {
    New,
    Resume(PathBuf),
    Fork { path: PathBuf, at: ForkAt },
}

/// Runs the command.
///
/// # Errors
/// Whatever keeps the turn from starting; a turn that fails is an exit code.
pub(crate) async fn run(args: ExecArgs, stage: Stage) -> anyhow::Result<ExitCode> {
    let plan = plan(args, stage.home.clone())?;
    if let Some(provider) = plan.local_provider {
        local_provider::probe(provider).await?;
    }
    run_plan(plan, stage).await
}

/// Looks at the plugins once the turn is over.
pub(crate) type AfterTurn = Box<dyn FnOnce(&House) + Send>;

/// What a caller other than the command line adds.
#[derive(Default)]
pub(crate) struct Stage {
    /// A home of its own.
    pub(crate) home: Option<PathBuf>,
    /// Whether the user's own keys are kept out of it.
    pub(crate) without_keys: bool,
    /// Whether the conversation goes away afterwards, so that nobody can go on with it.
    pub(crate) passing: bool,
    /// Called when the turn is over, with the plugins that took part.
    pub(crate) after: Option<AfterTurn>,
}

fn plan(args: ExecArgs, home: Option<PathBuf>) -> anyhow::Result<Plan> {
    let ExecArgs {
        command,
        prompt: prompt_text,
        run: RunOptions {
            config: mut overrides,
            mut options,
        },
    } = args;
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
    let setup = TurnSetup::of(&options, &config)?;
    let (target, prompt_text) = target(command, prompt_text, &home, &cwd)?;
    let prompt_text = prompt::separate(prompt_text, &mut options.images);
    let images = prompt_images::read(&options.images, setup.image_detail())?;
    let prompt = match (&target, prompt_text) {
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
    let mut warnings = config.warnings.clone();
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
    Ok(dovetail_config::load(&request)?)
}

fn target(
    command: Option<ExecCommand>,
    prompt: Option<String>,
    home: &Path,
    cwd: &Path,
) -> anyhow::Result<(Target, Option<String>)> {
    match command {
        None => Ok((Target::New, prompt)),
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
        Some(ExecCommand::Review { .. }) => Err(Fatal::new("`exec review` is not supported yet")
            .hint("ask for it: dovetail exec \"review the changes that are not committed\"")
            .into()),
    }
}

fn which() -> Fatal {
    Fatal::new("which conversation?")
        .hint("give its id or name, or use `--last` for the newest of this directory")
}

/// A thread that can be run: its file is open, its plugins are not loaded yet.
struct Opened {
    info: ThreadInfo,
    resumed: Option<Resumed>,
    recorder: Box<dyn Recorder>,
    path: Option<PathBuf>,
    syncer: Option<Syncer>,
    warnings: Vec<String>,
    /// The queue of the service that its last turn asked for.
    service_tier: Option<String>,
}

async fn run_plan(mut plan: Plan, stage: Stage) -> anyhow::Result<ExitCode> {
    let Some(prompt) = plan.prompt.take() else {
        return only_fork(&plan);
    };
    let cancel = CancellationToken::new();
    let interrupts = interrupt::watch(cancel.clone());
    let opened = open_thread(&plan)?;
    interrupts.begin(opened.info.thread_id);
    plan.warnings.extend(opened.warnings);
    let house = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            // A plugin that was being asked for its tools may have started something.
            dovetail_runtime::process::end_all();
            return Err(Fatal::new("interrupted before the turn began").into());
        }
        house = plugins::load(&plan.config, plan.options.strict, stage.without_keys) => house?,
    };
    plan.warnings.extend(house.warnings.iter().cloned());
    if let Some(tier) = opened.service_tier {
        plan.setup.keep_service_tier(&plan.config, &tier);
    }
    plan.warnings.extend(plan.setup.warnings(&plan.config));
    if !prompt.images.is_empty() && !plan.setup.model.info.takes_images() {
        plan.warnings.push(format!(
            "the model `{}` takes no images: it is told that there was one",
            plan.setup.model.slug
        ));
    }

    let docs = dovetail_config::collect_project_docs(
        &plan.config.home,
        &plan.config.project,
        &plan.setup.cwd,
        &plan.config.project_docs,
    );
    plan.warnings.extend(docs.warnings.iter().cloned());
    let installation = identity::installation_id(&plan.config.home).map_err(|error| {
        Fatal::new(format!(
            "cannot keep an installation id in `{}`: {error}",
            plan.config.home.join(identity::INSTALLATION_ID).display()
        ))
    })?;
    let agents_md = (!docs.text.is_empty()).then_some(docs.text);
    let turn = plan.setup.turn_options(
        &plan.config,
        installation,
        agents_md,
        house.capabilities.hosted_tools,
        opened.path.as_deref(),
    );

    let builtin = tools::builtin(&plan.setup, &plan.config);
    let mut all_tools = builtin.tools;
    all_tools.extend(house.tools.iter().cloned());
    let thinking = match &plan.config {
        config if config.hide_agent_reasoning => Thinking::Hidden,
        config if config.show_raw_agent_reasoning => Thinking::Whole,
        _ => Thinking::Summaries,
    };
    let mut printer = output::Printer::new(
        &plan.options,
        &opened.info,
        &turn.settings,
        match &plan.target {
            Target::Fork { .. } => "fork",
            _ if opened.resumed.is_some() => "resumed",
            _ => "",
        },
        opened.path.clone(),
        thinking,
    );
    printer.begin(&prompt, &plan.warnings);
    let mut observers: Vec<Box<dyn Observer>> = vec![printer.observer()];
    if let Some(pump) = &house.pump {
        let records = EventRecords::new(opened.info.clone());
        observers.push(Box::new(SinkFeed::start(
            records,
            Arc::clone(pump),
            opened.resumed.is_some(),
        )));
    }
    let notifier = notify::prepare(
        &plan.config.notify,
        plan.setup.cwd.clone(),
        tools::secret_variables(&plan.config),
    )
    .map(|(follower, notifier)| {
        observers.push(Box::new(follower));
        notifier
    });
    let ports = Ports {
        model: Arc::new(model_port::client(&house, &plan.config, &opened.info)?),
        tools: Toolbox::new(all_tools).with_output_tokens(builtin.output_tokens),
        hooks: Arc::new(HookChain::new(house.hooks.clone())),
        recorder: opened.recorder,
        observers,
    };
    let mut thread = match opened.resumed {
        Some(resumed) if matches!(plan.target, Target::Fork { .. }) => {
            Thread::fork(opened.info, resumed, ports)
        }
        Some(resumed) => Thread::resume(opened.info, resumed, ports),
        None => Thread::start(opened.info, ports),
    };
    let workspaces = turn.workspaces.clone();
    let trusted = plan.config.project.trusted();
    let looking = trusted.then(|| git::look_for_changes(workspaces));
    let outcome = thread.run_turn(prompt, turn, cancel).await;
    drop(looking);
    interrupts.finished();
    let notified = notifier.and_then(|notifier| {
        let warn = |why: String| out::stderr(&format!("warning: {why}\n"));
        notifier.start().map_err(warn).ok()
    });
    let code = printer.end(
        &outcome,
        plan.options.output_last_message.as_deref(),
        !stage.passing,
    )?;
    drop(thread);
    builtin.manager.shutdown().await;
    if let Some(syncer) = opened.syncer
        && let Err(error) = syncer.wait()
    {
        return Err(Fatal::new(error.to_string()).into());
    }
    house.shut_down().await;
    if let Some(notified) = notified {
        notified.settle().await;
    }
    if let Some(after) = stage.after {
        after(&house);
    }
    match outcome {
        TurnOutcome::Unrecorded(error) => Err(Fatal::new(error.to_string())
            .hint("free some space or mend the file, then go on with `dovetail exec resume`")
            .into()),
        TurnOutcome::Completed(_) | TurnOutcome::Failed(_) | TurnOutcome::Interrupted => Ok(code),
    }
}

fn open_thread(plan: &Plan) -> anyhow::Result<Opened> {
    match &plan.target {
        Target::New => Ok(new_thread(plan)),
        Target::Resume(path) => resume_thread(path, plan),
        Target::Fork { path, at } => fork_thread(path, at, plan),
    }
}

fn new_thread(plan: &Plan) -> Opened {
    let thread_id = ThreadId::generate();
    let info = ThreadInfo {
        thread_id,
        session_id: thread_id,
        window_id: WindowId::generate(),
        cwd: plan.setup.cwd.clone(),
        originator: identity::originator(None),
        source: "exec".to_owned(),
        thread_source: Some(thread_source(plan)),
        parent_thread_id: None,
        forked_from: None,
        subagent: None,
        provider_id: plan.config.model_provider.clone(),
        base_instructions: plan.setup.base_instructions.clone(),
        model: plan.setup.model.slug.clone(),
        created: SystemTime::now(),
    };
    let mut opened = Opened {
        info,
        resumed: None,
        recorder: Box::new(NullRecorder),
        path: None,
        syncer: None,
        warnings: Vec::new(),
        service_tier: None,
    };
    if !plan.options.ephemeral {
        let recorder = RolloutRecorder::create(&plan.config.home, opened.info.clone());
        opened.path = Some(recorder.path().to_owned());
        opened.syncer = Some(recorder.syncer());
        opened.recorder = Box::new(recorder);
    }
    opened
}

fn resume_thread(path: &Path, plan: &Plan) -> anyhow::Result<Opened> {
    // What is not going on with the file leaves it as it is, whoever writes to it.
    let (mut loaded, recorder) = if plan.options.ephemeral {
        (dovetail_store::load_thread(path)?, None)
    } else {
        let (loaded, recorder) = RolloutRecorder::resume(path)?;
        (loaded, Some(recorder))
    };
    loaded.info.cwd.clone_from(&plan.setup.cwd);
    loaded
        .info
        .provider_id
        .clone_from(&plan.config.model_provider);
    Ok(taken_up(loaded, recorder, plan))
}

fn fork_thread(path: &Path, at: &ForkAt, plan: &Plan) -> anyhow::Result<Opened> {
    let (loaded, recorder) = dovetail_store::fork_thread(path, at, fork_settings(plan))?;
    let recorder = (!plan.options.ephemeral).then_some(recorder);
    Ok(taken_up(loaded, recorder, plan))
}

/// A thread that goes on from what is on disk.
fn taken_up(loaded: LoadedThread, recorder: Option<RolloutRecorder>, plan: &Plan) -> Opened {
    let warnings = warnings_of(&loaded);
    let service_tier = loaded.last_settings.and_then(|last| last.service_tier);
    let mut info = loaded.info;
    info.originator = identity::originator(Some(&info.originator));
    if info.base_instructions.is_empty() {
        info.base_instructions
            .clone_from(&plan.setup.base_instructions);
    }
    let resumed = Resumed {
        items: loaded.items,
        totals: loaded.totals,
        window_number: loaded.window_number,
        providers: loaded.providers,
    };
    let path = recorder.as_ref().map(|recorder| recorder.path().to_owned());
    let syncer = recorder.as_ref().map(RolloutRecorder::syncer);
    Opened {
        info,
        resumed: Some(resumed),
        recorder: match recorder {
            Some(recorder) => Box::new(recorder),
            None => Box::new(NullRecorder),
        },
        path,
        syncer,
        warnings,
        service_tier,
    }
}

/// Makes a fork that nobody says anything in yet.
fn only_fork(plan: &Plan) -> anyhow::Result<ExitCode> {
    let Target::Fork { path, at } = &plan.target else {
        return Err(Fatal::new("there is no prompt").into());
    };
    let (loaded, mut recorder) = dovetail_store::fork_thread(path, at, fork_settings(plan))?;
    recorder.begin()?;
    output::forked(&plan.options, loaded.info.thread_id, &warnings_of(&loaded));
    Ok(ExitCode::from(fatal::OK))
}

fn warnings_of(loaded: &LoadedThread) -> Vec<String> {
    let damage = loaded.damage.iter();
    damage
        .map(|damage| format!("{}: {damage}", damage.path.display()))
        .collect()
}

fn fork_settings(plan: &Plan) -> ForkSettings {
    ForkSettings {
        cwd: Some(plan.setup.cwd.clone()),
        source: "exec".to_owned(),
        thread_source: Some(thread_source(plan)),
        provider_id: Some(plan.config.model_provider.clone()),
        originator: Some(|persisted| identity::originator(Some(persisted))),
    }
}

fn thread_source(plan: &Plan) -> String {
    let given = plan.options.thread_source.clone();
    given.unwrap_or_else(|| "user".to_owned())
}

/// The exit code of a turn.
pub(crate) fn exit_code(outcome: &TurnOutcome) -> ExitCode {
    match outcome {
        TurnOutcome::Completed(_) => ExitCode::from(fatal::OK),
        TurnOutcome::Failed(_) | TurnOutcome::Interrupted | TurnOutcome::Unrecorded(_) => {
            ExitCode::from(fatal::FAILED)
        }
    }
}
