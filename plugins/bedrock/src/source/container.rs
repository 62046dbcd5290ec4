//! Credentials of a container: of ECS tasks and of EKS pods.

use std::time::Duration;

use dovetail_plugin_api::{Error, Header, Secret};

use crate::credentials::{Credentials, Document};
use crate::outside::{Ask, Outside};
use crate::trouble::Trouble;

/// Where the first of the two variables starts.
const RELATIVE_TO: &str = "http://169.254.170.2";
const TOKEN_SLOT: &str = "env:AWS_CONTAINER_AUTHORIZATION_TOKEN";
const WHAT: &str = "the container's credentials";

pub(crate) fn find(outside: &impl Outside) -> Result<Option<Credentials>, Trouble> {
    let Some(url) = address(outside) else {
        return Ok(None);
    };
    let mut ask = Ask {
        timeout: Duration::from_secs(5),
        ..Ask::get(url)
    };
    if let Some(header) = authorization(outside)? {
        ask = ask.header(header);
    }
    let response = match outside.send(ask) {
        Ok(response) => response,
        Err(error) => return Err(Trouble::from(error).while_doing(WHAT)),
    };
    match response.status {
        200 => Document::read(WHAT, &response.body).map(Some),
        status @ (429 | 500..=599) => Err(Trouble::passing(format!(
            "{WHAT} cannot be had now: status {status}"
        ))),
        status => Err(Trouble::lasting(format!(
            "{WHAT} were refused: status {status}"
        ))),
    }
}

/// Where a container gets its credentials, if this is one.
pub(crate) fn address(outside: &impl Outside) -> Option<String> {
    let relative = outside.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let relative = relative.map(|path| format!("{RELATIVE_TO}/{}", path.trim_start_matches('/')));
    relative.or_else(|| outside.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
}

/// The file wins over the variable: it is the one that is renewed.
fn authorization(outside: &impl Outside) -> Result<Option<Header>, Trouble> {
    if let Some(path) = outside.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        let token = outside.file(&path)?.ok_or_else(|| {
            Trouble::lasting(format!(
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names `{path}`, which is not there"
            ))
        })?;
        let header = Header::plain("authorization", token.trim()).sensitive();
        return Ok(Some(header));
    }
    let known: Result<bool, Error> = outside.exists(TOKEN_SLOT);
    Ok(known?.then(|| Header::secret("authorization", Secret::slot(TOKEN_SLOT))))
}
