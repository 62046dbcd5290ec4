//! `dovetail dev session`: a conversation as clients have it, told by JSON lines on standard input.
//!
//! Everything that a client's session goes through is the same here, but for its protocol: one process, in which a thread
//! has many turns, is steered, interrupted, compacted and forked, and in which somebody can be asked.

mod conversation;
mod desk;
mod line;
mod order;

use std::process::ExitCode;
use std::sync::Arc;

use dovetail_core::event::AbortReason;
use dovetail_core::ids::TurnId;
use dovetail_core::snapshot::Extras;
use dovetail_core::turn::{NotRunning, Prompt, Start, Steer};
use dovetail_core::verdict::HookChain;
use dovetail_store::{ForkAt, ForkSettings};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use self::conversation::{Conversation, Host};
use self::desk::Desk;
use self::order::{Order, extras};
use super::open::{new_thread, taken_up};
use super::plan::plan_session;
use super::prepare::{learn_models, load_plugins};
use crate::args::SessionArgs;
use crate::fatal::Fatal;
use crate::{identity, interrupt, local_provider, models};

/// What threads of clients are said to come from, unless these say otherwise.
const SOURCE: &str = "vscode";

/// Runs the command until its standard input ends.
///
/// # Errors
/// Whatever keeps a session from starting; a line that is no order; a thread that cannot be written.
pub(crate) async fn run(args: SessionArgs) -> anyhow::Result<ExitCode> {
    let mut plan = plan_session(args.run)?;
    if let Some(provider) = plan.local_provider {
        local_provider::probe(provider, models::chosen(&plan.config)).await?;
    }
    let cancel = CancellationToken::new();
    let interrupts = interrupt::watch(cancel.clone());
    let originator = identity::client_originator(&args.client, args.service_name.as_deref());
    let opened = new_thread(&plan, originator, SOURCE);
    interrupts.begin(opened.info.thread_id);
    let house = load_plugins(&plan, false, &cancel).await?;
    let online = learn_models(&mut plan, None, &house, SOURCE, &cancel).await;
    let mut host = Host {
        hooks: Arc::new(HookChain::new(house.hooks.clone())),
        desk: Arc::new(Desk::default()),
        process: identity::client_process(&args.client),
        cancel,
        plan,
        house,
        online,
    };
    let current = host.begin(opened)?;
    let mut session = Session {
        host,
        current,
        earlier: Vec::new(),
    };
    let followed = session.follow().await;
    if followed.is_err() {
        session.host.cancel.cancel();
    }
    session.host.desk.close();
    let ended = session.end().await;
    interrupts.finished();
    followed.and(ended)?;
    Ok(ExitCode::SUCCESS)
}

struct Session {
    host: Host,
    /// What is spoken to.
    current: Conversation,
    /// What that was forked from.
    earlier: Vec<Conversation>,
}

impl Session {
    async fn follow(&mut self) -> anyhow::Result<()> {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        loop {
            let line = tokio::select! {
                biased;
                () = self.host.cancel.cancelled() => return Ok(()),
                line = lines.next_line() => line?,
            };
            let Some(line) = line else { return Ok(()) };
            let order = serde_json::from_str(&line)
                .map_err(|error| Fatal::new(format!("`{line}` is no order: {error}")))?;
            self.obey(order).await?;
        }
    }

    async fn obey(&mut self, order: Order) -> anyhow::Result<()> {
        let handle = &self.current.handle;
        match order {
            Order::Turn {
                text,
                client_metadata,
            } => {
                let cancel = self.host.cancel.child_token();
                match handle.start(prompt(text), cancel) {
                    Start::New(ticket) => {
                        let options = self.host.options(&self.current, extras(client_metadata))?;
                        let looking = self.host.look_for_changes(&options);
                        let mut thread = self.current.take().await?;
                        self.current.work(async move {
                            let outcome = thread.run(ticket, options).await;
                            drop(looking);
                            (thread, outcome)
                        });
                    }
                    Start::Steered(turn) => answer(Ok(turn)),
                }
            }
            Order::Steer {
                turn_id,
                text,
                client_metadata,
            } => {
                let steer = Steer {
                    prompt: prompt(text),
                    extras: client_metadata.map(extras),
                };
                answer(handle.steer(turn_id, steer));
            }
            Order::Interrupt { turn_id } => {
                answer(handle.interrupt(turn_id, AbortReason::Interrupted));
            }
            Order::Compact {} => match handle.running() {
                Some(turn) => refuse(&format!("turn `{turn}` is running")),
                None => {
                    let options = self.host.options(&self.current, Extras::default())?;
                    let cancel = self.host.cancel.child_token();
                    let mut thread = self.current.take().await?;
                    self.current.work(async move {
                        let outcome = thread.compact(options, cancel).await;
                        (thread, outcome)
                    });
                }
            },
            Order::Fork { thread_source } => self.fork(thread_source)?,
            Order::Answer { call_id, decision } => {
                if !self.host.desk.answer(&call_id, decision.into()) {
                    refuse(&format!("nothing was asked about the call `{call_id}`"));
                }
            }
        }
        Ok(())
    }

    /// Goes on in a fork of what is written of the conversation, which stays.
    fn fork(&mut self, thread_source: Option<String>) -> anyhow::Result<()> {
        let Some(path) = &self.current.path else {
            refuse("a conversation without a file cannot be forked");
            return Ok(());
        };
        let settings = ForkSettings {
            source: SOURCE.to_owned(),
            thread_source,
            originator: Some(|persisted| identity::originator(Some(persisted))),
            ..ForkSettings::default()
        };
        let (loaded, mut recorder) = dovetail_store::fork_thread(path, &ForkAt::End, settings)?;
        recorder.begin()?;
        let opened = taken_up(loaded, Some(recorder), &self.host.plan);
        let fork = self.host.begin(opened)?;
        self.earlier
            .push(std::mem::replace(&mut self.current, fork));
        Ok(())
    }

    /// Waits for the turn that runs, and ends everything that was started.
    async fn end(self) -> anyhow::Result<()> {
        let mut ended = Ok(());
        for conversation in self.earlier.into_iter().chain([self.current]) {
            ended = ended.and(conversation.end().await);
        }
        if let Some(online) = self.host.online {
            online.end().await;
        }
        self.host.house.shut_down().await;
        ended.and(self.host.house.complain())
    }
}

fn prompt(text: String) -> Prompt {
    Prompt {
        text,
        ..Prompt::default()
    }
}

/// Says which turn heard it.
fn answer(heard: Result<TurnId, NotRunning>) {
    match heard {
        Ok(turn) => line::print(&json!({ "event": "accepted", "turn_id": turn })),
        Err(why) => refuse(&why.to_string()),
    }
}

fn refuse(why: &str) {
    line::print(&json!({ "event": "refused", "reason": why }));
}
