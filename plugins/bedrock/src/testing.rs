//! A made-up world, for tests.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use dovetail_plugin_api::http::Response;
use dovetail_plugin_api::process::Output;
use dovetail_plugin_api::{Error, Header, Part};

use crate::command::CommandLine;
use crate::outside::{Ask, Outside};

/// Variables, slots, programs and services. What is asked of services and programs is kept.
#[derive(Debug, Default)]
pub(crate) struct World {
    variables: BTreeMap<String, String>,
    slots: RefCell<BTreeMap<String, String>>,
    programs: BTreeMap<String, VecDequeCell<Result<Output, Error>>>,
    answers: BTreeMap<String, VecDequeCell<Response>>,
    asked: RefCell<Vec<String>>,
}

type VecDequeCell<T> = RefCell<VecDeque<T>>;

impl World {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn slot(self, slot: &str, value: &str) -> Self {
        self.put(slot, value);
        self
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        self.slot(&format!("file:{path}"), text)
    }

    /// Without some variables and slots.
    pub(crate) fn less(mut self, names: &[&str]) -> Self {
        for name in names {
            self.variables.remove(*name);
            self.slots.get_mut().remove(*name);
        }
        self
    }

    /// Changes a slot while the world is in use.
    pub(crate) fn put(&self, slot: &str, value: &str) {
        let mut slots = self.slots.borrow_mut();
        slots.insert(slot.to_owned(), value.to_owned());
    }

    /// What a service answers to `GET https://…`, the next time; the last answer stays.
    pub(crate) fn answer(mut self, request: &str, status: u16, body: &str) -> Self {
        let answers = self.answers.entry(request.to_owned()).or_default();
        answers.get_mut().push_back(Response {
            status,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            truncated: false,
        });
        self
    }

    /// How a command line ends, the next time; the last end stays.
    pub(crate) fn program(mut self, line: &str, exit_code: i32, stdout: &str) -> Self {
        let ends = self.programs.entry(line.to_owned()).or_default();
        ends.get_mut().push_back(Ok(Output {
            exit_code: Some(exit_code),
            stdout: stdout.as_bytes().to_vec(),
            stderr: b"log in first".to_vec(),
        }));
        self
    }

    /// Requests with their bodies, and command lines, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

fn next<T: Clone>(answers: &VecDequeCell<T>) -> Option<T> {
    let mut answers = answers.borrow_mut();
    if answers.len() > 1 {
        answers.pop_front()
    } else {
        answers.front().cloned()
    }
}

impl Outside for World {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn exists(&self, slot: &str) -> Result<bool, Error> {
        Ok(self.slots.borrow().contains_key(slot))
    }

    fn reveal(&self, slot: &str) -> Result<Option<String>, Error> {
        Ok(self.slots.borrow().get(slot).cloned())
    }

    fn reveal_to_replace(&self, slot: &str) -> Result<Option<(String, u64)>, Error> {
        Ok(self.reveal(slot)?.map(|text| (text, 1)))
    }

    fn replace(&self, slot: &str, _generation: u64, text: &str) -> Result<(), Error> {
        self.put(slot, text);
        Ok(())
    }

    fn run(&self, command: &CommandLine) -> Result<Output, Error> {
        let line = [std::slice::from_ref(&command.program), &command.args]
            .concat()
            .join(" ");
        self.asked.borrow_mut().push(line.clone());
        let end = self.programs.get(&line).and_then(next);
        end.unwrap_or_else(|| Err(Error::unavailable("no such program")))
    }

    fn send(&self, ask: Ask) -> Result<Response, Error> {
        let request = format!("{} {}", ask.method, ask.url);
        let body = String::from_utf8_lossy(&ask.body).into_owned();
        let line = format!("{request} {body}").trim_end().to_owned();
        self.asked.borrow_mut().push(line);
        let answer = self.answers.get(&request).and_then(next);
        answer.ok_or_else(|| Error::retryable("nobody answers"))
    }

    fn alone<T>(&self, name: &str, work: impl FnOnce() -> T) -> Result<T, Error> {
        self.asked.borrow_mut().push(format!("lock {name}"));
        Ok(work())
    }
}

/// The value of a header that is text; none where the host fills a part of it in.
pub(crate) fn text(header: &Header) -> Option<&str> {
    match header.value() {
        [Part::Literal(text)] => Some(text),
        _ => None,
    }
}
