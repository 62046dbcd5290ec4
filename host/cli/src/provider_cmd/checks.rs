//! The steps of a test that ask plugins and the service.

use anyhow::Context as _;
use dovetail_responses::ResponsesClient;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::fix::{self, Around};
use super::known::{Server, Source, Speaks};
use super::model_list::{self, Listed};
use super::step::{Failed, Outcome, Told};
use super::talk::{Answer, Called, Talk};
use super::walk::Chosen;
use crate::args::LocalProvider;
use crate::model_port;
use crate::plugins::{Asked, ProviderPlugins};
use crate::terminal_text::{grouped, one_line, short_duration};
use crate::{fatal, identity, models};

/// How much of an answer is shown.
const FEW_WORDS: usize = 40;
/// Loads the plugins, and makes the client that a turn would have.
pub(super) async fn load(chosen: &Chosen) -> Outcome<(Asked, ResponsesClient, Url)> {
    let config = &chosen.config;
    let loaded = async {
        let asked = ProviderPlugins::load(config).await?.choose(config).await?;
        let originator = identity::originator(None);
        let client = model_port::client_of(&asked.whom(), config, "exec", &originator)?;
        let url = Url::parse(&asked.endpoint.base_url).context("its base URL is no URL")?;
        anyhow::Ok((asked, client, url))
    };
    let (asked, client, url) = loaded.await.map_err(|error| {
        let id = &config.model_provider;
        failed(
            &error,
            &format!("dovetail config explain model_providers.{id}"),
        )
    })?;
    let speaks = Speaks::of(&asked);
    let fact = format!(
        "{}, which speaks {}, for {}",
        Server::of(&asked).text(),
        speaks.name(),
        asked.endpoint.base_url
    );
    Ok(Told::ok((asked, client, url), fact))
}

pub(super) async fn credential(client: &ResponsesClient, around: &Around) -> Outcome<()> {
    let headers = client
        .credential_headers()
        .await
        .map_err(|error| Failed::new(error.message.clone(), fix::of(&error, around)))?;
    let source = around
        .source
        .as_ref()
        .map(|source: &Source| source.text.as_str());
    Ok(match (source, headers.is_empty()) {
        (None, true) => Told::skipped((), "its configuration asks for none"),
        (source, true) => {
            let source = source.unwrap_or_default();
            Told::ok((), format!("{source}; each request is signed"))
        }
        (Some(source), false) => Told::ok((), format!("{source}; sent as {}", headers.join(", "))),
        (None, false) => Told::ok(
            (),
            format!("the plugin's own; sent as {}", headers.join(", ")),
        ),
    })
}

/// Lists the models, and chooses the one to ask.
pub(super) async fn list(
    asked: &Asked,
    chosen: &Chosen,
    around: &Around,
    named: Option<String>,
    cancel: CancellationToken,
) -> Outcome<(Listed, String)> {
    let config = &chosen.config;
    let listed = model_list::ask(config, asked, around.speaks, &cancel).await;
    let listed =
        listed.map_err(|error| Failed::new(error.message.clone(), fix::of(&error, around)))?;
    // The model of another provider is none of this one's.
    let mut usual = config.clone();
    usual.model = usual.model.filter(|_| chosen.selected);
    let usual = models::chosen(&usual).to_owned();
    let own = local(&around.id).map(LocalProvider::default_model);
    // A turn of the chosen provider has this one, listed or not.
    let fixed = named
        .as_deref()
        .or(chosen.selected.then_some(usual.as_str()));
    let preferred: Vec<&str> = own.into_iter().chain([usual.as_str()]).collect();
    let picked = model_list::pick(listed.models(), &preferred);
    let model = fixed.or(picked).or(own).unwrap_or(&usual).to_owned();
    let fact = match &listed {
        Listed::Nothing(why) => format!("no list: {why}; asking `{model}`"),
        Listed::Models(models) if models.is_empty() => {
            format!("the list is empty; asking `{model}`")
        }
        Listed::Models(models) => match models.contains(&model) {
            true => format!("{} listed; asking `{model}`", models.len()),
            false => format!(
                "{} listed, `{model}` is not among them; asking it",
                models.len()
            ),
        },
    };
    Ok(match &listed {
        Listed::Nothing(_) => Told::skipped((listed, model), fact),
        Listed::Models(_) => Told::ok((listed, model), fact),
    })
}

pub(super) async fn say(talk: &mut Talk<'_>, around: &Around) -> Outcome<()> {
    match talk.say().await {
        Ok(answer) => Ok(Told::ok((), told(&answer, &talk.remarks))),
        Err(error) => Err(Failed::new(error.message.clone(), fix::of(&error, around))),
    }
}

pub(super) async fn call(talk: &mut Talk<'_>, around: &Around) -> Outcome<()> {
    let known = talk.remarks.len();
    match talk.call().await {
        Ok(Called::Whole) => {
            let mut words = vec!["called, and its result taken".to_owned()];
            words.extend(talk.remarks[known..].iter().cloned());
            Ok(Told::ok((), words.join("; ")))
        }
        Ok(Called::Not(why)) => Err(Failed::new(
            format!("a tool was offered, and the model did not call it: {why}"),
            fix::for_tools(around),
        )),
        Err(error) => {
            let mut fixes = fix::of(&error, around);
            fixes.extend(fix::for_tools(around));
            Err(Failed::new(error.message.clone(), fixes))
        }
    }
}

/// What can be said of an answer.
fn told(answer: &Answer, remarks: &[String]) -> String {
    let mut words = vec![match answer.text.trim() {
        "" => "an answer without text".to_owned(),
        text => format!("it says \"{}\"", one_line(text, FEW_WORDS)),
    }];
    if answer.in_one_piece {
        words.push(
            "in one piece: this server does not stream, so nothing is seen until an answer is whole"
                .to_owned(),
        );
    } else if let Some(first) = answer.first {
        words.push(format!("first words after {}", short_duration(first)));
    }
    if let Some(usage) = &answer.usage {
        let (read, written) = (grouped(usage.input_tokens), grouped(usage.output_tokens));
        words.push(format!("{read} tokens in, {written} out"));
    }
    if let Some(other) = &answer.other_model {
        words.push(format!("the model that answered is `{other}`"));
    }
    words.extend(remarks.iter().cloned());
    words.join("; ")
}

/// A step that failed with an error of the host's own.
pub(super) fn failed(error: &anyhow::Error, otherwise: &str) -> Failed {
    let mut fix = fatal::hints(error);
    if fix.is_empty() {
        fix.push(otherwise.to_owned());
    }
    Failed::new(fatal::sentence(error), fix)
}

/// The local provider of that id.
pub(super) fn local(id: &str) -> Option<LocalProvider> {
    let all = [LocalProvider::Ollama, LocalProvider::Lmstudio];
    all.into_iter().find(|local| local.id() == id)
}
