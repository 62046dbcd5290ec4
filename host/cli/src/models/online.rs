//! A provider's list of models in a session: when it is asked for, and what the turn waits for.
//!
//! The rule: a turn waits for a list only where nothing else knows its model, neither a kept list nor the catalogue nor the
//! user. A kept list counts then however old it is. In every other case the list is asked for once a first request was
//! answered, beside that answer, and is there for the next session: asking can neither delay a first request, nor fail for the
//! same reason a second time. A list that is fresh is not asked for at all.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dovetail_config::Config;
use dovetail_models::KeptList;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::kept_file::KeptFile;
use super::known::Known;
use super::source::{Source, Told};

/// How long the end of a run waits for a list that is on its way. Whatever is not here by then is asked for another time.
const GRACE: Duration = Duration::from_secs(1);

/// What requests to the model told.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    /// Whether the server has answered one: the credential is good.
    pub(super) answered: bool,
    /// The tag of the server's list.
    pub(super) tag: Option<String>,
}

/// Keeps a provider's list up to date.
pub(crate) struct Online {
    heard: Arc<watch::Sender<Heard>>,
    ending: CancellationToken,
    keeping: AbortOnDropHandle<()>,
}

impl Online {
    /// Adds the list to what is known, waiting for it only where it has to, and keeps it up to date from then on.
    pub(crate) async fn begin(
        source: Source,
        config: &Config,
        known: &mut Known,
        models: &[String],
        cancel: &CancellationToken,
    ) -> Self {
        let mut keeper = Keeper::of(source, config);
        let is_known = |model: &String| known.knows(config, model);
        if keeper.list.is_none() && !models.iter().all(is_known) {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                asked = keeper.refresh() => note(asked),
            }
        }
        if let Some(list) = &keeper.list {
            known.add_list(list);
        }
        let (heard, told) = watch::channel(Heard::default());
        let ending = CancellationToken::new();
        Self {
            heard: Arc::new(heard),
            keeping: AbortOnDropHandle::new(tokio::spawn(keeper.keep(told, ending.clone()))),
            ending,
        }
    }

    /// What has to be told of answers.
    pub(super) fn heard(&self) -> Arc<watch::Sender<Heard>> {
        Arc::clone(&self.heard)
    }

    /// Ends it, once what is under way is done or takes too long.
    pub(crate) async fn end(self) {
        self.ending.cancel();
        // Late: the handle ends it.
        drop(tokio::time::timeout(GRACE, self.keeping).await);
    }
}

/// How a list is got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// Ask, whatever is kept.
    Online,
    /// Ask nobody: what is kept counts, however old it is.
    Offline,
    /// Ask where what is kept is not fresh.
    OnlineIfUncached,
}

/// The list for somebody who wants to see it, and why it is not newer, if that could be.
pub(crate) async fn look(
    source: Source,
    config: &Config,
    strategy: Strategy,
) -> (Option<KeptList>, Option<String>) {
    let mut keeper = Keeper::of(source, config);
    let asks = match strategy {
        Strategy::Online => true,
        Strategy::Offline => false,
        Strategy::OnlineIfUncached => !keeper.is_fresh(),
    };
    let failed = match asks {
        true => keeper.refresh().await.err(),
        false => None,
    };
    (keeper.list, failed)
}

/// Has the list, and asks for another.
struct Keeper {
    source: Source,
    file: KeptFile,
    list: Option<KeptList>,
    /// Whether it was asked for, with whatever outcome.
    asked: bool,
}

impl Keeper {
    fn of(source: Source, config: &Config) -> Self {
        let file = KeptFile::below(&config.home);
        let list = file.read(source.whose());
        Self {
            source,
            file,
            list,
            asked: false,
        }
    }

    fn is_fresh(&self) -> bool {
        let list = self.list.as_ref();
        list.is_some_and(|list| list.is_fresh(SystemTime::now()))
    }

    /// Follows what servers tell until the end, and what was told by then.
    async fn keep(mut self, mut told: watch::Receiver<Heard>, ending: CancellationToken) {
        let mut asked = self.asked || self.is_fresh();
        // The tag of the answer beside which the list was asked for tells nothing newer than that list.
        let mut is_newest = self.asked;
        let mut vouched_for = None;
        loop {
            tokio::select! {
                biased;
                told = told.changed() => if told.is_err() { return },
                () = ending.cancelled() => return,
            }
            let heard = told.borrow_and_update().clone();
            if heard.answered && !asked {
                asked = true;
                is_newest = true;
                note(self.refresh().await);
            }
            // Each tag once: a server whose lists have other tags than it tells would be asked for ever.
            let Some(tag) = heard.tag.filter(|tag| vouched_for.as_ref() != Some(tag)) else {
                continue;
            };
            match &self.list {
                _ if std::mem::take(&mut is_newest) => {}
                Some(list) if list.has_etag(&tag) => self.keep_for_longer().await,
                _ => note(self.refresh().await),
            }
            vouched_for = Some(tag);
        }
    }

    /// Asks for the list.
    async fn refresh(&mut self) -> Result<(), String> {
        self.asked = true;
        match self.source.ask(self.list.as_ref()).await? {
            Told::Unchanged => self.keep_for_longer().await,
            Told::List(list, left_out) => {
                for what in left_out {
                    tracing::warn!("left out of the list of models: {what}");
                }
                self.put(list).await;
            }
        }
        Ok(())
    }

    async fn keep_for_longer(&mut self) {
        if let Some(list) = self.list.take() {
            self.put(list.renewed(SystemTime::now())).await;
        }
    }

    async fn put(&mut self, list: KeptList) {
        let (file, whose, written) = (self.file.clone(), self.source.whose().clone(), list.clone());
        let writing = tokio::task::spawn_blocking(move || file.write(&whose, &written)).await;
        let problem = match writing {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = problem {
            tracing::warn!(%problem, "the list of models is not kept");
        }
        self.list = Some(list);
    }
}

/// A list that cannot be had is no reason to do less.
fn note(asked: Result<(), String>) {
    if let Err(why) = asked {
        tracing::warn!(%why, "the provider's list of models cannot be had");
    }
}
