//! `dovetail auth explain`: which credential would go where, and why, without the credential.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use dovetail_config::Config;
use dovetail_core::plugin::{
    CredentialExplained, HeaderTemplate, LookedAt, Purpose, Scope, ValuePart,
};
use dovetail_runtime::lock;
use serde_json::{Value, json};

use crate::args::ConfigOverrides;
use crate::fatal::Fatal;
use crate::plugins::Asked;
use crate::provider_choice::ProviderTable;
use crate::terminal_text::visible;
use crate::{exec, out};

/// `dovetail auth`.
#[derive(Debug, Args)]
pub(crate) struct AuthArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: AuthCommand,
}

/// What can be asked of credentials.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Show every source of a provider's credential in order, which one is used, and where it would go. Nothing is sent,
    /// and no credential is shown.
    Explain {
        /// The provider; without one, that of the configuration.
        provider: Option<String>,
        /// What the request would be for.
        #[arg(value_enum, default_value = "turn")]
        purpose: PurposeArg,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Configuration.
        #[command(flatten)]
        config: ConfigOverrides,
    },
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PurposeArg {
    /// A turn of a conversation.
    Turn,
    /// Compacting a conversation.
    Compact,
    /// Listing models.
    Models,
    /// Anything else of the provider's service.
    ControlPlane,
}

impl From<PurposeArg> for Purpose {
    fn from(purpose: PurposeArg) -> Self {
        match purpose {
            PurposeArg::Turn => Self::Turn,
            PurposeArg::Compact => Self::Compact,
            PurposeArg::Models => Self::Models,
            PurposeArg::ControlPlane => Self::ControlPlane,
        }
    }
}

impl AuthArgs {
    /// The configuration that it looks at.
    pub(crate) fn overrides(&mut self) -> &mut ConfigOverrides {
        let AuthCommand::Explain { config, .. } = &mut self.command;
        config
    }
}

/// Runs the command. Exit code 1 where no request could be made.
///
/// # Errors
/// Nobody serves the provider, or its table is wrong.
pub(crate) async fn run(args: AuthArgs) -> anyhow::Result<ExitCode> {
    let AuthCommand::Explain {
        provider,
        purpose,
        json,
        config,
    } = args.command;
    let home = dovetail_config::codex_home()?;
    let mut config = exec::load_config(&home, &std::env::current_dir()?, &config)?;
    if let Some(provider) = provider {
        config.model_provider = provider;
    }
    let table = ProviderTable::of(&config)?;
    let variable = table
        .as_ref()
        .and_then(|table| table.table["env_key"].as_str());
    let variable = variable.map(str::to_owned);
    let asked = Asked::load(&config, table.clone()).await?;
    let scope = Scope {
        provider_id: config.model_provider.clone(),
        purpose: purpose.into(),
        session_source: "exec".to_owned(),
        policy: config.dovetail.auth_policy.clone(),
    };
    let explained = match asked.account() {
        Some(account) => account
            .explain(&scope)
            .await
            .map_err(|error| Fatal::new(error.to_string()))?,
        None => {
            let known = by_grant(&asked, variable.as_deref());
            with_headers(known, &asked, &scope).await
        }
    };
    out::stdout(&match json {
        true => format!("{:#}\n", as_json(&config, &asked, &scope, &explained)),
        false => as_text(&asked, &explained),
    });
    Ok(match explained.problem {
        Some(_) => ExitCode::FAILURE,
        None => ExitCode::SUCCESS,
    })
}

/// What the host itself knows of a plugin that does not explain itself: the slots and commands that it was granted.
/// `variable` is the one that the table wants, which comes before all others and has to be there.
fn by_grant(asked: &Asked, variable: Option<&str>) -> CredentialExplained {
    let (id, egress) = (asked.plugin.id(), asked.services.egress());
    let granted = asked.plugin.grant().capabilities();
    let commands = granted.process.iter().map(|argv| LookedAt {
        name: "command".to_owned(),
        finding: format!("`{argv}` prints a token"),
        used: true,
    });
    let wanted = variable.map(|name| format!("env:{name}"));
    let slots = granted.secrets.iter().map(|slot| {
        let source = egress.secrets().source(id, slot.as_str());
        let place = source.map_or_else(|| "no source".to_owned(), |source| source.to_string());
        let is_set = egress
            .secret_exists(id, asked.plugin.grant(), slot.as_str())
            .unwrap_or(false);
        let is_wanted = wanted
            .as_deref()
            .is_none_or(|wanted| wanted == slot.as_str());
        LookedAt {
            name: format!("secret {slot}"),
            finding: format!("{place}, {}", if is_set { "set" } else { "not set" }),
            used: is_set && is_wanted,
        }
    });
    let mut sources: Vec<LookedAt> = commands.chain(slots).collect();
    sources.sort_by_key(|source| !source.used);
    let is_missing = variable.is_some() && !sources.iter().any(|source| source.used);
    CredentialExplained {
        sources,
        headers: Vec::new(),
        destination: asked.endpoint.base_url.clone(),
        problem: variable
            .filter(|_| is_missing)
            .map(|name| format!("the table wants the variable {name}, which is not set")),
    }
}

/// The same with what the credential is sent as. Only a plugin that came with the host, and has no command to run, is asked for it:
/// others may do anything to get it.
async fn with_headers(
    known: CredentialExplained,
    asked: &Asked,
    scope: &Scope,
) -> CredentialExplained {
    if known.problem.is_some() {
        return known;
    }
    let id = asked.plugin.id();
    let runs_commands = !asked.plugin.grant().capabilities().process.is_empty();
    let headers = match asked.plugin.scope() {
        lock::Scope::Builtin if runs_commands => {
            vec!["Authorization: Bearer … (the token that the command prints)".to_owned()]
        }
        lock::Scope::Builtin => match asked.provider.prepare(scope).await {
            Ok(prepared) if prepared.headers.is_empty() => {
                vec!["no credential: this table asks for none".to_owned()]
            }
            Ok(prepared) => prepared.headers.iter().map(hidden).collect(),
            Err(error) => {
                return CredentialExplained {
                    problem: Some(error.to_string()),
                    ..known
                };
            }
        },
        _ => vec![format!(
            "what plugin `{id}` makes of that when a request is sent"
        )],
    };
    CredentialExplained { headers, ..known }
}

/// A header without its secrets.
fn hidden(header: &HeaderTemplate) -> String {
    let has_slot = header
        .value
        .iter()
        .any(|part| matches!(part, ValuePart::Secret(_)));
    let parts = header.value.iter().map(|part| match part {
        ValuePart::Secret(slot) => format!("… (secret {slot})"),
        // Where a part is filled in later, the rest is what stands around it.
        ValuePart::Literal(text) if has_slot || !header.sensitive => text.clone(),
        ValuePart::Literal(_) => "…".to_owned(),
    });
    format!("{}: {}", header.name, parts.collect::<String>())
}

fn as_text(asked: &Asked, explained: &CredentialExplained) -> String {
    let widest = explained
        .sources
        .iter()
        .map(|source| source.name.chars().count())
        .max();
    let widest = widest.unwrap_or_default().min(48);
    let mut text = String::new();
    for (at, source) in explained.sources.iter().enumerate() {
        let mark = if source.used { "   ← used" } else { "" };
        text.push_str(&format!(
            "{:<3}{:<widest$}   {}{mark}\n",
            at + 1,
            visible(&source.name),
            visible(&source.finding)
        ));
    }
    match &explained.problem {
        Some(problem) => text.push_str(&format!("result: nothing is sent: {}\n", visible(problem))),
        None => {
            text.push_str(&format!(
                "result: sent to {} by plugin `{}`\n",
                visible(&explained.destination),
                asked.plugin.id()
            ));
            for header in &explained.headers {
                text.push_str(&format!("        {}\n", visible(header)));
            }
        }
    }
    text
}

fn as_json(
    config: &Config,
    asked: &Asked,
    scope: &Scope,
    explained: &CredentialExplained,
) -> Value {
    let purpose = match scope.purpose {
        Purpose::Turn => "turn",
        Purpose::Compact => "compact",
        Purpose::Models => "models",
        Purpose::ControlPlane => "control-plane",
    };
    let source = |source: &LookedAt| json!({ "name": source.name, "finding": source.finding, "used": source.used });
    json!({
        "provider": config.model_provider,
        "purpose": purpose,
        "plugin": asked.plugin.id().as_str(),
        "policy": scope.policy,
        "sources": explained.sources.iter().map(source).collect::<Vec<_>>(),
        "headers": explained.headers,
        "destination": explained.destination,
        "problem": explained.problem,
    })
}
