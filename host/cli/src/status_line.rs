//! The last line of a terminal while a turn runs: how long it has taken and what it waits for. It changes in place and
//! leaves nothing behind.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dovetail_core::event::{Observer, ToolActivity, TurnEvent};
use dovetail_core::ids::ThreadId;

use crate::render;
use crate::terminal_text::{grouped, one_line, short_duration};

/// Seconds are shown, so more often than this would only cost power.
const TICK: Duration = Duration::from_millis(500);
/// Goes to the first column and clears the line.
const CLEAR: &str = "\r\x1b[2K";
/// One less than the usual width: some terminals wrap when the last column is written.
const WIDTH: usize = 79;

/// Draws the line, and follows the turn to know what to draw. Goes away with the end of the turn, or when dropped.
pub(crate) struct StatusLine<W> {
    terminal: Arc<Mutex<Terminal<W>>>,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

/// A terminal with the line at its end.
struct Terminal<W> {
    out: W,
    drawn: bool,
    started: Instant,
    /// What the turn waits for; none before it begins and after it ends.
    doing: Option<String>,
    tokens: u64,
}

/// Writes above the line.
pub(crate) struct AboveLine<W>(Arc<Mutex<Terminal<W>>>);

impl<W: Write + Send + 'static> StatusLine<W> {
    /// Takes over a terminal. Everything else must be written through the second part.
    pub(crate) fn start(out: W) -> (Self, AboveLine<W>) {
        let terminal = Terminal::new(out);
        let (stop, stopped) = channel();
        let shared = Arc::clone(&terminal);
        let tick = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                lock(&shared).draw();
            }
        };
        // Without a thread there is no line; the turn itself does not depend on it.
        let ticker = std::thread::Builder::new()
            .name("status-line".into())
            .spawn(tick)
            .ok();
        let ticker = ticker.map(|thread| (stop, thread));
        (
            Self {
                terminal: Arc::clone(&terminal),
                ticker,
            },
            AboveLine(terminal),
        )
    }
}

impl<W> StatusLine<W> {
    fn stop(&mut self) {
        if let Some((stop, thread)) = self.ticker.take() {
            drop(stop);
            // It only draws; had it panicked, the panic was reported already.
            drop(thread.join());
        }
    }
}

impl<W> Drop for StatusLine<W> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<W: Write + Send> Observer for StatusLine<W> {
    fn observe(&mut self, _: ThreadId, event: &TurnEvent) {
        let mut terminal = lock(&self.terminal);
        match event {
            TurnEvent::TurnStarted { .. } | TurnEvent::ReviewStarted { .. } => {
                terminal.started = Instant::now();
                terminal.doing = Some("waiting for the model".to_owned());
            }
            TurnEvent::TextDelta { .. } => terminal.doing = Some("answering".to_owned()),
            TurnEvent::ReasoningDelta { .. } => terminal.doing = Some("thinking".to_owned()),
            TurnEvent::ToolStarted { activity, .. } => terminal.doing = Some(running(activity)),
            TurnEvent::ToolFinished { .. } | TurnEvent::MessageAbandoned { .. } => {
                terminal.doing = Some("waiting for the model".to_owned())
            }
            TurnEvent::CompactionStarted { .. } => {
                terminal.doing = Some("compacting the context".to_owned());
            }
            TurnEvent::Compacted(_) | TurnEvent::CompactionAbandoned { .. } => {
                terminal.doing = Some("waiting for the model".to_owned());
            }
            TurnEvent::ApprovalRequested(_) => {
                terminal.doing = Some("waiting for an answer".to_owned());
            }
            TurnEvent::WaitingForNetwork { .. } => {
                terminal.doing = Some("waiting for network".to_owned());
            }
            TurnEvent::RequestCompleted { thread_total, .. } => {
                terminal.tokens = thread_total.total_tokens
            }
            TurnEvent::TurnCompleted { .. }
            | TurnEvent::TurnFailed { .. }
            | TurnEvent::TurnAborted { .. } => {
                terminal.doing = None;
                terminal.clear();
                drop(terminal);
                self.stop();
            }
            TurnEvent::Settings { .. }
            | TurnEvent::ItemRecorded { .. }
            | TurnEvent::UserMessage { .. }
            | TurnEvent::MessageStarted { .. }
            | TurnEvent::ToolCalled { .. }
            | TurnEvent::HookRan(_)
            | TurnEvent::ReviewEnded { .. }
            | TurnEvent::Reconnecting { .. }
            | TurnEvent::ContextFull { .. }
            | TurnEvent::Warning { .. } => {}
        }
    }
}

fn running(activity: &ToolActivity) -> String {
    match activity {
        ToolActivity::Command { command, .. } => {
            format!("running {}", one_line(render::script(command), 40))
        }
        ToolActivity::Server { server, tool, .. } => {
            format!("waiting for {}", one_line(&format!("{server}.{tool}"), 40))
        }
        ToolActivity::Patch { .. } => "editing".to_owned(),
        ToolActivity::Plan { .. } | ToolActivity::Image { .. } => "working".to_owned(),
    }
}

impl<W: Write> Terminal<W> {
    fn new(out: W) -> Arc<Mutex<Self>> {
        let terminal = Self {
            out,
            drawn: false,
            started: Instant::now(),
            doing: None,
            tokens: 0,
        };
        Arc::new(Mutex::new(terminal))
    }

    fn draw(&mut self) {
        let Some(doing) = &self.doing else { return };
        let elapsed = match self.started.elapsed().as_secs() {
            seconds @ ..60 => format!("{seconds} s"),
            seconds => short_duration(Duration::from_secs(seconds)),
        };
        let tokens = match self.tokens {
            0 => String::new(),
            tokens => format!(" · {} tokens", grouped(tokens)),
        };
        let line = one_line(
            &format!("{elapsed} · {doing}{tokens} · Ctrl-C interrupts"),
            WIDTH,
        );
        self.drawn = true;
        // A terminal that went away is no error of the turn, here and below.
        drop(write!(self.out, "{CLEAR}{line}").and_then(|()| self.out.flush()));
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            drop(write!(self.out, "{CLEAR}").and_then(|()| self.out.flush()));
        }
    }
}

impl<W: Write> Write for AboveLine<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut terminal = lock(&self.0);
        terminal.clear();
        terminal.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        lock(&self.0).out.flush()
    }
}

fn lock<W>(terminal: &Mutex<Terminal<W>>) -> MutexGuard<'_, Terminal<W>> {
    // What a panic can leave behind here is half a line on the screen, which the next one clears.
    terminal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transcript with the line below it. The line follows first, so that it is gone when the answer is printed.
pub(crate) struct WithStatusLine<W, T> {
    pub(crate) line: StatusLine<W>,
    pub(crate) transcript: T,
}

impl<W: Write + Send, T: Observer> Observer for WithStatusLine<W, T> {
    fn observe(&mut self, thread_id: ThreadId, event: &TurnEvent) {
        self.line.observe(thread_id, event);
        self.transcript.observe(thread_id, event);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use dovetail_core::event::ActivityStatus;
    use dovetail_core::ids::{CallId, TurnId};

    use super::*;

    #[test]
    fn the_line_makes_room_and_leaves_nothing() {
        let thread_id = ThreadId::generate();
        let terminal = Terminal::new(Vec::new());
        let mut line = StatusLine {
            terminal: Arc::clone(&terminal),
            ticker: None,
        };
        let mut above = AboveLine(terminal);
        let turn_id = TurnId::generate();
        line.observe(
            thread_id,
            &TurnEvent::TurnStarted {
                turn_id,
                at: SystemTime::now(),
                context_window: None,
                trigger: None,
                parent: None,
            },
        );
        lock(&line.terminal).draw();
        above.write_all(b"one\n").expect("memory");
        above.write_all(b"two\n").expect("memory");
        let activity = ToolActivity::Command {
            command: ["bash", "-c", "sleep 9\necho \x1b[2J"]
                .map(str::to_owned)
                .to_vec(),
            cwd: "/".into(),
            process_id: None,
            output: String::new(),
            exit_code: None,
            status: ActivityStatus::InProgress,
        };
        line.observe(
            thread_id,
            &TurnEvent::ToolStarted {
                call_id: CallId::new("c"),
                activity,
            },
        );
        lock(&line.terminal).draw();
        let (started, duration) = (SystemTime::now(), Duration::ZERO);
        line.observe(
            thread_id,
            &TurnEvent::TurnFailed {
                turn_id,
                message: "x".into(),
                started,
                duration,
            },
        );
        lock(&line.terminal).draw();
        let screen = String::from_utf8(lock(&line.terminal).out.clone()).expect("text");
        assert_eq!(
            screen.replace(CLEAR, "|"),
            "|0 s · waiting for the model · Ctrl-C interrupts|one\ntwo\n|0 s · running sleep 9… · Ctrl-C interrupts|"
        );
    }
}
