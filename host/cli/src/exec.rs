//! `dovetail exec`: one prompt, run to its end, without questions.

mod open;
mod plan;
mod prepare;
mod review;
pub(crate) mod session;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use dovetail_core::event::{Observer, ThreadInfo};
use dovetail_core::records::EventRecords;
use dovetail_core::turn::{Ports, Resumed, Thread, TurnOptions, TurnOutcome};
use dovetail_core::verdict::HookChain;
use dovetail_store::Syncer;
use tokio_util::sync::CancellationToken;

use self::open::{Opened, only_fork, open_thread};
use self::plan::{Plan, Target};
pub(crate) use self::plan::{load_config, load_config_by, working_directory};
use self::prepare::{learn_models, load_plugins, prepare_turn};
use crate::args::ExecArgs;
use crate::fatal::{self, Fatal};
use crate::notify::Notifier;
use crate::output::Printer;
use crate::plugins::House;
use crate::render::Thinking;
use crate::sink_feed::SinkFeed;
use crate::{
    git, interrupt, local_provider, model_port, models, notify, out, prompt_images, tools,
};

/// Runs the command.
///
/// # Errors
/// Whatever keeps the turn from starting; a turn that fails is an exit code.
pub(crate) async fn run(args: ExecArgs, stage: Stage) -> anyhow::Result<ExitCode> {
    let plan = plan::plan(args, stage.home.clone())?;
    if let Some(provider) = plan.local_provider {
        local_provider::probe(provider, models::chosen(&plan.config)).await?;
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

async fn run_plan(mut plan: Plan, mut stage: Stage) -> anyhow::Result<ExitCode> {
    let Some(mut prompt) = plan.prompt.take() else {
        return only_fork(&plan);
    };
    let cancel = CancellationToken::new();
    let interrupts = interrupt::watch(cancel.clone());
    let mut opened = open_thread(&plan)?;
    let mut planned = review::prepare(&plan, &cancel).await?;
    let working = planned.as_ref().map(|planned| planned.reviewer);
    interrupts.begin(working.unwrap_or(opened.info.thread_id));
    let house = load_plugins(&plan, stage.without_keys, &cancel).await?;
    let reviewer = planned.as_mut().map(|planned| &mut planned.setup);
    let source = &opened.info.source;
    let online = learn_models(&mut plan, reviewer, &house, source, &cancel).await;
    prompt_images::set_detail(&mut prompt.images, plan.setup.image_detail());
    let reviewer = planned.as_ref().map(|planned| &planned.setup);
    let turn = prepare_turn(&mut plan, &mut opened, &house, &prompt, reviewer)?;

    let builtin = match reviewer {
        Some(setup) => tools::for_review(setup, &plan.config, &house),
        None => tools::builtin(&plan.setup, &plan.config, &house),
    };
    let with = reviewer.unwrap_or(&plan.setup);
    let tools = tools::toolbox(&builtin, &house, with, &plan.config);
    let hooks = Arc::new(HookChain::new(house.hooks.clone()));
    let mut syncers: Vec<Syncer> = opened.syncer.take().into_iter().collect();
    let review = match planned {
        Some(planned) => {
            let with = review::Surroundings {
                plan: &plan,
                house: &house,
                parent: &opened.info,
                turn: &turn,
                online: online.as_ref(),
                tools: tools.clone(),
                hooks: Arc::clone(&hooks),
            };
            let (review, syncer) = planned.set_up(prompt.clone(), with)?;
            syncers.extend(syncer);
            Some(review)
        }
        None => None,
    };

    let shown = review.as_ref().map_or(&turn, |review| &review.options);
    let mut printer = printer(&plan, &opened, shown);
    printer.begin(&prompt, &plan.warnings);
    let mut observers = vec![printer.observer()];
    let notifier = add_observers(&plan, &opened, &house, &mut observers);
    let ports = Ports {
        model: models::listen(
            model_port::client(&house, &plan.config, &opened.info)?,
            online.as_ref(),
        ),
        tools,
        hooks,
        recorder: opened.recorder,
        observers,
    };
    let mut thread = thread_of(&plan.target, opened.info, opened.resumed, ports);
    let workspaces = turn.workspaces.clone();
    let trusted = plan.config.project.trusted();
    let looking = trusted.then(|| git::look_for_changes(workspaces));
    let outcome = match review {
        Some(review) => thread.run_review(review, turn, cancel).await,
        None => thread.run_turn(prompt, turn, cancel).await,
    };
    drop(looking);
    interrupts.finished();

    let notified = notifier.and_then(|notifier| {
        let warn = |why: String| out::stderr(&format!("warning: {why}\n"));
        notifier.start().map_err(warn).ok()
    });
    let answer_file = plan.options.output_last_message.as_deref();
    let printed = printer.end(&outcome, answer_file, !stage.passing);
    drop(thread);
    builtin.manager.shutdown().await;
    if let Some(online) = online {
        online.end().await;
    }
    let synced: Vec<_> = syncers.into_iter().map(|syncer| syncer.wait()).collect();
    house.shut_down().await;
    if let Some(notified) = notified {
        notified.settle().await;
    }
    let code = printed?;
    for synced in synced {
        synced.map_err(|error| Fatal::new(error.to_string()))?;
    }
    let complained = house.complain();
    if let Some(after) = stage.after.take() {
        after(&house);
    }
    match outcome {
        TurnOutcome::Unrecorded(error) => Err(Fatal::new(error.to_string())
            .hint("free some space or mend the file, then go on with `dovetail exec resume`")
            .into()),
        TurnOutcome::Completed(_) | TurnOutcome::Failed(_) | TurnOutcome::Interrupted => {
            complained.map(|()| code)
        }
    }
}

/// Adds those who are told what happens besides the screen: the sinks, and the user's program, which is to be started when the
/// turn is over.
fn add_observers(
    plan: &Plan,
    opened: &Opened,
    house: &House,
    observers: &mut Vec<Box<dyn Observer>>,
) -> Option<Notifier> {
    if let Some(pump) = &house.pump {
        let records = EventRecords::new(opened.info.clone());
        let feed = SinkFeed::start(records, Arc::clone(pump), opened.resumed.is_some());
        observers.push(Box::new(feed.with_news(&house.services)));
    }
    let secrets = tools::secret_variables(&plan.config, house);
    let (follower, notifier) =
        notify::prepare(&plan.config.notify, plan.setup.cwd.clone(), secrets)?;
    observers.push(Box::new(follower));
    Some(notifier)
}

/// The thread that the turn belongs to.
fn thread_of(target: &Target, info: ThreadInfo, resumed: Option<Resumed>, ports: Ports) -> Thread {
    match resumed {
        Some(resumed) if matches!(target, Target::Fork { .. }) => {
            Thread::fork(info, resumed, ports)
        }
        Some(resumed) => Thread::resume(info, resumed, ports),
        None => Thread::start(info, ports),
    }
}

fn printer(plan: &Plan, opened: &Opened, turn: &TurnOptions) -> Printer {
    let thinking = match &plan.config {
        config if config.hide_agent_reasoning => Thinking::Hidden,
        config if config.show_raw_agent_reasoning => Thinking::Whole,
        _ => Thinking::Summaries,
    };
    let how = match &plan.target {
        Target::Fork { .. } => "fork",
        _ if opened.resumed.is_some() => "resumed",
        _ => "",
    };
    Printer::new(
        &plan.options,
        &opened.info,
        &turn.settings,
        how,
        opened.path.clone(),
        thinking,
    )
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
