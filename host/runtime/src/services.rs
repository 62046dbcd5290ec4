//! What the host does for plugins, in one place: every import of a guest ends in one of these.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use dovetail_core::plugin::ConnectedApp;

use crate::credentials::Credentials;
use crate::egress::EgressPolicy;
use crate::fs_rule::FsBase;
use crate::host_env::HostEnv;
use crate::kv::Kv;
use crate::ledger::Ledger;
use crate::native;
use crate::net::HttpEgress;
use crate::news::News;
use crate::outside::Outside;
use crate::secrets::Secrets;

/// The host's side of all imports. Shared by all plugins; each call names the plugin it is for.
#[derive(Debug)]
pub struct Services {
    env: Arc<HostEnv>,
    egress: Arc<EgressPolicy>,
    http: HttpEgress,
    kv: Kv,
    credentials: Credentials,
    ledger: Ledger,
    news: News,
    outside: Option<Arc<dyn Outside>>,
    cwd: PathBuf,
    home: Option<PathBuf>,
    codex_home: PathBuf,
    allow_native: bool,
    app: RwLock<Option<Weak<dyn ConnectedApp>>>,
}

impl Services {
    /// Sets the services up for one session. Touches neither disk nor network before a plugin does.
    pub fn new(env: HostEnv, codex_home: &Path, cwd: &Path) -> Self {
        Self::with(env, codex_home, cwd, None)
    }

    /// The same with a made-up world in the place of network, programs and clock.
    pub fn made_up(env: HostEnv, codex_home: &Path, cwd: &Path, outside: Arc<dyn Outside>) -> Self {
        Self::with(env, codex_home, cwd, Some(outside))
    }

    fn with(
        env: HostEnv,
        codex_home: &Path,
        cwd: &Path,
        outside: Option<Arc<dyn Outside>>,
    ) -> Self {
        let env = Arc::new(env);
        let own = codex_home.join("dovetail");
        let secrets = Arc::new(Secrets::new(Arc::clone(&env), codex_home.to_owned()));
        let egress = Arc::new(EgressPolicy::new(Arc::clone(&secrets)));
        Self {
            http: HttpEgress::new(Arc::clone(&egress), &env).answered_by(outside.clone()),
            outside,
            kv: Kv::new(own.join("kv")),
            credentials: Credentials::new(secrets, own.join("locks")),
            ledger: Ledger::new(&own),
            news: News::default(),
            home: env.get("HOME").map(PathBuf::from),
            env,
            egress,
            cwd: cwd.to_owned(),
            codex_home: codex_home.to_owned(),
            allow_native: false,
            app: RwLock::default(),
        }
    }

    /// Connects the application that plugins may ask, in place of the one before. It is not kept alive by this: whoever
    /// talks to it ends the connection by dropping it.
    pub fn connect(&self, app: Weak<dyn ConnectedApp>) {
        *self.app.write().unwrap_or_else(PoisonError::into_inner) = Some(app);
    }

    /// The connected application, while there is one.
    pub(crate) fn app(&self) -> Option<Arc<dyn ConnectedApp>> {
        let app = self.app.read().unwrap_or_else(PoisonError::into_inner);
        app.as_ref().and_then(Weak::upgrade)
    }

    /// Lets native plugins run, or not, as the user's own configuration says. Without this they do not.
    pub fn with_native(mut self, allow: bool) -> Self {
        self.allow_native = allow;
        self
    }

    /// Whether native plugins may run.
    pub(crate) fn allows_native(&self) -> bool {
        self.allow_native
    }

    /// Where running native plugins are noted.
    pub(crate) fn marks_dir(&self) -> PathBuf {
        native::mark::dir_in(&self.codex_home.join("dovetail"))
    }

    /// Grants in force, and the secrets they open: what adapters that send a provider's requests ask.
    pub fn egress(&self) -> &Arc<EgressPolicy> {
        &self.egress
    }

    /// What is known of plugins beyond this process.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What happened to plugins in this session.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// The made-up world, where there is one.
    pub(crate) fn outside(&self) -> Option<&Arc<dyn Outside>> {
        self.outside.as_ref()
    }

    pub(crate) fn env(&self) -> &HostEnv {
        &self.env
    }

    pub(crate) fn http(&self) -> &HttpEgress {
        &self.http
    }

    pub(crate) fn kv(&self) -> &Kv {
        &self.kv
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn fs_base(&self) -> FsBase<'_> {
        FsBase {
            cwd: &self.cwd,
            home: self.home.as_deref(),
            codex_home: &self.codex_home,
        }
    }
}
