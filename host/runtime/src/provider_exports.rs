//! What a provider's component exports: the provider, and beside it, in the same instance, the login that it may have.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::exports::dovetail::plugin::{account, provider};
use crate::guest_state::GuestState;
use crate::instance::Exports;

/// The optional interface's name, as components export it.
const ACCOUNT: &str = "dovetail:plugin/account@0.1.0";

/// The exports of one instance.
pub(crate) struct ProviderExports {
    pub(crate) provider: provider::Guest,
    pub(crate) account: Option<account::Guest>,
}

/// Where they are in a component.
pub(crate) struct ProviderIndices {
    provider: provider::GuestIndices,
    account: Option<account::GuestIndices>,
}

impl Exports for ProviderExports {
    type Indices = ProviderIndices;

    fn find(pre: &InstancePre<GuestState>) -> wasmtime::Result<Self::Indices> {
        let has_account = pre.component().get_export_index(None, ACCOUNT).is_some();
        Ok(ProviderIndices {
            provider: provider::GuestIndices::new(pre)?,
            account: has_account
                .then(|| account::GuestIndices::new(pre))
                .transpose()?,
        })
    }

    fn load(
        indices: &Self::Indices,
        store: &mut Store<GuestState>,
        instance: &Instance,
    ) -> wasmtime::Result<Self> {
        let account = indices.account.as_ref();
        Ok(Self {
            provider: indices.provider.load(&mut *store, instance)?,
            account: account
                .map(|indices| indices.load(&mut *store, instance))
                .transpose()?,
        })
    }
}
