//! Signing in to a provider.

use crate::Error;
use crate::bindings::login::exports::dovetail::plugin::login as contract;

pub use crate::bindings::login::exports::dovetail::plugin::login::{Challenge, Status};

/// Signs users in. The plugin describes the flow, the host runs it.
///
/// The host may run it in another instance than the [`Provider`](crate::Provider) of the same component: what both
/// must know goes through [`kv`](crate::kv) or [`credentials`](crate::credentials).
///
/// ```
/// use dovetail_plugin_api::login::{Challenge, Status};
/// use dovetail_plugin_api::{Error, Login, export_login};
///
/// #[derive(Default)]
/// struct Acme;
///
/// impl Login for Acme {
///     fn begin(&mut self, _provider_id: &str) -> Result<Challenge, Error> {
///         Ok(Challenge {
///             url: "https://acme.example/device".into(),
///             user_code: Some("ABCD-1234".into()),
///             interval_ms: 5_000,
///             expires_in_ms: 600_000,
///             state: "what poll needs".into(),
///         })
///     }
///
///     fn poll(&mut self, _provider_id: &str, _state: &str) -> Result<Status, Error> {
///         Ok(Status::Pending)
///     }
///
///     fn logout(&mut self, _provider_id: &str) -> Result<(), Error> {
///         Ok(())
///     }
/// }
///
/// export_login!(Acme);
/// ```
pub trait Login: Default + 'static {
    /// Starts signing in.
    ///
    /// # Errors
    /// Any error ends the attempt with its text.
    fn begin(&mut self, provider_id: &str) -> Result<Challenge, Error>;

    /// Asks whether it is done. `state` is what `begin` gave.
    ///
    /// # Errors
    /// [`Error::Retryable`] is polled again, any other ends the attempt with its text.
    fn poll(&mut self, provider_id: &str, state: &str) -> Result<Status, Error>;

    /// Forgets the credential, and revokes it where the service can.
    ///
    /// # Errors
    /// Says what could not be forgotten or revoked.
    fn logout(&mut self, provider_id: &str) -> Result<(), Error>;
}

/// Makes a type's [`Login`] implementation the component's `login` export.
///
/// Outside of wasm it only checks that the type implements the trait, so that crates build and test natively.
#[macro_export]
macro_rules! export_login {
    ($plugin:ty) => {
        const _: () = {
            type DovetailExport = $crate::login::Adapter<$plugin>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::login::export!(DovetailExport with_types_in $crate::bindings::login);
            const _: Option<DovetailExport> = None;
        };
    };
}

/// Carries a [`Login`] to the contract's trait.
#[doc(hidden)]
#[derive(Debug)]
pub struct Adapter<T: Login>(std::marker::PhantomData<T>);

impl<T: Login> contract::Guest for Adapter<T> {
    fn begin(provider_id: String) -> Result<Challenge, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.begin(&provider_id)?))
    }

    fn poll(provider_id: String, state: String) -> Result<Status, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.poll(&provider_id, &state)?))
    }

    fn logout(provider_id: String) -> Result<(), contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.logout(&provider_id)?))
    }
}
