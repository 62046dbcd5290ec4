//! Signature Version 4. The algorithm is AWS's own crate; what is signed is decided here.

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningError, SigningParams, SigningSettings,
};
use aws_sigv4::sign::v4;
use dovetail_plugin_api::provider::RequestHead;
use dovetail_plugin_api::{Error, Header};

use crate::credentials::Credentials;

/// What is sent, but not signed. The first two are this client's name, which proxies change; the next are the
/// signature's own, which replace any others of their names; the rest belong to one connection and not to the request.
const UNSIGNED: [&str; 12] = [
    "originator",
    "user-agent",
    "authorization",
    "x-amz-date",
    "x-amz-security-token",
    "host",
    "connection",
    "expect",
    "transfer-encoding",
    "te",
    "upgrade",
    "x-amzn-trace-id",
];

/// In whose name, for what, and when.
pub(crate) struct Signing<'s> {
    pub(crate) credentials: &'s Credentials,
    pub(crate) region: &'s str,
    pub(crate) service: &'s str,
    pub(crate) time_unix_ms: u64,
}

/// The headers of a request's signature. `arrives` says which headers reach the service: others cannot be signed.
pub(crate) fn sign(
    signing: &Signing<'_>,
    head: &RequestHead,
    arrives: impl Fn(&str) -> bool,
    body_sha256: &[u8; 32],
) -> Result<Vec<Header>, Error> {
    let signed = head.headers.iter().filter_map(|header| {
        let name = header.name.as_str();
        let left_out = UNSIGNED
            .iter()
            .any(|unsigned| name.eq_ignore_ascii_case(unsigned));
        (!left_out && arrives(name)).then_some((name, header.value.as_str()))
    });
    let digest: String = body_sha256
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let request = SignableRequest::new(
        &head.method,
        &head.url,
        signed,
        SignableBody::Precomputed(digest),
    )
    .map_err(failed)?;
    let credentials = signing.credentials;
    let identity = aws_credential_types::Credentials::new(
        credentials.access_key_id.as_str(),
        credentials.secret_access_key.as_str(),
        credentials.session_token.clone(),
        None,
        "dovetail",
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(signing.region)
        .name(signing.service)
        .time(UNIX_EPOCH + Duration::from_millis(signing.time_unix_ms))
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| Error::Other(format!("the request cannot be signed: {error}")))?;
    let params = SigningParams::from(params);
    let (instructions, _signature) = aws_sigv4::http_request::sign(request, &params)
        .map_err(failed)?
        .into_parts();
    let headers: Vec<Header> = instructions
        .headers()
        .map(|(name, value)| match name {
            "x-amz-date" => Header::plain(name, value),
            _ => Header::plain(name, value).sensitive(),
        })
        .collect();
    if headers
        .iter()
        .any(|header| header.name() == "authorization")
    {
        Ok(headers)
    } else {
        Err(Error::other("the request came back without a signature"))
    }
}

fn failed(error: SigningError) -> Error {
    Error::Other(format!("the request cannot be signed: {error}"))
}

#[cfg(test)]
mod tests;
