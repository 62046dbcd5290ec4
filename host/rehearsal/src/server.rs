//! The server: takes requests in the order they come and has each answered by the next step.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::expect;
use crate::http::{Connection, ReadError, RecordedRequest};
use crate::play::{Ending, Player};
use crate::report::{Problem, Report};
use crate::script::{Script, Step};

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
    requests: Vec<RecordedRequest>,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Shared {
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
async fn serve(stream: TcpStream, number: u64, shared: &Shared) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "small writes of this connection may be delayed");
    }
    let mut connection = Connection::new(stream, number);
    loop {
        match connection.read_request().await {
            Ok(Some(request)) => {
                let close = request.wants_close();
                if shared.answer(&mut connection, request).await != Ending::Whole || close {
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
    Play { step: &'a Step, number: usize },
    Refuse(String),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counters that are still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, connection: &mut Connection, request: RecordedRequest) -> Ending {
        let aside = aside(&request);
        let cue = match aside {
            None => Some(self.cue(&request)),
            Some(_) => None,
        };
        self.state().requests.push(request);
        self.progress.send_modify(|progress| progress.requests += 1);
        let ending = match (aside, cue) {
            (Some((status, body)), _) => whole(connection.write_response(status, &[], &body).await),
            (None, Some(Cue::Play { step, number })) => {
                Player::new(connection, &self.gate, &self.script.model, number)
                    .play(step)
                    .await
            }
            (None, Some(Cue::Refuse(why))) => {
                whole(connection.write_response(400, &[], &error_body(&why)).await)
            }
            (None, None) => Ending::Whole,
        };
        let exhausted = self.state().step >= self.script.steps.len();
        self.progress.send_modify(|progress| {
            progress.answered += 1;
            progress.abandoned += usize::from(ending == Ending::ClientGone);
            progress.exhausted = exhausted;
        });
        ending
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
                number: state.numbered,
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

fn whole(written: std::io::Result<()>) -> Ending {
    match written {
        Ok(()) => Ending::Whole,
        Err(_) => Ending::ClientGone,
    }
}

/// Requests that are no part of the script: upgrades, model lists, and what no Responses server knows.
fn aside(request: &RecordedRequest) -> Option<(u16, Vec<u8>)> {
    let path = request.path_alone();
    match request.method.as_str() {
        "POST" if path.ends_with("/responses") => None,
        "GET" if request.is_upgrade() => Some((426, error_body("a rehearsal speaks HTTP only"))),
        "GET" if path.ends_with("/models") => Some((200, br#"{"models":[]}"#.to_vec())),
        method => Some((
            404,
            error_body(&format!("a rehearsal does not know {method} {path}")),
        )),
    }
}

fn error_body(message: &str) -> Vec<u8> {
    let message = format!("rehearsal: {message}");
    json!({ "error": { "type": "rehearsal", "code": "rehearsal", "message": message } })
        .to_string()
        .into_bytes()
}
