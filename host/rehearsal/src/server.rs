//! The server: takes requests in the order they come and has each answered by the next step.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::events::Names;
use crate::expect;
use crate::http::{Connection, ReadError, RecordedRequest};
use crate::play::{Ending, Player};
use crate::report::{Problem, Report};
use crate::script::{Script, Step, Upgrade};
use crate::wire::Wire;

/// How far a rehearsal has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Requests that came, of any kind.
    pub requests: usize,
    /// Answers that ended, whole or cut.
    pub answered: usize,
    /// Answers that ended because the client closed the connection.
    pub abandoned: usize,
    /// Whether every step has been played.
    pub exhausted: bool,
}

#[derive(Debug, Default)]
struct State {
    step: usize,
    times_played: u32,
    played: usize,
    numbered: usize,
    upgrades: usize,
    requests: Vec<RecordedRequest>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    script: Script,
    state: Mutex<State>,
    gate: Semaphore,
    progress: watch::Sender<Progress>,
}

/// A running server on the loopback interface. Dropping it stops it.
#[derive(Debug)]
pub struct RehearsalServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl RehearsalServer {
    /// Starts a server on a free port.
    ///
    /// # Errors
    /// When no loopback port can be opened.
    pub async fn start(script: Script) -> std::io::Result<Self> {
        Self::start_on(script, 0).await
    }

    /// Starts a server on a port; 0 takes a free one.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn start_on(script: Script, port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            script,
            state: Mutex::default(),
            gate: Semaphore::new(0),
            progress: watch::Sender::new(Progress::default()),
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(accept(
            listener,
            Arc::clone(&shared),
            tasks.clone(),
            stop.clone(),
        ));
        Ok(Self {
            address,
            shared,
            tasks,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        })
    }

    /// What clients use as base URL: `http://127.0.0.1:<port>/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Every request so far, in the order they came.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().requests.clone()
    }

    /// Lets one `gate` action pass, now or when it is reached.
    pub fn open_gate(&self) {
        self.shared.gate.add_permits(1);
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        *self.shared.progress.borrow()
    }

    /// Waits until the rehearsal has come so far.
    pub async fn wait_until(&self, reached: impl FnMut(&Progress) -> bool) -> Progress {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress.wait_for(reached).await.map(|progress| *progress);
        reached.expect("the sender lives in `self`")
    }

    /// How it has gone so far. Steps that are still to come count as problems.
    pub fn report(&self) -> Report {
        let state = self.shared.state();
        let mut problems = state.problems.clone();
        if let Some(step) = self.shared.script.steps.get(state.step) {
            problems.push(Problem::Unplayed {
                step: state.step + 1,
                line: step.line,
                steps: self.shared.script.steps.len(),
            });
        }
        Report {
            played: state.played,
            problems,
        }
    }

    /// Stops at once, breaking what is being answered, and says how it went.
    pub async fn stop(self) -> Report {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.report()
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut number = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (shared, stop) = (Arc::clone(&shared), stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = serve(stream, number, &shared) => {}
                        () = stop.cancelled() => {}
                    }
                });
                number += 1;
            }
            Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
        }
    }
}

/// Answers the requests of one connection, one after the other.
async fn serve(stream: TcpStream, number: u64, shared: &Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small writes of this connection may be delayed");
    }
    let mut connection = Connection::new(stream, number);
    loop {
        match connection.read_request().await {
            Ok(Some(request)) if request.is_upgrade() => {
                connection = match shared.upgrade(connection, request).await {
                    Some(connection) => connection,
                    None => return,
                };
            }
            Ok(Some(request)) => {
                let close = request.wants_close();
                let wire = Wire::Http(&mut connection);
                if shared.answer(wire, request, None).await != Ending::Whole || close {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "a request could not be read");
                if !matches!(error, ReadError::Io(_)) {
                    let refused = connection
                        .write_response(400, &[], &error_body(&error.to_string()))
                        .await;
                    drop(refused); // The client may be gone already; there is nobody else to tell.
                }
                return;
            }
        }
    }
}

/// What the script has for a request.
enum Cue<'a> {
    Play { step: &'a Step, names: Names },
    Refuse(String),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counters that are still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request, or a message that `warm_up` is the answer to.
    pub(crate) async fn answer(
        &self,
        mut wire: Wire<'_>,
        request: RecordedRequest,
        warm_up: Option<&Step>,
    ) -> Ending {
        let aside = aside(&request);
        let cue = match (warm_up, &aside) {
            (Some(step), _) => Some(Cue::Play {
                step,
                names: Names::warm(),
            }),
            (None, None) => Some(self.cue(&request)),
            (None, Some(_)) => None,
        };
        self.note(request);
        let ending = match (aside, cue) {
            (Some((status, body)), None) => Ending::of(wire.refuse(status, &[], &body).await),
            (_, Some(Cue::Play { step, names })) => {
                Player::new(wire, &self.gate, &self.script.model, names)
                    .play(step)
                    .await
            }
            (_, Some(Cue::Refuse(why))) => {
                let body = error_text(&why);
                Ending::of(wire.refuse(400, &[], &body).await)
            }
            (None, None) => Ending::Whole,
        };
        self.answered(ending);
        ending
    }

    fn note(&self, request: RecordedRequest) {
        self.state().requests.push(request);
        self.progress.send_modify(|progress| progress.requests += 1);
    }

    /// Counts an answer that ended. None where its connection is of no more use.
    pub(crate) fn answered(&self, ending: Ending) -> Option<()> {
        let exhausted = self.state().step >= self.script.steps.len();
        self.progress.send_modify(|progress| {
            progress.answered += 1;
            progress.abandoned += usize::from(ending == Ending::ClientGone);
            progress.exhausted = exhausted;
        });
        (ending == Ending::Whole).then_some(())
    }

    /// The script's answer to an upgrade; none where it speaks of none.
    pub(crate) fn next_upgrade(&self, request: &RecordedRequest) -> Option<&Upgrade> {
        self.note(request.clone());
        let mut state = self.state();
        let index = state.upgrades;
        state.upgrades += 1;
        let upgrades = &self.script.upgrades;
        upgrades.get(index).or(upgrades.last())
    }

    /// Finds the step for a request and compares it. The step is used up even if the request is not the expected
    /// one: an error is an answer too, and the next request belongs to the next step.
    fn cue(&self, request: &RecordedRequest) -> Cue<'_> {
        let mut state = self.state();
        let index = state.step;
        let Some(step) = self.script.steps.get(index) else {
            let answered = self.script.steps.iter().map(|step| step.times).sum();
            return state.refuse(Problem::Surplus { answered });
        };
        state.times_played += 1;
        state.numbered += 1;
        if state.times_played == step.times {
            state.times_played = 0;
            state.step += 1;
        }
        let differences = expect::differences(&step.expect, request);
        if differences.is_empty() {
            state.played += 1;
            Cue::Play {
                step,
                names: Names::numbered(state.numbered),
            }
        } else {
            state.refuse(Problem::Mismatch {
                step: index + 1,
                line: step.line,
                differences,
            })
        }
    }
}

impl State {
    fn refuse(&mut self, problem: Problem) -> Cue<'static> {
        let why = problem.to_string();
        self.problems.push(problem);
        Cue::Refuse(why)
    }
}

/// Requests that are no part of the script: model lists, and what no Responses server knows.
fn aside(request: &RecordedRequest) -> Option<(u16, String)> {
    let path = request.path_alone();
    match request.method.as_str() {
        "POST" | "WEBSOCKET" if path.ends_with("/responses") => None,
        "GET" if path.ends_with("/models") => Some((200, r#"{"models":[]}"#.to_owned())),
        method => Some((
            404,
            error_text(&format!("a rehearsal does not know {method} {path}")),
        )),
    }
}

pub(crate) fn error_body(message: &str) -> Vec<u8> {
    error_text(message).into_bytes()
}

fn error_text(message: &str) -> String {
    let message = format!("rehearsal: {message}");
    json!({ "error": { "type": "rehearsal", "code": "rehearsal", "message": message } }).to_string()
}
