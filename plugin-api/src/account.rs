//! The login of people, for providers that have one.

use std::fmt;

use crate::Error;
use crate::bindings::account::exports::dovetail::plugin::account as contract;

pub use crate::bindings::account::exports::dovetail::plugin::account::{
    Beginning, Challenge, Explanation, Login, Question, Source, Way,
};

/// Signs people in and out, and says what their login is. The plugin knows the authority and what is kept of a login;
/// the host talks to the person, opens pages and listens for the way back.
///
/// The host calls [`Provider::configure`](crate::Provider::configure) of the same value before anything else here.
pub trait Account: Default + 'static {
    /// Starts signing in.
    ///
    /// # Errors
    /// Any error ends the attempt with its text.
    fn begin(&mut self, provider_id: &str, way: Way) -> Result<Beginning, Error>;

    /// Asks whether a challenge with a code is done; none while it is not. The text names the login.
    ///
    /// # Errors
    /// [`Error::Retryable`] is polled again, any other ends the attempt with its text.
    fn poll(&mut self, provider_id: &str, state: &str) -> Result<Option<String>, Error>;

    /// Ends a challenge in a browser: `query` is what the browser brought back. The text names the login. `Invalid` where
    /// that is of no sign-in of this challenge's: the host waits on for the one that is.
    ///
    /// # Errors
    /// Any error ends the attempt with its text.
    fn finish(&mut self, provider_id: &str, state: &str, query: &str) -> Result<String, Error>;

    /// The login that holds; none where nobody signed in. Asks nobody.
    ///
    /// # Errors
    /// What is kept cannot be read, or is not allowed.
    fn status(&mut self, provider_id: &str) -> Result<Option<Login>, Error>;

    /// Forgets the stored login, and has it revoked where that is possible. The text says what became of it; none where
    /// there was none.
    ///
    /// # Errors
    /// It could not be forgotten.
    fn logout(&mut self, provider_id: &str) -> Result<Option<String>, Error>;

    /// Explains which credential would go where. Asks nobody and changes nothing.
    ///
    /// # Errors
    /// The question is about something that is not served.
    fn explain(&mut self, question: &Question) -> Result<Explanation, Error>;

    /// The second step of recovering a credential, where what [`Provider::recover`](crate::Provider::recover) gave was
    /// refused too. True where there is another one now.
    ///
    /// # Errors
    /// [`Error::Retryable`] where it could not be had now; any other is for the person and ends the turn.
    fn renew(&mut self, provider_id: &str) -> Result<bool, Error> {
        let _ = provider_id; // Named for the documentation's sake.
        Ok(false)
    }
}

/// Makes a type's [`Account`] implementation the component's `account` export.
///
/// Outside of wasm it only checks that the type implements the trait, so that crates build and test natively.
#[macro_export]
macro_rules! export_account {
    ($plugin:ty) => {
        const _: () = {
            type DovetailExport = $crate::account::Adapter<$plugin>;
            #[cfg(target_family = "wasm")]
            $crate::bindings::account::export!(DovetailExport with_types_in $crate::bindings::account);
            const _: Option<DovetailExport> = None;
        };
    };
}

/// Carries an [`Account`] to the contract's trait.
#[doc(hidden)]
pub struct Adapter<T: Account>(std::marker::PhantomData<T>);

impl<T: Account> contract::Guest for Adapter<T> {
    fn begin(provider_id: String, way: Way) -> Result<Beginning, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.begin(&provider_id, way)?))
    }

    fn poll(provider_id: String, state: String) -> Result<Option<String>, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.poll(&provider_id, &state)?))
    }

    fn finish(
        provider_id: String,
        state: String,
        query: String,
    ) -> Result<String, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.finish(&provider_id, &state, &query)?))
    }

    fn status(provider_id: String) -> Result<Option<Login>, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.status(&provider_id)?))
    }

    fn logout(provider_id: String) -> Result<Option<String>, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.logout(&provider_id)?))
    }

    fn explain(question: Question) -> Result<Explanation, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.explain(&question)?))
    }

    fn renew(provider_id: String) -> Result<bool, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.renew(&provider_id)?))
    }
}

impl<T: Account> fmt::Debug for Adapter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adapter")
    }
}
