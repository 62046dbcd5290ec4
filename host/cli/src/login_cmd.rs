//! `dovetail login`, `login status` and `logout`.

mod callback;
mod flow;

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use dovetail_config::{Config, LoginStore};
use dovetail_core::plugin::{Account, Beginning, KnownLogin, Way};
use dovetail_core::secret::SecretText;
use serde_json::json;

use crate::args::ConfigOverrides;
use crate::fatal::Fatal;
use crate::plugins::Asked;
use crate::provider_choice::ProviderTable;
use crate::{exec, out};
use flow::PROVIDER;

/// No key or token is longer.
const MOST_INPUT: u64 = 64 << 10;

/// `dovetail login`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LoginArgs {
    /// `status` asks which login there is.
    #[command(subcommand)]
    pub(crate) command: Option<LoginCommand>,
    /// Read an API key from standard input: `printenv OPENAI_API_KEY | dovetail login --with-api-key`
    #[arg(long, conflicts_with_all = ["with_access_token", "device_auth"])]
    pub(crate) with_api_key: bool,
    /// Read a personal access token or an agent's identity from standard input.
    #[arg(long, conflicts_with = "device_auth")]
    pub(crate) with_access_token: bool,
    /// Sign in with a code, in a browser on any machine.
    #[arg(long)]
    pub(crate) device_auth: bool,
    /// Print the page's address only, and open nothing.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Another authority, for tests.
    #[arg(long = "experimental_issuer", value_name = "URL", hide = true)]
    pub(crate) issuer: Option<String>,
    /// Configuration.
    #[command(flatten)]
    pub(crate) config: ConfigOverrides,
}

/// What else there is to logins.
#[derive(Debug, Subcommand)]
pub(crate) enum LoginCommand {
    /// Say which login there is; exit code 1 where there is none.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Configuration.
        #[command(flatten)]
        config: ConfigOverrides,
    },
}

/// `dovetail logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Configuration.
    #[command(flatten)]
    pub(crate) config: ConfigOverrides,
}

impl LoginArgs {
    /// The configuration that it looks at.
    pub(crate) fn overrides(&mut self) -> &mut ConfigOverrides {
        match &mut self.command {
            Some(LoginCommand::Status { config, .. }) => config,
            None => &mut self.config,
        }
    }
}

/// Runs `dovetail login`.
///
/// # Errors
/// Nobody is signed in afterwards, in words that say why.
pub(crate) async fn run(args: LoginArgs) -> anyhow::Result<ExitCode> {
    if let Some(LoginCommand::Status { json, config }) = &args.command {
        return status(*json, config).await;
    }
    let config = load(&args.config)?;
    if config.login.store == LoginStore::Ephemeral {
        return Err(Fatal::new(
            "with `cli_auth_credentials_store = \"ephemeral\"` a login ends with its process, so nothing would be kept",
        )
        .hint("set CODEX_API_KEY or CODEX_ACCESS_TOKEN for a run, or keep logins in a file")
        .into());
    }
    let asked = openai(&config, args.issuer.as_deref()).await?;
    let account = account(&asked)?;
    let words = if args.with_api_key {
        done(flow::begin(account, Way::ApiKey(input("an API key")?)).await?)?
    } else if args.with_access_token {
        done(flow::begin(account, Way::AccessToken(input("an access token")?)).await?)?
    } else if args.device_auth {
        flow::with_code(account).await?
    } else {
        flow::in_browser(account, !args.no_browser).await?
    };
    out::stdout(&format!("Successfully logged in: {words}\n"));
    Ok(ExitCode::SUCCESS)
}

/// Runs `dovetail logout`.
///
/// # Errors
/// The login could not be removed.
pub(crate) async fn log_out(args: &LogoutArgs) -> anyhow::Result<ExitCode> {
    let config = load(&args.config)?;
    let asked = openai(&config, None).await?;
    match account(&asked)?
        .logout(PROVIDER)
        .await
        .map_err(flow::fatal)?
    {
        Some(words) => out::stdout(&format!("Successfully logged out; {words}\n")),
        None => out::stdout("Not logged in\n"),
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(json: bool, overrides: &ConfigOverrides) -> anyhow::Result<ExitCode> {
    let config = load(overrides)?;
    let asked = openai(&config, None).await?;
    let known = account(&asked)?
        .status(PROVIDER)
        .await
        .map_err(flow::fatal)?;
    let code = match known {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    };
    out::stdout(&match (json, known) {
        (true, known) => status_json(known.as_ref()),
        (false, Some(known)) => status_text(&known),
        (false, None) => "Not logged in\n".to_owned(),
    });
    Ok(code)
}

fn status_text(known: &KnownLogin) -> String {
    let how = match known.mode.as_str() {
        "apikey" => "an API key",
        "chatgpt" | "chatgptAuthTokens" => "ChatGPT",
        "personalAccessToken" => "personal access token",
        "agentIdentity" => "agent identity",
        _ => &known.title,
    };
    let mut text = format!("Logged in using {how}\n");
    let ends = known
        .expires_at
        .map(|end| match end.duration_since(SystemTime::now()) {
            Ok(left) => format!("for {} more, then it is refreshed", rough(left)),
            Err(_) => "ended, it is refreshed when it is used".to_owned(),
        });
    let facts = [
        ("from", Some(&known.source)),
        ("email", known.email.as_ref()),
        ("account", known.account.as_ref()),
        ("plan", known.plan.as_ref()),
        ("token", ends.as_ref().filter(|_| known.mode == "chatgpt")),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            text.push_str(&format!("  {name:<9}{fact}\n"));
        }
    }
    text
}

fn status_json(known: Option<&KnownLogin>) -> String {
    let value = known.map_or_else(
        || json!({ "logged_in": false }),
        |known| {
            let ends = known
                .expires_at
                .and_then(|end| jiff::Timestamp::try_from(end).ok());
            json!({
                "logged_in": true, "mode": known.mode, "source": known.source, "email": known.email,
                "account": known.account, "plan": known.plan,
                "expires_at": ends.map(|end| end.to_string()),
            })
        },
    );
    format!("{value:#}\n")
}

/// A length of time in one unit.
fn rough(left: std::time::Duration) -> String {
    let minutes = left.as_secs() / 60;
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

fn load(overrides: &ConfigOverrides) -> anyhow::Result<Config> {
    let home = dovetail_config::codex_home()?;
    let mut config = exec::load_config(&home, &std::env::current_dir()?, overrides)?;
    // There is one login, whichever provider is used otherwise.
    config.model_provider = PROVIDER.to_owned();
    Ok(config)
}

async fn openai(config: &Config, issuer: Option<&str>) -> anyhow::Result<Asked> {
    let table = ProviderTable::with_issuer(config, issuer)?;
    Asked::load(config, table).await
}

fn account(asked: &Asked) -> anyhow::Result<&Arc<dyn Account>> {
    asked.account().ok_or_else(|| {
        let id = asked.plugin.id();
        Fatal::new(format!(
            "plugin `{id}`, which serves the provider `{PROVIDER}`, has no login"
        ))
        .into()
    })
}

fn done(beginning: Beginning) -> anyhow::Result<String> {
    match beginning {
        Beginning::Done(words) => Ok(words),
        Beginning::Challenged(_) => {
            Err(Fatal::new("the plugin wants more than it was given").into())
        }
    }
}

/// What standard input holds.
fn input(what: &str) -> anyhow::Result<SecretText> {
    if std::io::stdin().is_terminal() {
        return Err(Fatal::new(format!(
            "{what} is read from standard input, which is a terminal"
        ))
        .hint("printenv OPENAI_API_KEY | dovetail login --with-api-key")
        .into());
    }
    let mut text = String::new();
    std::io::stdin()
        .take(MOST_INPUT)
        .read_to_string(&mut text)
        .map_err(|error| Fatal::new(format!("cannot read {what} from standard input: {error}")))?;
    let text = SecretText::new(text);
    if text.expose().trim().is_empty() {
        return Err(Fatal::new(format!(
            "standard input holds no text, and {what} was expected"
        ))
        .into());
    }
    Ok(text)
}
