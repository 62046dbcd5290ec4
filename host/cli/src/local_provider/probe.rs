//! Looks at a local server before a turn, so that what a person can mend in one step is no failed turn with retries.

use std::time::Duration;

use anyhow::Context as _;
use dovetail_config::env;
use dovetail_http::Way;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

use crate::args::LocalProvider;
use crate::fatal::Fatal;

/// A server on this machine answers at once, if it runs at all.
const PATIENCE: Duration = Duration::from_secs(3);

/// The first Ollama that speaks Responses.
const FIRST_OLLAMA: [u64; 3] = [0, 13, 4];

/// Models that are named where the one that is wanted is not there.
const MOST_NAMED: usize = 5;

/// What is wrong with a server.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    /// Something else listens there.
    NoModelServer(String),
    /// It has no such model. These it has.
    NoModel(Vec<String>),
    /// It is too old to speak Responses.
    TooOld(String),
}

/// Looks whether the server is there, is what it should be, and has the model.
///
/// # Errors
/// It is not; says what to do.
pub(crate) async fn probe(provider: LocalProvider, model: &str) -> anyhow::Result<()> {
    let base_url = provider.base_url();
    let url: Url = base_url
        .parse()
        .with_context(|| format!("`{}` is not a URL: `{base_url}`", env::OSS_BASE_URL.name))?;
    if let Err(why) = connect(&url).await {
        return Err(not_there(provider, &base_url, &url, &why).await.into());
    }
    let client = dovetail_http::builder(Way::to(&url))?
        .timeout(PATIENCE)
        .build()?;
    match look(&client, provider, &base_url, model).await {
        Ok(()) => Ok(()),
        Err(wrong) => Err(wrong.fatal(provider, &base_url, model).into()),
    }
}

async fn connect(url: &Url) -> Result<(), String> {
    let host = url.host_str().unwrap_or("localhost");
    let host = host.trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    match tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Nobody answers: perhaps somebody does where such servers usually are.
async fn not_there(provider: LocalProvider, base_url: &str, url: &Url, why: &str) -> Fatal {
    let name = provider.name();
    let mut fatal = Fatal::new(format!("no {name} server answers at {base_url}: {why}"));
    for other in [LocalProvider::Ollama, LocalProvider::Lmstudio] {
        let usual = other.usual_url();
        let same = usual.port() == url.port_or_known_default();
        if same || connect(&usual).await.is_err() {
            continue;
        }
        fatal = fatal.hint(if other.id() == provider.id() {
            format!(
                "one listens at its usual address, {usual}: unset {} and {}",
                env::OSS_BASE_URL.name,
                env::OSS_PORT.name
            )
        } else {
            format!(
                "{} listens at {usual}: `--local-provider {}`",
                other.name(),
                other.id()
            )
        });
    }
    fatal.hint(format!(
        "start it with {}, or say where it is: {}=http://host:port/v1",
        provider.start(),
        env::OSS_BASE_URL.name
    ))
}

async fn look(
    client: &Client,
    provider: LocalProvider,
    base_url: &str,
    model: &str,
) -> Result<(), Wrong> {
    let base_url = base_url.trim_end_matches('/');
    let list = get(client, &format!("{base_url}/models")).await;
    let list = list.map_err(Wrong::NoModelServer)?;
    // A server that lists in another way may have it: the turn will tell.
    let Some(models) = models(&list) else {
        return Ok(());
    };
    if matches!(provider, LocalProvider::Ollama) {
        let root = base_url.trim_end_matches("/v1");
        // Without a version nothing is said against it.
        if let Ok(answer) = get(client, &format!("{root}/api/version")).await
            && let Some(version) = answer["version"].as_str()
            && is_older(version, FIRST_OLLAMA)
        {
            return Err(Wrong::TooOld(version.to_owned()));
        }
    }
    if models.iter().any(|known| is_same(known, model)) {
        return Ok(());
    }
    Err(Wrong::NoModel(models))
}

/// What a path answers, as JSON; or why that is not what a model server would say.
async fn get(client: &Client, url: &str) -> Result<Value, String> {
    let response = client.get(url).send().await;
    let response = response.map_err(|error| error.without_url().to_string())?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(format!("`GET {url}` is answered with {status}"));
    }
    let body = response.text().await;
    let body = body.map_err(|error| error.without_url().to_string())?;
    match serde_json::from_str(&body) {
        Ok(json @ Value::Object(_)) => Ok(json),
        Ok(_) | Err(_) => Err(format!("`GET {url}` is not answered with a JSON object")),
    }
}

/// The ids in a list of models; none where it is no such list. An empty one may be null.
fn models(list: &Value) -> Option<Vec<String>> {
    if list["object"] != "list" {
        return None;
    }
    let models = list["data"].as_array().into_iter().flatten();
    let ids = models.filter_map(|model| model["id"].as_str());
    Some(ids.map(str::to_owned).collect())
}

/// A model without a tag is its latest.
fn is_same(known: &str, wanted: &str) -> bool {
    let latest = |name: &str| name.strip_suffix(":latest").unwrap_or(name).to_owned();
    latest(known) == latest(wanted)
}

/// Whether a version is older. Builds of developers are 0.0.0, and nobody knows how old they are.
fn is_older(version: &str, first: [u64; 3]) -> bool {
    let numbers: Vec<u64> = version
        .split(['.', '-', '+'])
        .map_while(|part| part.parse().ok())
        .take(3)
        .collect();
    numbers.len() == 3 && numbers != [0, 0, 0] && numbers.as_slice() < first.as_slice()
}

impl Wrong {
    fn fatal(self, provider: LocalProvider, base_url: &str, model: &str) -> Fatal {
        let name = provider.name();
        match self {
            Self::NoModelServer(why) => Fatal::new(format!(
                "what answers at {base_url} is not {name}, or not its API: {why}"
            ))
            .hint(format!(
                "say where {name} is: {}=http://host:port/v1",
                env::OSS_BASE_URL.name
            )),
            Self::NoModel(models) => {
                let fatal = Fatal::new(format!("{name} at {base_url} has no model `{model}`"))
                    .hint(format!("get it: {}", provider.pull(model)));
                if models.is_empty() {
                    return fatal;
                }
                let named: Vec<&str> = models.iter().take(MOST_NAMED).map(String::as_str).collect();
                fatal.hint(format!(
                    "or use one that is there, with `-m`: {}",
                    named.join(", ")
                ))
            }
            Self::TooOld(version) => {
                let [major, minor, patch] = FIRST_OLLAMA;
                Fatal::new(format!(
                    "{name} {version} at {base_url} does not speak the Responses API"
                ))
                .hint(format!("update it to {major}.{minor}.{patch} or newer"))
                .hint(format!(
                    "or give it a table of its own: [model_providers.local] name = \"{name}\", base_url = \"{base_url}\", \
                     wire_api = \"chat\"; then `-c model_provider=local`"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_models_are_recognised() {
        let list = json!({ "object": "list", "data": [{ "id": "a" }, { "id": "b:latest" }] });
        assert_eq!(
            models(&list),
            Some(vec!["a".to_owned(), "b:latest".to_owned()])
        );
        assert_eq!(
            models(&json!({ "object": "list", "data": null })),
            Some(vec![])
        );
        assert_eq!(models(&json!({ "models": [] })), None);
        assert!(is_same("b:latest", "b") && is_same("b", "b:latest") && !is_same("b:7b", "b"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let older = |version| is_older(version, FIRST_OLLAMA);
        assert!(older("0.9.12") && older("0.13.3-rc1"));
        assert!(
            !older("0.13.4")
                && !older("0.14.0")
                && !older("1.0.0")
                && !older("0.0.0")
                && !older("dev")
        );
    }
}
