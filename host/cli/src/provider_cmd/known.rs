//! Every provider that can be chosen: who serves it, where it is, and where its credential would come from.

use dovetail_config::{BrokenProvider, Config, Place};
use dovetail_core::plugin::{Purpose, Scope};
use dovetail_runtime::lock;
use dovetail_runtime::native::UNSANDBOXED;
use serde_json::Value;

use crate::args::LocalProvider;
use crate::fatal;
use crate::plugins::{Asked, ProviderPlugins};
use crate::provider_choice::BEDROCK;

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    Responses,
    Chat,
    Messages,
    /// What only its plugin understands.
    Own,
}

impl Speaks {
    /// As `wire_api` says it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Own => "own",
        }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Responses => "Responses",
            Self::Chat => "Chat Completions",
            Self::Messages => "Messages",
            Self::Own => "an API of its own",
        }
    }

    /// What a provider that is served speaks.
    pub(super) fn of(asked: &Asked) -> Self {
        match asked.wire.as_ref().map(|wire| wire.plugin().as_str()) {
            None => Self::Responses,
            Some("chat-completions") => Self::Chat,
            Some("messages") => Self::Messages,
            Some(_) => Self::Own,
        }
    }
}

/// Where a provider is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BuiltIn,
    Local,
    Table,
    Plugin,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Local => "local",
            Self::Table => "table",
            Self::Plugin => "plugin",
        }
    }
}

/// Who serves a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) plugin: String,
    pub(super) version: String,
    /// `built-in`, `user`, ….
    pub(super) scope: String,
    pub(super) sandboxed: bool,
    /// The plugin that translates, where that is another one.
    pub(super) speaker: Option<String>,
}

impl Server {
    pub(super) fn of(asked: &Asked) -> Self {
        let plugin = &asked.plugin;
        let speaker = asked.wire.as_ref().map(|wire| wire.plugin().to_string());
        Self {
            plugin: plugin.id().to_string(),
            version: plugin.version().to_string(),
            scope: plugin.scope().name().to_owned(),
            sandboxed: !plugin.manifest().native,
            speaker: speaker.filter(|speaker| speaker != plugin.id().as_str()),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} {} ({})", self.plugin, self.version, self.scope);
        if let Some(speaker) = &self.speaker {
            text.push_str(&format!(" with {speaker}"));
        }
        if !self.sandboxed {
            text.push_str(&format!(", {UNSANDBOXED}"));
        }
        text
    }
}

/// Where a credential would come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// For people; never the credential.
    pub(super) text: String,
    /// Whether it is there; none where only asking for it tells.
    pub(super) is_there: Option<bool>,
}

/// A provider that works as far as can be seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Usable {
    pub(super) name: String,
    pub(super) base_url: String,
    pub(super) speaks: Speaks,
    pub(super) server: Server,
    /// None where it needs none.
    pub(super) credential: Option<Source>,
}

/// What is wrong with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) words: String,
    pub(super) hints: Vec<String>,
}

/// A provider that can be named.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) selected: bool,
    /// Where its table is, if it has one.
    pub(super) place: Option<Place>,
    pub(super) state: Result<Usable, Problem>,
}

/// All of them: built-in ones first, then local ones, tables, and what plugins serve.
pub(super) async fn all(config: &Config, broken: &[BrokenProvider]) -> Vec<Known> {
    let mut all = Vec::new();
    for (id, kind) in ids(config, broken).await {
        all.push(known(config, broken, id, kind).await);
    }
    all
}

async fn ids(config: &Config, broken: &[BrokenProvider]) -> Vec<(String, Kind)> {
    let built_in = ["openai"].into_iter().chain(BEDROCK);
    let mut ids: Vec<(String, Kind)> = built_in.map(|id| (id.to_owned(), Kind::BuiltIn)).collect();
    let local = [LocalProvider::Ollama, LocalProvider::Lmstudio];
    ids.extend(local.map(|local| (local.id().to_owned(), Kind::Local)));
    let tables = config.model_providers.keys();
    let tables = tables
        .chain(broken.iter().map(|broken| &broken.id))
        .cloned();
    ids.extend(tables.map(|id| (id, Kind::Table)));
    // What cannot be loaded serves nobody; `plugin list` says so.
    let plugins = ProviderPlugins::load(&without_choice(config)).await.ok();
    let served = plugins.iter().flat_map(ProviderPlugins::served_ids);
    let installed = served.filter(|(_, plugin)| plugin.scope() != &lock::Scope::Builtin);
    ids.extend(installed.map(|(id, _)| (id.to_owned(), Kind::Plugin)));
    ids.push((config.model_provider.clone(), Kind::Table));
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|(id, _)| seen.insert(id.clone()));
    ids
}

/// A configuration in which no table is chosen, so that a broken one hides no plugin.
fn without_choice(config: &Config) -> Config {
    let mut config = config.clone();
    "ollama".clone_into(&mut config.model_provider);
    config
}

async fn known(config: &Config, broken: &[BrokenProvider], id: String, kind: Kind) -> Known {
    let selected = config.model_provider == id;
    if let Some(broken) = broken.iter().find(|broken| broken.id == id) {
        let problem = Problem {
            words: broken.error.to_string(),
            hints: broken.error.hint().into_iter().collect(),
        };
        return Known {
            id,
            kind,
            selected,
            place: broken.place.clone(),
            state: Err(problem),
        };
    }
    let mut own = config.clone();
    own.model_provider.clone_from(&id);
    let state = usable(&own).await.map_err(|error| Problem {
        words: fatal::sentence(&error),
        hints: fatal::hints(&error),
    });
    Known {
        place: config.place(&["model_providers", &id]),
        id,
        kind,
        selected,
        state,
    }
}

/// The chosen provider of a configuration.
async fn usable(config: &Config) -> anyhow::Result<Usable> {
    let asked = ProviderPlugins::load(config).await?.choose(config).await?;
    let credential = source(config, &asked).await;
    Ok(Usable {
        name: asked.endpoint.name.clone(),
        base_url: asked.endpoint.base_url.clone(),
        speaks: Speaks::of(&asked),
        server: Server::of(&asked),
        credential,
    })
}

/// The scope of a turn's requests.
pub(super) fn scope(config: &Config) -> Scope {
    Scope {
        provider_id: config.model_provider.clone(),
        purpose: Purpose::Turn,
        session_source: "exec".to_owned(),
        policy: config.dovetail.auth_policy.clone(),
    }
}

/// Where the credential of the chosen provider would come from. Nothing is run and nobody is asked.
pub(super) async fn source(config: &Config, asked: &Asked) -> Option<Source> {
    let empty = Value::Null;
    let table = config.model_providers.get(&config.model_provider);
    let table = table.unwrap_or(&empty);
    let builtin = asked.plugin.scope() == &lock::Scope::Builtin;
    if let Some(name) = table["env_key"].as_str().filter(|_| builtin) {
        let is_set = std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
        return Some(Source {
            text: format!("the variable {name}"),
            is_there: Some(is_set),
        });
    }
    if let Some(command) = table["auth"]["command"].as_str() {
        return Some(Source {
            // Its arguments may be anything.
            text: format!("the command `{command}`"),
            is_there: None,
        });
    }
    if table["experimental_bearer_token"].is_string() {
        return Some(Source {
            text: "`experimental_bearer_token` of its table".to_owned(),
            is_there: Some(true),
        });
    }
    if let Some(account) = asked.plugin.account() {
        let explained = account.explain(&scope(config)).await;
        return match explained {
            Ok(explained) => {
                let used = explained.sources.iter().find(|source| source.used);
                let problem = explained.problem.map(|text| Source {
                    text,
                    is_there: Some(false),
                });
                let found = used.map(|source| Source {
                    text: format!("{}: {}", source.name, source.finding),
                    is_there: Some(true),
                });
                problem.or(found)
            }
            Err(error) => Some(Source {
                text: error.to_string(),
                is_there: Some(false),
            }),
        };
    }
    if BEDROCK.contains(&config.model_provider.as_str()) && builtin {
        return Some(Source {
            text: "AWS credentials: a key, a profile, or the machine's own".to_owned(),
            is_there: None,
        });
    }
    (!builtin).then(|| of_grant(asked)).flatten()
}

/// The slots that a plugin was granted.
fn of_grant(asked: &Asked) -> Option<Source> {
    let (id, egress) = (asked.plugin.id(), asked.services.egress());
    let grant = asked.plugin.grant();
    let mut all_there = true;
    let slots: Vec<String> = grant
        .capabilities()
        .secrets
        .iter()
        .map(|slot| {
            let source = egress.secrets().source(id, slot.as_str());
            let source = source.map_or_else(|| "no source".to_owned(), |source| source.to_string());
            // A slot that cannot be looked at is as good as empty.
            all_there &= egress
                .secret_exists(id, grant, slot.as_str())
                .unwrap_or(false);
            format!("secret `{slot}` from {source}")
        })
        .collect();
    (!slots.is_empty()).then(|| Source {
        text: slots.join(", "),
        is_there: Some(all_there),
    })
}
