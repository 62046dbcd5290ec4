//! Made-up AWS services: each answers what it was told to, and keeps what it was asked.

use std::collections::BTreeMap;
use std::ops::Deref;

use dovetail_tests::{Answer, Service};

/// Some services at one address.
pub(super) struct Cloud(Service);

impl Cloud {
    /// Starts with an answer for each `METHOD /path?query`; others are not found.
    pub(super) async fn start(answers: &[(&str, u16, &str)]) -> Self {
        let answer = |status, body| Answer::new(status, body).with_header("connection: close");
        let answers: BTreeMap<String, Answer> = answers
            .iter()
            .map(|(line, status, body)| ((*line).to_owned(), answer(*status, body)))
            .collect();
        let service = Service::start(move |asked| {
            let known = answers.get(&asked.line()).cloned();
            std::future::ready(known.unwrap_or_else(|| answer(404, "")))
        });
        Self(service.await)
    }
}

impl Deref for Cloud {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}
