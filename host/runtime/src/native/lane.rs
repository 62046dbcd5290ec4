//! The way into one native plugin: a thread of its own that makes one call at a time, and a task that watches it.
//!
//! Native code cannot be stopped. A call that is late leaves its thread behind: it counts as a fault, the turn goes on, and
//! every further call is refused at once for as long as the late one has not returned. If it does after all, the plugin
//! is opened anew on the same thread. A caller that stops waiting does not end the watch, so a call that hangs is noticed
//! even if nobody wants its answer any more.

use std::collections::BTreeMap;
use std::sync::mpsc as thread_mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dovetail_core::plugin::{PluginError, PluginFault};
use dovetail_native_api::abi::status;
use dovetail_native_api::op::{OPEN, Op};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::mark::Mark;
use super::pool;
use super::sys::{Library, OpenError, Output, Watch};
use crate::convert;
use crate::digest::Sha256;
use crate::plugin_context::PluginContext;

/// Callers that wait in line; more wait to get in line.
const MAILBOX: usize = 16;

/// Linking a library and starting what is in it. Large ones map files and open devices.
const START: Duration = Duration::from_secs(10);

/// What other programs give a thread; libraries expect it.
const STACK: usize = 8 << 20;

/// An answer as bytes; none where the library does not implement the operation.
pub(super) type Answer = Option<Vec<u8>>;

/// A way to one library. Its task ends with it, and the thread with the call that it is in.
pub(super) struct Lane {
    mailbox: mpsc::Sender<Message>,
    replay: Arc<Replay>,
    plugin: Arc<PluginContext>,
    _task: AbortOnDropHandle<()>,
}

struct Message {
    op: Op,
    input: Vec<u8>,
    wall: Duration,
    reply: oneshot::Sender<Result<Answer, PluginError>>,
}

/// By operation and what it is about.
type Operations = BTreeMap<(u32, String), (Op, Vec<u8>)>;

/// Operations that a library is told again after it has been opened anew.
#[derive(Default)]
struct Replay(Mutex<Operations>);

impl Replay {
    fn operations(&self) -> MutexGuard<'_, Operations> {
        // Nothing panics while holding the lock; a map of bytes is usable in any state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Starts a thread for a library that is open, and opens the plugin in it with `opening`.
    pub(super) async fn start(
        started: Started,
        plugin: Arc<PluginContext>,
        opening: Vec<u8>,
    ) -> Result<Self, PluginError> {
        let replay = Arc::<Replay>::default();
        let mut owner = Owner {
            plugin: Arc::clone(&plugin),
            jobs: started.jobs,
            opening,
            replay: Arc::clone(&replay),
            late: None,
            is_open: false,
        };
        owner.open().await?;
        let (mailbox, mut inbox) = mpsc::channel::<Message>(MAILBOX);
        let task = tokio::spawn(async move {
            while let Some(message) = inbox.recv().await {
                // Nobody waits for it any more, and it has not begun.
                if message.reply.is_closed() {
                    continue;
                }
                let outcome = owner.serve(message.op, message.input, message.wall).await;
                // The caller may have gone meanwhile; then nobody wants the answer.
                drop(message.reply.send(outcome));
            }
        });
        Ok(Self {
            mailbox,
            replay,
            plugin,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// The plugin.
    pub(super) fn plugin(&self) -> &Arc<PluginContext> {
        &self.plugin
    }

    /// Makes a call when its turn comes. Dropping the future gives up the answer; the call itself goes on.
    pub(super) async fn call(
        &self,
        op: Op,
        input: Vec<u8>,
        wall: Duration,
    ) -> Result<Answer, PluginError> {
        // Before getting in line behind the call that led to it.
        self.plugin.admit()?;
        let (reply, answer) = oneshot::channel();
        let message = Message {
            op,
            input,
            wall,
            reply,
        };
        let gone = || PluginError::Other("the host is shutting down".to_owned());
        self.mailbox.send(message).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Has an operation repeated whenever the plugin is opened anew.
    pub(super) fn remember(&self, op: Op, about: &str, input: Vec<u8>) {
        let key = (op.number, about.to_owned());
        self.replay.operations().insert(key, (op, input));
    }
}

/// The watching side: owned by the lane's task.
struct Owner {
    plugin: Arc<PluginContext>,
    jobs: thread_mpsc::Sender<Job>,
    opening: Vec<u8>,
    replay: Arc<Replay>,
    /// The answer of a call that was late, if it ever comes.
    late: Option<oneshot::Receiver<Output>>,
    is_open: bool,
}

impl Owner {
    async fn serve(
        &mut self,
        op: Op,
        input: Vec<u8>,
        wall: Duration,
    ) -> Result<Answer, PluginError> {
        self.plugin.admit()?;
        if !self.is_open {
            tokio::time::sleep(self.plugin.back_off()).await;
            self.open().await?;
            let again: Vec<_> = self.replay.operations().values().cloned().collect();
            for (op, input) in again {
                let told = self.run(op, input, wall).await;
                // One that does not know its configuration must not serve.
                told.inspect_err(|_| self.is_open = false)?;
            }
        }
        self.run(op, input, wall).await
    }

    async fn open(&mut self) -> Result<(), PluginError> {
        let opened = self.run(OPEN, self.opening.clone(), START).await?;
        self.is_open = true;
        match opened {
            Some(_) => Ok(()),
            None => Err(PluginError::Other(
                "it does not implement `open`, which every native plugin must".to_owned(),
            )),
        }
    }

    /// One call, within bounds. A fault is noted, and has the plugin opened anew before the next.
    async fn run(&mut self, op: Op, input: Vec<u8>, wall: Duration) -> Result<Answer, PluginError> {
        self.check_late()?;
        let started = Instant::now();
        let (reply, mut answer) = oneshot::channel();
        let most = self.plugin.limits().output_bytes;
        let job = Job {
            op,
            input,
            most,
            reply,
        };
        self.jobs.send(job).map_err(|_| self.gone())?;
        let outcome = tokio::time::timeout(wall, &mut answer).await;
        // Its memory is not counted: it is this process's.
        self.plugin.called(started.elapsed(), 0);
        match outcome {
            Ok(Ok(output)) => self.judge(op, output),
            Ok(Err(_)) => Err(self.gone().into()),
            Err(_) => {
                self.late = Some(answer);
                Err(self.broke(PluginFault::Deadline {
                    plugin: self.plugin.id().clone(),
                    call: op.name,
                    limit: wall,
                }))
            }
        }
    }

    /// Whether the thread is still in a call that was late.
    fn check_late(&mut self) -> Result<(), PluginFault> {
        let Some(late) = &mut self.late else {
            return Ok(());
        };
        match late.try_recv() {
            Ok(_) => {
                self.late = None;
                Ok(())
            }
            Err(TryRecvError::Closed) => Err(self.gone()),
            Err(TryRecvError::Empty) => Err(PluginFault::NotLoaded {
                plugin: self.plugin.id().clone(),
                why: "an earlier call of it has not returned, and native code cannot be stopped: \
                      restart dovetail to use it again"
                    .to_owned(),
            }),
        }
    }

    fn judge(&mut self, op: Op, output: Output) -> Result<Answer, PluginError> {
        let limits = self.plugin.limits();
        let (status, bytes) = match output {
            Output::Answer(status, bytes) => (status, bytes),
            Output::TooLong => {
                return Err(self.broke(PluginFault::Limit {
                    plugin: self.plugin.id().clone(),
                    call: op.name,
                    limit: format!("{} KiB of output", limits.output_bytes >> 10),
                }));
            }
            Output::Null => return Err(self.trap(op, "it gave a null pointer with a length")),
            Output::Unwound => return Err(self.trap(op, "it unwound out of its call")),
        };
        match status {
            status::OK => Ok(Some(bytes)),
            status::ERROR => match serde_json::from_slice(&bytes) {
                Ok(error) => Err(convert::from_guest_error(super::convert::error(error))),
                Err(why) => Err(self.trap(op, &format!("its error is not understood: {why}"))),
            },
            status::UNKNOWN => Ok(None),
            status::PANIC => {
                let words = convert::reason(&String::from_utf8_lossy(&bytes));
                Err(self.trap(op, &words))
            }
            other => Err(self.trap(op, &format!("it returned the unknown status {other}"))),
        }
    }

    fn trap(&mut self, op: Op, detail: &str) -> PluginError {
        self.broke(trap(&self.plugin, op, detail))
    }

    fn broke(&mut self, fault: PluginFault) -> PluginError {
        self.is_open = false;
        self.plugin.faulted(&fault);
        fault.into()
    }

    fn gone(&self) -> PluginFault {
        PluginFault::NotLoaded {
            plugin: self.plugin.id().clone(),
            why: "its thread has ended: restart dovetail to use it again".to_owned(),
        }
    }
}

/// A fault of a library that answered, but not as agreed.
pub(super) fn trap(plugin: &PluginContext, op: Op, detail: &str) -> PluginFault {
    PluginFault::Trap {
        plugin: plugin.id().clone(),
        call: op.name,
        detail: detail.to_owned(),
    }
}

/// One call for the thread.
struct Job {
    op: Op,
    input: Vec<u8>,
    most: usize,
    reply: oneshot::Sender<Output>,
}

/// A thread with a library in it.
pub(super) struct Started {
    jobs: thread_mpsc::Sender<Job>,
    /// The manifest in the library's table.
    pub(super) manifest: Vec<u8>,
}

/// Why there is none.
pub(super) enum StartError {
    /// The library cannot be used.
    Open(OpenError),
    /// It did not finish.
    Late(Duration),
    /// The system gives no thread, or the thread ended.
    Thread,
}

/// Opens a library in a thread of its own, where all of its code runs.
pub(super) async fn start(
    name: &str,
    sha256: Sha256,
    bytes: std::borrow::Cow<'static, [u8]>,
    mark: Option<Mark>,
    trying_out: bool,
) -> Result<Started, StartError> {
    let (jobs, inbox) = thread_mpsc::channel::<Job>();
    let (opened, manifest) = oneshot::channel();
    let plugin = name.to_owned();
    let work = move || {
        let _watch = mark
            .as_ref()
            .map(|mark| Watch::this_thread(mark.file(), last_words(&plugin, trying_out)));
        let enter = |call| mark.iter().for_each(|mark| mark.enter(call));
        let leave = || mark.iter().for_each(Mark::leave);
        enter("load");
        let library = match pool::take(&sha256) {
            Some(library) => Ok(library),
            None => Library::open(&plugin, &bytes),
        };
        leave();
        drop(bytes);
        let mut library = match library {
            Ok(library) => library,
            // Where nobody waits any more it was too late, which has been said.
            Err(error) => return drop(opened.send(Err(error))),
        };
        if opened.send(Ok(library.manifest().to_vec())).is_ok() {
            for job in inbox {
                enter(job.op.name);
                let output = library.call(job.op.number, &job.input, job.most);
                leave();
                // The lane may have ended meanwhile.
                drop(job.reply.send(output));
            }
        }
        pool::put(sha256, library);
    };
    // Nobody joins it: a call that never returns would never end that. It ends when its lane does.
    let thread = thread::Builder::new()
        .name(format!("native {name}"))
        .stack_size(STACK);
    thread.spawn(work).map_err(|_| StartError::Thread)?;
    match tokio::time::timeout(START, manifest).await {
        Ok(Ok(Ok(manifest))) => Ok(Started { jobs, manifest }),
        Ok(Ok(Err(error))) => Err(StartError::Open(error)),
        Ok(Err(_)) => Err(StartError::Thread),
        Err(_) => Err(StartError::Late(START)),
    }
}

/// What is shown when a plugin takes the process with it.
fn last_words(plugin: &str, trying_out: bool) -> String {
    let hint = match trying_out {
        true => "run dovetail in a debugger to see where".to_owned(),
        false => format!("it is not used again before: dovetail plugin enable {plugin}"),
    };
    format!(
        "\nerror: plugin `{plugin}` crashed; it is native code, which takes dovetail with it\nhint: {hint}\n"
    )
}
