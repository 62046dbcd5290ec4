//! What lies outside: variables, files, programs, other services, all reached through the host. A trait, so that what
//! is decided from them is tested natively against a made-up world.

use std::time::Duration;

use dovetail_plugin_api::http::{Request, Response};
use dovetail_plugin_api::process::{Command, Output};
use dovetail_plugin_api::{Error, Header, credentials, http, process, secrets};

use crate::command::CommandLine;

/// A request to a service that hands out credentials. It has no `Debug`: its body is one.
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Vec<u8>,
    pub(crate) timeout: Duration,
}

impl Ask {
    /// A `GET` that may take as long as a token service takes.
    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET",
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(10),
        }
    }

    /// A `POST` of a form.
    pub(crate) fn form(url: impl Into<String>, body: String) -> Self {
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        Self {
            method: "POST",
            headers: vec![Header::plain("content-type", content_type)],
            body: body.into_bytes(),
            ..Self::get(url)
        }
    }

    /// A `POST` of JSON.
    pub(crate) fn json(url: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            method: "POST",
            headers: vec![Header::plain("content-type", "application/json")],
            body: body.to_string().into_bytes(),
            ..Self::get(url)
        }
    }

    pub(crate) fn header(mut self, header: Header) -> Self {
        self.headers.push(header);
        self
    }
}

/// The world around the plugin.
pub(crate) trait Outside {
    /// An environment variable that is set and not blank.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether the host could fill a slot whose value the plugin does not see.
    fn exists(&self, slot: &str) -> Result<bool, Error>;

    /// The text behind a slot whose value the plugin may see; none where there is none.
    fn reveal(&self, slot: &str) -> Result<Option<String>, Error>;

    /// The same with what [`Outside::replace`] needs.
    fn reveal_to_replace(&self, slot: &str) -> Result<Option<(String, u64)>, Error>;

    /// Replaces the text behind a slot, where nobody else did since it was revealed.
    fn replace(&self, slot: &str, generation: u64, text: &str) -> Result<(), Error>;

    /// Runs a program to its end.
    fn run(&self, command: &CommandLine) -> Result<Output, Error>;

    /// Asks another service.
    fn send(&self, ask: Ask) -> Result<Response, Error>;

    /// Does something while no other process does it.
    fn alone<T>(&self, name: &str, work: impl FnOnce() -> T) -> Result<T, Error>;

    /// The text of a file, as [`Outside::reveal`] of the slot that is called after it.
    fn file(&self, path: &str) -> Result<Option<String>, Error> {
        self.reveal(&format!("file:{path}"))
    }
}

/// The world as it is.
#[derive(Debug)]
pub(crate) struct Host;

impl Outside for Host {
    fn variable(&self, name: &str) -> Option<String> {
        let value = std::env::var(name).ok()?; // Not set, or not Unicode, which no value of AWS's is.
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn exists(&self, slot: &str) -> Result<bool, Error> {
        secrets::exists(slot)
    }

    fn reveal(&self, slot: &str) -> Result<Option<String>, Error> {
        Ok(self.reveal_to_replace(slot)?.map(|(text, _)| text))
    }

    fn reveal_to_replace(&self, slot: &str) -> Result<Option<(String, u64)>, Error> {
        match credentials::reveal(slot) {
            Ok(revealed) => {
                let text = String::from_utf8(revealed.value)
                    .map_err(|_| Error::Other(format!("`{slot}` is not UTF-8")))?;
                Ok(Some((text, revealed.generation)))
            }
            // Not granted is not there: the host grants what the user's own files and variables name.
            Err(Error::Unavailable(_) | Error::Denied(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(&self, slot: &str, generation: u64, text: &str) -> Result<(), Error> {
        credentials::update(slot, generation, text.as_bytes()).map(drop)
    }

    fn run(&self, command: &CommandLine) -> Result<Output, Error> {
        let mut running = Command::new(&command.program)
            .args(&command.args)
            .timeout(command.timeout);
        if let Some(cwd) = &command.cwd {
            running = running.cwd(cwd);
        }
        process::Command::run(running)
    }

    fn send(&self, ask: Ask) -> Result<Response, Error> {
        let mut request: Request = http::Request::new(ask.method, ask.url)
            .body(ask.body)
            .timeout(ask.timeout);
        for header in ask.headers {
            request = request.header(header);
        }
        request.send()
    }

    fn alone<T>(&self, name: &str, work: impl FnOnce() -> T) -> Result<T, Error> {
        let held = credentials::Lock::acquire(name)?;
        let done = work();
        drop(held);
        Ok(done)
    }
}
