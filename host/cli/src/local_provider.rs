//! `--oss`: a model server that people run themselves, on this machine or near it.

mod probe;

use clap::ValueEnum as _;
use dovetail_config::env;
use url::Url;

pub(crate) use self::probe::probe;

use crate::args::{ConfigOverrides, ExecOptions, LocalProvider};
use crate::fatal::Fatal;

impl LocalProvider {
    /// The provider's id in the configuration.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::Lmstudio => "lmstudio",
        }
    }

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::Lmstudio => "LM Studio",
        }
    }

    /// The model asked where the user names none.
    pub(crate) fn default_model(self) -> &'static str {
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

    /// The command that starts it.
    pub(crate) fn start(self) -> &'static str {
        match self {
            Self::Ollama => "`ollama serve`",
            Self::Lmstudio => "`lms server start`",
        }
    }

    /// The command that gets a model.
    fn pull(self, model: &str) -> String {
        match self {
            Self::Ollama => format!("`ollama pull {model}`"),
            Self::Lmstudio => format!("`lms get {model}`"),
        }
    }

    /// Where it is unless somebody says otherwise.
    fn usual_url(self) -> Url {
        let url = format!("http://localhost:{}/v1", self.port());
        url.parse().expect("a host and a port make a URL")
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
