//! Whether a plugin would be let do something, and by which rule. Answers with the grant's own checks, so that it cannot
//! disagree with what happens.

use std::fmt;
use std::path::{Path, PathBuf};

use dovetail_core::plugin::FieldClass;
use url::Url;

use crate::argv::display_argv;
use crate::capability::{Capabilities, class_name, class_named};
use crate::fs_rule::{Access, FsBase, FsRule};
use crate::grant::Grant;
use crate::toml_reader::nearest;

/// Something that a plugin might do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a request to a URL.
    Net(Url),
    /// Use a file, by its path on this machine or as the plugin sees it.
    File {
        /// How.
        access: Access,
        /// Which.
        path: PathBuf,
    },
    /// Have a command line run.
    Process(Vec<String>),
    /// See an environment variable.
    Env(String),
    /// Have a secret filled into a header.
    Secret(String),
    /// Read and replace a secret.
    Owns(String),
    /// Keep so many bytes between runs.
    Kv(u64),
    /// Ask the connected application.
    Client,
    /// Get event fields of a class.
    Class(FieldClass),
}

/// Why words name no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// There is no such action.
    #[error("`{0}` is nothing that a plugin does{near}", near = .1.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    Unknown(String, Option<&'static str>),
    /// The words after it are wrong.
    #[error("`{0}` takes {1}")]
    Takes(&'static str, &'static str),
}

const WORDS: [&str; 9] = [
    "net", "fs", "process", "env", "secret", "owns", "kv", "client", "class",
];

impl Action {
    /// Reads `net https://…`, `fs read ./notes/a`, `process git status`, `env HOME`, `secret token`, `owns token`,
    /// `kv 4096`, `client`, `class content`.
    ///
    /// # Errors
    /// Says what there is, and what it takes.
    pub fn parse(words: &[String]) -> Result<Self, ActionError> {
        let (action, rest) = words
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        match (action, rest) {
            ("net", [url]) => Url::parse(url)
                .ok()
                .filter(|url| url.has_host())
                .map(Self::Net)
                .ok_or(ActionError::Takes(
                    "net",
                    "a URL such as `https://llm.example/v1`",
                )),
            ("net", _) => Err(ActionError::Takes("net", "one URL")),
            ("fs", [access, path]) => Access::named(access)
                .map(|access| Self::File {
                    access,
                    path: PathBuf::from(path),
                })
                .ok_or(ActionError::Takes(
                    "fs",
                    "`read`, `append` or `write`, and a path",
                )),
            ("fs", _) => Err(ActionError::Takes(
                "fs",
                "`read`, `append` or `write`, and a path",
            )),
            ("process", []) => Err(ActionError::Takes("process", "a command line")),
            ("process", argv) => Ok(Self::Process(argv.to_vec())),
            ("env", [name]) => Ok(Self::Env(name.clone())),
            ("env", _) => Err(ActionError::Takes("env", "the name of a variable")),
            ("secret" | "secrets", [slot]) => Ok(Self::Secret(slot.clone())),
            ("secret" | "secrets", _) => Err(ActionError::Takes("secret", "the name of a slot")),
            ("owns", [slot]) => Ok(Self::Owns(slot.clone())),
            ("owns", _) => Err(ActionError::Takes("owns", "the name of a slot")),
            ("kv", [bytes]) => bytes
                .parse()
                .map(Self::Kv)
                .map_err(|_| ActionError::Takes("kv", "a number of bytes")),
            ("kv", _) => Err(ActionError::Takes("kv", "a number of bytes")),
            ("client", []) => Ok(Self::Client),
            ("client", _) => Err(ActionError::Takes("client", "nothing more")),
            ("class" | "classes", [name]) => class_named(name).map(Self::Class).ok_or(
                ActionError::Takes("class", "`basic`, `content`, `identity` or `location`"),
            ),
            ("class" | "classes", _) => {
                Err(ActionError::Takes("class", "the name of a field class"))
            }
            (other, _) => Err(ActionError::Unknown(
                other.to_owned(),
                nearest(other, &WORDS),
            )),
        }
    }

    /// The key of `[request]` that it is about.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Net(_) => "net",
            Self::File { .. } => "fs",
            Self::Process(_) => "process",
            Self::Env(_) => "env",
            Self::Secret(_) => "secrets",
            Self::Owns(_) => "owns",
            Self::Kv(_) => "kv",
            Self::Client => "client",
            Self::Class(_) => "classes",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(url) => write!(f, "send a request to {}", crate::origin::origin_of(url)),
            Self::File { access, path } => {
                let verb = match access {
                    Access::Read => "read",
                    Access::Append => "add to",
                    Access::Write => "write",
                };
                write!(f, "{verb} {}", path.display())
            }
            Self::Process(argv) => write!(f, "run `{}`", display_argv(argv)),
            Self::Env(name) => write!(f, "see the environment variable `{name}`"),
            Self::Secret(slot) => write!(f, "use secret `{slot}` in headers"),
            Self::Owns(slot) => write!(f, "see secret `{slot}`, and replace it"),
            Self::Kv(bytes) => write!(f, "keep {bytes} bytes between runs"),
            Self::Client => f.write_str("ask the connected application"),
            Self::Class(class) => write!(f, "get event fields of class {}", class_name(*class)),
        }
    }
}

/// A rule that speaks about an action of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The rule, as lists show it.
    pub text: String,
    /// Whether the manifest asks for it.
    pub requested: bool,
    /// Whether it is in force.
    pub granted: bool,
    /// Whether the action is one of those that it means.
    pub matches: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// All rules of the kind.
    pub rules: Vec<Rule>,
    /// Whether it would be let do it.
    pub allowed: bool,
    /// What else decides when it happens.
    pub notes: Vec<String>,
}

impl Explanation {
    /// The rule, from 0, that allows it or would if it were granted.
    pub fn by(&self) -> Option<usize> {
        let granted = self
            .rules
            .iter()
            .position(|rule| rule.matches && rule.granted);
        granted.or_else(|| self.rules.iter().position(|rule| rule.matches))
    }
}

/// Explains what a grant means for an action. `base` is where paths of rules start.
pub fn explain(
    requested: &Capabilities,
    grant: &Grant,
    base: &FsBase<'_>,
    action: &Action,
) -> Explanation {
    let matches = |set: &Capabilities| -> Vec<(String, bool)> { rules(set, base, action) };
    let granted = matches(grant.capabilities());
    let mut rules: Vec<Rule> = matches(requested)
        .into_iter()
        .map(|(text, matches)| Rule {
            granted: granted.iter().any(|(other, _)| *other == text),
            requested: true,
            text,
            matches,
        })
        .collect();
    for (text, matches) in granted {
        if !rules.iter().any(|rule| rule.text == text) {
            rules.push(Rule {
                text,
                requested: false,
                granted: true,
                matches,
            });
        }
    }
    Explanation {
        allowed: is_allowed(grant, base, action),
        rules,
        notes: notes(grant, action),
    }
}

/// The rules of the action's kind, each with whether it means the action.
fn rules(set: &Capabilities, base: &FsBase<'_>, action: &Action) -> Vec<(String, bool)> {
    match action {
        Action::Net(url) => set
            .net
            .iter()
            .map(|origin| (origin.to_string(), origin.matches(url)))
            .collect(),
        Action::File { access, path } => set
            .fs
            .iter()
            .map(|rule| (rule.to_string(), covers(rule, base, *access, path)))
            .collect(),
        Action::Process(argv) => set
            .process
            .iter()
            .map(|pattern| (pattern.to_string(), pattern.matches(argv)))
            .collect(),
        Action::Env(name) => set
            .env
            .iter()
            .map(|env| (env.clone(), env == name))
            .collect(),
        Action::Secret(slot) => set
            .secrets
            .iter()
            .map(|name| (name.to_string(), name.as_str() == slot))
            .collect(),
        Action::Owns(slot) => set
            .owns
            .iter()
            .map(|name| (name.to_string(), name.as_str() == slot))
            .collect(),
        Action::Kv(bytes) if set.kv > 0 => vec![(format!("{} bytes", set.kv), *bytes <= set.kv)],
        Action::Client if set.client => vec![("client".to_owned(), true)],
        Action::Kv(_) | Action::Client => Vec::new(),
        Action::Class(class) => set
            .classes
            .iter()
            .map(|granted| (class_name(*granted).to_owned(), granted == class))
            .collect(),
    }
}

fn is_allowed(grant: &Grant, base: &FsBase<'_>, action: &Action) -> bool {
    match action {
        Action::Net(url) => grant.allows_url(url),
        Action::File { access, path } => grant.fs().any(|rule| covers(rule, base, *access, path)),
        Action::Process(argv) => grant.allows_argv(argv),
        Action::Env(name) => grant.env().any(|granted| granted == name),
        Action::Secret(slot) => grant.allows_secret(slot),
        Action::Owns(slot) => grant.owns(slot),
        Action::Kv(bytes) => *bytes <= grant.kv_bytes() && grant.kv_bytes() > 0,
        Action::Client => grant.client(),
        Action::Class(class) => grant.allows_class(*class),
    }
}

/// Whether a rule lets a file be used, named by its path on this machine or as the plugin sees it.
fn covers(rule: &FsRule, base: &FsBase<'_>, access: Access, path: &Path) -> bool {
    let enough = match (rule.access(), access) {
        (Access::Write, _) | (Access::Read, Access::Read) | (Access::Append, Access::Append) => {
            true
        }
        (Access::Read, _) | (Access::Append, _) => false,
    };
    let climbs = path
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    // A rule that cannot be resolved on this machine lets nothing be used.
    let here = rule.resolve(base).is_ok_and(|dir| {
        let asked = crate::fs_rule::expanded(path, base);
        crate::fs_rule::follow(&asked).starts_with(dir)
    });
    let there = !climbs && path.is_absolute() && path.starts_with(rule.mount());
    enough && (here || there)
}

fn notes(grant: &Grant, action: &Action) -> Vec<String> {
    match action {
        Action::Net(url) => {
            let named = url
                .host_str()
                .and_then(|host| host.trim_matches(['[', ']']).parse().ok())
                .is_some_and(|address| grant.names_address(address));
            if named {
                Vec::new()
            } else {
                vec![
                    "the address that the name leads to is checked too: one of this machine or its local network is refused"
                        .to_owned(),
                ]
            }
        }
        Action::Secret(_) => {
            let origins: Vec<String> = grant.capabilities().net.iter().map(ToString::to_string).collect();
            vec![if origins.is_empty() {
                "it is filled in for granted origins only, and there are none".to_owned()
            } else {
                format!("it is filled in for requests to {} only", origins.join(", "))
            }]
        }
        Action::Process(_) => vec![
            "without a shell, in the working directory or below, and without credentials in its environment"
                .to_owned(),
        ],
        Action::File { .. }
        | Action::Env(_)
        | Action::Owns(_)
        | Action::Kv(_)
        | Action::Client
        | Action::Class(_) => Vec::new(),
    }
}

#[cfg(test)]
#[path = "explain/tests.rs"]
mod tests;
