//! A keyring for tests: a session bus of its own, and a scripted Secret Service on it.

mod objects;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use objects::{Collection, Prompt, Service};

/// A session bus that ends with its value.
#[derive(Debug)]
pub struct Bus {
    daemon: Child,
    address: String,
    _dir: TempDir,
}

impl Bus {
    /// Starts `dbus-daemon`; none where it is not installed, which is said.
    #[expect(clippy::print_stderr, reason = "a test that does not run says so")]
    pub fn start() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = dir.path().join("bus.conf");
        let listen = format!("unix:path={}", dir.path().join("bus").display());
        let text = format!(
            "<busconfig><type>session</type><listen>{listen}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>"
        );
        std::fs::write(&config, text).expect("written");
        let started = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg("--print-address=1")
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut daemon) = started else {
            eprintln!("not run: `dbus-daemon` is not installed");
            return None;
        };
        let stdout = daemon.stdout.take().expect("it is a pipe");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it listens");
        Some(Self {
            daemon,
            address: line.trim().to_owned(),
            _dir: dir,
        })
    }

    /// The value of `DBUS_SESSION_BUS_ADDRESS`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to wait for either.
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

/// What becomes of a locked keyring's prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompting {
    /// The keyring is not locked.
    Never,
    /// The user unlocks it.
    Accepted,
    /// The user closes it.
    Dismissed,
    /// There is no user.
    Unanswered,
}

/// The attributes of an item and its value.
pub type Kept = (BTreeMap<String, String>, Vec<u8>);

/// What the service holds.
#[derive(Debug)]
pub(crate) struct State {
    items: BTreeMap<u32, Kept>,
    made: u32,
    prompting: Prompting,
    locked: bool,
    asked: usize,
}

pub(crate) type Shared = Arc<Mutex<State>>;

/// A Secret Service that keeps things in memory.
#[derive(Debug)]
pub struct Scripted {
    state: Shared,
    connection: zbus::Connection,
}

impl Scripted {
    /// Serves on a bus. A keyring that prompts is locked to begin with.
    pub async fn start(bus: &Bus, prompting: Prompting) -> Self {
        let state = Arc::new(Mutex::new(State {
            items: BTreeMap::new(),
            made: 0,
            prompting,
            locked: prompting != Prompting::Never,
            asked: 0,
        }));
        let builder = zbus::connection::Builder::address(bus.address())
            .and_then(|builder| builder.serve_at(objects::SERVICE, Service(Arc::clone(&state))))
            .and_then(|builder| {
                builder.serve_at(objects::COLLECTION, Collection(Arc::clone(&state)))
            })
            .and_then(|builder| builder.serve_at(objects::PROMPT, Prompt(Arc::clone(&state))))
            .and_then(|builder| builder.name("org.freedesktop.secrets"));
        let connection = builder.expect("it is well set up").build().await;
        Self {
            state,
            connection: connection.expect("the bus takes it"),
        }
    }

    /// Keeps an item, as another program would.
    pub async fn keep(&self, attributes: &[(&str, &str)], value: &[u8]) {
        let attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        objects::keep(
            &self.state,
            self.connection.object_server(),
            (attributes, value.to_vec()),
        )
        .await
        .expect("it is kept");
    }

    /// All that is kept.
    pub fn items(&self) -> Vec<Kept> {
        let state = self.state.lock().expect("no test panics while it holds it");
        state.items.values().cloned().collect()
    }

    /// How often anything was looked for.
    pub fn asked(&self) -> usize {
        self.state
            .lock()
            .expect("no test panics while it holds it")
            .asked
    }
}
