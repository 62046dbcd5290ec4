//! API keys of Bedrock, which stand for themselves: nothing is signed, and the plugin never sees one.

use dovetail_plugin_api::Error;

use crate::outside::Outside;
use crate::table::Settings;

/// The key of a login with one.
pub(crate) const LOGIN: &str = "auth:bedrock_api_key.api_key";
const LOGIN_REGION: &str = "auth:bedrock_api_key.region";
pub(crate) const VARIABLE: &str = "env:AWS_BEARER_TOKEN_BEDROCK";

/// The slot of the key to use; none where requests are signed. Credentials that the user's table names win over it.
pub(crate) fn find(
    outside: &impl Outside,
    settings: &Settings,
) -> Result<Option<&'static str>, Error> {
    if is_overruled(settings) {
        return Ok(None);
    }
    if outside.exists(LOGIN)? {
        return Ok(Some(LOGIN));
    }
    // A login with a pair of access keys comes before the variable too.
    if outside.exists(crate::source::login::ACCESS_KEY_ID)? {
        return Ok(None);
    }
    Ok(outside.exists(VARIABLE)?.then_some(VARIABLE))
}

/// The region that the key of the login is for.
pub(crate) fn region(outside: &impl Outside, settings: &Settings) -> Result<Option<String>, Error> {
    if is_overruled(settings) || !outside.exists(LOGIN)? {
        return Ok(None);
    }
    outside.reveal(LOGIN_REGION)
}

fn is_overruled(settings: &Settings) -> bool {
    settings.auth.is_some() || settings.profile.is_some() || settings.export.is_some()
}
