//! A service that answers every turn with the same words, has a list of models, and remembers what it was asked.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

pub(super) use dovetail_tests::Answer;
use serde_json::Value;

/// What a turn is answered with.
const TURN: &str = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\"}}\n\n\
data: {\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"m1\",\"content\":[{\"type\":\"output_text\",\"text\":\"hi there\"}]}}\n\n\
data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1,\"total_tokens\":2}}}\n\n";

/// A list.
pub(super) fn list(models: &Value) -> Answer {
    Answer::json(200, models)
}

/// A status with a body.
pub(super) fn status(status: u16, body: &str) -> Answer {
    Answer::new(status, body).with_header("content-type: application/json")
}

#[derive(Default)]
struct State {
    lists: VecDeque<Answer>,
    /// A header of answers to turns.
    told: Option<String>,
}

impl State {
    fn answer(&mut self, is_turn: bool) -> Answer {
        if is_turn {
            let answer = Answer::new(200, TURN).with_header("content-type: text/event-stream");
            let told = self.told.iter();
            return told.fold(answer, |answer, header| answer.with_header(header));
        }
        if self.lists.len() > 1 {
            return self.lists.pop_front().unwrap();
        }
        self.lists.front().cloned().unwrap_or(status(404, "{}"))
    }
}

/// The service. Dropping it ends it.
pub(super) struct Service {
    state: Arc<Mutex<State>>,
    service: dovetail_tests::Service,
}

impl Service {
    /// Starts with answers to questions for the list, each once and the last for ever.
    pub(super) async fn start(lists: Vec<Answer>) -> Self {
        let state = Arc::new(Mutex::new(State {
            lists: lists.into(),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        let service = dovetail_tests::Service::start(move |asked| {
            let answer = shared.lock().unwrap().answer(asked.method == "POST");
            std::future::ready(answer)
        });
        Self {
            state,
            service: service.await,
        }
    }

    /// Has every answer to a turn carry a header from now on.
    pub(super) fn tell(&self, header: &str) {
        self.state.lock().unwrap().told = Some(header.to_owned());
    }
}

impl Deref for Service {
    type Target = dovetail_tests::Service;

    fn deref(&self) -> &dovetail_tests::Service {
        &self.service
    }
}
