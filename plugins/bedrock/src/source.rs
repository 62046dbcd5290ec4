//! The places that credentials come from, one module each.

pub(crate) mod container;
pub(crate) mod environment;
pub(crate) mod instance_metadata;
pub(crate) mod login;
pub(crate) mod process;
pub(crate) mod sign_in;
pub(crate) mod sso;
pub(crate) mod sts;
