//! A login with a pair of access keys.

use crate::credentials::Credentials;
use crate::outside::Outside;
use crate::trouble::Trouble;

pub(crate) const ACCESS_KEY_ID: &str = "auth:bedrock_access_keys.access_key_id";
const SECRET_ACCESS_KEY: &str = "auth:bedrock_access_keys.secret_access_key";
const SESSION_TOKEN: &str = "auth:bedrock_access_keys.session_token";

pub(crate) fn find(outside: &impl Outside) -> Result<Option<Credentials>, Trouble> {
    if !outside.exists(ACCESS_KEY_ID)? {
        return Ok(None);
    }
    Credentials::of_parts(
        "the login",
        outside.reveal(ACCESS_KEY_ID)?,
        outside.reveal(SECRET_ACCESS_KEY)?,
        outside.reveal(SESSION_TOKEN)?,
    )
}
