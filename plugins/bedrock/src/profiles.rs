//! The profiles of AWS's two files, laid over each other.

use std::collections::BTreeMap;

use crate::ini::{self, Keys};
use crate::outside::Outside;
use crate::trouble::Trouble;

const CONFIG_FILE: (&str, &str) = ("AWS_CONFIG_FILE", "~/.aws/config");
const CREDENTIALS_FILE: (&str, &str) = ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");

/// All profiles, and the sign-ins that they share.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    profiles: BTreeMap<String, Keys>,
    sso_sessions: BTreeMap<String, Keys>,
}

impl Profiles {
    /// Reads both files; one that is not there has no profiles.
    pub(crate) fn load(outside: &impl Outside) -> Result<Self, Trouble> {
        let text = |(variable, usual): (&str, &str)| {
            let path = outside.variable(variable);
            outside.file(path.as_deref().unwrap_or(usual))
        };
        let (config, credentials) = (text(CONFIG_FILE)?, text(CREDENTIALS_FILE)?);
        Ok(Self::parse(
            config.as_deref().unwrap_or_default(),
            credentials.as_deref().unwrap_or_default(),
        ))
    }

    fn parse(config: &str, credentials: &str) -> Self {
        let mut all = Self::default();
        for (section, keys) in ini::parse(config) {
            match section.split_once(' ') {
                Some(("profile", name)) => {
                    // Of `[default]` and `[profile default]` the second is meant, which comes second here.
                    all.profiles.insert(name.to_owned(), keys);
                }
                Some(("sso-session", name)) => {
                    all.sso_sessions.insert(name.to_owned(), keys);
                }
                None if section == "default" => {
                    all.profiles.insert(section, keys);
                }
                Some(_) | None => {}
            }
        }
        for (name, keys) in ini::parse(credentials) {
            all.profiles.entry(name).or_default().extend(keys);
        }
        all
    }

    /// The name of the profile that is meant.
    pub(crate) fn chosen(&self, outside: &impl Outside, wanted: Option<&str>) -> String {
        wanted
            .map(str::to_owned)
            .or_else(|| outside.variable("AWS_PROFILE"))
            .or_else(|| outside.variable("AWS_DEFAULT_PROFILE"))
            .unwrap_or_else(|| "default".to_owned())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Keys> {
        self.profiles.get(name)
    }

    pub(crate) fn sso_session(&self, name: &str) -> Option<&Keys> {
        self.sso_sessions.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_make_up_a_profile() {
        let config = "[profile dev]\nregion = a\naws_access_key_id = old\n[default]\nregion = b\n[dev2]\nregion = c\n\
                      [profile default]\nregion = d\n[services x]\n[sso-session corp]\nsso_region = e\n";
        let all = Profiles::parse(
            config,
            "[dev]\naws_access_key_id = new\n[keys]\naws_access_key_id = k\n",
        );
        let get = |profile: &str, key: &str| {
            all.get(profile)
                .and_then(|keys| keys.get(key))
                .map(String::as_str)
        };
        assert_eq!(
            (get("dev", "region"), get("dev", "aws_access_key_id")),
            (Some("a"), Some("new"))
        );
        assert_eq!(get("default", "region"), Some("d"));
        assert_eq!(get("keys", "aws_access_key_id"), Some("k"));
        assert!(
            all.get("dev2").is_none(),
            "profiles of the config file say that they are"
        );
        assert!(all.sso_session("corp").is_some() && all.get("x").is_none());
    }
}
