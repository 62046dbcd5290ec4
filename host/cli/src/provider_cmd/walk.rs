//! `dovetail provider test`: from the configuration to a tool call, one step after the other.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dovetail_config::Config;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::TestArgs;
use super::checks::{self, failed, local};
use super::fix::Around;
use super::known::{self, Speaks};
use super::network::Way;
use super::page::Page;
use super::step::{
    CONFIGURATION, CREDENTIAL, DNS, Failed, MODELS, Outcome, PLUGIN, PROXY, STREAM, Steps, TCP,
    TLS, TOOLS, Told,
};
use super::talk::Talk;
use crate::config_cmd::place_text;
use crate::terminal_text::visible;
use crate::{exec, fatal, interrupt, out};

pub(super) async fn run(args: TestArgs) -> anyhow::Result<ExitCode> {
    let home = dovetail_config::codex_home()?;
    let cwd = std::env::current_dir()?;
    let cancel = CancellationToken::new();
    let interrupts = interrupt::watch(cancel.clone());
    let started = Instant::now();
    let page = (!args.json).then(Page::of_stdout);
    let mut walk = Walk {
        steps: Steps::new(page),
        until: started + args.limit.duration(),
        cancel,
        provider: args.id.clone().unwrap_or_default(),
        model: None,
        requests: 0,
        args,
        home,
        cwd,
    };
    // What failed is among the steps.
    let stopped = walk.walk().await.is_err();
    walk.steps.leave_out_the_rest();
    interrupts.finished();
    dovetail_runtime::process::end_all();
    let took = started.elapsed();
    out::stdout(&match walk.args.json {
        true => format!(
            "{:#}\n",
            json!({
                "provider": walk.provider,
                "model": walk.model,
                "ok": !stopped,
                "requests": walk.requests,
                "ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                "steps": walk.steps.json(),
            })
        ),
        false => walk.last_line(),
    });
    Ok(ExitCode::from(if stopped {
        fatal::FAILED
    } else {
        fatal::OK
    }))
}

/// A test in progress.
struct Walk {
    args: TestArgs,
    home: PathBuf,
    cwd: PathBuf,
    steps: Steps,
    until: Instant,
    cancel: CancellationToken,
    provider: String,
    model: Option<String>,
    /// Requests to the model.
    requests: u32,
}

/// The configuration, with the provider chosen.
pub(super) struct Chosen {
    pub(super) config: Config,
    /// Whether the configuration itself chooses it, and so its model.
    pub(super) selected: bool,
    /// Where its address is written down.
    place: String,
}

impl Walk {
    async fn walk(&mut self) -> Result<(), Failed> {
        let chosen = self.configure()?;
        let config = &chosen.config;
        let loading = checks::load(&chosen);
        let (asked, client, url) = self.step(PLUGIN, loading).await?;
        let way = Way::to(url, chosen.place.clone(), local(&self.provider));
        let addresses = self.step(DNS, way.dns()).await?;
        self.step(TCP, way.tcp(&addresses)).await?;
        self.beyond(&way).await?;

        let source = known::source(config, &asked).await;
        let speaks = Speaks::of(&asked);
        let mut around = Around {
            id: self.provider.clone(),
            base_url: asked.endpoint.base_url.clone(),
            place: chosen.place.clone(),
            speaks,
            model: String::new(),
            models: Vec::new(),
            login: asked.plugin.account().is_some(),
            local: way.is_local(),
            source,
        };
        let credential = checks::credential(&client, &around);
        self.step(CREDENTIAL, credential).await?;
        let (listed, model) = {
            let (named, cancel) = (self.args.model.clone(), self.cancel.clone());
            let listing = checks::list(&asked, &chosen, &around, named, cancel);
            self.step(MODELS, listing).await?
        };
        around.models = listed.models().to_vec();
        around.model.clone_from(&model);
        self.model = Some(model.clone());

        let cancel = self.cancel.clone();
        let talk = Talk::new(&client, config, &model, &cancel);
        let mut talk =
            talk.map_err(|error| Failed::new(fatal::sentence(&error), fatal::hints(&error)));
        let said = match &mut talk {
            Ok(talk) => self.step(STREAM, checks::say(talk, &around)).await,
            Err(failed) => {
                let failed = failed.clone();
                self.step(STREAM, async { Err::<Told<()>, _>(failed) })
                    .await
            }
        };
        let called = match (&said, &mut talk) {
            (Ok(()), Ok(talk)) => self.step(TOOLS, checks::call(talk, &around)).await,
            (Ok(()), Err(_)) | (Err(_), _) => Ok(()),
        };
        self.requests = talk.map_or(0, |talk| talk.requests);
        said.and(called)
    }

    /// Takes a step, unless somebody does not want to wait any more.
    async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Outcome<T>>,
    ) -> Result<T, Failed> {
        let started = Instant::now();
        let outcome = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Failed::new("interrupted", Vec::new())),
            outcome = tokio::time::timeout_at(self.until, work) => outcome.unwrap_or_else(|_elapsed| Err(self.late())),
        };
        // A request that was cancelled says so in its own words.
        let outcome = match self.cancel.is_cancelled() {
            true => Err(Failed::new("interrupted", Vec::new())),
            false => outcome,
        };
        self.steps.note(name, started.elapsed(), outcome)
    }

    fn late(&self) -> Failed {
        let seconds = self.args.limit.seconds;
        Failed::new(
            format!("not done within {seconds} s altogether"),
            vec![format!(
                "a model that is slow to load may need more: --timeout {}",
                seconds.saturating_mul(3)
            )],
        )
    }

    async fn beyond(&mut self, way: &Way) -> Result<(), Failed> {
        let started = Instant::now();
        let (through, tls) = tokio::select! {
            biased;
            () = self.cancel.cancelled() => (Err(Failed::new("interrupted", Vec::new())), None),
            outcomes = way.beyond() => outcomes,
        };
        let took = started.elapsed();
        self.steps.note(PROXY, took, through)?;
        match tls {
            Some(tls) => self.steps.note(TLS, took, tls),
            None => Ok(()),
        }
    }

    fn configure(&mut self) -> Result<Chosen, Failed> {
        let started = Instant::now();
        let chosen = choose(&self.args, &self.home, &self.cwd);
        if let Ok(chosen) = &chosen {
            self.provider.clone_from(&chosen.config.model_provider);
        }
        let outcome = match chosen {
            Ok(chosen) => {
                let fact = format!("{}, {}", chosen.config.model_provider, chosen.place);
                Ok(Told::ok(chosen, fact))
            }
            Err(error) => Err(failed(&error, "dovetail config explain model_providers")),
        };
        self.steps.note(CONFIGURATION, started.elapsed(), outcome)
    }

    fn last_line(&self) -> String {
        let id = visible(&self.provider);
        match (self.steps.failed(), &self.model) {
            (Some(_), _) if id.is_empty() => "the configuration cannot be used\n".to_owned(),
            (Some(step), _) => format!("`{id}` cannot be used: {step} failed\n"),
            (None, Some(model)) => format!("`{id}` can be used, with `{}`\n", visible(model)),
            (None, None) => format!("`{id}` can be used\n"),
        }
    }
}

fn choose(args: &TestArgs, home: &Path, cwd: &Path) -> anyhow::Result<Chosen> {
    let mut config = exec::load_config(home, cwd, &args.config)?;
    let selected = args
        .id
        .as_ref()
        .is_none_or(|id| *id == config.model_provider);
    if let Some(id) = &args.id {
        config.model_provider.clone_from(id);
    }
    let id = config.model_provider.as_str();
    let place = match (config.place(&["model_providers", id]), id) {
        (Some(place), _) => place_text(&place),
        (None, "openai") => match config.place(&["openai_base_url"]) {
            Some(place) => place_text(&place),
            None => "built in".to_owned(),
        },
        (None, _) if local(id).is_some() => "built in; CODEX_OSS_BASE_URL moves it".to_owned(),
        (None, _) => "no table".to_owned(),
    };
    Ok(Chosen {
        config,
        selected,
        place,
    })
}
