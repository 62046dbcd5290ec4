//! The engine: one configuration for every plugin, and the clock that interrupts guests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, EngineWeak};

/// How often a running guest is interrupted to let others run and to count what it used. Shorter costs wake-ups,
/// longer makes a spinning guest hold up its thread.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// After this many ticks without a guest call the clock stops until the next one (half a second: long enough that
/// a burst of calls starts it once).
const IDLE_TICKS: u32 = 50;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("could not start the plugin engine")]
pub struct EngineError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The engine and its clock.
pub(crate) struct Engine {
    wasm: wasmtime::Engine,
    clock: Clock,
}

impl Engine {
    /// Makes an engine. Starts no thread: the clock begins with the first guest call.
    pub(crate) fn new() -> Result<Self, EngineError> {
        let wasm = wasmtime::Engine::new(&config()).map_err(|e| EngineError(e.into()))?;
        let clock = Clock::new(wasm.weak());
        Ok(Self { wasm, clock })
    }

    /// The engine itself.
    pub(crate) fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// Keeps the clock ticking for as long as the returned guard lives. A guest must not run without one, or nothing
    /// would interrupt it.
    pub(crate) fn running(&self) -> Running<'_> {
        self.clock.enter();
        Running { clock: &self.clock }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // People get a sentence and the guest's last words, not a trace: so neither frames at run time nor the tables
    // and symbols for them, which would double the cached files.
    config.wasm_backtrace_max_frames(None);
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config.debug_symbols(false);
    config
}

/// Counts the engine's epoch up, on its own thread, while guests run.
struct Clock {
    shared: Arc<ClockState>,
    engine: EngineWeak,
    thread: std::sync::OnceLock<Option<JoinHandle<()>>>,
}

struct ClockState {
    running: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

impl Clock {
    fn new(engine: EngineWeak) -> Self {
        let shared = ClockState {
            running: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            engine,
            thread: std::sync::OnceLock::new(),
        }
    }

    fn enter(&self) {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        let thread = self.thread.get_or_init(|| {
            let (shared, engine) = (Arc::clone(&self.shared), self.engine.clone());
            let spawned = std::thread::Builder::new()
                .name("plugin-clock".to_owned())
                .stack_size(64 * 1024)
                .spawn(move || tick(&shared, &engine));
            // Without the thread, wall-clock deadlines still hold for guests that wait; only a spinning guest
            // would not be stopped. A machine that cannot start one thread has worse troubles.
            spawned
                .inspect_err(|e| tracing::error!("could not start the plugin clock: {e}"))
                .ok()
        });
        if self.shared.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = thread
        {
            thread.thread().unpark();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(Some(thread)) = self.thread.take() {
            thread.thread().unpark();
            // The thread cannot panic in a way that concerns anybody: it is over either way.
            drop(thread.join());
        }
    }
}

fn tick(clock: &ClockState, engine: &EngineWeak) {
    let mut idle = 0;
    while !clock.stop.load(Ordering::SeqCst) {
        if clock.running.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle < IDLE_TICKS {
            std::thread::park_timeout(TICK);
        } else {
            clock.asleep.store(true, Ordering::SeqCst);
            // Whoever comes after the store wakes us; whoever came before it is seen here.
            if clock.running.load(Ordering::SeqCst) == 0 && !clock.stop.load(Ordering::SeqCst) {
                std::thread::park();
            }
            clock.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
        let Some(engine) = engine.upgrade() else {
            return;
        };
        engine.increment_epoch();
    }
}

/// While this lives, the clock ticks.
pub(crate) struct Running<'a> {
    clock: &'a Clock,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.clock.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_with_the_first_call_and_ends_with_the_engine() {
        let engine = Engine::new().expect("the engine starts");
        assert!(
            engine.clock.thread.get().is_none(),
            "no thread before a guest runs"
        );
        let guard = engine.running();
        assert!(engine.clock.thread.get().is_some());
        drop(guard);
        let state = Arc::clone(&engine.clock.shared);
        drop(engine);
        assert_eq!(Arc::strong_count(&state), 1, "the thread is gone");
    }
}
