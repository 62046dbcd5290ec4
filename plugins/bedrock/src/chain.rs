//! Where credentials are looked for, and in which order.

use crate::credentials::Credentials;
use crate::ini::Keys;
use crate::outside::Outside;
use crate::profiles::Profiles;
use crate::source::sts::{Role, TokenService};
use crate::source::{container, environment, instance_metadata, login, process, sso};
use crate::table::Settings;
use crate::trouble::Trouble;

/// Looks for credentials: first what the user's table names, then the login, then where AWS's own tools look.
pub(crate) fn find(
    outside: &impl Outside,
    settings: &Settings,
    region: &str,
    now_unix_ms: u64,
) -> Result<Credentials, Trouble> {
    if let Some(export) = &settings.export {
        return process::run(outside, "aws.credential_export", export);
    }
    let chain = |profiles| Chain {
        outside,
        profiles,
        region,
        now_unix_ms,
    };
    if let Some(profile) = &settings.profile {
        let profiles = Profiles::load(outside)?;
        return match profiles.get(profile) {
            Some(_) => chain(&profiles).profile(profile),
            None => Err(unknown_profile(profile)),
        };
    }
    if let Some(found) = login::find(outside)? {
        return Ok(found);
    }
    if let Some(found) = environment::find(outside)? {
        return Ok(found);
    }
    let profiles = Profiles::load(outside)?;
    let profile = profiles.chosen(outside, None);
    match profiles.get(&profile) {
        Some(keys) if gives_credentials(keys) => return chain(&profiles).profile(&profile),
        None if profile != "default" => return Err(unknown_profile(&profile)),
        Some(_) | None => {}
    }
    if let Some(found) = web_identity(outside, region)? {
        return Ok(found);
    }
    if let Some(found) = container::find(outside)? {
        return Ok(found);
    }
    if let Some(found) = instance_metadata::find(outside)? {
        return Ok(found);
    }
    Err(Trouble::signed_out(format!(
        "there are no AWS credentials: none in the environment, in profile `{profile}`, of a container or of an \
         instance; set AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID, or run: aws configure"
    )))
}

pub(crate) fn unknown_profile(profile: &str) -> Trouble {
    Trouble::lasting(format!(
        "AWS profile `{profile}` is neither in the config file nor in the credentials file"
    ))
}

/// Whether a profile is more than a region and preferences.
fn gives_credentials(keys: &Keys) -> bool {
    const SOURCES: [&str; 6] = [
        "aws_access_key_id",
        "aws_secret_access_key",
        "role_arn",
        "credential_process",
        "sso_session",
        "sso_account_id",
    ];
    SOURCES.iter().any(|key| keys.contains_key(*key))
}

fn web_identity(outside: &impl Outside, region: &str) -> Result<Option<Credentials>, Trouble> {
    let (arn, file) = (
        outside.variable("AWS_ROLE_ARN"),
        outside.variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
    );
    let (Some(arn), Some(file)) = (arn, file) else {
        return Ok(None);
    };
    let session_name = outside.variable("AWS_ROLE_SESSION_NAME");
    let role = Role {
        arn: &arn,
        session_name: session_name.as_deref(),
        ..Role::default()
    };
    with_token_file(outside, region, &role, &file).map(Some)
}

fn with_token_file(
    outside: &impl Outside,
    region: &str,
    role: &Role<'_>,
    file: &str,
) -> Result<Credentials, Trouble> {
    let token = outside.file(file)?.ok_or_else(|| {
        Trouble::lasting(format!(
            "the web identity token for role `{}` is not there: `{file}`",
            role.arn
        ))
    })?;
    TokenService::of(outside, region).assume_with_token(outside, role, token.trim())
}

/// The profiles, and what their credentials are made with.
struct Chain<'a, O> {
    outside: &'a O,
    profiles: &'a Profiles,
    region: &'a str,
    now_unix_ms: u64,
}

impl<O: Outside> Chain<'_, O> {
    /// The credentials of a profile, by way of those that it refers to: a profile with a role is a step, the last one is
    /// where the credentials come from.
    fn profile(&self, name: &str) -> Result<Credentials, Trouble> {
        let mut steps: Vec<(&str, &Keys)> = Vec::new();
        let mut name = name;
        let start = loop {
            let keys = self
                .profiles
                .get(name)
                .ok_or_else(|| unknown_profile(name))?;
            let again = steps.iter().any(|(seen, _)| *seen == name);
            // A role whose source is its own profile is assumed with the keys beside it.
            if again && steps.last().is_some_and(|(last, _)| *last == name) {
                break self.own_keys(name, keys)?;
            }
            if again {
                return Err(Trouble::lasting(format!(
                    "AWS profile `{name}` refers to itself by way of others"
                )));
            }
            if !keys.contains_key("role_arn") {
                break self.without_role(name, keys)?;
            }
            steps.push((name, keys));
            match keys.get("source_profile") {
                Some(source) => name = source,
                None => {
                    steps.pop();
                    break self.role_alone(name, keys)?;
                }
            }
        };
        steps
            .into_iter()
            .rev()
            .try_fold(start, |credentials, (name, keys)| {
                let role = role_of(name, keys)?;
                self.token_service(keys)
                    .assume(self.outside, &role, &credentials, self.now_unix_ms)
            })
    }

    fn token_service(&self, keys: &Keys) -> TokenService {
        let region = keys.get("region").map_or(self.region, String::as_str);
        TokenService::of(self.outside, region)
    }

    /// A role that is assumed with something else than another profile.
    fn role_alone(&self, name: &str, keys: &Keys) -> Result<Credentials, Trouble> {
        let role = role_of(name, keys)?;
        let service = self.token_service(keys);
        if let Some(file) = keys.get("web_identity_token_file") {
            let region = keys.get("region").map_or(self.region, String::as_str);
            return with_token_file(self.outside, region, &role, file);
        }
        let Some(source) = keys.get("credential_source") else {
            return Err(Trouble::lasting(format!(
                "AWS profile `{name}` has a role and says not what to assume it with: `source_profile`, \
                 `credential_source` or `web_identity_token_file`"
            )));
        };
        let found = match source.as_str() {
            "Environment" => environment::find(self.outside)?,
            "EcsContainer" => container::find(self.outside)?,
            "Ec2InstanceMetadata" => instance_metadata::find(self.outside)?,
            other => {
                return Err(Trouble::lasting(format!(
                    "`credential_source` of AWS profile `{name}` is `{}`; there are Environment, EcsContainer and \
                     Ec2InstanceMetadata",
                    other.escape_debug()
                )));
            }
        };
        let found = found.ok_or_else(|| {
            Trouble::lasting(format!(
                "AWS profile `{name}` takes its credentials from `{source}`, where there are none"
            ))
        })?;
        service.assume(self.outside, &role, &found, self.now_unix_ms)
    }

    fn without_role(&self, name: &str, keys: &Keys) -> Result<Credentials, Trouble> {
        if keys.contains_key("sso_session") || keys.contains_key("sso_account_id") {
            return sso::get(self.outside, self.profiles, name, keys, self.now_unix_ms);
        }
        if let Some(line) = keys.get("credential_process")
            && !keys.contains_key("aws_access_key_id")
        {
            return process::run_line(self.outside, name, line);
        }
        self.own_keys(name, keys)
    }

    fn own_keys(&self, name: &str, keys: &Keys) -> Result<Credentials, Trouble> {
        let key = |key: &str| keys.get(key).cloned();
        let place = format!("AWS profile `{name}`");
        let found = Credentials::of_parts(
            &place,
            key("aws_access_key_id"),
            key("aws_secret_access_key"),
            key("aws_session_token"),
        )?;
        found.ok_or_else(|| Trouble::lasting(format!("{place} has no credentials")))
    }
}

fn role_of<'k>(name: &str, keys: &'k Keys) -> Result<Role<'k>, Trouble> {
    let key = |key: &str| keys.get(key).map(String::as_str);
    if key("mfa_serial").is_some() {
        return Err(Trouble::lasting(format!(
            "AWS profile `{name}` needs a code of `mfa_serial`, and nobody can be asked for one here; use a profile of \
             `aws sso login` or a `credential_process` that asks"
        )));
    }
    Ok(Role {
        arn: key("role_arn").unwrap_or_default(),
        session_name: key("role_session_name"),
        external_id: key("external_id"),
        duration_seconds: key("duration_seconds"),
    })
}

#[cfg(test)]
mod tests;
