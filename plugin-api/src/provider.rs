//! Model providers: authentication, endpoint and failures.

use std::fmt;

use serde_json::{Map, Value};

use crate::bindings::provider::exports::dovetail::plugin::provider as contract;
use crate::{Error, Header, PlainHeader, ProviderTable, failure};

pub use crate::bindings::provider::exports::dovetail::plugin::provider::{
    Capabilities, Description, Failure, FailureKind, Model, Purpose, Recovery, RequestHead, Scope,
};

/// Authenticates requests to a model provider, and knows its endpoint and its failures.
///
/// The host owns HTTP, retries and cancellation; a provider only computes. For a request it calls `configure`
/// (once per instance), `prepare` (cached until it expires), `authorize` (each attempt), and on a failure `classify`
/// and, for a refused credential, `recover`.
///
/// One value serves all calls of a component instance. The host replaces an instance that traps or is late, and then
/// calls `configure` again before anything else.
///
/// ```
/// use dovetail_plugin_api::provider::{Description, Prepared, Scope};
/// use dovetail_plugin_api::{Error, Header, Provider, Secret, export_provider};
///
/// #[derive(Default)]
/// struct Acme;
///
/// impl Provider for Acme {
///     fn describe(&self) -> Description {
///         Description {
///             ids: vec!["acme".into()],
///             name: "Acme".into(),
///             default_endpoint: Some("https://llm.acme.example/v1".into()),
///             ..Description::default()
///         }
///     }
///
///     fn prepare(&mut self, _scope: &Scope) -> Result<Prepared, Error> {
///         Ok(Prepared::header(Header::secret("X-Acme-Key", Secret::slot("acme-token"))))
///     }
/// }
///
/// export_provider!(Acme);
/// ```
pub trait Provider: Default + 'static {
    /// What this plugin serves. Called first, without configuration or grants; must not fail.
    fn describe(&self) -> Description;

    /// Checks the user's table, the JSON form of `[model_providers.<id>]` without inline credentials, and resolves
    /// the endpoint. By default the standard keys mean what they mean for every provider, except `env_http_headers`,
    /// which needs secrets of the user's choice; see [`ProviderTable::endpoint`].
    ///
    /// # Errors
    /// [`Error::Invalid`] names the key that is wrong.
    fn configure(
        &mut self,
        provider_id: &str,
        table: &Map<String, Value>,
    ) -> Result<Endpoint, Error> {
        let description = self.describe();
        let mut table = ProviderTable::parse(provider_id, table)?;
        table.name.get_or_insert(description.name);
        // Asking whether a slot can be filled would import `secrets`, which not every provider has been granted.
        let endpoint = table.endpoint(description.default_endpoint.as_deref(), |slot| {
            let text = format!(
                "env_http_headers needs the secret slot `{slot}`, which this plugin does not use"
            );
            Err(Error::Invalid(format!(
                "model_providers.{provider_id}: {text}"
            )))
        })?;
        Ok(Endpoint {
            capabilities: table.capabilities(description.capabilities),
            ..endpoint
        })
    }

    /// Gets the credential for a scope. May wait: run a command, ask a token service.
    ///
    /// # Errors
    /// Any error fails the request; the host never sends it without a credential.
    fn prepare(&mut self, scope: &Scope) -> Result<Prepared, Error>;

    /// Signs a final request: returns headers to add. Called for every attempt; must not wait. By default `prepare`
    /// did everything.
    ///
    /// # Errors
    /// Any error fails the attempt.
    fn authorize(
        &mut self,
        scope: &Scope,
        head: &RequestHead,
        body_sha256: &[u8; 32],
    ) -> Result<Vec<Header>, Error> {
        let _ = (scope, head, body_sha256); // Named for the documentation's sake.
        Ok(Vec::new())
    }

    /// Explains a response with a status of 400 or more, or an error event of a stream (then the status is 0).
    /// `excerpt` is the start of the body. By default it reads failures as the Responses API words them.
    fn classify(&self, status: u16, headers: &[PlainHeader], excerpt: &str) -> Failure {
        failure::classify(status, headers, excerpt)
    }

    /// Refreshes a credential that was refused, or says why not. Called at most once per turn. By default there is
    /// nothing to refresh.
    ///
    /// # Errors
    /// Any error ends the turn with its text.
    fn recover(&mut self, scope: &Scope, failure: &Failure) -> Result<Recovery, Error> {
        let _ = (scope, failure); // Named for the documentation's sake.
        Ok(Recovery::Unchanged)
    }

    /// The models on offer. By default there is no such call.
    ///
    /// # Errors
    /// Any error leaves the host with the models it knows.
    fn list_models(&mut self, scope: &Scope) -> Result<Vec<Model>, Error> {
        let _ = scope; // Named for the documentation's sake.
        Ok(Vec::new())
    }
}

/// Where requests go, decided from the user's table.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// The name shown to people.
    pub name: String,
    /// The base URL; `/responses` is appended.
    pub base_url: String,
    /// Query parameters to append, in order.
    pub query: Vec<(String, String)>,
    /// Static headers that are no credentials.
    pub headers: Vec<Header>,
    /// What the service at this address can do; none is what `describe` says.
    pub capabilities: Option<Capabilities>,
}

/// Headers that carry a credential.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prepared {
    /// The headers.
    pub headers: Vec<Header>,
    /// When they stop being good, in milliseconds since 1970; the host asks again before then.
    pub expires_at_unix_ms: Option<u64>,
}

impl Prepared {
    /// One header, good until it is refused.
    pub fn header(header: Header) -> Self {
        Self {
            headers: vec![header],
            expires_at_unix_ms: None,
        }
    }

    /// No header at all, for an endpoint that by the user's configuration needs no credential.
    pub fn no_credential() -> Self {
        Self::default()
    }

    /// Sets when the headers stop being good, in milliseconds since 1970.
    pub fn until(mut self, unix_ms: u64) -> Self {
        self.expires_at_unix_ms = Some(unix_ms);
        self
    }
}

/// Nothing served, nothing supported: fill in what applies.
impl Default for Description {
    fn default() -> Self {
        Self {
            ids: Vec::new(),
            name: String::new(),
            default_endpoint: None,
            capabilities: Capabilities::empty(),
            hosts: Vec::new(),
            settable_keys: Vec::new(),
            removed_headers: Vec::new(),
        }
    }
}

impl Failure {
    /// A failure without words or delay.
    pub fn new(kind: FailureKind) -> Self {
        Self {
            kind,
            message: None,
            retry_after_ms: None,
        }
    }
}

/// Makes a type's [`Provider`] implementation the component's `provider` export.
///
/// Outside of wasm it only checks that the type implements the trait, so that crates build and test natively.
#[macro_export]
macro_rules! export_provider {
    ($plugin:ty) => {
        const _: () = {
            type DovetailExport = $crate::provider::Adapter<$plugin>;
            #[cfg(target_family = "wasm")]
            $crate::bindings::provider::export!(DovetailExport with_types_in $crate::bindings::provider);
            const _: Option<DovetailExport> = None;
        };
    };
}

/// Carries a [`Provider`] to the contract's trait.
#[doc(hidden)]
pub struct Adapter<T: Provider>(std::marker::PhantomData<T>);

impl<T: Provider> contract::Guest for Adapter<T> {
    fn describe() -> Description {
        crate::instance::with(|plugin: &mut T| plugin.describe())
    }

    fn configure(
        provider_id: String,
        table_json: String,
    ) -> Result<contract::Endpoint, contract::Error> {
        crate::instance::with(|plugin: &mut T| {
            let table: Map<String, Value> = serde_json::from_str(&table_json).map_err(|error| {
                Error::Invalid(format!("model_providers.{provider_id}: {error}"))
            })?;
            Ok(plugin.configure(&provider_id, &table)?.into())
        })
    }

    fn prepare(scope: Scope) -> Result<contract::Prepared, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.prepare(&scope)?.into()))
    }

    fn authorize(
        scope: Scope,
        head: RequestHead,
        body_sha256: Vec<u8>,
    ) -> Result<Vec<contract::Header>, contract::Error> {
        crate::instance::with(|plugin: &mut T| {
            let digest = <[u8; 32]>::try_from(body_sha256).map_err(|bytes| {
                Error::Invalid(format!("a SHA-256 digest of {} bytes", bytes.len()))
            })?;
            let headers = plugin.authorize(&scope, &head, &digest)?;
            Ok(headers.into_iter().map(Into::into).collect())
        })
    }

    fn classify(status: u16, headers: Vec<PlainHeader>, excerpt: String) -> Failure {
        crate::instance::with(|plugin: &mut T| plugin.classify(status, &headers, &excerpt))
    }

    fn recover(scope: Scope, failure: Failure) -> Result<Recovery, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.recover(&scope, &failure)?))
    }

    fn list_models(scope: Scope) -> Result<Vec<Model>, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.list_models(&scope)?))
    }
}

impl<T: Provider> fmt::Debug for Adapter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adapter")
    }
}

impl From<Endpoint> for contract::Endpoint {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            name: endpoint.name,
            base_url: endpoint.base_url,
            query: endpoint.query,
            headers: endpoint.headers.into_iter().map(Into::into).collect(),
            capabilities: endpoint.capabilities,
        }
    }
}

impl From<Prepared> for contract::Prepared {
    fn from(prepared: Prepared) -> Self {
        Self {
            headers: prepared.headers.into_iter().map(Into::into).collect(),
            expires_at_unix_ms: prepared.expires_at_unix_ms,
        }
    }
}
