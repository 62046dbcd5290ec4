//! Small requests to a model, through the same client as a turn's, by the same rules: a credential is recovered once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dovetail_config::Config;
use dovetail_core::item::{ContentItem, OutputPayload, ResponseItem};
use dovetail_core::model::{FailureStage, ModelClient as _, ModelError, ModelEvent, ModelRequest};
use dovetail_core::plugin::{FailureKind, Recovery};
use dovetail_core::retry::{NextStep, RetryBudget, RetryLimits};
use dovetail_core::usage::TokenUsage;
use dovetail_responses::ResponsesClient;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::question::{CALL, RESULT, SAY, TOOL, text, tool, usual};
use crate::models;

/// A model that was asked for one word and says more than this will not stop.
const LONGEST: usize = 20_000;

/// What a model answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) items: Vec<Arc<ResponseItem>>,
    pub(super) usage: Option<TokenUsage>,
    /// Until something of it was there.
    pub(super) first: Option<Duration>,
    /// Another model than was asked for.
    pub(super) other_model: Option<String>,
    /// Whether it came whole, and not as a stream.
    pub(super) in_one_piece: bool,
}

/// What came of asking for a tool call.
#[derive(Debug)]
pub(super) enum Called {
    /// The call came, and its result was taken.
    Whole,
    /// Something else came; this is wrong with it.
    Not(String),
}

/// Asks one model of one service.
pub(super) struct Talk<'t> {
    client: &'t ResponsesClient,
    cancel: &'t CancellationToken,
    /// What all requests have in common.
    usual: ModelRequest,
    /// What may still be recovered.
    pub(super) budget: RetryBudget,
    /// How many requests were made.
    pub(super) requests: u32,
    /// What had to be done beside asking.
    pub(super) remarks: Vec<String>,
}

impl<'t> Talk<'t> {
    pub(super) fn new(
        client: &'t ResponsesClient,
        config: &Config,
        model: &str,
        cancel: &'t CancellationToken,
    ) -> anyhow::Result<Self> {
        let model = models::resolve(config, model)?;
        let limits = RetryLimits {
            request_max: 0,
            stream_max: 0,
            unbounded_connections: false,
        };
        Ok(Self {
            client,
            cancel,
            usual: usual(config, &model),
            budget: RetryBudget::new(limits),
            requests: 0,
            remarks: Vec::new(),
        })
    }

    /// Asks for one word.
    pub(super) async fn say(&mut self) -> Result<Answer, ModelError> {
        let request = ModelRequest {
            input: Arc::from([Arc::new(text("user", SAY))]),
            ..self.usual.clone()
        };
        self.ask(&request).await
    }

    /// Asks for a tool call, and gives its result back.
    pub(super) async fn call(&mut self) -> Result<Called, ModelError> {
        let mut items = vec![Arc::new(text("user", CALL))];
        let mut request = ModelRequest {
            input: items.clone().into(),
            tools: Arc::from([tool()]),
            ..self.usual.clone()
        };
        let answer = self.ask(&request).await?;
        let call_id = match call_in(&answer) {
            Ok(call_id) => call_id,
            Err(why) => return Ok(Called::Not(why)),
        };
        items.extend(answer.items.iter().cloned());
        items.push(Arc::new(ResponseItem::FunctionCallOutput {
            id: None,
            call_id,
            output: OutputPayload::Text(RESULT.to_owned()),
            metadata: None,
        }));
        request.input = items.into();
        self.ask(&request).await?;
        Ok(Called::Whole)
    }

    /// Sends a request, a second time where the credential was renewed or there is another way.
    async fn ask(&mut self, request: &ModelRequest) -> Result<Answer, ModelError> {
        loop {
            let error = match self.once(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let goes_on = match self.budget.next(&error, 0) {
                NextStep::Recover(step) => match self.client.recover(&error, step).await {
                    Recovery::Changed => {
                        self.remarks.push("the credential was renewed".to_owned());
                        true
                    }
                    Recovery::Unchanged => self.falls_back(&error),
                    Recovery::Permanent(why) | Recovery::Transient(why) => {
                        let message = format!("{why} ({})", error.message);
                        return Err(ModelError { message, ..error });
                    }
                },
                NextStep::GiveUp => self.falls_back(&error),
                NextStep::Fail
                | NextStep::TooLong { .. }
                | NextStep::Quiet(_)
                | NextStep::Reconnect { .. }
                | NextStep::Await { .. } => false,
            };
            if !goes_on {
                return Err(error);
            }
        }
    }

    /// Goes on over HTTP where no WebSocket could be had, as a turn does.
    fn falls_back(&mut self, error: &ModelError) -> bool {
        let of_this_way = error.over_socket || error.stage == FailureStage::Upgrade;
        let refused = matches!(error.stage, FailureStage::Status(_))
            && error.kind == FailureKind::Unauthorized;
        let goes_on = of_this_way && !refused && self.client.fall_back();
        if goes_on {
            self.budget.succeeded();
            let why = format!("over HTTP, since there is no WebSocket: {}", error.message);
            self.remarks.push(why);
        }
        goes_on
    }

    async fn once(&mut self, request: &ModelRequest) -> Result<Answer, ModelError> {
        self.requests += 1;
        let started = Instant::now();
        let mut answer = Answer::default();
        let mut stream = self.client.send(request, self.cancel).await?;
        answer.in_one_piece = !self.client.has_streamed();
        while let Some(event) = stream.next().await {
            match event? {
                ModelEvent::TextDelta(piece) => {
                    answer.first.get_or_insert_with(|| started.elapsed());
                    answer.text.push_str(&piece);
                }
                ModelEvent::ItemDone(item) => {
                    answer.first.get_or_insert_with(|| started.elapsed());
                    if answer.text.is_empty() {
                        answer.text = said(&item);
                    }
                    answer.items.push(Arc::new(*item));
                }
                ModelEvent::ItemLost(why) => {
                    return Err(broken(format!(
                        "an item of the answer cannot be read: {why}"
                    )));
                }
                ModelEvent::ServerModel(model) => answer.other_model = Some(model),
                ModelEvent::Completed { usage, .. } => {
                    answer.usage = usage;
                    return Ok(answer);
                }
                ModelEvent::Created
                | ModelEvent::TurnState(_)
                | ModelEvent::RateLimits(_)
                | ModelEvent::ModelsEtag(_)
                | ModelEvent::ReasoningIncluded
                | ModelEvent::ItemAdded { .. }
                | ModelEvent::ReasoningDelta(_) => {}
            }
            if answer.text.len() > LONGEST {
                return Err(broken(
                    "the model was asked for a word and does not stop".to_owned(),
                ));
            }
        }
        Err(broken("the stream ended before the answer did".to_owned()))
    }
}

fn broken(message: String) -> ModelError {
    ModelError::new(FailureStage::Stream, message)
}

/// The id of the call that was asked for, or what came instead.
fn call_in(answer: &Answer) -> Result<String, String> {
    let calls = answer.items.iter().filter_map(|item| match item.as_ref() {
        ResponseItem::FunctionCall {
            name,
            arguments,
            call_id,
            ..
        } => Some((name, arguments, call_id)),
        _ => None,
    });
    let Some((name, arguments, call_id)) = calls.into_iter().next() else {
        return Err("it answered with text instead of a call".to_owned());
    };
    if name != TOOL {
        return Err(format!("it called `{name}`, which it was not offered"));
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(_)) => Ok(call_id.clone()),
        Ok(_) | Err(_) => Err("the arguments of its call are no JSON object".to_owned()),
    }
}

/// The text of a message that came without pieces.
fn said(item: &ResponseItem) -> String {
    let ResponseItem::Message { content, .. } = item else {
        return String::new();
    };
    let texts = content.iter().filter_map(|part| match part {
        ContentItem::OutputText { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}
