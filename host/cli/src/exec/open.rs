//! The thread of a run: a new one, one that goes on, or a fork.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use dovetail_core::event::{Recorder, ThreadInfo};
use dovetail_core::ids::{ThreadId, WindowId};
use dovetail_core::turn::Resumed;
use dovetail_store::{
    ForkAt, ForkSettings, LastSettings, LoadedThread, NullRecorder, RolloutRecorder, Syncer,
};

use super::plan::{Plan, Target};
use crate::fatal::{self, Fatal};
use crate::{identity, output};

/// A thread that can be run: its file is open, its plugins are not loaded yet.
pub(super) struct Opened {
    pub(super) info: ThreadInfo,
    pub(super) resumed: Option<Resumed>,
    pub(super) recorder: Box<dyn Recorder>,
    pub(super) path: Option<PathBuf>,
    pub(super) syncer: Option<Syncer>,
    pub(super) warnings: Vec<String>,
    /// How its last turn ran.
    pub(super) last: Option<LastSettings>,
}

pub(super) fn open_thread(plan: &Plan) -> anyhow::Result<Opened> {
    match &plan.target {
        Target::New | Target::Review(_) => {
            let originator = identity::originator(None);
            Ok(new_thread(plan, originator, "exec"))
        }
        Target::Resume(path) => resume_thread(path, plan),
        Target::Fork { path, at } => fork_thread(path, at, plan),
    }
}

/// A thread that begins now: who started it, and with what.
pub(super) fn new_thread(plan: &Plan, originator: String, source: &str) -> Opened {
    let thread_id = ThreadId::generate();
    let info = ThreadInfo {
        thread_id,
        session_id: thread_id,
        window_id: WindowId::generate(),
        cwd: plan.setup.cwd.clone(),
        originator,
        source: source.to_owned(),
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
        last: None,
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
pub(super) fn taken_up(
    loaded: LoadedThread,
    recorder: Option<RolloutRecorder>,
    plan: &Plan,
) -> Opened {
    let warnings = warnings_of(&loaded);
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
        context_tokens: loaded.context_tokens,
        first_window_id: loaded.first_window_id,
        previous: None,
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
        last: loaded.last_settings,
    }
}

/// Makes a fork that nobody says anything in yet.
pub(super) fn only_fork(plan: &Plan) -> anyhow::Result<ExitCode> {
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
