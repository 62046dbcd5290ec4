//! The pump against sinks that are plain values, so that each way of not taking a batch can be had at will. Real
//! components that misbehave are in `tests/guests.rs` of this crate.

use std::sync::Mutex as SyncMutex;
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use dovetail_core::ids::ThreadId;
use dovetail_core::plugin::{
    Ack, Field, FieldClass, FieldValue, PluginError, PluginFault, SinkSubscription,
};
use tokio::sync::{Notify, mpsc};

use super::*;

/// What the sink answers to one batch.
enum Answer {
    Take,
    Retry(Duration),
    Reject(Vec<String>),
    Trap,
    Fail(PluginError),
    Hang,
}

/// A sink that follows a script, then takes everything.
struct Scripted {
    id: PluginId,
    subscription: SinkSubscription,
    script: SyncMutex<std::vec::IntoIter<Answer>>,
    /// The ids of each batch, as it comes in.
    batches: mpsc::UnboundedSender<Vec<String>>,
    closed: Arc<Notify>,
}

struct Seen {
    batches: mpsc::UnboundedReceiver<Vec<String>>,
    closed: Arc<Notify>,
}

fn sink(kinds: &[&str], script: Vec<Answer>) -> (Arc<dyn Sink>, Seen) {
    let (batches, seen) = mpsc::unbounded_channel();
    let closed = Arc::new(Notify::new());
    let subscription = SinkSubscription {
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        classes: vec![FieldClass::Basic],
    };
    let sink = Scripted {
        id: PluginId::parse("scripted").expect("a valid id"),
        subscription,
        script: SyncMutex::new(script.into_iter()),
        batches,
        closed: Arc::clone(&closed),
    };
    (
        Arc::new(sink),
        Seen {
            batches: seen,
            closed,
        },
    )
}

#[async_trait]
impl Sink for Scripted {
    fn plugin(&self) -> &PluginId {
        &self.id
    }

    fn subscription(&self) -> &SinkSubscription {
        &self.subscription
    }

    async fn open(&self) -> Result<(), PluginError> {
        Ok(())
    }

    async fn deliver(&self, batch: &[Arc<EventRecord>]) -> Result<Ack, PluginError> {
        let ids = batch.iter().map(|record| record.id.clone()).collect();
        self.batches.send(ids).expect("the test listens");
        let answer = self
            .script
            .lock()
            .expect("not poisoned")
            .next()
            .unwrap_or(Answer::Take);
        match answer {
            Answer::Take => Ok(Ack::Accepted),
            Answer::Retry(after) => Ok(Ack::Retry(after)),
            Answer::Reject(ids) => Ok(Ack::Reject(ids)),
            Answer::Fail(error) => Err(error),
            Answer::Hang => std::future::pending().await,
            Answer::Trap => {
                let plugin = self.id.clone();
                Err(PluginFault::Trap {
                    plugin,
                    call: "deliver",
                    detail: "boom".to_owned(),
                }
                .into())
            }
        }
    }

    async fn close(&self) -> Result<(), PluginError> {
        self.closed.notify_one();
        Ok(())
    }
}

fn record(id: &str, kind: &str) -> EventRecord {
    let field = |name, class| Field {
        name,
        class,
        value: FieldValue::Text("text".to_owned()),
    };
    EventRecord {
        id: id.to_owned(),
        sequence: 0,
        kind: kind.to_owned(),
        version: 1,
        time: SystemTime::UNIX_EPOCH,
        thread_id: ThreadId::generate(),
        turn_id: None,
        fields: vec![
            field("shape", FieldClass::Basic),
            field("prompt", FieldClass::Content),
        ],
    }
}

const GRACE: Duration = Duration::from_secs(5);

/// A pump with one sink of a script, in a directory of its own.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    /// Offers events 1 to `count`, ends, and returns what became of them.
    async fn run(&self, script: Vec<Answer>, count: usize) -> (SinkReport, Seen) {
        let (sink, seen) = sink(&["*"], script);
        let pump = SinkPump::start(vec![sink], self.dir.path());
        for n in 1..=count {
            pump.offer(record(&n.to_string(), "turn.started"));
        }
        let report = pump.shutdown(GRACE).await.pop().expect("one sink");
        (report, seen)
    }

    fn left(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("scripted.jsonl")).unwrap_or_default()
    }
}

impl Seen {
    fn all(&mut self) -> Vec<Vec<String>> {
        std::iter::from_fn(|| self.batches.try_recv().ok()).collect()
    }
}

fn report(delivered: u64, rejected: u64, spooled: u64) -> SinkReport {
    let plugin = PluginId::parse("scripted").expect("a valid id");
    SinkReport {
        plugin,
        delivered,
        rejected,
        spooled,
        lost: 0,
    }
}

#[tokio::test]
async fn batches_hold_a_hundred_and_the_sink_is_closed() {
    let scene = Scene::new();
    let (outcome, mut seen) = scene.run(vec![], 250).await;
    assert_eq!(outcome, report(250, 0, 0));
    let sizes: Vec<usize> = seen.all().iter().map(Vec::len).collect();
    assert_eq!(sizes, [100, 100, 50]);
    seen.closed.notified().await;
    assert_eq!(scene.left(), "");
}

#[tokio::test]
async fn a_flush_sends_at_once_and_kinds_are_kept_apart() {
    let scene = Scene::new();
    let (sink, mut seen) = sink(&["tool.*", "turn.completed"], vec![]);
    let pump = SinkPump::start(vec![sink], scene.dir.path());
    for (id, kind) in [
        ("1", "tool.called"),
        ("2", "tools"),
        ("3", "turn.completed"),
        ("4", "turn.x"),
    ] {
        pump.offer(record(id, kind));
    }
    pump.flush();
    assert_eq!(
        seen.batches.recv().await.as_deref(),
        Some(&["1".to_owned(), "3".to_owned()][..])
    );
    assert_eq!(pump.shutdown(GRACE).await[0].delivered, 2);
}

#[tokio::test]
async fn retry_and_reject_are_honoured() {
    let scene = Scene::new();
    let (sink, mut seen) = sink(&["*"], vec![Answer::Retry(Duration::from_millis(1))]);
    let pump = SinkPump::start(vec![sink], scene.dir.path());
    pump.offer(record("1", "turn.started"));
    pump.flush();
    assert_eq!(
        seen.batches.recv().await,
        seen.batches.recv().await,
        "the same batch comes again"
    );
    assert_eq!(pump.shutdown(GRACE).await, [report(1, 0, 0)]);

    let rejected = vec!["2".to_owned(), "no such event".to_owned()];
    let (outcome, _) = scene.run(vec![Answer::Reject(rejected)], 3).await;
    assert_eq!(outcome, report(2, 1, 0));
    let (outcome, _) = scene
        .run(vec![Answer::Fail(PluginError::Invalid("no".to_owned()))], 3)
        .await;
    assert_eq!(outcome, report(0, 3, 0));
}

#[tokio::test]
async fn a_trap_is_tried_again_and_a_second_one_spools() {
    let scene = Scene::new();
    let (outcome, mut seen) = scene.run(vec![Answer::Trap], 1).await;
    assert_eq!((outcome, seen.all().len()), (report(1, 0, 0), 2));

    let (outcome, _) = scene.run(vec![Answer::Trap, Answer::Trap], 1).await;
    assert_eq!(outcome, report(0, 0, 1));
    let left = scene.left();
    assert!(
        left.contains("\"breaks\":1") && left.contains("shape"),
        "{left}"
    );
    assert!(
        !left.contains("prompt"),
        "a class that the sink may not have is not kept for it: {left}"
    );
}

#[tokio::test]
async fn what_was_kept_comes_first_in_the_next_run_with_the_same_ids() {
    let scene = Scene::new();
    let unavailable = || Answer::Fail(PluginError::Unavailable("no token".to_owned()));
    let (outcome, _) = scene.run(vec![unavailable()], 2).await;
    assert_eq!(outcome, report(0, 0, 2));
    let (sink, mut seen) = sink(&["*"], vec![]);
    let pump = SinkPump::start(vec![sink], scene.dir.path());
    assert_eq!(
        seen.batches.recv().await.as_deref(),
        Some(&["1".to_owned(), "2".to_owned()][..])
    );
    pump.offer(record("3", "turn.started"));
    assert_eq!(pump.shutdown(GRACE).await, [report(3, 0, 0)]);
    assert_eq!(scene.left(), "");
    let names: Vec<_> = std::fs::read_dir(scene.dir.path())
        .expect("listable")
        .collect();
    assert_eq!(names.len(), 0, "nothing stays behind: {names:?}");
}

#[tokio::test]
async fn a_hanging_sink_holds_nobody_up() {
    let scene = Scene::new();
    let started = Instant::now();
    let (outcome, _) = scene.run(vec![Answer::Hang], 300).await;
    // A tenth of a second for the call, the rest for a slow disk and a busy machine; nothing like the grace.
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(outcome, report(0, 0, 300));
}

#[tokio::test]
async fn a_full_queue_loses_and_counts() {
    let scene = Scene::new();
    let (sink, mut seen) = sink(&["*"], vec![Answer::Hang]);
    let pump = SinkPump::start(vec![sink], scene.dir.path());
    pump.offer(record("0", "turn.started"));
    pump.flush();
    seen.batches
        .recv()
        .await
        .expect("the sink hangs over the first");
    let record = Arc::new(record("n", "turn.started"));
    for _ in 0..10_000 {
        pump.offer(Arc::clone(&record));
    }
    let outcome = pump.shutdown(GRACE).await.pop().expect("one sink");
    assert_eq!(
        (outcome.delivered, outcome.spooled, outcome.lost),
        (0, 4097, 10_000 - 4096)
    );
}
