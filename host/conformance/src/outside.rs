//! The outside world as a table describes it: answers to requests and programs, and a clock.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use dovetail_core::plugin::PluginError;
use dovetail_runtime::net::HttpResponse;
use dovetail_runtime::outside::{Outside, OutsideRequest};
use dovetail_runtime::process::Output;
use serde::Deserialize;
use serde_json::Value;

use crate::text::Text;

/// `[[http]]`: what a request is answered with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpAnswer {
    /// Any where it is not given.
    method: Option<String>,
    /// The whole URL; a `*` at its end stands for any rest.
    url: String,
    /// Headers that the request must have, secrets filled in.
    #[serde(default)]
    with_headers: BTreeMap<String, Text>,
    /// What its body must be.
    with_body: Option<Text>,
    /// How many requests it answers; any number where it is not given.
    times: Option<u32>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body as text.
    #[serde(default)]
    body: String,
    /// Or as JSON.
    json: Option<Value>,
    /// Or no answer at all, for this reason.
    fail: Option<String>,
}

fn ok() -> u16 {
    200
}

/// `[[process]]`: what a program prints.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProgramAnswer {
    /// The command line; `*` stands for any one argument.
    argv: Vec<String>,
    #[serde(default)]
    exit: i32,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    stderr: String,
    /// Or it cannot be started, for this reason.
    fail: Option<String>,
}

/// The scripted world.
#[derive(Debug, Default)]
pub(crate) struct Script {
    http: Vec<HttpAnswer>,
    process: Vec<ProgramAnswer>,
    now_unix_ms: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often each answer was given.
    given: Vec<u32>,
    /// What was asked and nothing answers, in sentences.
    unanswered: Vec<String>,
}

/// Of what nothing answers, so much is kept.
const MOST_UNANSWERED: usize = 16;

impl Script {
    pub(crate) fn new(
        http: Vec<HttpAnswer>,
        process: Vec<ProgramAnswer>,
        now_unix_ms: Option<u64>,
    ) -> Self {
        let given = vec![0; http.len()];
        Self {
            http,
            process,
            now_unix_ms,
            state: Mutex::new(State {
                given,
                unanswered: Vec::new(),
            }),
        }
    }

    /// What was asked and nothing answers.
    pub(crate) fn unanswered(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unanswered.clone()
    }

    fn miss(&self, what: String) -> PluginError {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.unanswered.len() < MOST_UNANSWERED && !state.unanswered.contains(&what) {
            state.unanswered.push(what.clone());
        }
        PluginError::Unavailable(what)
    }
}

#[async_trait]
impl Outside for Script {
    async fn http(&self, request: OutsideRequest) -> Result<HttpResponse, PluginError> {
        let mut why = String::new();
        for (at, answer) in self.http.iter().enumerate() {
            if !answer.is_for(&request) {
                continue;
            }
            if let Some(differs) = answer.differs(&request) {
                why = format!(": {differs}");
                continue;
            }
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if answer.times.is_some_and(|times| state.given[at] >= times) {
                    continue;
                }
                state.given[at] += 1;
            }
            return answer.give();
        }
        Err(self.miss(format!(
            "no `[[http]]` of a table answers {} {}{why}",
            request.method, request.url
        )))
    }

    async fn run(&self, argv: &[String], _stdin: &[u8]) -> Result<Output, PluginError> {
        let fits = |answer: &&ProgramAnswer| {
            answer.argv.len() == argv.len()
                && answer
                    .argv
                    .iter()
                    .zip(argv)
                    .all(|(pattern, arg)| pattern == "*" || pattern == arg)
        };
        let Some(answer) = self.process.iter().find(fits) else {
            return Err(self.miss(format!("no `[[process]]` of a table answers {argv:?}")));
        };
        match &answer.fail {
            Some(why) => Err(PluginError::Unavailable(why.clone())),
            None => Ok(Output {
                exit_code: Some(answer.exit),
                stdout: answer.stdout.clone().into_bytes(),
                stderr: answer.stderr.clone().into_bytes(),
            }),
        }
    }

    fn now_unix_ms(&self) -> Option<u64> {
        self.now_unix_ms
    }
}

impl HttpAnswer {
    fn is_for(&self, request: &OutsideRequest) -> bool {
        let method = self.method.as_ref();
        let url = match self.url.strip_suffix('*') {
            Some(start) => request.url.starts_with(start),
            None => request.url == self.url,
        };
        url && method.is_none_or(|method| method.eq_ignore_ascii_case(&request.method))
    }

    fn differs(&self, request: &OutsideRequest) -> Option<String> {
        let header = |name: &str| {
            let mut headers = request.headers.iter();
            let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let headers = self.with_headers.iter().find_map(|(name, expected)| {
            crate::text::differs(Some(expected), &format!("header `{name}`"), header(name))
        });
        let body = String::from_utf8_lossy(&request.body);
        headers.or_else(|| crate::text::differs(self.with_body.as_ref(), "body", Some(&body)))
    }

    fn give(&self) -> Result<HttpResponse, PluginError> {
        if let Some(why) = &self.fail {
            return Err(PluginError::Retryable {
                reason: why.clone(),
                after: None,
            });
        }
        let body = self
            .json
            .as_ref()
            .map_or_else(|| self.body.clone(), Value::to_string);
        let lower = |(name, value): (&String, &String)| (name.to_ascii_lowercase(), value.clone());
        Ok(HttpResponse {
            status: self.status,
            headers: self.headers.iter().map(lower).collect(),
            body: body.into_bytes(),
            truncated: false,
        })
    }
}
