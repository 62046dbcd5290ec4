//! Access keys in environment variables.

use crate::credentials::Credentials;
use crate::outside::Outside;
use crate::trouble::Trouble;

pub(crate) const ACCESS_KEY_ID: &str = "env:AWS_ACCESS_KEY_ID";

pub(crate) fn find(outside: &impl Outside) -> Result<Option<Credentials>, Trouble> {
    let access_key_id = outside.reveal(ACCESS_KEY_ID)?;
    if access_key_id.is_none() {
        // A secret alone is what other tools leave behind.
        return Ok(None);
    }
    Credentials::of_parts(
        "the environment",
        access_key_id,
        outside.reveal("env:AWS_SECRET_ACCESS_KEY")?,
        outside.reveal("env:AWS_SESSION_TOKEN")?,
    )
}
