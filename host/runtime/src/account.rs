//! The login that a provider plugin may have. It runs in the provider's own instance, so that both know the same.

use async_trait::async_trait;
use dovetail_core::plugin::{
    Account, Beginning, CredentialExplained, KnownLogin, PluginError, Recovery, Scope, Way,
};
use dovetail_core::secret::SecretText;
use wasmtime::Store;

use crate::bindings::exports::dovetail::plugin::account::Guest;
use crate::convert::{self, GuestError};
use crate::guest_state::GuestState;
use crate::instance::GuestFuture;
use crate::provider::ProviderPlugin;

type Answer<T> = Result<T, GuestError>;

impl ProviderPlugin {
    /// Calls the login's side of the instance, which may wait.
    async fn ask<R, W>(&self, call: &'static str, work: W) -> Result<R, PluginError>
    where
        R: Send + 'static,
        W: for<'a> Fn(&'a mut Store<GuestState>, &'a Guest) -> GuestFuture<'a, Answer<R>>
            + Clone
            + Send
            + 'static,
    {
        if !self.has_account() {
            let id = self.id();
            return Err(PluginError::Unavailable(format!(
                "plugin `{id}` has no login of its own"
            )));
        }
        let answer = self.call(self.waiting(call), move |store, exports| {
            match &exports.account {
                Some(account) => work(store, account),
                // Every instance is made from the same component.
                None => Box::pin(async { Err(wasmtime::Error::msg("the login is gone")) }),
            }
        });
        answer.await?.map_err(convert::from_guest_error)
    }

    /// The second step of recovering a credential.
    pub(crate) async fn ask_renew(&self, scope: &Scope) -> Result<Recovery, PluginError> {
        if !self.has_account() {
            return Ok(Recovery::Unchanged);
        }
        let id = scope.provider_id.clone();
        let renewed = self.ask("renew", move |store, account| {
            let id = id.clone();
            Box::pin(async move { account.call_renew(store, &id).await })
        });
        Ok(match renewed.await? {
            true => Recovery::Changed,
            false => Recovery::Unchanged,
        })
    }
}

#[async_trait]
impl Account for ProviderPlugin {
    async fn begin(&self, provider_id: &str, way: Way) -> Result<Beginning, PluginError> {
        let id = provider_id.to_owned();
        let begun = self.ask("begin", move |store, account| {
            let (id, way) = (id.clone(), convert::way(&way));
            Box::pin(async move { account.call_begin(store, &id, &way).await })
        });
        begun.await.map(convert::beginning)
    }

    async fn poll(
        &self,
        provider_id: &str,
        state: &SecretText,
    ) -> Result<Option<String>, PluginError> {
        let (id, state) = (provider_id.to_owned(), state.clone());
        let polled = self.ask("poll", move |store, account| {
            let (id, state) = (id.clone(), state.clone());
            Box::pin(async move { account.call_poll(store, &id, state.expose()).await })
        });
        Ok(polled.await?.map(|words| convert::reason(&words)))
    }

    async fn finish(
        &self,
        provider_id: &str,
        state: &SecretText,
        query: &SecretText,
    ) -> Result<String, PluginError> {
        let (id, state, query) = (provider_id.to_owned(), state.clone(), query.clone());
        let finished = self.ask("finish", move |store, account| {
            let (id, state, query) = (id.clone(), state.clone(), query.clone());
            Box::pin(async move {
                account
                    .call_finish(store, &id, state.expose(), query.expose())
                    .await
            })
        });
        Ok(convert::reason(&finished.await?))
    }

    async fn status(&self, provider_id: &str) -> Result<Option<KnownLogin>, PluginError> {
        let id = provider_id.to_owned();
        let known = self.ask("status", move |store, account| {
            let id = id.clone();
            Box::pin(async move { account.call_status(store, &id).await })
        });
        Ok(known.await?.map(convert::known_login))
    }

    async fn logout(&self, provider_id: &str) -> Result<Option<String>, PluginError> {
        let id = provider_id.to_owned();
        let forgotten = self.ask("logout", move |store, account| {
            let id = id.clone();
            Box::pin(async move { account.call_logout(store, &id).await })
        });
        Ok(forgotten.await?.map(|words| convert::reason(&words)))
    }

    async fn explain(&self, scope: &Scope) -> Result<CredentialExplained, PluginError> {
        let scope = scope.clone();
        let explained = self.ask("explain", move |store, account| {
            let question = convert::question(&scope);
            Box::pin(async move { account.call_explain(store, &question).await })
        });
        Ok(convert::explanation(explained.await?))
    }
}
