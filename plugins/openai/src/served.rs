//! One provider id as it was configured, and whether the shared login may go there.

use dovetail_plugin_api::{Error, ProviderTable};

use crate::OPENAI;
use crate::settings::Settings;

/// A configured provider.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) table: ProviderTable,
    pub(crate) base_url: String,
    /// Whether the address was chosen for logins of accounts; none where the user chose it.
    pub(crate) default_for_accounts: Option<bool>,
}

impl Served {
    /// Whether this is OpenAI's own service. Told by the id: a name can be anybody's.
    pub(crate) fn is_first_party(&self) -> bool {
        self.table.id == OPENAI
    }

    /// Checks that what identifies an account may be sent there. Keys are sent wherever a table asks for them.
    pub(crate) fn check_origin(&self, settings: &Settings) -> Result<(), Error> {
        let origin = origin(&self.base_url);
        if self.is_first_party()
            || settings
                .login_origins
                .iter()
                .any(|allowed| self::origin(allowed) == origin)
        {
            return Ok(());
        }
        Err(Error::Denied(format!(
            "the login of an account is not sent to `{origin}` of provider `{}`: to allow it, write `login_origins = [\"{origin}\"]` under [dovetail] in your config.toml, or use a credential of its own (`env_key`)",
            self.table.id
        )))
    }

    /// Checks that the address still fits the kind of login that is in use.
    pub(crate) fn check_address(&self, uses_backend: bool) -> Result<(), Error> {
        match self.default_for_accounts {
            Some(for_accounts) if for_accounts != uses_backend => Err(Error::unavailable(
                "somebody has signed in another way since this session began: start a new one to use it",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// Scheme, host and port of a URL, such that equal origins are equal texts.
fn origin(url: &str) -> String {
    let url = url.trim();
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => ":443",
        _ => ":80",
    };
    format!(
        "{scheme}://{}",
        authority.strip_suffix(default).unwrap_or(&authority)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, base_url: &str, allowed: &str) -> Result<(), Error> {
        let settings = Settings {
            login_origins: vec![allowed.to_owned()],
            ..Settings::default()
        };
        let served = Served {
            table: ProviderTable::empty(id),
            base_url: base_url.to_owned(),
            default_for_accounts: None,
        };
        served.check_origin(&settings)
    }

    #[test]
    fn a_login_goes_to_its_own_provider_and_where_the_user_lets_it() {
        assert_eq!(check(OPENAI, "https://anywhere.example/v1", ""), Ok(()));
        assert_eq!(
            check(
                "corp",
                "https://LLM.corp.example/v1",
                "https://llm.corp.example:443/"
            ),
            Ok(())
        );
        assert_eq!(
            check(
                "corp",
                "http://llm.corp.example:8080/v1",
                "https://llm.corp.example"
            ),
            Err(Error::denied(
                "the login of an account is not sent to `http://llm.corp.example:8080` of provider `corp`: to allow it, write `login_origins = [\"http://llm.corp.example:8080\"]` under [dovetail] in your config.toml, or use a credential of its own (`env_key`)"
            ))
        );
        for other in [
            "https://llm.corp.example.evil.example/v1",
            "https://llm.corp.example@evil.example/v1",
        ] {
            assert!(
                check("corp", other, "https://llm.corp.example").is_err(),
                "{other}"
            );
        }
    }
}
