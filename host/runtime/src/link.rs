//! Which imports a component gets: WASI without a network of its own for all, our own interfaces by its grant, nothing
//! else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use dovetail_core::ids::PluginId;
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings as wasi;
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};

use crate::bindings::dovetail::plugin as contract;
use crate::capability::Capabilities;
use crate::fs_guard::HasGuardedFs;
use crate::guest_state::GuestState;
use crate::lock::Scope;

/// WASI packages that every Rust guest imports through its standard library. They give nothing by themselves: no
/// directory is open, no variable set, no input there unless the grant says so.
const WASI_BASE: [&str; 5] = ["cli/", "io/", "clocks/", "random/", "filesystem/"];
/// Of WASI. The next one has other types under the same names.
const WASI_VERSION: &str = "0.2.";

/// An interface of the contract that needs a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Granted {
    Http,
    Process,
    Kv,
    Secrets,
    Credentials,
    Client,
}

impl Granted {
    const ALL: [Self; 6] = [
        Self::Http,
        Self::Process,
        Self::Kv,
        Self::Secrets,
        Self::Credentials,
        Self::Client,
    ];

    fn interface(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Process => "process",
            Self::Kv => "kv",
            Self::Secrets => "secrets",
            Self::Credentials => "credentials",
            Self::Client => "client",
        }
    }

    fn is_in(self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Http => !capabilities.net.is_empty(),
            Self::Process => !capabilities.process.is_empty(),
            Self::Kv => capabilities.kv > 0,
            Self::Secrets => !capabilities.secrets.is_empty(),
            Self::Credentials => !capabilities.owns.is_empty(),
            Self::Client => capabilities.client,
        }
    }

    /// The key of a manifest's `[request]` and the word of `dovetail plugin grant`.
    fn key(self) -> &'static str {
        match self {
            Self::Http => "net",
            Self::Process => "process",
            Self::Kv => "kv",
            Self::Secrets => "secrets",
            Self::Credentials => "owns",
            Self::Client => "client",
        }
    }

    /// What to write after `dovetail plugin grant <id> `: the manifest's own request, or a placeholder.
    fn example(self, requested: &Capabilities) -> String {
        let value = match self {
            Self::Http => requested
                .net
                .first()
                .map_or("<origin>".to_owned(), ToString::to_string),
            Self::Process => requested
                .process
                .first()
                .map_or("<command>".to_owned(), ToString::to_string),
            Self::Kv => requested.kv.to_string(),
            Self::Secrets => requested
                .secrets
                .first()
                .map_or("<slot>".to_owned(), ToString::to_string),
            Self::Credentials => requested
                .owns
                .first()
                .map_or("<slot>".to_owned(), ToString::to_string),
            Self::Client => String::new(),
        };
        format!("{} {value}", self.key()).trim_end().to_owned()
    }
}

/// What a linker offers beside the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Linked {
    /// An interface of the contract that the grant covers.
    Contract(Granted),
    /// `wasi:sockets`, where every attempt to open a socket or to look up a name is refused. The standard libraries of
    /// some languages import it whether a program uses it or not.
    ClosedSockets,
    /// `wasi:http` for requests, each of which the grant is asked about. Some languages import it unasked, too.
    WasiHttp,
}

/// Why an import is not linked. Reads after ``plugin `x` ``.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefused {
    /// The grant does not have what the import needs.
    #[error("imports `{import}` but its grant has no `{key}`")]
    NotGranted {
        /// The import as written.
        import: String,
        /// The capability.
        key: &'static str,
        /// What to grant; none where the manifest does not request it.
        grant: Option<String>,
    },
    /// This host knows nothing of that name.
    #[error("imports `{import}`, which this host does not offer")]
    Unknown {
        /// The import as written.
        import: String,
    },
}

impl ImportRefused {
    /// What to do about it.
    pub fn hint(&self, plugin: &PluginId) -> String {
        match self {
            Self::NotGranted {
                grant: Some(grant), ..
            } => format!("dovetail plugin grant {plugin} {grant}"),
            Self::NotGranted {
                key, grant: None, ..
            } => {
                format!(
                    "its manifest does not ask for it; its author must add `{key}` under [request]"
                )
            }
            Self::Unknown { .. } => "it may be built for a newer host: update dovetail".to_owned(),
        }
    }
}

/// Checks, before anything is granted, that a component imports nothing that its manifest does not ask for.
///
/// # Errors
/// Names the first import that it would not get even if all it asks for were granted.
pub fn check(imports: &BTreeSet<String>, requested: &Capabilities) -> Result<(), ImportRefused> {
    admit(imports, requested, requested).map(drop)
}

/// What decides about a plugin's imports. A part of the host is linked to all that it may ask for; how much of it the
/// user's configuration allows is decided at each call.
pub(crate) fn linkable(
    scope: &Scope,
    requested: &Capabilities,
    granted: &Capabilities,
) -> Capabilities {
    let mut linkable = granted.clone();
    match scope {
        Scope::Builtin => linkable.extend(requested.clone()),
        Scope::System | Scope::User | Scope::Project(_) => {}
    }
    linkable
}

/// What a component imports beside the base, or the first import that it does not get.
pub(crate) fn admit(
    imports: &BTreeSet<String>,
    requested: &Capabilities,
    granted: &Capabilities,
) -> Result<BTreeSet<Linked>, ImportRefused> {
    let mut interfaces = BTreeSet::new();
    for import in imports {
        let unknown = || ImportRefused::Unknown {
            import: import.clone(),
        };
        let (name, version) = import.split_once('@').unwrap_or((import, WASI_VERSION));
        if let Some(interface) = name.strip_prefix("wasi:") {
            if !version.starts_with(WASI_VERSION) {
                return Err(unknown());
            }
            interfaces.extend(wasi(interface).ok_or_else(unknown)?);
            continue;
        }
        let interface = name.strip_prefix("dovetail:plugin/").ok_or_else(unknown)?;
        match Granted::ALL
            .into_iter()
            .find(|granted| granted.interface() == interface)
        {
            Some(wanted) if wanted.is_in(granted) => {
                interfaces.insert(Linked::Contract(wanted));
            }
            Some(wanted) => {
                let grant = wanted.is_in(requested).then(|| wanted.example(requested));
                return Err(ImportRefused::NotGranted {
                    import: import.clone(),
                    key: wanted.key(),
                    grant,
                });
            }
            None if matches!(interface, "types" | "log" | "config" | "clock" | "progress") => {}
            None => return Err(unknown()),
        }
    }
    Ok(interfaces)
}

/// What an interface of WASI takes beside the base; none where it is not offered.
fn wasi(interface: &str) -> Option<Option<Linked>> {
    match interface {
        "http/types" | "http/outgoing-handler" => Some(Some(Linked::WasiHttp)),
        _ if interface.starts_with("sockets/") => Some(Some(Linked::ClosedSockets)),
        _ => {
            let base = WASI_BASE
                .iter()
                .any(|package| interface.starts_with(package));
            base.then_some(None)
        }
    }
}

/// Linkers by what is linked. Few plugins differ in that, and a linker takes longer to make than to use.
#[derive(Default)]
pub(crate) struct Linkers(Mutex<HashMap<BTreeSet<Linked>, Arc<Linker<GuestState>>>>);

impl Linkers {
    /// The linker that offers the base and these interfaces.
    pub(crate) fn get(
        &self,
        engine: &wasmtime::Engine,
        interfaces: &BTreeSet<Linked>,
    ) -> wasmtime::Result<Arc<Linker<GuestState>>> {
        // Held while a linker is made (0.2 ms), so that plugins that load in parallel do not make the same one.
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linker) = made.get(interfaces) {
            return Ok(Arc::clone(linker));
        }
        let mut linker = match made.get(&BTreeSet::new()) {
            Some(base) => Linker::clone(base),
            None => base(engine)?,
        };
        for interface in interfaces {
            match interface {
                Linked::Contract(granted) => add(&mut linker, *granted)?,
                Linked::ClosedSockets => add_closed_sockets(&mut linker)?,
                Linked::WasiHttp => {
                    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
                }
            }
        }
        let linker = Arc::new(linker);
        made.insert(interfaces.clone(), Arc::clone(&linker));
        Ok(linker)
    }
}

fn add(linker: &mut Linker<GuestState>, interface: Granted) -> wasmtime::Result<()> {
    type This = HasSelf<GuestState>;
    match interface {
        Granted::Http => contract::http::add_to_linker::<_, This>(linker, |state| state),
        Granted::Process => contract::process::add_to_linker::<_, This>(linker, |state| state),
        Granted::Kv => contract::kv::add_to_linker::<_, This>(linker, |state| state),
        Granted::Secrets => contract::secrets::add_to_linker::<_, This>(linker, |state| state),
        Granted::Credentials => {
            contract::credentials::add_to_linker::<_, This>(linker, |state| state)
        }
        Granted::Client => contract::client::add_to_linker::<_, This>(linker, |state| state),
    }
}

/// What every plugin gets.
fn base(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    type This = HasSelf<GuestState>;
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    contract::types::add_to_linker::<_, This>(l, |state| state)?;
    contract::log::add_to_linker::<_, This>(l, |state| state)?;
    contract::config::add_to_linker::<_, This>(l, |state| state)?;
    contract::clock::add_to_linker::<_, This>(l, |state| state)?;
    contract::progress::add_to_linker::<_, This>(l, |state| state)?;
    add_wasi(l)?;
    Ok(linker)
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

fn add_wasi(l: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasi::io::error::add_to_linker::<_, HasTable>(l, |state| state.table())?;
    wasi::io::poll::add_to_linker::<_, HasTable>(l, |state| state.table())?;
    wasi::io::streams::add_to_linker::<_, HasTable>(l, |state| state.table())?;
    wasi::clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, WasiClocksView::clocks)?;
    wasi::clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(l, WasiClocksView::clocks)?;
    wasi::random::random::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    wasi::random::insecure::add_to_linker::<_, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    wasi::random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |state| {
        state.ctx().ctx.random()
    })?;
    wasi::cli::exit::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::environment::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::stdin::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::stdout::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::stderr::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::terminal_input::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::terminal_output::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    wasi::filesystem::preopens::add_to_linker::<_, HasGuardedFs>(l, GuestState::guarded_fs)?;
    wasi::filesystem::types::add_to_linker::<_, HasGuardedFs>(l, GuestState::guarded_fs)
}

/// Sockets that the instance's WASI refuses, see [`GuestState::store`].
fn add_closed_sockets(l: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let options = wasi::sockets::network::LinkOptions::default();
    wasi::sockets::network::add_to_linker::<_, WasiSockets>(l, &options, GuestState::sockets)?;
    wasi::sockets::instance_network::add_to_linker::<_, WasiSockets>(l, GuestState::sockets)?;
    wasi::sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, GuestState::sockets)?;
    wasi::sockets::tcp::add_to_linker::<_, WasiSockets>(l, GuestState::sockets)?;
    wasi::sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, GuestState::sockets)?;
    wasi::sockets::udp::add_to_linker::<_, WasiSockets>(l, GuestState::sockets)?;
    wasi::sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(l, GuestState::sockets)
}
