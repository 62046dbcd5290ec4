//! A thread of a session, and the turn that works in it.

use std::path::PathBuf;
use std::sync::Arc;

use dovetail_core::approval::Approver;
use dovetail_core::event::Observer;
use dovetail_core::records::EventRecords;
use dovetail_core::snapshot::Extras;
use dovetail_core::turn::{Ports, Prompt, Thread, ThreadHandle, TurnOptions, TurnOutcome};
use dovetail_core::verdict::HookChain;
use dovetail_store::Syncer;
use dovetail_tools::ExecManager;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::desk::Desk;
use super::line::{self, Lines};
use crate::exec::open::Opened;
use crate::exec::plan::Plan;
use crate::exec::prepare::{Told, prepare_turn};
use crate::fatal::Fatal;
use crate::models::Online;
use crate::plugins::House;
use crate::sink_feed::SinkFeed;
use crate::{git, model_port, models, tools};

/// What the threads of a session share.
pub(super) struct Host {
    pub(super) plan: Plan,
    pub(super) house: House,
    /// Keeps the provider's own list of models.
    pub(super) online: Option<Online>,
    pub(super) hooks: Arc<HookChain>,
    pub(super) desk: Arc<Desk>,
    /// What begins the user agent.
    pub(super) process: String,
    /// Ends it all.
    pub(super) cancel: CancellationToken,
}

/// A thread, and what goes on in it.
pub(super) struct Conversation {
    pub(super) handle: ThreadHandle,
    pub(super) path: Option<PathBuf>,
    thread: Option<Thread>,
    turn: Option<JoinHandle<anyhow::Result<Thread>>>,
    manager: Arc<ExecManager>,
    syncer: Option<Syncer>,
}

impl Host {
    /// Takes a thread up.
    pub(super) fn begin(&mut self, mut opened: Opened) -> anyhow::Result<Conversation> {
        let prompt = Prompt::default();
        if opened.resumed.is_none() {
            prepare_turn(&mut self.plan, &mut opened, &self.house, &prompt, None)?;
        }
        self.plan.warnings.append(&mut opened.warnings);
        let (setup, config) = (&self.plan.setup, &self.plan.config);
        let desk = Arc::clone(&self.desk) as Arc<dyn Approver>;
        let builtin = tools::for_client(setup, config, &self.house, desk);
        let ports = Ports {
            model: models::listen(
                model_port::client_as(&self.house, config, &opened.info, &self.process)?,
                self.online.as_ref(),
            ),
            tools: tools::toolbox(&builtin, &self.house, setup, config),
            hooks: Arc::clone(&self.hooks),
            observers: self.observers(&opened),
            recorder: opened.recorder,
        };
        line::print(&line::thread_started(&opened.info));
        let thread = match opened.resumed {
            Some(resumed) => Thread::fork_beside(opened.info, resumed, ports),
            None => Thread::start(opened.info, ports),
        };
        self.warn();
        Ok(Conversation {
            handle: thread.handle(),
            path: opened.path,
            thread: Some(thread),
            turn: None,
            manager: builtin.manager,
            syncer: opened.syncer,
        })
    }

    fn observers(&self, opened: &Opened) -> Vec<Box<dyn Observer>> {
        let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(Lines)];
        if let Some(pump) = &self.house.pump {
            let forked = opened.resumed.is_some();
            let records = EventRecords::new(opened.info.clone());
            let feed = SinkFeed::start(records, Arc::clone(pump), forked);
            observers.push(match forked {
                // The first thread tells what happens to plugins.
                true => Box::new(feed),
                false => Box::new(feed.with_news(&self.house.services)),
            });
        }
        observers
    }

    /// How a turn is to run that begins now.
    pub(super) fn options(
        &mut self,
        conversation: &Conversation,
        extras: Extras,
    ) -> anyhow::Result<TurnOptions> {
        let told = Told::now(&mut self.plan)?;
        self.warn();
        let (setup, path) = (&self.plan.setup, conversation.path.as_deref());
        Ok(TurnOptions {
            // Clients say what made a turn where anything but a person did.
            turn_trigger: None,
            extras,
            ..told.options(setup, &self.plan, &self.house, path)
        })
    }

    /// Finds out beside a turn whether the work tree has changes, where the project is trusted.
    pub(super) fn look_for_changes(&self, options: &TurnOptions) -> Option<AbortOnDropHandle<()>> {
        let trusted = self.plan.config.project.trusted();
        trusted.then(|| git::look_for_changes(options.workspaces.clone()))
    }

    fn warn(&mut self) {
        for warning in self.plan.warnings.drain(..) {
            line::print(&line::warning(&warning));
        }
    }
}

impl Conversation {
    /// Takes the thread for a turn. What it did before has ended, or is about to.
    pub(super) async fn take(&mut self) -> anyhow::Result<Thread> {
        if let Some(turn) = self.turn.take() {
            return turn.await?;
        }
        let gone = || Fatal::new("the thread is gone: an earlier turn could not give it back");
        Ok(self.thread.take().ok_or_else(gone)?)
    }

    /// Has a turn work in it, which gives the thread back.
    pub(super) fn work(
        &mut self,
        turn: impl Future<Output = (Thread, TurnOutcome)> + Send + 'static,
    ) {
        self.turn = Some(tokio::spawn(async move {
            match turn.await {
                (_, TurnOutcome::Unrecorded(error)) => Err(error.into()),
                (
                    thread,
                    TurnOutcome::Completed(_) | TurnOutcome::Failed(_) | TurnOutcome::Interrupted,
                ) => Ok(thread),
            }
        }));
    }

    /// Waits for its turn, ends its commands and has everything written.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        let thread = self.take().await;
        self.manager.shutdown().await;
        drop(thread?);
        match self.syncer {
            Some(syncer) => Ok(syncer.wait()?),
            None => Ok(()),
        }
    }
}
