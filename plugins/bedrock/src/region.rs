//! Which region is meant: what the user's table says, then the login, then AWS's own variables and files, then the
//! machine itself.

use dovetail_plugin_api::Error;

use crate::api_key;
use crate::outside::Outside;
use crate::profiles::Profiles;
use crate::source::instance_metadata;
use crate::table::Settings;

/// The region; none where an address of the user's own and a token need none.
pub(crate) fn resolve(
    outside: &impl Outside,
    settings: &Settings,
) -> Result<Option<String>, Error> {
    if let Some(region) = settings.region.clone() {
        return Ok(Some(region));
    }
    if let Some(region) = api_key::region(outside, settings)? {
        return Ok(Some(region));
    }
    let variable = |name| outside.variable(name);
    if let Some(region) = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")) {
        return Ok(Some(region));
    }
    let has_token = settings.auth.is_some() || api_key::find(outside, settings)?.is_some();
    if has_token && settings.table.base_url.is_some() {
        return Ok(None);
    }
    if settings.auth.is_none() && has_token {
        return Err(missing(settings));
    }
    let profiles = Profiles::load(outside).map_err(|trouble| trouble.error)?;
    let profile = profiles.chosen(outside, settings.profile.as_deref());
    if let Some(region) = profiles.get(&profile).and_then(|keys| keys.get("region")) {
        return Ok(Some(region.clone()));
    }
    match instance_metadata::region(outside) {
        Some(region) => Ok(Some(region)),
        None => Err(missing(settings)),
    }
}

fn missing(settings: &Settings) -> Error {
    Error::Invalid(format!(
        "Amazon Bedrock needs a region and none is set: set `model_providers.{}.aws.region`, `AWS_REGION` or \
         `AWS_DEFAULT_REGION`",
        settings.service.id()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::World;

    #[track_caller]
    fn check(table: Value, world: World, expected: Option<&str>) {
        let settings =
            Settings::parse("amazon-bedrock", table.as_object().expect("a table")).expect("valid");
        assert_eq!(resolve(&world, &settings), Ok(expected.map(str::to_owned)));
    }

    #[test]
    fn the_region_is_looked_for_in_order() {
        let config = "[default]\nregion = from-default\n[profile dev]\nregion = from-dev\n";
        let world = || World::new().file("~/.aws/config", config);
        let all = || {
            world()
                .variable("AWS_REGION", "from-var")
                .variable("AWS_DEFAULT_REGION", "from-old")
        };
        let managed = || {
            all()
                .slot("auth:bedrock_api_key.api_key", "k")
                .slot("auth:bedrock_api_key.region", "from-login")
        };
        check(
            json!({ "aws": { "region": "from-table" } }),
            managed(),
            Some("from-table"),
        );
        check(json!({}), managed(), Some("from-login"));
        check(
            json!({ "aws": { "profile": "dev" } }),
            managed(),
            Some("from-var"),
        );
        check(json!({}), all(), Some("from-var"));
        check(
            json!({}),
            world().variable("AWS_DEFAULT_REGION", "from-old"),
            Some("from-old"),
        );
        check(
            json!({ "aws": { "profile": "dev" } }),
            world(),
            Some("from-dev"),
        );
        check(
            json!({}),
            world().variable("AWS_PROFILE", "dev"),
            Some("from-dev"),
        );
        check(json!({}), world(), Some("from-default"));
    }

    #[test]
    fn the_machine_knows_its_region() {
        let world = World::new()
            .answer("PUT http://169.254.169.254/latest/api/token", 200, "tok")
            .answer(
                "GET http://169.254.169.254/latest/meta-data/placement/region",
                200,
                "eu-west-1\n",
            );
        check(json!({}), world, Some("eu-west-1"));
    }

    #[test]
    fn a_token_for_an_address_of_the_users_own_needs_no_region() {
        let table = json!({ "base_url": "http://127.0.0.1:9" });
        check(
            table,
            World::new().slot("env:AWS_BEARER_TOKEN_BEDROCK", "k"),
            None,
        );
        check(
            json!({ "base_url": "http://127.0.0.1:9", "auth": { "command": "t" } }),
            World::new(),
            None,
        );
    }

    #[test]
    fn no_region_is_an_error_before_anybody_is_asked() {
        let settings = Settings::parse("amazon-bedrock", &serde_json::Map::new()).expect("valid");
        let world = World::new().slot("env:AWS_BEARER_TOKEN_BEDROCK", "k");
        let error = resolve(&world, &settings)
            .expect_err("none is set")
            .to_string();
        assert_eq!(
            error,
            "Amazon Bedrock needs a region and none is set: set `model_providers.amazon-bedrock.aws.region`, \
             `AWS_REGION` or `AWS_DEFAULT_REGION`"
        );
        assert_eq!(world.asked(), Vec::<String>::new());
    }
}
