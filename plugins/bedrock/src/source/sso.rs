//! Credentials of a role, for whoever is signed in to IAM Identity Center. Signing in is `aws sso login`'s business.

use dovetail_plugin_api::Header;
use serde::Deserialize;

use crate::credentials::Credentials;
use crate::form;
use crate::ini::Keys;
use crate::outside::{Ask, Outside};
use crate::profiles::Profiles;
use crate::source::sign_in::{Over, SignIns};
use crate::trouble::Trouble;

/// What a profile says about signing in.
struct Login<'p> {
    profile: &'p str,
    /// The session's name, or else the start URL: what the file of the sign-in is called after.
    key: &'p str,
    region: &'p str,
    account_id: &'p str,
    role_name: &'p str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    role_credentials: RoleCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleCredentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    /// In milliseconds since 1970.
    expiration: Option<u64>,
}

/// The credentials of the role that a profile names.
pub(crate) fn get(
    outside: &impl Outside,
    profiles: &Profiles,
    profile: &str,
    keys: &Keys,
    now_unix_ms: u64,
) -> Result<Credentials, Trouble> {
    let login = Login::of(profiles, profile, keys)?;
    let token = login.token(outside, now_unix_ms)?;
    let query = form::encode(&[
        ("role_name", login.role_name),
        ("account_id", login.account_id),
    ]);
    let url = format!("{}/federation/credentials?{query}", login.portal(outside));
    let bearer = Header::plain("x-amz-sso_bearer_token", token).sensitive();
    let what = format!("signing in for profile `{profile}`");
    let response = outside
        .send(Ask::get(url).header(bearer))
        .map_err(|error| Trouble::from(error).while_doing(&what))?;
    match response.status {
        200 => {}
        401 => return Err(login.over("is not accepted any more")),
        status @ (429 | 500..=599) => {
            return Err(Trouble::passing(format!(
                "{what}: the service answered with status {status}"
            )));
        }
        status => {
            return Err(Trouble::lasting(format!(
                "{what}: account `{}` does not give role `{}` (status {status})",
                login.account_id, login.role_name
            )));
        }
    }
    let answer: Answer = response
        .json()
        .map_err(|error| Trouble::from(error).while_doing(&what))?;
    let found = answer.role_credentials;
    Ok(Credentials {
        access_key_id: found.access_key_id,
        secret_access_key: found.secret_access_key,
        session_token: found.session_token,
        expires_at_unix_ms: found.expiration,
    })
}

impl<'p> Login<'p> {
    fn of(profiles: &'p Profiles, profile: &'p str, keys: &'p Keys) -> Result<Self, Trouble> {
        let session = match keys.get("sso_session") {
            None => None,
            Some(name) => {
                let section = profiles.sso_session(name).ok_or_else(|| {
                    Trouble::lasting(format!(
                        "profile `{profile}` names the section `[sso-session {name}]`, which is not there"
                    ))
                })?;
                Some((name, section))
            }
        };
        let shared = session.map_or(keys, |(_, section)| section);
        let text = |keys: &'p Keys, key: &str| {
            keys.get(key)
                .map(String::as_str)
                .ok_or_else(|| Trouble::lasting(format!("profile `{profile}` has no `{key}`")))
        };
        let start_url = text(shared, "sso_start_url")?;
        Ok(Self {
            profile,
            key: session.map_or(start_url, |(name, _)| name),
            region: text(shared, "sso_region")?,
            account_id: text(keys, "sso_account_id")?,
            role_name: text(keys, "sso_role_name")?,
        })
    }

    fn portal(&self, outside: &impl Outside) -> String {
        let own = outside.variable("AWS_ENDPOINT_URL_SSO");
        match own.or_else(|| outside.variable("AWS_ENDPOINT_URL")) {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://portal.sso.{}.amazonaws.com", self.region),
        }
    }

    /// The token of the sign-in, renewed where it has ended and can be.
    fn token(&self, outside: &impl Outside, now_unix_ms: u64) -> Result<String, Trouble> {
        let service = SignIns {
            outside,
            region: self.region,
            now_unix_ms,
        };
        service.token(self.key)?.map_err(|Over(how)| self.over(how))
    }

    fn over(&self, how: &str) -> Trouble {
        Trouble::signed_out(format!(
            "the sign-in of profile `{profile}` {how}; run: aws sso login --profile {profile}",
            profile = self.profile
        ))
    }
}
