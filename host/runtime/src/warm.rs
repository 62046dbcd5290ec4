//! A task that owns one warm instance: calls come in through a mailbox and answers go back one by one.
//!
//! The instance is made with the first call. A fault, or a caller that stops waiting, costs it: the task takes the
//! instance out for the length of a call and puts it back only after an answer, so that no way out of a call can
//! leave a broken one behind.

use std::sync::Arc;

use dovetail_core::plugin::{PluginError, PluginFault};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use wasmtime::Store;

use crate::guest_state::GuestState;
use crate::instance::{Blueprint, Bounds, Exports, GuestFuture, Live};

/// Callers that wait in line; more wait to get in line. A provider or tool server has one or two.
const MAILBOX: usize = 16;

/// What a new instance is told before its first call: a provider's configuration, a sink's opening.
pub(crate) type SetUp<E> = Arc<
    dyn for<'a> Fn(&'a mut Store<GuestState>, &'a E) -> GuestFuture<'a, Result<(), PluginError>>
        + Send
        + Sync,
>;

/// A way to the task of one instance. The task ends with it.
pub(crate) struct Warm<E: Exports> {
    mailbox: mpsc::Sender<Message<E>>,
    _task: AbortOnDropHandle<()>,
}

type Message<E> = Box<dyn for<'a> FnOnce(&'a mut Owner<E>) -> BoxFuture<'a, ()> + Send>;

impl<E: Exports> Warm<E> {
    /// Starts the task; makes no instance yet. `set_up` runs on each new instance within `bounds`.
    pub(crate) fn start(blueprint: Arc<Blueprint<E>>, set_up: Option<(Bounds, SetUp<E>)>) -> Self {
        let (mailbox, mut inbox) = mpsc::channel::<Message<E>>(MAILBOX);
        let task = tokio::spawn(async move {
            let mut owner = Owner {
                blueprint,
                set_up,
                live: None,
            };
            while let Some(message) = inbox.recv().await {
                message(&mut owner).await;
            }
        });
        Self {
            mailbox,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Calls into the instance. Dropping the future ends the call, and the instance with it.
    pub(crate) async fn call<R, W>(&self, bounds: Bounds, work: W) -> Result<R, PluginError>
    where
        R: Send + 'static,
        W: for<'a> FnOnce(&'a mut Store<GuestState>, &'a E) -> GuestFuture<'a, R> + Send + 'static,
    {
        let (mut reply, answer) = oneshot::channel();
        let message: Message<E> = Box::new(move |owner| {
            Box::pin(async move {
                let outcome = tokio::select! {
                    biased;
                    () = reply.closed() => return,
                    outcome = owner.serve(bounds, work) => outcome,
                };
                // The caller may have gone in this very moment; then nobody wants the answer.
                drop(reply.send(outcome));
            })
        });
        let gone = || PluginError::Other("the host is shutting down".to_owned());
        self.mailbox.send(message).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Owner<E: Exports> {
    blueprint: Arc<Blueprint<E>>,
    set_up: Option<(Bounds, SetUp<E>)>,
    live: Option<Live<E>>,
}

impl<E: Exports> Owner<E> {
    async fn serve<R, W>(&mut self, bounds: Bounds, work: W) -> Result<R, PluginError>
    where
        W: for<'a> FnOnce(&'a mut Store<GuestState>, &'a E) -> GuestFuture<'a, R> + Send,
    {
        self.blueprint.plugin().admit()?;
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.renew().await?,
        };
        let outcome = self.blueprint.call(&mut live, bounds, work).await;
        let answer = self.noted(outcome)?;
        self.live = Some(live);
        Ok(answer)
    }

    /// Makes an instance that is ready for calls.
    async fn renew(&mut self) -> Result<Live<E>, PluginError> {
        let pause = self.blueprint.plugin().back_off();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let made = self.blueprint.instantiate().await;
        let mut live = self.noted(made)?;
        if let Some((bounds, set_up)) = &self.set_up {
            let ready = self
                .blueprint
                .call(&mut live, *bounds, |store, exports| set_up(store, exports))
                .await;
            self.noted(ready)??;
        }
        Ok(live)
    }

    fn noted<R>(&self, outcome: Result<R, PluginFault>) -> Result<R, PluginFault> {
        outcome.inspect_err(|fault| self.blueprint.plugin().faulted(fault))
    }
}
