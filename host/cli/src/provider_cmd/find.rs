//! Finds out what a server speaks, by asking it as a turn would.

use dovetail_config::Config;
use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::retry::{RetryBudget, RetryLimits};
use dovetail_responses::ResponsesClient;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::attempt::{Attempt, Came};
use super::draft::Draft;
use super::fix::{self, Around};
use super::known::{self, Speaks};
use super::model_list::{self, Listed};
use super::page::Page;
use super::talk::{Called, Talk};
use crate::fatal::Fatal;
use crate::model_port;
use crate::plugins::{Asked, ProviderPlugins};
use crate::render::Ink;
use crate::terminal_text::one_line;
use crate::{identity, models, out};

/// A server's words in a line about an attempt.
const FEW_WORDS: usize = 160;

/// A server that can be used.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) base_url: String,
    pub(super) speaks: Speaks,
    pub(super) models: Vec<String>,
    /// The one that answered.
    pub(super) model: String,
    /// Whether its answers come as streams.
    pub(super) streams: bool,
    /// Why it calls no tools, if it does not.
    pub(super) without_tools: Option<String>,
}

impl Found {
    /// Whether nothing is missing.
    fn is_whole(&self) -> bool {
        self.streams && self.without_tools.is_none()
    }

    /// What it does, for people.
    fn words(&self) -> String {
        let streams = match self.streams {
            true => "streams",
            false => "answers in one piece",
        };
        match &self.without_tools {
            None => format!("{streams} and calls tools"),
            Some(why) => format!("{streams}, and calls no tools: {why}"),
        }
    }

    /// The better of two: turns need tools more than streams.
    fn better(self, other: Self) -> Self {
        let worth = |found: &Self| (found.without_tools.is_none(), found.streams);
        match worth(&other) > worth(&self) {
            true => other,
            false => self,
        }
    }
}

/// A search in progress.
pub(super) struct Search<'s> {
    pub(super) config: &'s Config,
    pub(super) draft: &'s Draft,
    pub(super) address: &'s Address,
    /// What to try, in this order.
    pub(super) order: Vec<Speaks>,
    /// The model that somebody named.
    pub(super) model: Option<String>,
    pub(super) cancel: CancellationToken,
    /// Where attempts are told as they are made.
    pub(super) page: Option<Page>,
    attempts: Vec<Attempt>,
    models: Vec<String>,
    budget: RetryBudget,
}

/// One API at one address, ready to be asked.
struct Ready {
    asked: Asked,
    client: ResponsesClient,
    config: Config,
    around: Around,
}

impl<'s> Search<'s> {
    pub(super) fn new(
        config: &'s Config,
        draft: &'s Draft,
        address: &'s Address,
        cancel: CancellationToken,
    ) -> Self {
        let all = [Speaks::Responses, Speaks::Chat, Speaks::Messages];
        let mut order: Vec<Speaks> = address.hint.into_iter().chain(all).collect();
        let mut seen = Vec::new();
        order.retain(|speaks| {
            !seen.contains(speaks) && {
                seen.push(*speaks);
                true
            }
        });
        Self {
            config,
            draft,
            address,
            order,
            model: None,
            cancel,
            page: None,
            attempts: Vec::new(),
            models: Vec::new(),
            budget: RetryBudget::new(RetryLimits {
                request_max: 0,
                stream_max: 0,
                unbounded_connections: false,
            }),
        }
    }

    pub(super) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The first way that streams and calls tools, else the first that does at least one of them.
    ///
    /// # Errors
    /// There is none; says what came of each.
    pub(super) async fn run(&mut self) -> anyhow::Result<Found> {
        let mut second_best: Option<Found> = None;
        for base_url in self.address.bases() {
            let before = self.attempts.len();
            for speaks in self.order.clone() {
                let found = self.try_one(&base_url, speaks).await?;
                match found {
                    Some(found) if found.is_whole() => return Ok(found),
                    Some(found) => {
                        second_best = Some(match second_best {
                            Some(best) => best.better(found),
                            None => found,
                        });
                    }
                    None => {}
                }
                let wants_a_key = self.attempts.last().map(|last| last.came) == Some(Came::Refused)
                    && !self.draft.has_credential();
                if wants_a_key {
                    return Err(self.none_found().into());
                }
            }
            let here = self.attempts[before..].iter();
            if here.into_iter().any(|attempt| attempt.came != Came::Absent) {
                break;
            }
        }
        second_best.ok_or_else(|| self.none_found().into())
    }

    async fn try_one(&mut self, base_url: &str, speaks: Speaks) -> anyhow::Result<Option<Found>> {
        let mut ready = self.ready(base_url, speaks).await?;
        let asked = self.list(&ready).await;
        let asked = match asked {
            Ok(()) => self.say(&mut ready).await,
            Err(error) => Err(error),
        };
        let mut streams = false;
        let (came, words, fix) = match asked {
            Ok(has_streamed) => {
                streams = has_streamed;
                (Came::Works, String::new(), Vec::new())
            }
            Err(error) => {
                let fix = fix::of(&error, &ready.around);
                if matches!(error.stage, FailureStage::Auth | FailureStage::Connect) {
                    return Err(with_hints(Fatal::new(error.message), &fix).into());
                }
                (Came::of(&error, &ready.around.model), error.message, fix)
            }
        };
        let mut attempt = Attempt {
            base_url: base_url.to_owned(),
            speaks,
            came,
            words,
            fix,
            model: ready.around.model.clone(),
        };
        let mut found = None;
        if came == Came::Works {
            let without_tools = self.call(&ready).await?;
            let works = Found {
                base_url: base_url.to_owned(),
                speaks,
                models: self.models.clone(),
                model: ready.around.model,
                streams,
                without_tools,
            };
            attempt.words = works.words();
            found = Some(works);
        }
        self.tell(&attempt);
        self.attempts.push(attempt);
        Ok(found)
    }

    /// Loads what a turn with that table would load, and gets the credential: without it nothing is sent.
    async fn ready(&self, base_url: &str, speaks: Speaks) -> anyhow::Result<Ready> {
        let config = self.draft.config(self.config, base_url, speaks);
        let asked = ProviderPlugins::load(&config)
            .await?
            .choose(&config)
            .await?;
        let originator = identity::originator(None);
        let client = model_port::client_of(&asked.whom(), &config, "exec", &originator)?;
        let around = Around {
            id: self.draft.id.clone(),
            base_url: base_url.to_owned(),
            place: "the command line".to_owned(),
            speaks,
            model: self.model.clone().unwrap_or_default(),
            models: self.models.clone(),
            source: known::source(&config, &asked).await,
            login: false,
            local: dovetail_http::is_loopback(self.address.url()),
        };
        if let Err(error) = client.credential_headers().await {
            let fix = fix::of(&error, &around);
            // There is no table yet that could be explained.
            let fix: Vec<String> = fix
                .into_iter()
                .filter(|fix| !fix.contains("auth explain"))
                .collect();
            return Err(with_hints(Fatal::new(error.message), &fix).into());
        }
        Ok(Ready {
            asked,
            client,
            config,
            around,
        })
    }

    /// Asks for the models, unless they are known. Keys go into other headers for Messages.
    async fn list(&mut self, ready: &Ready) -> Result<(), ModelError> {
        let speaks = ready.around.speaks;
        let asked_before = self.attempts.iter().any(|attempt| {
            attempt.base_url == ready.around.base_url && attempt.speaks != Speaks::Messages
        });
        if !self.models.is_empty() || asked_before && speaks != Speaks::Messages {
            return Ok(());
        }
        let listed = model_list::ask(&ready.config, &ready.asked, speaks, &self.cancel).await?;
        if let Listed::Models(models) = listed {
            self.models = models;
        }
        Ok(())
    }

    /// Whether the answer came as a stream.
    async fn say(&mut self, ready: &mut Ready) -> Result<bool, ModelError> {
        let usual = models::chosen(&ready.config).to_owned();
        let named = self.model.as_deref();
        let picked = || model_list::pick(&self.models, &[&usual]);
        ready.around.model = named.or_else(picked).unwrap_or(&usual).to_owned();
        ready.around.models.clone_from(&self.models);
        let mut talk = self.talk(ready)?;
        let said = talk.say().await;
        self.budget = talk.budget;
        said.map(|answer| !answer.in_one_piece)
    }

    /// Why the model calls no tools; none where it does.
    async fn call(&mut self, ready: &Ready) -> anyhow::Result<Option<String>> {
        let mut talk = self.talk(ready)?;
        let called = talk.call().await;
        self.budget = talk.budget;
        Ok(match called {
            Ok(Called::Whole) => None,
            Ok(Called::Not(why)) => Some(why),
            Err(error) if self.cancel.is_cancelled() => {
                return Err(Fatal::new(error.message).into());
            }
            Err(error) => Some(error.message),
        })
    }

    fn talk<'r>(&'r self, ready: &'r Ready) -> Result<Talk<'r>, ModelError> {
        let talk = Talk::new(
            &ready.client,
            &ready.config,
            &ready.around.model,
            &self.cancel,
        );
        let mut talk = talk
            .map_err(|error| ModelError::new(FailureStage::Auth, crate::fatal::sentence(&error)))?;
        // One recovery for the whole search.
        talk.budget = self.budget;
        Ok(talk)
    }

    fn tell(&self, attempt: &Attempt) {
        let Some(page) = self.page else { return };
        let (word, ink) = match attempt.came {
            Came::Works => ("ok", Ink::Good),
            Came::Absent | Came::Refused | Came::NoModel | Came::Fails => ("no", Ink::Dim),
        };
        let head = format!("  {}  ", page.style.paint(ink, word));
        let text = format!(
            "{}: {}",
            attempt.title(),
            one_line(&attempt.words, FEW_WORDS)
        );
        out::stderr(&page.beside(&head, 6, 6, &text));
    }

    /// What to say where nothing can be used: of all that went wrong, what is most worth to be mended.
    fn none_found(&self) -> Fatal {
        let came = |kind: Came| self.attempts.iter().find(|attempt| attempt.came == kind);
        if let Some(refused) = came(Came::Refused) {
            return self.unauthorized(refused);
        }
        if let Some(attempt) = came(Came::NoModel) {
            let message = format!(
                "{} is there, and has no model `{}`: {}",
                attempt.title(),
                attempt.model,
                attempt.words
            );
            return with_hints(Fatal::new(message), &attempt.fix);
        }
        if let Some(attempt) = came(Came::Fails) {
            let message = format!("{} cannot be used: {}", attempt.title(), attempt.words);
            return with_hints(Fatal::new(message), &attempt.fix);
        }
        let mut message = format!(
            "nothing at {} speaks {}",
            self.address.url(),
            one_of(&self.order)
        );
        for attempt in &self.attempts {
            let words = one_line(&attempt.words, FEW_WORDS);
            message.push_str(&format!("\n  {}: {words}", attempt.title()));
        }
        Fatal::new(message)
            .hint("is the path right? Give the base URL as the service's manual has it")
            .hint("a service with an API of its own needs a plugin: docs/new-provider.md")
    }

    fn unauthorized(&self, refused: &Attempt) -> Fatal {
        let words = &refused.words;
        match self.draft.has_credential() {
            true => Fatal::new(format!("the server does not take this credential: {words}"))
                .hint("is it for this service, and whole?"),
            false => Fatal::new(format!("the server wants a credential: {words}"))
                .hint("put the key into a variable, and name that: --env-key NAME")
                .hint("or name a command that prints a token: --token-command \"…\""),
        }
    }
}

fn one_of(order: &[Speaks]) -> String {
    let names: Vec<&str> = order.iter().map(|speaks| speaks.name()).collect();
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        names => names.concat(),
    }
}

/// An error with what to do about it.
pub(super) fn with_hints(fatal: Fatal, hints: &[String]) -> Fatal {
    hints.iter().fold(fatal, |fatal, hint| fatal.hint(hint))
}
