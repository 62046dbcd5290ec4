//! What the user's table, variables and AWS files grant the built-in plugin for Amazon Bedrock.
//!
//! AWS's own files name commands, tokens and sign-ins. They are the user's, like the configuration, so that what they
//! name is granted, and nothing else. What it is for is the plugin's business: here nobody follows a profile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dovetail_runtime::capability::{Capabilities, SlotName};
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::origin::OriginPattern;
use dovetail_runtime::secret_source::SecretSource;
use serde_json::{Map, Value};

use super::aws_files::{Named, SIGN_INS};
use super::{BuiltinProvider, ProviderTable, command_line, hold_token, no_table, origin};

/// The provider ids that the plugin serves.
pub(crate) const BEDROCK: [&str; 2] = ["amazon-bedrock", "amazon-bedrock-runtime"];

/// Variables without secrets. The plugin sees those that are set.
const SETTINGS: [&str; 20] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    CONFIG_FILE.0,
    CREDENTIALS_FILE.0,
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    TOKEN_FILE,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    CONTAINER,
    CONTAINER_TOKEN_FILE,
    NO_METADATA,
    "AWS_EC2_METADATA_V1_DISABLED",
    METADATA,
    METADATA_MODE,
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
];
const CONFIG_FILE: (&str, &str) = ("AWS_CONFIG_FILE", "~/.aws/config");
const CREDENTIALS_FILE: (&str, &str) = ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const CONTAINER: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const CONTAINER_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const NO_METADATA: &str = "AWS_EC2_METADATA_DISABLED";
const METADATA: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const METADATA_MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";

/// Secrets that the host fills in.
const FILLED_IN: [&str; 4] = [
    "env:AWS_BEARER_TOKEN_BEDROCK",
    "env:AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "auth:bedrock_api_key.api_key",
    "auth:bedrock_access_keys.access_key_id",
];
/// Secrets that the plugin sees, since it signs with them, and what belongs to them.
const SEEN: [&str; 7] = [
    "env:AWS_ACCESS_KEY_ID",
    "env:AWS_SECRET_ACCESS_KEY",
    "env:AWS_SESSION_TOKEN",
    "auth:bedrock_api_key.region",
    "auth:bedrock_access_keys.access_key_id",
    "auth:bedrock_access_keys.secret_access_key",
    "auth:bedrock_access_keys.session_token",
];

/// A service of Amazon Bedrock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    id: &'static str,
    /// Where it is unless the table says otherwise, in any region.
    origin: &'static str,
}

impl Service {
    pub(super) fn of(id: &str) -> Option<Self> {
        let origins = [
            "https://bedrock-mantle.*.api.aws",
            "https://bedrock-runtime.*.amazonaws.com",
        ];
        let services = BEDROCK.into_iter().zip(origins);
        services
            .map(|(id, origin)| Self { id, origin })
            .find(|service| service.id == id)
    }
}

/// The table of a service, and what it grants.
pub(super) fn table(service: Service, given: Option<&Value>) -> anyhow::Result<ProviderTable> {
    let mut table = match given {
        Some(Value::Object(table)) => table.clone(),
        Some(_) => return Err(no_table(service.id)),
        None => Map::new(),
    };
    let surroundings = Surroundings {
        env: HostEnv::current(),
    };
    let (grant, mut sources) = surroundings.grant(service, &table)?;
    hold_token(&mut table, &mut sources);
    Ok(ProviderTable {
        table: Value::Object(table),
        builtin: BuiltinProvider::Bedrock,
        wire: None,
        grant,
        sources,
        told: None,
    })
}

/// The user's variables, and the files that they lead to.
struct Surroundings {
    env: HostEnv,
}

impl Surroundings {
    fn variable(&self, name: &str) -> Option<String> {
        let value = self.env.get(name)?.to_str()?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    fn grant(
        &self,
        service: Service,
        table: &Map<String, Value>,
    ) -> anyhow::Result<(Capabilities, BTreeMap<String, SecretSource>)> {
        let mut grant = Capabilities {
            net: self.origins(service, table)?,
            ..Capabilities::default()
        };
        let mut sources = BTreeMap::new();
        let set = SETTINGS
            .into_iter()
            .filter(|name| self.variable(name).is_some());
        grant.env = set.map(str::to_owned).collect();
        for slot in FILLED_IN.iter().chain(&SEEN).copied() {
            // Constants: a slot and a source of the same form.
            if let (Ok(name), Ok(source)) = (SlotName::parse(slot), SecretSource::parse(slot)) {
                if SEEN.contains(&slot) {
                    grant.owns.insert(name.clone());
                }
                if FILLED_IN.contains(&slot) {
                    grant.secrets.insert(name);
                }
                sources.insert(slot.to_owned(), source);
            }
        }
        let named = self.named_by_aws();
        for path in named.files {
            if let Ok(name) = SlotName::of_file(&path) {
                let source = match path.starts_with(SIGN_INS) {
                    // Renewed, and written back.
                    true => SecretSource::File(path.into()),
                    false => SecretSource::Document(path.into()),
                };
                sources.insert(name.as_str().to_owned(), source);
                grant.owns.insert(name);
            }
        }
        grant.process = named.commands;
        let aws = table.get("aws").and_then(Value::as_object);
        let own = [
            table.get("auth"),
            aws.and_then(|aws| aws.get("credential_export")),
            aws.and_then(|aws| aws.get("auth_refresh")),
        ];
        let lines = own.into_iter().flatten().filter_map(Value::as_object);
        grant.process.extend(lines.filter_map(command_line));
        Ok((grant, sources))
    }

    /// The service itself, and those that hand out credentials.
    fn origins(
        &self,
        service: Service,
        table: &Map<String, Value>,
    ) -> anyhow::Result<BTreeSet<OriginPattern>> {
        let mut origins = BTreeSet::new();
        match table.get("base_url").and_then(Value::as_str) {
            Some(url) => origins.extend([origin(service.id, "base_url", url)?]),
            None => origins.extend(OriginPattern::parse(service.origin)),
        }
        let elsewhere = |name| {
            self.variable(name)
                .or_else(|| self.variable("AWS_ENDPOINT_URL"))
        };
        let mut add = |own: Option<String>, usual: &str| {
            origins.extend(OriginPattern::parse(
                own.as_deref()
                    .and_then(origin_text)
                    .as_deref()
                    .unwrap_or(usual),
            ));
        };
        add(
            elsewhere("AWS_ENDPOINT_URL_STS"),
            "https://sts.*.amazonaws.com",
        );
        add(
            elsewhere("AWS_ENDPOINT_URL_SSO"),
            "https://portal.sso.*.amazonaws.com",
        );
        add(
            elsewhere("AWS_ENDPOINT_URL_SSO_OIDC"),
            "https://oidc.*.amazonaws.com",
        );
        if !self.is(NO_METADATA, "true") {
            let usual = match self.is(METADATA_MODE, "ipv6") {
                true => "http://[fd00:ec2::254]",
                false => "http://169.254.169.254",
            };
            add(self.variable(METADATA), usual);
        }
        if self
            .variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
            .is_some()
        {
            add(None, "http://169.254.170.2");
        }
        let full = self.variable(CONTAINER).filter(|url| may_be_asked(url));
        if let Some(url) = full.as_deref().and_then(origin_text) {
            origins.extend(OriginPattern::parse(&url));
        }
        Ok(origins)
    }

    fn is(&self, name: &str, wanted: &str) -> bool {
        self.variable(name)
            .is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    }

    /// What AWS's files name.
    fn named_by_aws(&self) -> Named {
        let mut named = Named::default();
        for (variable, usual) in [CONFIG_FILE, CREDENTIALS_FILE] {
            let path = self.variable(variable).unwrap_or_else(|| usual.to_owned());
            // A file that is not there, or cannot be read, names nothing; the plugin says what is wrong with it.
            let text = self
                .resolved(&path)
                .and_then(|path| std::fs::read_to_string(path).ok());
            named.read(&text.unwrap_or_default());
            named.files.insert(path);
        }
        let tokens = [TOKEN_FILE, CONTAINER_TOKEN_FILE];
        named
            .files
            .extend(tokens.into_iter().filter_map(|name| self.variable(name)));
        named
    }

    fn resolved(&self, path: &str) -> Option<PathBuf> {
        match path.strip_prefix("~/") {
            Some(rest) => Some(Path::new(&self.variable("HOME")?).join(rest)),
            None => Some(path.into()),
        }
    }
}

fn origin_text(url: &str) -> Option<String> {
    let url: url::Url = url.parse().ok()?; // The plugin says what is wrong with it.
    url.has_host().then(|| url.origin().ascii_serialization())
}

/// Whether a container's credentials may be asked for there: over TLS, on this machine, or at the addresses that AWS has
/// for it.
fn may_be_asked(url: &str) -> bool {
    const OWN: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
    let Ok(url) = url.parse::<url::Url>() else {
        return false;
    };
    let local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || local || url.host_str().is_some_and(|host| OWN.contains(&host))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn granted(id: &str, variables: &[(&str, &str)], table: Value) -> Vec<String> {
        let home = tempfile::tempdir().expect("a temporary directory");
        let home_text = home.path().to_str().expect("unicode").to_owned();
        let config = "[profile p]\ncredential_process = /opt/keys --name 'a b' # which\nsso_session = corp\n\
                      [sso-session corp]\nsso_start_url = https://corp.example/start\n\
                      [profile q]\nrole_arn = r\nweb_identity_token_file = /run/token\n";
        std::fs::create_dir(home.path().join(".aws")).expect("made");
        std::fs::write(home.path().join(".aws/config"), config).expect("written");
        let pairs = variables
            .iter()
            .copied()
            .chain([("HOME", home_text.as_str())]);
        let env = pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let table = table.as_object().expect("a table").clone();
        let service = Service::of(id).expect("a service");
        let (grant, _) = Surroundings { env }.grant(service, &table).expect("valid");
        let fixed = |word: &String| {
            FILLED_IN
                .iter()
                .chain(&SEEN)
                .any(|slot| word.ends_with(slot))
        };
        grant
            .words()
            .into_iter()
            .filter(|word| !fixed(word))
            .collect()
    }

    const NAMED: [&str; 6] = [
        "process `/opt/keys --name 'a b'`",
        "owns file:/run/token",
        "owns file:~/.aws/config",
        "owns file:~/.aws/credentials",
        "owns file:~/.aws/sso/cache/",
        "owns file:~/.aws/sso/cache/",
    ];

    #[track_caller]
    fn check(id: &str, variables: &[(&str, &str)], table: Value, expected: &[&str]) {
        let mut words = granted(id, variables, table);
        for word in &mut words {
            // Two sign-ins, called by digests.
            if let Some((start, _)) = word.split_once("cache/") {
                *word = format!("{start}cache/");
            }
        }
        let mut expected = [expected, &NAMED].concat();
        words.sort();
        expected.sort_unstable();
        assert_eq!(words, expected);
    }

    #[test]
    fn the_plugin_gets_what_the_users_own_files_name() {
        check(
            "amazon-bedrock",
            &[("AWS_PROFILE", "p"), ("AWS_REGION", " ")],
            json!({}),
            &[
                "net http://169.254.169.254",
                "net https://bedrock-mantle.*.api.aws",
                "net https://oidc.*.amazonaws.com",
                "net https://portal.sso.*.amazonaws.com",
                "net https://sts.*.amazonaws.com",
                "env AWS_PROFILE",
            ],
        );
    }

    #[test]
    fn services_elsewhere_are_granted_in_place_of_the_usual_ones() {
        let variables = [
            (NO_METADATA, "True"),
            ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1/x"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:2"),
            (CONTAINER, "http://127.0.0.1:3/creds"),
        ];
        let table = json!({
            "base_url": "http://127.0.0.1:4/v1",
            "aws": {
                "credential_export": { "command": "print-keys", "args": ["a b"] },
                "auth_refresh": { "command": "aws", "args": ["sso", "login"] },
            },
        });
        check(
            "amazon-bedrock-runtime",
            &variables,
            table,
            &[
                "net http://127.0.0.1:1",
                "net http://127.0.0.1:2",
                "net http://127.0.0.1:3",
                "net http://127.0.0.1:4",
                "process `aws sso login`",
                "process `print-keys 'a b'`",
                "env AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "env AWS_EC2_METADATA_DISABLED",
                "env AWS_ENDPOINT_URL",
                "env AWS_ENDPOINT_URL_STS",
            ],
        );
    }

    #[test]
    fn a_containers_credentials_come_from_nearby_or_over_tls() {
        for url in [
            "https://creds.example/x",
            "http://localhost:1",
            "http://[::1]/",
            "http://169.254.170.23/v1",
        ] {
            assert!(may_be_asked(url), "{url}");
        }
        for url in [
            "http://creds.example/x",
            "http://10.0.0.1/",
            "nonsense",
            "http://169.254.169.254/",
        ] {
            assert!(!may_be_asked(url), "{url}");
        }
    }
}
