//! Owns the running commands of a thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dovetail_core::approval::Approver;
use dovetail_core::ids::CallId;
use dovetail_core::tool::CallContext;
use dovetail_sandbox::{Sandbox, SandboxMode, SandboxPolicy};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::life::Life;
use super::login::{self, Login, Variables, Way};
use super::session::{Command, Session};
use super::shell::{self, Invocation};
use super::spawn::{self, SpawnError, Start};
use super::trial::Trial;
use crate::environment::Environment;
use crate::options::ToolOptions;

/// The most commands at a time.
const MAX_SESSIONS: usize = 64;

/// Numbers of sessions begin here, so that they look like no process id, exit code or count.
const FIRST_SESSION: u32 = 1001;

/// How long killed commands are waited for at the end.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// The running commands. Tell it when the session ends: [`ExecManager::shutdown`].
pub struct ExecManager {
    sandbox: Arc<Sandbox>,
    /// For commands that somebody let out of the sandbox.
    outside: Sandbox,
    environment: Environment,
    shell: PathBuf,
    approval_policy: String,
    approver: Option<Arc<dyn Approver>>,
    version: String,
    token_limit: u64,
    /// What is known of the user's profile; none where it is to be read every time.
    login: Option<Arc<Login>>,
    sessions: Mutex<Sessions>,
    /// Told of each place that may have become free.
    freed: Arc<Notify>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What a call wants to be run.
pub(super) struct Order {
    pub(super) invocation: Invocation,
    pub(super) directory: PathBuf,
    pub(super) terminal: bool,
    /// Whether it runs outside of the sandbox. Whoever was asked for that sees it already.
    pub(super) approved: bool,
}

/// A place among the running commands, and the number of the one that takes it. Dropped, it is free again.
pub(super) struct Place<'a> {
    id: u32,
    manager: &'a ExecManager,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.manager.sessions().starting -= 1;
        self.manager.freed.notify_one();
    }
}

#[derive(Default)]
struct Sessions {
    /// How many were ever begun, for their numbers.
    begun: u32,
    /// How many are being started, and are not in the map yet.
    starting: usize,
    by_id: BTreeMap<u32, Arc<Session>>,
}

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("{MAX_SESSIONS} commands are running already; end one first")]
    TooMany,
    #[error("the session is ending")]
    Stopping,
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl ExecManager {
    pub(crate) fn new(options: ToolOptions) -> Self {
        let sandbox = Arc::new(Sandbox::new(options.sandbox_policy()));
        let outside = Sandbox::new(SandboxPolicy {
            mode: SandboxMode::DangerFullAccess,
            ..sandbox.policy().clone()
        });
        let token_limit = options.output_tokens();
        let users = std::env::var_os("SHELL");
        let shell = shell::default_shell(options.shell, users.as_deref());
        // Where nobody has said what the user's shell is, programs need not search for it either.
        let missing = users
            .is_none()
            .then(|| ("SHELL".into(), shell.clone().into()));
        let environment = Environment::new(
            &options.environment,
            &options.secret_variables,
            std::env::vars_os().chain(missing),
        );
        Self {
            sandbox,
            outside,
            login: options.learn_profile.then(Arc::default),
            shell,
            environment,
            approval_policy: options.approval_policy,
            approver: options.approver,
            version: options.version,
            token_limit,
            sessions: Mutex::default(),
            freed: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Kills every command and everything it started, waits for them, and lets go of held names. Commands are refused
    /// afterwards.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some commands could not be ended in time");
        }
        let sandbox = Arc::clone(&self.sandbox);
        if tokio::task::spawn_blocking(move || sandbox.close())
            .await
            .is_err()
        {
            tracing::warn!("cleaning up after commands failed");
        }
        self.sessions().by_id.clear();
    }

    pub(super) fn shell(&self) -> &std::path::Path {
        &self.shell
    }

    /// Where commands run unless a turn or a call says otherwise.
    pub(super) fn directory(&self) -> &std::path::Path {
        &self.sandbox.policy().cwd
    }

    pub(super) fn approval_policy(&self) -> &str {
        &self.approval_policy
    }

    /// Whoever can be asked; nobody is where the policy is `never`.
    pub(super) fn approver(&self) -> Option<&dyn Approver> {
        let approver = self.approver.as_deref();
        approver.filter(|_| self.approval_policy != "never")
    }

    /// How many tokens a call may show: what it asks for, within what any output may have.
    pub(super) fn token_budget(&self, asked: Option<u64>) -> u64 {
        asked.unwrap_or(self.token_limit).min(self.token_limit)
    }

    /// Takes a place for a new command, waiting until there is one: a model may ask for hundreds of short commands in one
    /// response.
    pub(super) async fn place(&self, patience: Duration) -> Result<Place<'_>, RunError> {
        let deadline = Instant::now() + patience;
        loop {
            let freed = self.freed.notified();
            match self.reserve() {
                Err(RunError::TooMany) => {}
                Err(error @ (RunError::Stopping | RunError::Spawn(_))) => return Err(error),
                Ok(id) => return Ok(Place { id, manager: self }),
            }
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Err(RunError::TooMany);
            }
        }
    }

    /// Starts a command in its place; it appears in the events at once. Whoever drops its life leaves it running.
    pub(super) fn start(
        &self,
        place: Place<'_>,
        order: Order,
        context: &CallContext,
        call_id: &CallId,
    ) -> Result<(Arc<Session>, Life), RunError> {
        let id = place.id;
        let Order {
            invocation,
            directory,
            terminal,
            approved,
        } = order;
        let sandbox = match approved {
            true => &self.outside,
            false => &*self.sandbox,
        };
        let environment = self.variables(sandbox, context, call_id, terminal);
        let (start, trial) = self.prepare(&invocation, directory, environment, terminal);
        let (child, output) = spawn::spawn(&start, sandbox)?;
        let session = Session::new(
            id,
            Command {
                argv: invocation.argv(),
                directory: start.directory,
                leader: child.id(),
                marks: [context.thread_id.to_string(), call_id.as_str().to_owned()],
            },
            &output,
            Arc::clone(&self.freed),
        );
        let session = Arc::new(session);
        if !approved {
            context.started(call_id, session.activity());
        }
        self.sessions().by_id.insert(id, Arc::clone(&session));
        // The session has it now.
        drop(place);
        let reporter = (context.clone(), call_id.clone());
        let whole = Arc::clone(&session).run(child, output, self.stop.clone(), reporter);
        if let Some(trial) = trial {
            self.learn(trial);
        }
        Ok((session, Life::new(Box::pin(whole), self.tasks.clone())))
    }

    /// What to start for a command, and what to try beside it.
    fn prepare(
        &self,
        invocation: &Invocation,
        directory: PathBuf,
        environment: Variables,
        terminal: bool,
    ) -> (Start, Option<Trial>) {
        let way = match &self.login {
            Some(login) if !terminal && invocation.is_bash_login(&self.shell) => {
                login.way(&directory, &invocation.command, &environment)
            }
            Some(_) | None => Way::Whole,
        };
        let mut start = Start {
            argv: invocation.argv(),
            directory,
            environment,
            terminal,
        };
        let mut trial = None;
        match way {
            Way::Whole => {}
            Way::WholeAndLearn => {
                trial = Some(Trial {
                    shell: self.shell.clone(),
                    directory: start.directory.clone(),
                    variables: start.environment.clone(),
                });
            }
            Way::Short(learnt) => {
                start.argv = invocation.plain_argv();
                start.environment = login::merged(&learnt, &start.environment);
            }
        }
        (start, trial)
    }

    /// Finds out in the background what the profile does.
    fn learn(&self, trial: Trial) {
        let Some(login) = self.login.clone() else {
            return;
        };
        let (sandbox, stop) = (Arc::clone(&self.sandbox), self.stop.clone());
        self.tasks.spawn(async move {
            let files = trial.files();
            let learnt = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                learnt = trial.run(&sandbox) => learnt,
            };
            login.learnt(trial.directory, files, learnt);
        });
    }

    pub(super) fn find(&self, id: u32) -> Option<Arc<Session>> {
        self.sessions().by_id.get(&id).map(Arc::clone)
    }

    /// Forgets a command whose end was reported.
    pub(super) fn forget(&self, id: u32) {
        self.sessions().by_id.remove(&id);
    }

    /// Takes a place and a number for a new command. Makes room by forgetting ended ones that nobody asked about,
    /// oldest first.
    fn reserve(&self) -> Result<u32, RunError> {
        if self.stop.is_cancelled() {
            return Err(RunError::Stopping);
        }
        let mut sessions = self.sessions();
        if sessions.by_id.len() + sessions.starting >= MAX_SESSIONS {
            let mut known = sessions.by_id.values();
            let ended = known.find(|session| session.has_ended());
            let id = ended.map(|session| session.id).ok_or(RunError::TooMany)?;
            sessions.by_id.remove(&id);
        }
        sessions.starting += 1;
        sessions.begun += 1;
        Ok(FIRST_SESSION + sessions.begun - 1)
    }

    fn variables(
        &self,
        sandbox: &Sandbox,
        context: &CallContext,
        call_id: &CallId,
        terminal: bool,
    ) -> Variables {
        let network_off = !sandbox.policy().network_allowed();
        let always = [
            ("CODEX_THREAD_ID", context.thread_id.to_string()),
            ("CODEX_SESSION_ID", context.session_id.to_string()),
            ("CODEX_TOOL_CALL_ID", call_id.as_str().to_owned()),
            ("CODEX_VERSION", self.version.clone()),
            ("CODEX_CI", "1".to_owned()),
            (
                "TERM",
                if terminal { "xterm-256color" } else { "dumb" }.to_owned(),
            ),
        ];
        let restricted = network_off.then(|| ("CODEX_SANDBOX_NETWORK_DISABLED", "1".to_owned()));
        self.environment.with(always.into_iter().chain(restricted))
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
