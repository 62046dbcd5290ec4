//! Requests that fail, and threads that cannot be kept.

use std::sync::Arc;

use dovetail_core::event::{RecordError, Recorder, TurnEvent};
use dovetail_core::ids::ThreadId;
use dovetail_core::item::{ContentItem, ResponseItem};
use dovetail_core::model::{FailureStage, ModelClient, ModelError, ModelEvent};
use dovetail_core::plugin::{FailureKind, Recovery};
use dovetail_core::retry::RetryLimits;
use dovetail_core::toolbox::Toolbox;
use dovetail_core::turn::{
    Ports, Prompt, PromptImage, ServerFacts, Thread, TurnOptions, TurnOutcome,
};
use dovetail_core::verdict::HookChain;
use tokio_util::sync::CancellationToken;

use crate::house::{House, Reply, check_answer, done, failure, house, message, options};

#[tokio::test]
async fn items_that_were_finished_before_a_break_are_sent_again_not_lost() {
    let broken = vec![
        message("half"),
        Err(failure(FailureStage::Stream, FailureKind::Unknown)),
    ];
    let mut house = house(
        vec![
            Reply::Stream(broken),
            Reply::Stream(vec![message("whole"), done()]),
        ],
        Vec::new(),
    );
    check_answer(house.turn().await, "whole");
    assert_eq!(
        house.log.items(),
        ["user: go", "assistant: half", "assistant: whole"]
    );
    assert_eq!(house.log.notices(), 1);
    let requests = house.model.requests.lock().expect("lock");
    assert_eq!(requests[1].input.len(), requests[0].input.len() + 1);
}

/// An image that the service refuses, in the thread's next request.
fn refused_image() -> Reply {
    Reply::Refuse(ModelError {
        about_image: true,
        ..failure(FailureStage::Status(400), FailureKind::InvalidRequest)
    })
}

fn shown_image(prompt: &str) -> Prompt {
    let content = ContentItem::InputImage {
        image_url: "data:image/png;base64,AA==".to_owned(),
        detail: None,
    };
    Prompt {
        images: vec![PromptImage {
            path: "shown.png".into(),
            content,
        }],
        text: prompt.to_owned(),
    }
}

#[tokio::test]
async fn an_image_that_the_service_refuses_is_not_the_end_of_the_thread() {
    let answer = || Reply::Stream(vec![message("on"), done()]);
    let replies = vec![
        refused_image(),
        refused_image(),
        answer(),
        answer(),
        refused_image(),
    ];
    let mut house = house(replies, Vec::new());
    let cancel = CancellationToken::new();
    let first = house
        .thread
        .run_turn(shown_image("look"), options(), cancel);
    let first = first.await;
    assert!(
        matches!(&first, TurnOutcome::Failed(why) if why == "it failed"),
        "who has shown an image is not answered without it: {first:?}"
    );
    check_answer(house.turn().await, "on");
    check_answer(house.turn().await, "on");
    let last = house.turn().await;
    assert!(
        matches!(last, TurnOutcome::Failed(_)),
        "no image is left to blame: {last:?}"
    );
    let requests = house.model.requests.lock().expect("lock");
    let has_image = |item: &Arc<ResponseItem>| {
        let text = serde_json::to_string(&**item).expect("JSON");
        text.contains("input_image")
    };
    let images: Vec<bool> = requests
        .iter()
        .map(|request| request.input.iter().any(has_image))
        .collect();
    assert_eq!(images, [true, true, false, false, false]);
}

#[tokio::test]
async fn what_a_server_tells_of_itself_is_kept() {
    let told = vec![
        Ok(ModelEvent::ModelsEtag("v7".to_owned())),
        Ok(ModelEvent::ReasoningIncluded),
        message("ok"),
        done(),
    ];
    let silent = vec![message("ok"), done()];
    let mut house = house(vec![Reply::Stream(told), Reply::Stream(silent)], Vec::new());
    let known = ServerFacts {
        models_etag: Some("v7".to_owned()),
        counts_reasoning: true,
    };
    for _ in 0..2 {
        check_answer(house.turn().await, "ok");
        assert_eq!(house.thread.server(), &known);
    }
}

#[tokio::test]
async fn a_refused_credential_is_recovered_once_per_turn() {
    let refuse = || {
        Reply::Refuse(failure(
            FailureStage::Status(401),
            FailureKind::Unauthorized,
        ))
    };
    let mut house = house(vec![refuse(), refuse()], Vec::new());
    match house.turn().await {
        TurnOutcome::Failed(text) => assert_eq!(text, "it failed"),
        other => panic!("expected a failure, got {other:?}"),
    }
    assert_eq!(*house.model.recoveries.lock().expect("lock"), 1);
    assert_eq!(house.model.requests.lock().expect("lock").len(), 2);
}

#[tokio::test]
async fn a_failed_turn_leaves_the_thread_usable() {
    let bad = Reply::Refuse(failure(
        FailureStage::Status(400),
        FailureKind::InvalidRequest,
    ));
    let mut house = house(
        vec![bad, Reply::Stream(vec![message("ok"), done()])],
        Vec::new(),
    );
    assert!(matches!(house.turn().await, TurnOutcome::Failed(_)));
    check_answer(house.turn().await, "ok");
}

/// Refuses from the nth event on.
struct FullDisk(u32);

impl Recorder for FullDisk {
    fn record(&mut self, _: ThreadId, _: &TurnEvent) -> Result<(), RecordError> {
        if self.0 == 0 {
            return Err(RecordError {
                message: "no space left".to_owned(),
            });
        }
        self.0 -= 1;
        Ok(())
    }
}

#[tokio::test]
async fn a_thread_that_cannot_be_recorded_stops_before_it_asks_the_model() {
    let base = house(Vec::new(), Vec::new());
    let ports = Ports {
        model: Arc::clone(&base.model) as Arc<dyn ModelClient>,
        tools: Toolbox::new(Vec::new()),
        hooks: Arc::new(HookChain::default()),
        recorder: Box::new(FullDisk(2)),
        observers: Vec::new(),
    };
    let mut thread = Thread::start(base.thread.info().clone(), ports);
    let outcome = thread
        .run_turn(
            Prompt {
                text: "go".to_owned(),
                images: Vec::new(),
            },
            options(),
            CancellationToken::new(),
        )
        .await;
    assert!(matches!(outcome, TurnOutcome::Unrecorded(_)));
    assert!(base.model.requests.lock().expect("lock").is_empty());
}

/// A failure of a WebSocket.
fn of_socket(stage: FailureStage, kind: FailureKind) -> ModelError {
    ModelError {
        over_socket: stage != FailureStage::Upgrade,
        ..failure(stage, kind)
    }
}

/// A turn that may be repeated once, in either loop.
async fn turn_of_few_tries(house: &mut House) -> TurnOutcome {
    let options = TurnOptions {
        retries: RetryLimits {
            request_max: 1,
            stream_max: 1,
            unbounded_connections: false,
        },
        ..options()
    };
    let prompt = Prompt {
        text: "go".to_owned(),
        images: Vec::new(),
    };
    let cancel = CancellationToken::new();
    house.thread.run_turn(prompt, options, cancel).await
}

/// A model with another way takes it after these failures, says so, and asks so often in all.
async fn check_falls_back(failures: Vec<ModelError>, requests: usize, notices: usize) {
    let what = format!("{failures:?}");
    let refusals = failures.into_iter().map(Reply::Refuse);
    let answer = Reply::Stream(vec![message("on"), done()]);
    let mut house = house(refusals.chain([answer]).collect(), Vec::new());
    *house.model.other_way.lock().expect("lock") = true;
    check_answer(turn_of_few_tries(&mut house).await, "on");
    assert_eq!(
        house.model.requests.lock().expect("lock").len(),
        requests,
        "{what}"
    );
    assert_eq!(house.log.notices(), notices, "{what}");
    let warnings = house.log.warnings();
    assert_eq!(
        warnings,
        ["Falling back from WebSockets to HTTPS transport. it failed"],
        "{what}"
    );
}

#[tokio::test]
async fn a_model_that_cannot_be_reached_one_way_is_asked_another() {
    let refused = || of_socket(FailureStage::Upgrade, FailureKind::NotFound);
    check_falls_back(vec![refused()], 2, 0).await;
    let unauthorized = || of_socket(FailureStage::Upgrade, FailureKind::Unauthorized);
    check_falls_back(vec![unauthorized(), unauthorized()], 3, 0).await;
    let lost = || of_socket(FailureStage::Stream, FailureKind::Unknown);
    check_falls_back(vec![lost(), lost()], 3, 0).await;
    // The other way starts with full loops.
    let broken = || failure(FailureStage::Stream, FailureKind::Unknown);
    check_falls_back(vec![lost(), lost(), broken()], 4, 1).await;
}

/// A failure that another way does not mend ends the turn, after so many requests.
async fn check_no_way(failed: impl Fn() -> ModelError, other_way: bool, requests: usize) {
    let replies = (0..requests).map(|_| Reply::Refuse(failed()));
    let mut house = house(replies.collect(), Vec::new());
    *house.model.other_way.lock().expect("lock") = other_way;
    let outcome = turn_of_few_tries(&mut house).await;
    assert!(
        matches!(&outcome, TurnOutcome::Failed(why) if why == "it failed"),
        "{outcome:?}"
    );
    assert_eq!(house.log.warnings(), Vec::<String>::new());
    assert_eq!(
        *house.model.other_way.lock().expect("lock"),
        other_way,
        "it is not taken"
    );
}

#[tokio::test]
async fn another_way_is_not_taken_for_what_it_does_not_mend() {
    let fatal = || of_socket(FailureStage::Status(400), FailureKind::InvalidRequest);
    check_no_way(fatal, true, 1).await;
    let key = || of_socket(FailureStage::Status(401), FailureKind::Unauthorized);
    check_no_way(key, true, 2).await;
    let plain = || failure(FailureStage::Stream, FailureKind::Unknown);
    check_no_way(plain, true, 2).await;
    let lost = || of_socket(FailureStage::Stream, FailureKind::Unknown);
    check_no_way(lost, false, 2).await;
}

#[tokio::test]
async fn another_way_is_taken_for_a_credential_that_cannot_change_and_not_for_one_that_is_over() {
    let unauthorized = || of_socket(FailureStage::Upgrade, FailureKind::Unauthorized);
    let recovering = |recovery, replies| {
        let house = house(replies, Vec::new());
        *house.model.other_way.lock().expect("lock") = true;
        *house.model.recovery.lock().expect("lock") = Some(recovery);
        house
    };
    let answer = Reply::Stream(vec![message("on"), done()]);
    let replies = vec![Reply::Refuse(unauthorized()), answer];
    let mut house = recovering(Recovery::Unchanged, replies);
    check_answer(house.turn().await, "on");
    let over = Recovery::Permanent("sign in again".to_owned());
    let mut house = recovering(over, vec![Reply::Refuse(unauthorized())]);
    let outcome = house.turn().await;
    assert!(
        matches!(&outcome, TurnOutcome::Failed(why) if why == "sign in again (it failed)"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_model_is_told_once_what_requests_begin_with() {
    let answer = || Reply::Stream(vec![message("on"), done()]);
    let mut house = house(vec![answer(), answer()], Vec::new());
    house.turn().await;
    house.turn().await;
    let told = house.model.warm_ups.lock().expect("lock");
    let [beginning] = &told[..] else {
        panic!("it is told once: {told:?}");
    };
    assert!(beginning.input.is_empty());
    let blob: serde_json::Value =
        serde_json::from_str(&beginning.metadata.turn_metadata()).expect("JSON");
    assert_eq!(
        (&blob["request_kind"], &blob["turn_id"]),
        (&"prewarm".into(), &"".into())
    );
    let asked = &house.model.requests.lock().expect("lock")[0];
    assert_eq!(
        (&beginning.instructions, &beginning.tools),
        (&asked.instructions, &asked.tools)
    );
}
