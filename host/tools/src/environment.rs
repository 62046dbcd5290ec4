//! The environment of commands.
//!
//! Order of the rules: inherit, drop what looks like a credential, drop `exclude`, drop the host's own credentials,
//! apply `set`, keep `include_only`, add the host's variables. Names are compared without regard to case.
//!
//! Variables that look like credentials are dropped unless `ignore_default_excludes` is set: a command that prints its
//! environment hands it to the model. The host's own credentials are dropped even then; only `set` can bring a value
//! of such a name back, and that is one the user wrote down for commands.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Where commands' environments start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inherit {
    /// The host's whole environment.
    #[default]
    All,
    /// What programs need to find the user and each other.
    Core,
    /// Nothing.
    None,
}

/// The table `shell_environment_policy`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvironmentPolicy {
    /// Where to start from.
    pub inherit: Inherit,
    /// Whether variables that look like credentials are kept.
    pub ignore_default_excludes: bool,
    /// Patterns of names to remove (`*` and `?`).
    pub exclude: Vec<String>,
    /// Variables to set.
    pub set: BTreeMap<String, String>,
    /// Patterns of names that alone are kept; empty for all.
    pub include_only: Vec<String>,
}

/// Names that [`Inherit::Core`] keeps.
const CORE: [&str; 12] = [
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TEMP", "TMP", "TMPDIR",
    "USER", "USERNAME",
];

/// Parts of names that say: this is a credential.
const CREDENTIAL_PATTERNS: [&str; 3] = ["*KEY*", "*SECRET*", "*TOKEN*"];

/// Credentials of the host, whatever provider is configured.
const HOST_CREDENTIALS: [&str; 2] = ["CODEX_API_KEY", "OPENAI_API_KEY"];

/// Variables that keep programs from paging and colouring. A command's own settings win.
const PLAIN: [(&str, &str); 3] = [("PAGER", "cat"), ("GIT_PAGER", "cat"), ("NO_COLOR", "1")];

/// A fixed environment that single commands add to.
#[derive(Debug, Clone)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Applies a policy to the variables of the host.
    pub(crate) fn new(
        policy: &EnvironmentPolicy,
        secret_variables: &[String],
        host: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let is_secret = |name: &str| {
            HOST_CREDENTIALS
                .iter()
                .any(|secret| name.eq_ignore_ascii_case(secret))
                || secret_variables
                    .iter()
                    .any(|secret| name.eq_ignore_ascii_case(secret))
        };
        let mut variables: BTreeMap<OsString, OsString> = host
            .into_iter()
            .filter(|(name, _)| {
                let name = name.to_string_lossy();
                let inherited = match policy.inherit {
                    Inherit::All => true,
                    Inherit::Core => CORE.iter().any(|core| name.eq_ignore_ascii_case(core)),
                    Inherit::None => false,
                };
                let looks_secret = CREDENTIAL_PATTERNS
                    .iter()
                    .any(|pattern| matches(pattern, &name));
                inherited
                    && (policy.ignore_default_excludes || !looks_secret)
                    && !matches_any(&policy.exclude, &name)
                    && !is_secret(&name)
            })
            .collect();
        for (name, value) in PLAIN {
            variables.insert(name.into(), value.into());
        }
        variables.extend(
            policy
                .set
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        if !policy.include_only.is_empty() {
            variables.retain(|name, _| matches_any(&policy.include_only, &name.to_string_lossy()));
        }
        Self(variables)
    }

    /// The variables, with some added or replaced.
    pub(crate) fn with<'a>(
        &self,
        added: impl IntoIterator<Item = (&'a str, String)>,
    ) -> BTreeMap<OsString, OsString> {
        let mut variables = self.0.clone();
        variables.extend(
            added
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        variables
    }
}

fn matches_any(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

/// Whether a name matches a pattern of `*`, `?` and plain characters.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().map(|c| c.to_ascii_uppercase()).collect();
    let name: Vec<char> = name.chars().map(|c| c.to_ascii_uppercase()).collect();
    let (mut at, mut place) = (0, 0);
    // Where the last star was, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while place < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                place = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: [(&str, &str); 6] = [
        ("PATH", "/bin"),
        ("HOME", "/home/u"),
        ("EDITOR", "vi"),
        ("GITHUB_TOKEN", "t"),
        ("OPENAI_API_KEY", "k"),
        ("CORP_LOGIN", "l"),
    ];

    #[track_caller]
    fn check(policy: EnvironmentPolicy, expected: &[&str]) {
        let host = HOST.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let environment = Environment::new(&policy, &["CORP_LOGIN".to_owned()], host);
        let plain = |name: &str| PLAIN.iter().any(|(plain, _)| *plain == name);
        let names: Vec<String> = environment
            .0
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .filter(|line| !plain(line.split('=').next().unwrap()))
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn credentials_are_left_out_by_default() {
        check(
            EnvironmentPolicy::default(),
            &["EDITOR=vi", "HOME=/home/u", "PATH=/bin"],
        );
    }

    #[test]
    fn the_hosts_own_credentials_are_left_out_even_when_others_are_kept() {
        let policy = EnvironmentPolicy {
            ignore_default_excludes: true,
            ..EnvironmentPolicy::default()
        };
        check(
            policy,
            &["EDITOR=vi", "GITHUB_TOKEN=t", "HOME=/home/u", "PATH=/bin"],
        );
    }

    #[test]
    fn rules_apply_in_order() {
        let policy = EnvironmentPolicy {
            inherit: Inherit::Core,
            exclude: vec!["ho?e".to_owned()],
            set: BTreeMap::from([
                ("A".to_owned(), "1".to_owned()),
                ("CODEX_API_KEY".to_owned(), "mine".to_owned()),
            ]),
            ..EnvironmentPolicy::default()
        };
        check(policy.clone(), &["A=1", "CODEX_API_KEY=mine", "PATH=/bin"]);
        check(
            EnvironmentPolicy {
                include_only: vec!["P*".to_owned()],
                ..policy
            },
            &["PATH=/bin"],
        );
        let nothing = EnvironmentPolicy {
            inherit: Inherit::None,
            ..EnvironmentPolicy::default()
        };
        check(nothing, &[]);
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("*KEY*", "MY_KEY_ID", true),
            ("*key", "API_KEY", true),
            ("A*B*C", "AxxBxxBxC", true),
            ("A*B*C", "AxxBxx", false),
            ("?", "", false),
            ("*", "", true),
            ("PATH", "PATHS", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
