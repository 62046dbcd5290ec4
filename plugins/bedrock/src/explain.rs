//! Which credential would be used and where it would go, for people. Asks nobody, runs nothing, shows no secret.

use dovetail_plugin_api::Error;
use dovetail_plugin_api::account::{Explanation, Source};

use crate::chain::unknown_profile;
use crate::ini::Keys;
use crate::outside::Outside;
use crate::profiles::Profiles;
use crate::source::{container, environment, instance_metadata, login};
use crate::table::Settings;
use crate::{api_key, endpoint};

/// What a request of a provider would carry: the sources in the order in which they are looked at.
pub(crate) fn explain(
    outside: &impl Outside,
    settings: &Settings,
    region: Option<&str>,
) -> Result<Explanation, Error> {
    let profiles = Profiles::load(outside).map_err(|trouble| trouble.error)?;
    let mut told = Told::default();
    told.table(settings);
    match &settings.profile {
        Some(profile) => told.profile("aws.profile", &profiles, profile),
        None => told.note("aws.profile", "not in the table"),
    }
    told.login(outside)?;
    told.variables(outside)?;
    if settings.profile.is_none() {
        let profile = profiles.chosen(outside, None);
        told.profile("profile", &profiles, &profile);
    }
    told.machine(outside);
    told.conclude();
    let signature = || {
        let region = region.unwrap_or("no region");
        let service = settings.service.signing_name();
        format!("Authorization: AWS4-HMAC-SHA256 … (signed for `{service}` in {region})")
    };
    Ok(Explanation {
        headers: vec![told.bearer.unwrap_or_else(signature)],
        destination: endpoint::resolve(settings, region)?.base_url,
        sources: told.sources,
        problem: told.problem,
    })
}

/// An explanation in the making.
#[derive(Default)]
struct Told {
    sources: Vec<Source>,
    /// The header of a credential that stands for itself.
    bearer: Option<String>,
    problem: Option<String>,
}

impl Told {
    fn is_decided(&self) -> bool {
        self.problem.is_some() || self.sources.iter().any(|source| source.used)
    }

    fn note(&mut self, name: &str, finding: &str) {
        self.sources.push(Source {
            name: name.to_owned(),
            finding: finding.to_owned(),
            used: false,
        });
    }

    /// Adds a source. The first in which there is something is used.
    fn look(&mut self, name: &str, found: Option<String>, nothing: &str) -> bool {
        let used = found.is_some() && !self.is_decided();
        self.note(name, found.as_deref().unwrap_or(nothing));
        if let Some(source) = self.sources.last_mut() {
            source.used = used;
        }
        used
    }

    /// Adds a source of something that is sent as it is.
    fn look_for_bearer(&mut self, name: &str, found: Option<String>, nothing: &str, what: &str) {
        if self.look(name, found, nothing) {
            self.bearer = Some(format!("Authorization: Bearer … ({what})"));
        }
    }

    fn table(&mut self, settings: &Settings) {
        let nothing = "not in the table";
        let auth = settings.auth.as_ref();
        let auth = auth.map(|auth| format!("`{}` prints a token", auth.program()));
        self.look_for_bearer("auth", auth, nothing, "what the command prints");
        let export = settings.export.as_ref();
        let export = export.map(|export| format!("`{}` prints credentials", export.program));
        self.look("aws.credential_export", export, nothing);
    }

    fn login(&mut self, outside: &impl Outside) -> Result<(), Error> {
        let there = |slot| Ok::<_, Error>(outside.exists(slot)?.then(|| "there".to_owned()));
        let key = there(api_key::LOGIN)?;
        self.look_for_bearer("API key in auth.json", key, "none", "the key of the login");
        let keys = there(login::ACCESS_KEY_ID)?;
        self.look("access keys in auth.json", keys, "none");
        Ok(())
    }

    fn variables(&mut self, outside: &impl Outside) -> Result<(), Error> {
        let nothing = "not set";
        let set = |is_set: bool| is_set.then(|| "set".to_owned());
        let key = set(outside.exists(api_key::VARIABLE)?);
        let what = "the value of the variable";
        self.look_for_bearer("AWS_BEARER_TOKEN_BEDROCK", key, nothing, what);
        let key = outside.reveal(environment::ACCESS_KEY_ID)?;
        self.look("AWS_ACCESS_KEY_ID", set(key.is_some()), nothing);
        Ok(())
    }

    /// A profile of AWS's own files.
    fn profile(&mut self, name: &str, profiles: &Profiles, profile: &str) {
        let keys = profiles.get(profile);
        let found = keys
            .and_then(kind)
            .map(|kind| format!("`{profile}`: {kind}"));
        let nothing = match keys {
            Some(_) => format!("`{profile}` has no credentials"),
            None => format!("`{profile}` is in none of AWS's files"),
        };
        let is_asked_for = name == "aws.profile" || (keys.is_none() && profile != "default");
        if found.is_none() && is_asked_for && !self.is_decided() {
            self.problem = Some(match keys {
                Some(_) => format!("AWS profile `{profile}` has no credentials"),
                None => unknown_profile(profile).error.to_string(),
            });
        }
        self.look(name, found, &nothing);
    }

    /// What is asked when a request is sent, and not before.
    fn machine(&mut self, outside: &impl Outside) {
        let role = outside
            .variable("AWS_ROLE_ARN")
            .zip(outside.variable("AWS_WEB_IDENTITY_TOKEN_FILE"));
        let role = role.map(|(role, file)| format!("role `{role}`, with the token in `{file}`"));
        self.look("AWS_WEB_IDENTITY_TOKEN_FILE", role, "not set");
        let container = container::address(outside).map(|url| format!("asked at {url}"));
        self.look("container", container, "none is named");
        let instance = instance_metadata::may_be_asked(outside);
        let instance = instance.then(|| "asked where nothing before it has any".to_owned());
        self.look("instance", instance, "AWS_EC2_METADATA_DISABLED is set");
    }

    fn conclude(&mut self) {
        if !self.is_decided() {
            self.problem = Some(
                "there are no AWS credentials: set AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID, or run: aws configure"
                    .to_owned(),
            );
        }
    }
}

/// What a profile gets its credentials with, by what is looked at first.
fn kind(keys: &Keys) -> Option<&'static str> {
    let has = |key: &str| keys.contains_key(key);
    Some(if has("role_arn") {
        "a role"
    } else if has("sso_session") || has("sso_account_id") {
        "a sign-in of `aws sso login`"
    } else if has("aws_access_key_id") {
        "access keys"
    } else if has("credential_process") {
        "a `credential_process`"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::World;

    /// The source that is used with its finding, and the header; or the problem.
    fn told(world: &World, table: &Value) -> Result<(String, String), String> {
        let table = table.as_object().expect("a table");
        let settings = Settings::parse("amazon-bedrock", table).expect("valid");
        let told = explain(world, &settings, Some("us-east-1")).expect("explained");
        assert_eq!(
            told.destination,
            "https://bedrock-mantle.us-east-1.api.aws/openai/v1"
        );
        let mut used = told.sources.iter().filter(|source| source.used);
        let first = used.next();
        assert!(used.next().is_none(), "one at most is used");
        assert_eq!(first.is_none(), told.problem.is_some());
        match (told.problem, first) {
            (None, Some(source)) => Ok((
                format!("{}: {}", source.name, source.finding),
                told.headers.join("\n"),
            )),
            (problem, _) => Err(problem.unwrap_or_default()),
        }
    }

    fn used(world: &World, table: &Value) -> String {
        told(world, table).expect("a source").0
    }

    #[test]
    fn the_first_source_that_has_something_is_named() {
        let everywhere = || {
            World::new()
                .slot(api_key::LOGIN, "SECRET")
                .slot(login::ACCESS_KEY_ID, "SECRET")
                .slot(api_key::VARIABLE, "SECRET")
                .slot(environment::ACCESS_KEY_ID, "SECRET")
                .file(
                    "~/.aws/config",
                    "[profile p]\nrole_arn = r\n[default]\ncredential_process = x\n",
                )
                .variable("AWS_ROLE_ARN", "arn")
                .variable("AWS_WEB_IDENTITY_TOKEN_FILE", "/t")
                .variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/c")
        };
        let nothing = json!({});
        let profile = json!({ "aws": { "profile": "p" } });
        assert_eq!(used(&everywhere(), &profile), "aws.profile: `p`: a role");
        let export = json!({ "aws": { "credential_export": { "command": "e" } } });
        assert_eq!(
            used(&everywhere(), &export),
            "aws.credential_export: `e` prints credentials"
        );
        let mut world = everywhere();
        for (gone, expected) in [
            ("", "API key in auth.json: there"),
            (api_key::LOGIN, "access keys in auth.json: there"),
            (login::ACCESS_KEY_ID, "AWS_BEARER_TOKEN_BEDROCK: set"),
            (api_key::VARIABLE, "AWS_ACCESS_KEY_ID: set"),
            (
                environment::ACCESS_KEY_ID,
                "profile: `default`: a `credential_process`",
            ),
            (
                "file:~/.aws/config",
                "AWS_WEB_IDENTITY_TOKEN_FILE: role `arn`, with the token in `/t`",
            ),
            ("AWS_ROLE_ARN", "container: asked at http://169.254.170.2/c"),
            (
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "instance: asked where nothing before it has any",
            ),
        ] {
            world = world.less(&[gone]);
            assert_eq!(used(&world, &nothing), expected);
        }
        assert!(world.asked().is_empty(), "nobody is asked");
    }

    #[test]
    fn the_header_is_shown_without_the_secret() {
        let header = |world: World| told(&world, &json!({})).expect("a source").1;
        assert_eq!(
            header(World::new().slot(api_key::VARIABLE, "SECRET")),
            "Authorization: Bearer … (the value of the variable)"
        );
        assert_eq!(
            header(World::new().slot(environment::ACCESS_KEY_ID, "SECRET")),
            "Authorization: AWS4-HMAC-SHA256 … (signed for `bedrock-mantle` in us-east-1)"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let world = || World::new().variable("AWS_EC2_METADATA_DISABLED", "true");
        let nothing = json!({});
        let problem = |world: World, table: &Value| told(&world, table).expect_err("nothing there");
        assert_eq!(
            problem(world(), &nothing),
            "there are no AWS credentials: set AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID, or run: aws configure"
        );
        let unknown = "AWS profile `p` is neither in the config file nor in the credentials file";
        assert_eq!(
            problem(world(), &json!({ "aws": { "profile": "p" } })),
            unknown
        );
        assert_eq!(
            problem(world().variable("AWS_PROFILE", "p"), &nothing),
            unknown
        );
    }
}
