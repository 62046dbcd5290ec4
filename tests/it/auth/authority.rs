//! A made-up authority: it answers each path with what it was told, the last answer again and again, and remembers what
//! it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::Mutex;

use dovetail_tests::{Answer, Service};
use serde_json::Value;

/// The server. Dropping it ends it.
pub(crate) struct Authority(Service);

impl Authority {
    /// Starts with answers by path, each once and the last of a path for ever. Other paths are not found.
    pub(crate) async fn start(answers: &[(&str, u16, Value)]) -> Self {
        let mut by_path = BTreeMap::<String, VecDeque<Answer>>::new();
        for (path, status, body) in answers {
            let of_path = by_path.entry((*path).to_owned()).or_default();
            of_path.push_back(Answer::json(*status, body));
        }
        let by_path = Mutex::new(by_path);
        let service = Service::start(move |asked| {
            let path = asked.path.split('?').next().unwrap_or_default();
            let answer = match by_path.lock().unwrap().get_mut(path) {
                Some(answers) if answers.len() > 1 => answers.pop_front().unwrap(),
                Some(answers) => answers[0].clone(),
                None => Answer::json(404, &Value::Null),
            };
            std::future::ready(answer)
        });
        Self(service.await)
    }
}

impl Deref for Authority {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}
