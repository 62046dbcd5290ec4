//! Who we are on the wire: names that servers and collectors already know.

use std::path::Path;

use dovetail_config::env;
use dovetail_core::originator::OriginatorSources;
use uuid::Uuid;

/// The client version that servers select their behaviour by. It names the system we are compatible with.
pub(crate) const COMPATIBLE_VERSION: &str = "0.169.0";

/// Our own version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What `--version` prints.
pub(crate) const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (compatible with codex 0.169.0)"
);

/// What the process calls itself, unless the environment says otherwise.
const PROCESS_ORIGINATOR: &str = "codex_exec";

/// The file in `$CODEX_HOME` with the id of the installation.
pub(crate) const INSTALLATION_ID: &str = "installation_id";

/// The originator of a thread; `persisted` is what its own file says.
pub(crate) fn originator(persisted: Option<&str>) -> String {
    let overridden = env::ORIGINATOR_OVERRIDE.get();
    sources(overridden.as_deref(), persisted).thread()
}

/// The originator that begins the user agent, whatever a thread's own is.
pub(crate) fn process_originator() -> String {
    let overridden = env::ORIGINATOR_OVERRIDE.get();
    sources(overridden.as_deref(), None).process()
}

/// The originator of a thread that a client starts: its service's, else its own name.
pub(crate) fn client_originator(client: &str, service_name: Option<&str>) -> String {
    let overridden = env::ORIGINATOR_OVERRIDE.get();
    OriginatorSources {
        service_name,
        ..of_client(overridden.as_deref(), client)
    }
    .thread()
}

/// What begins the user agent where a client uses the host.
pub(crate) fn client_process(client: &str) -> String {
    let overridden = env::ORIGINATOR_OVERRIDE.get();
    of_client(overridden.as_deref(), client).process()
}

fn of_client<'a>(overridden: Option<&'a str>, client: &'a str) -> OriginatorSources<'a> {
    OriginatorSources {
        overridden,
        process: client,
        ..OriginatorSources::default()
    }
}

fn sources<'a>(overridden: Option<&'a str>, persisted: Option<&'a str>) -> OriginatorSources<'a> {
    OriginatorSources {
        overridden,
        persisted,
        process: PROCESS_ORIGINATOR,
        ..OriginatorSources::default()
    }
}

/// `<originator>/<version> (<system>; <architecture>) <terminal> (dovetail; <our version>)`.
pub(crate) fn user_agent(originator: &str) -> String {
    let terminal = std::env::var("TERM")
        .ok()
        .filter(|name| is_token(name))
        .unwrap_or_else(|| "unknown".to_owned());
    format!(
        "{originator}/{COMPATIBLE_VERSION} ({}; {}) {terminal} (dovetail; {VERSION})",
        system(),
        std::env::consts::ARCH
    )
}

/// The text goes into a header, so it must be plain.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The distribution's name and version, as in `Debian 12.0.0`.
fn system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |key: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(|value| value.trim_matches('"').to_owned())
    };
    let name = field("NAME").and_then(|name| name.split_whitespace().next().map(str::to_owned));
    let version = field("VERSION_ID").unwrap_or_default();
    let mut parts: Vec<&str> = version.split('.').filter(|part| !part.is_empty()).collect();
    parts.resize(3, "0");
    let text = format!(
        "{} {}",
        name.unwrap_or_else(|| std::env::consts::OS.to_owned()),
        parts.join(".")
    );
    text.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .collect()
}

/// The id of this home directory: a UUID in a file, made once.
///
/// # Errors
/// The file could be neither read nor written.
pub(crate) fn installation_id(home: &Path) -> std::io::Result<String> {
    let path = home.join(INSTALLATION_ID);
    match std::fs::read(&path) {
        // A damaged file is as good as none: the id has no meaning beyond being stable.
        Ok(bytes) => {
            let known = std::str::from_utf8(&bytes).map(|text| Uuid::try_parse(text.trim()));
            if let Ok(Ok(id)) = known {
                return Ok(id.hyphenated().to_string());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let id = Uuid::new_v4().hyphenated().to_string();
    std::fs::create_dir_all(home)?;
    std::fs::write(&path, &id)?;
    Ok(id)
}
