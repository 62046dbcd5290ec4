//! `--oss`: a model server that people run themselves, on this machine or near it.

use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum as _;
use dovetail_config::env;
use tokio::net::TcpStream;
use url::Url;

use crate::args::{ConfigOverrides, ExecOptions, LocalProvider};
use crate::fatal::Fatal;

/// A server on this machine answers at once, if it runs at all.
const PATIENCE: Duration = Duration::from_secs(3);

impl LocalProvider {
    /// The provider's id in the configuration.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::Lmstudio => "lmstudio",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::Lmstudio => "LM Studio",
        }
    }

    /// The model asked where the user names none.
    fn default_model(self) -> &'static str {
        match self {
            Self::Ollama => "gpt-oss:20b",
            Self::Lmstudio => "openai/gpt-oss-20b",
        }
    }

    fn port(self) -> &'static str {
        match self {
            Self::Ollama => "11434",
            Self::Lmstudio => "1234",
        }
    }

    fn start(self) -> &'static str {
        match self {
            Self::Ollama => "`ollama serve`",
            Self::Lmstudio => "`lms server start`",
        }
    }

    /// Where it is: at its usual port, unless the environment says otherwise.
    pub(crate) fn base_url(self) -> String {
        env::OSS_BASE_URL.get().unwrap_or_else(|| {
            let port = env::OSS_PORT.get();
            format!(
                "http://localhost:{}/v1",
                port.as_deref().unwrap_or(self.port())
            )
        })
    }
}

/// The server that `--oss` means; none without that flag.
///
/// # Errors
/// Nothing says which server.
pub(crate) fn chosen(
    options: &ExecOptions,
    configured: Option<&str>,
) -> anyhow::Result<Option<LocalProvider>> {
    match (options.oss, options.local_provider) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(
            Fatal::new("`--local-provider` says which server `--oss` asks")
                .hint("add `--oss`")
                .into(),
        ),
        (true, Some(provider)) => Ok(Some(provider)),
        (true, None) => from_config(configured).map(Some),
    }
}

fn from_config(configured: Option<&str>) -> anyhow::Result<LocalProvider> {
    let hint = "add `--local-provider ollama` or `--local-provider lmstudio`, or set `oss_provider` in config.toml";
    let Some(id) = configured else {
        return Err(Fatal::new("`--oss` needs to know which server to ask")
            .hint(hint)
            .into());
    };
    LocalProvider::from_str(id, false).map_err(|_| {
        Fatal::new(format!(
            "`oss_provider` is `{id}`, which is no local server"
        ))
        .hint(hint)
        .into()
    })
}

/// The settings that choose it. A model from the files belongs to another provider, so it does not count.
pub(crate) fn overrides(provider: LocalProvider, flags: &ConfigOverrides) -> ConfigOverrides {
    let mut flags = flags.clone();
    let model = format!("model={:?}", provider.default_model());
    // First, so that a model given with `-c` wins.
    flags.overrides.insert(0, model);
    flags
        .overrides
        .push(format!("model_provider={}", provider.id()));
    flags
}

/// Looks whether anybody is there, so that a server that was not started is not a failed turn with retries.
///
/// # Errors
/// Nobody answers; says how to start the server.
pub(crate) async fn probe(provider: LocalProvider) -> anyhow::Result<()> {
    let base_url = provider.base_url();
    let url: Url = base_url
        .parse()
        .with_context(|| format!("`{}` is not a URL: `{base_url}`", env::OSS_BASE_URL.name))?;
    let host = url
        .host_str()
        .unwrap_or("localhost")
        .trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect((host, port))).await;
    let why = match connected {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    Err(Fatal::new(format!(
        "no {} server answers at {base_url}: {why}",
        provider.name()
    ))
    .hint(format!(
        "start it with {}, or say where it is: {}=http://host:port/v1",
        provider.start(),
        env::OSS_BASE_URL.name
    ))
    .into())
}
