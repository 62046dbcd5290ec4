//! `dovetail doctor`: walks outward from the machine to the model server, one line for each check, with the fix beside
//! each failure. It changes nothing and sends nothing: a server is only connected to.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use dovetail_config::{AuthFile, Config, ConfigError, KeySource};
use dovetail_runtime::catalogue::Catalogue;
use dovetail_runtime::native::UNSANDBOXED;
use dovetail_runtime::state::State;
use serde::Serialize;
use serde_json::Value;

use crate::args::ConfigOverrides;
use crate::provider_choice::{BEDROCK, BuiltinProvider, ProviderTable};
use crate::terminal_text::visible;
use crate::{exec, fatal, out, plugins};

/// A server on another continent answers a connection in a third of this.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// `dovetail doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Configuration.
    #[command(flatten)]
    pub(crate) config: ConfigOverrides,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    Warn,
    Fail,
}

impl Health {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    status: Health,
    area: String,
    fact: String,
    fix: Option<String>,
}

impl Check {
    fn ok(area: &str, fact: impl Into<String>) -> Self {
        Self {
            status: Health::Ok,
            area: area.to_owned(),
            fact: fact.into(),
            fix: None,
        }
    }

    fn warn(area: &str, fact: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            status: Health::Warn,
            area: area.to_owned(),
            fact: fact.into(),
            fix: Some(fix.into()),
        }
    }

    fn fail(area: &str, fact: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            status: Health::Fail,
            area: area.to_owned(),
            fact: fact.into(),
            fix: Some(fix.into()),
        }
    }
}

/// Runs the command: exit code 1 if anything fails.
///
/// # Errors
/// There is no place to look in. Everything else that is wrong is a line.
pub(crate) async fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let home = dovetail_config::codex_home()?;
    let cwd = std::env::current_dir()?;
    let mut checks = vec![check_home(&home), check_disk(&home)];
    match exec::load_config(&home, &cwd, &args.config) {
        Ok(config) => {
            checks.extend(check_config(&config));
            checks.extend(check_auth(&config));
            checks.extend(check_sandbox());
            checks.extend(check_plugins(&config));
            checks.push(check_cache(&config));
            checks.push(check_provider(&config).await);
        }
        Err(error) => {
            checks.push(broken_config(&error));
            checks.extend(check_sandbox());
        }
    }
    out::stdout(&match args.json {
        true => report_json(&checks),
        false => checks.iter().map(line).collect(),
    });
    let failed = checks.iter().any(|check| check.status == Health::Fail);
    Ok(ExitCode::from(if failed {
        fatal::FAILED
    } else {
        fatal::OK
    }))
}

fn check_home(home: &Path) -> Check {
    let shown = shown_path(home);
    if !home.exists() {
        return Check::ok(
            "home",
            format!("{shown} (not there yet; made when first needed)"),
        );
    }
    match dovetail_store::count_threads(home) {
        Ok(1) => Check::ok("home", format!("{shown} (1 thread)")),
        Ok(threads) => Check::ok("home", format!("{shown} ({threads} threads)")),
        Err(error) => Check::fail(
            "home",
            with_cause(&error),
            "check the owner and permissions of that directory",
        ),
    }
}

/// Tries to write where threads are kept, with a file that has no name and so leaves no trace.
fn check_disk(home: &Path) -> Check {
    let sessions = home.join("sessions");
    let Some(existing) = sessions.ancestors().find(|dir| dir.is_dir()) else {
        return Check::fail(
            "disk",
            format!("no part of {} exists", shown_path(home)),
            "set CODEX_HOME",
        );
    };
    match tempfile::tempfile_in(existing) {
        Ok(_) => Check::ok("disk", format!("{} can be written", shown_path(existing))),
        Err(error) => Check::fail(
            "disk",
            format!("{} cannot be written: {error}", shown_path(existing)),
            "free some space or correct its permissions: threads cannot be kept",
        ),
    }
}

fn check_config(config: &Config) -> Vec<Check> {
    let files: Vec<String> = config.files().into_iter().map(shown_path).collect();
    let fact = if files.is_empty() {
        "no files, defaults".to_owned()
    } else {
        files.join(", ")
    };
    let mut checks = vec![Check::ok("config", fact)];
    checks.extend(
        config
            .warnings
            .iter()
            .map(|warning| Check::warn("config", warning, "dovetail config show --origin")),
    );
    checks.extend(config.unknown_keys.iter().map(|unknown| {
        let fix = match &unknown.nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "remove it".to_owned(),
        };
        Check::warn(
            "config",
            format!("`{}` in {} has no effect", unknown.key, unknown.place),
            fix,
        )
    }));
    checks
}

fn broken_config(error: &anyhow::Error) -> Check {
    let hint = error
        .downcast_ref::<ConfigError>()
        .and_then(ConfigError::hint);
    let words = error
        .chain()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    Check::fail(
        "config",
        words,
        hint.unwrap_or_else(|| "correct that setting".to_owned()),
    )
}

fn check_auth(config: &Config) -> Vec<Check> {
    let file = match AuthFile::read(&config.home) {
        Ok(file) => file,
        Err(error) => {
            return vec![Check::fail(
                "auth",
                with_cause(&error),
                "sign in again, or set CODEX_API_KEY",
            )];
        }
    };
    let mut checks = Vec::new();
    if let Some(exposed) = file.as_ref().filter(|file| file.exposed) {
        let path = shown_path(&exposed.path);
        checks.push(Check::warn(
            "auth",
            format!("{path} can be read by others"),
            format!("chmod 600 {path}"),
        ));
    }
    checks.push(check_credential(config, file.as_ref()));
    checks
}

/// Whether the chosen provider has what it needs. Commands that print tokens are not run.
fn check_credential(config: &Config, file: Option<&AuthFile>) -> Check {
    let id = config.model_provider.as_str();
    let table = config.model_providers.get(id).unwrap_or(&Value::Null);
    if let Some(name) = table["env_key"].as_str() {
        let name = visible(name);
        return match std::env::var_os(&name) {
            Some(_) => Check::ok("auth", format!("{name} is set, for provider `{id}`")),
            None => Check::fail(
                "auth",
                format!("{name} is not set; provider `{id}` needs it"),
                format!("export {name}=…"),
            ),
        };
    }
    if let Some(command) = table["auth"]["command"].as_str() {
        let command = visible(command);
        return Check::ok(
            "auth",
            format!("a token from `{command}`, for provider `{id}`"),
        );
    }
    if BEDROCK.contains(&id) {
        return Check::ok(
            "auth",
            format!("provider `{id}` looks for AWS credentials when a request is made"),
        );
    }
    if id != "openai" && table["requires_openai_auth"] != Value::Bool(true) {
        return Check::ok(
            "auth",
            format!("provider `{id}` is not configured to need a key"),
        );
    }
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(login) = other_login(file) {
        return Check::ok("auth", login);
    }
    match dovetail_config::find_api_key(variable, file).map(|key| key.source) {
        Some(KeySource::CodexApiKey) => Check::ok("auth", "API key from CODEX_API_KEY"),
        Some(KeySource::OpenAiApiKey) => Check::ok("auth", "API key from OPENAI_API_KEY"),
        Some(KeySource::AuthFile) => Check::ok("auth", "API key from auth.json"),
        None => Check::fail(
            "auth",
            format!("no login for provider `{id}`"),
            "dovetail login",
        ),
    }
}

/// A login that is no key, where it is the one that is used.
fn other_login(file: Option<&AuthFile>) -> Option<String> {
    use dovetail_config::env::{CODEX_ACCESS_TOKEN, CODEX_AGENT_IDENTITY, CODEX_API_KEY};
    if CODEX_API_KEY.get().is_some() {
        return None;
    }
    let set = [CODEX_ACCESS_TOKEN, CODEX_AGENT_IDENTITY]
        .into_iter()
        .find(|variable| variable.get().is_some());
    if let Some(variable) = set {
        return Some(format!("login from {}", variable.name));
    }
    let file = file.filter(|file| file.mode != "apikey" && file.has_login)?;
    let mode = visible(&file.mode);
    Some(format!(
        "login of the kind `{mode}` from auth.json; dovetail login status"
    ))
}

fn check_sandbox() -> Vec<Check> {
    let status = dovetail_sandbox::status();
    if !status.is_available() {
        let fix = "commands are refused; use a newer kernel, or --sandbox danger-full-access inside a container";
        return vec![Check::fail("sandbox", status.to_string(), fix)];
    }
    let limit = status.limit().map(|limit| {
        Check::warn(
            "sandbox",
            limit,
            "allow user namespaces for full protection",
        )
    });
    std::iter::once(Check::ok("sandbox", status.to_string()))
        .chain(limit)
        .collect()
}

fn check_plugins(config: &Config) -> Vec<Check> {
    let settings = match plugins::settings(config) {
        Ok((settings, _)) => settings,
        Err(error) => {
            return vec![Check::fail(
                "plugins",
                error.to_string(),
                "correct the configuration",
            )];
        }
    };
    let catalogue = Catalogue::survey(&plugins::places(config), &settings);
    let ready = catalogue
        .entries
        .iter()
        .filter(|entry| matches!(entry.state, State::Ready(_)))
        .count();
    let refused = catalogue.entries.len() - ready + catalogue.problems.len();
    let mut checks = vec![Check::ok(
        "plugins",
        format!("{ready} ready, {refused} refused"),
    )];
    for entry in &catalogue.entries {
        let id = &entry.found.manifest.id;
        if entry.found.manifest.native {
            checks.push(Check::warn(
                &format!("plugin {id}"),
                format!("{UNSANDBOXED}: native code, which can do whatever you can"),
                format!("dovetail plugin disable {id}, unless you trust it with everything"),
            ));
        }
        if let Some(refusal) = entry.state.refusal(id) {
            checks.push(Check::warn(
                &format!("plugin {id}"),
                refusal.sentence,
                refusal.hint,
            ));
        }
    }
    for problem in &catalogue.problems {
        let fix = problem
            .error
            .hint()
            .unwrap_or_else(|| format!("dovetail plugin remove {}", problem.name));
        checks.push(Check::fail(
            &format!("plugin {}", problem.name),
            with_cause(&problem.error),
            fix,
        ));
    }
    checks.extend(
        catalogue
            .notices
            .iter()
            .map(|notice| Check::warn("plugins", notice, "dovetail plugin list")),
    );
    checks
}

fn check_cache(config: &Config) -> Check {
    let dir = plugins::compiled_dir(config);
    let compiled = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "cwasm")
    };
    let Ok(entries) = std::fs::read_dir(&dir) else {
        return Check::ok("cache", "empty: the next run compiles the plugins it needs");
    };
    let count = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(compiled)
        .count();
    Check::ok("cache", format!("{count} compiled in {}", shown_path(&dir)))
}

/// Connects to the provider's server and hangs up. Nothing is sent, least of all a credential.
async fn check_provider(config: &Config) -> Check {
    let area = format!("provider {}", config.model_provider);
    let table = match ProviderTable::of(config) {
        Ok(Some(table)) => table,
        Ok(None) => return Check::ok(&area, "served by a plugin; its server is not tried"),
        Err(error) => {
            return Check::fail(&area, error.to_string(), "dovetail config show --origin");
        }
    };
    let base_url = table.table["base_url"].as_str();
    if base_url.is_none() && table.builtin == BuiltinProvider::Bedrock {
        return Check::ok(
            &area,
            "its address follows from the region; its server is not tried",
        );
    }
    let base_url = base_url.unwrap_or(crate::provider_choice::OPENAI_URL);
    let Some((host, port)) = host_and_port(base_url) else {
        return Check::fail(
            &area,
            format!("`{}` has no host", visible(base_url)),
            "correct its base_url",
        );
    };
    let connecting = tokio::net::TcpStream::connect((host.as_str(), port));
    match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(Ok(_)) => Check::ok(&area, format!("{host}:{port} accepts connections")),
        Ok(Err(error)) => Check::fail(
            &area,
            format!("{host}:{port}: {error}"),
            "is the server running, is base_url right?",
        ),
        Err(_) => Check::fail(
            &area,
            format!(
                "{host}:{port} does not answer within {} s",
                CONNECT_LIMIT.as_secs()
            ),
            "check the network; behind a proxy this check can fail although requests work",
        ),
    }
}

fn host_and_port(base_url: &str) -> Option<(String, u16)> {
    let url: url::Url = base_url.parse().ok()?;
    // An IPv6 address stands in brackets in a URL, and without them in a socket address.
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, url.port_or_known_default()?))
}

fn report_json(checks: &[Check]) -> String {
    let failed = checks.iter().any(|check| check.status == Health::Fail);
    format!(
        "{:#}\n",
        serde_json::json!({"ok": !failed, "checks": checks})
    )
}

/// A line of 80 columns where it fits; else the fix goes below.
fn line(check: &Check) -> String {
    let fact = visible(&check.fact).replace('\n', "\n                        ");
    let line = format!(
        "{:<4}  {:<16}  {fact}",
        check.status.word(),
        visible(&check.area)
    );
    match check.fix.as_deref().map(visible) {
        None => format!("{line}\n"),
        Some(fix) if line.chars().count() + 2 + fix.chars().count() <= 80 => {
            format!("{line}  {fix}\n")
        }
        Some(fix) => format!("{line}\n                        → {fix}\n"),
    }
}

/// A path with the home directory as `~`.
fn shown_path(path: &Path) -> String {
    let home = dovetail_config::env::HOME.get_os().map(PathBuf::from);
    match home
        .as_deref()
        .and_then(|home| path.strip_prefix(home).ok())
    {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_fixes_stand_beside_or_below() {
        let checks = [
            Check::ok("home", "~/.codex (41 threads)"),
            Check::warn("auth", "auth.json can be read by others", "chmod 600 it"),
            Check::fail(
                "provider corp",
                "llm.corp.example:443 does not answer within 2 s",
                "check the network",
            ),
            Check::fail("config", "two\nlines", "correct them"),
        ];
        let text: String = checks.iter().map(line).collect();
        assert_eq!(
            text,
            "\
ok    home              ~/.codex (41 threads)
warn  auth              auth.json can be read by others  chmod 600 it
fail  provider corp     llm.corp.example:443 does not answer within 2 s
                        → check the network
fail  config            two
                        lines  correct them
"
        );
    }

    #[test]
    fn the_address_of_a_server_is_in_its_url() {
        for (url, expected) in [
            ("https://api.openai.com/v1", Some(("api.openai.com", 443))),
            ("http://127.0.0.1:8080/v1", Some(("127.0.0.1", 8080))),
            ("http://[::1]:9/v1", Some(("::1", 9))),
            ("not a url", None),
        ] {
            assert_eq!(
                host_and_port(url),
                expected.map(|(host, port)| (host.to_owned(), port)),
                "{url}"
            );
        }
    }
}
