//! What a plugin can ask for and be given, and the meet of the two.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;

use dovetail_core::plugin::FieldClass;

use crate::argv::ArgvPattern;
use crate::fs_rule::FsRule;
use crate::origin::OriginPattern;

/// Something that allows a set of things, such that two of them allow in common what their meet allows.
pub trait Meet: Sized + Eq + Clone {
    /// What both allow; none where that is nothing.
    fn meet(&self, other: &Self) -> Option<Self>;

    /// Whether this allows all that `other` allows.
    fn covers(&self, other: &Self) -> bool {
        self.meet(other).as_ref() == Some(other)
    }
}

/// A set of capabilities: requested by a manifest, granted by a person, or in effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Origins for HTTP requests, and for the requests of the provider that this plugin is.
    pub net: BTreeSet<OriginPattern>,
    /// Directories to see.
    pub fs: BTreeSet<FsRule>,
    /// Command lines to have run.
    pub process: BTreeSet<ArgvPattern>,
    /// Environment variables to see.
    pub env: BTreeSet<String>,
    /// Secret slots to use in headers, without seeing them.
    pub secrets: BTreeSet<SlotName>,
    /// Secret slots to read and replace.
    pub owns: BTreeSet<SlotName>,
    /// Bytes to keep between runs, keys and values together.
    pub kv: u64,
    /// Whether it may ask the connected application.
    pub client: bool,
    /// Classes of event fields, besides the basic ones, that a sink may receive.
    pub classes: BTreeSet<FieldClass>,
    /// Whether what it guards goes ahead when it fails (`on_error = "allow"`).
    pub fail_open: bool,
}

impl Capabilities {
    /// What both sets allow.
    pub fn meet(&self, other: &Self) -> Self {
        Self {
            net: meet_sets(&self.net, &other.net),
            fs: meet_sets(&self.fs, &other.fs),
            process: meet_sets(&self.process, &other.process),
            env: self.env.intersection(&other.env).cloned().collect(),
            secrets: self.secrets.intersection(&other.secrets).cloned().collect(),
            owns: self.owns.intersection(&other.owns).cloned().collect(),
            kv: self.kv.min(other.kv),
            client: self.client && other.client,
            classes: self.classes.intersection(&other.classes).copied().collect(),
            fail_open: self.fail_open && other.fail_open,
        }
    }

    /// What `self` has beyond `other`. Empty exactly where `other` covers `self`.
    pub fn beyond(&self, other: &Self) -> Self {
        Self {
            net: uncovered(&self.net, &other.net),
            fs: uncovered(&self.fs, &other.fs),
            process: uncovered(&self.process, &other.process),
            env: self.env.difference(&other.env).cloned().collect(),
            secrets: self.secrets.difference(&other.secrets).cloned().collect(),
            owns: self.owns.difference(&other.owns).cloned().collect(),
            kv: if self.kv > other.kv { self.kv } else { 0 },
            client: self.client && !other.client,
            classes: self.classes.difference(&other.classes).copied().collect(),
            fail_open: self.fail_open && !other.fail_open,
        }
    }

    /// Whether this set has all that `other` has.
    pub fn covers(&self, other: &Self) -> bool {
        other.beyond(self).is_empty()
    }

    /// Adds what `other` has.
    pub fn extend(&mut self, other: Self) {
        self.net.extend(other.net);
        self.fs.extend(other.fs);
        self.process.extend(other.process);
        self.env.extend(other.env);
        self.secrets.extend(other.secrets);
        self.owns.extend(other.owns);
        self.kv = self.kv.max(other.kv);
        self.client |= other.client;
        self.classes.extend(other.classes);
        self.fail_open |= other.fail_open;
    }

    /// A few words for a column: what there is one of by name, what there are several of by number; `–` for nothing.
    pub fn summary(&self) -> String {
        let Self {
            net,
            fs,
            process,
            env,
            secrets,
            owns,
            kv,
            client,
            classes,
            fail_open,
        } = self;
        let several = |count, one: Option<String>, many| match count {
            0 => None,
            1 => one,
            _ => Some(format!("{count} {many}")),
        };
        let named = |word: &str, first: Option<&dyn fmt::Display>| {
            first.map(|first| format!("{word} {first}"))
        };
        let class = classes.first().map(|class| class_name(*class));
        let words = [
            several(
                net.len(),
                named("net", net.first().map(|x| x as _)),
                "origins",
            ),
            several(
                fs.len(),
                named("fs", fs.first().map(|x| x as _)),
                "directories",
            ),
            several(
                process.len(),
                named("run", process.first().map(|x| x as _)),
                "commands",
            ),
            several(
                env.len(),
                named("env", env.first().map(|x| x as _)),
                "variables",
            ),
            several(
                secrets.len(),
                named("secret", secrets.first().map(|x| x as _)),
                "secrets",
            ),
            several(
                owns.len(),
                named("owns", owns.first().map(|x| x as _)),
                "own secrets",
            ),
            (*kv > 0).then(|| "kv".to_owned()),
            client.then(|| "client".to_owned()),
            several(
                classes.len(),
                named("class", class.as_ref().map(|x| x as _)),
                "classes",
            ),
            fail_open.then(|| "fail open".to_owned()),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        if words.is_empty() {
            "–".to_owned()
        } else {
            words.join(", ")
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Capabilities {
    /// Each capability in a few words, such as `net https://llm.acme.example`.
    pub fn words(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.net.iter().map(|origin| format!("net {origin}")));
        words.extend(self.fs.iter().map(|rule| format!("fs {rule}")));
        words.extend(self.process.iter().map(|argv| format!("process `{argv}`")));
        words.extend(self.env.iter().map(|name| format!("env {name}")));
        words.extend(self.secrets.iter().map(|slot| format!("secret {slot}")));
        words.extend(self.owns.iter().map(|slot| format!("owns {slot}")));
        if self.kv > 0 {
            words.push(format!("kv {} bytes", self.kv));
        }
        if self.client {
            words.push("client".to_owned());
        }
        words.extend(
            self.classes
                .iter()
                .map(|class| format!("class {}", class_name(*class))),
        );
        if self.fail_open {
            words.push("fail open".to_owned());
        }
        words
    }
}

/// One short line, such as `net https://llm.acme.example, secret acme-token`; `–` for nothing.
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        f.write_str(if words.is_empty() { "–" } else { "" })?;
        f.write_str(&words.join(", "))
    }
}

/// The name of a secret slot.
///
/// Either a name of the plugin's own, in lower-case letters, digits, `-` and `_`, at most 64; or `env:NAME`, `auth:KEY`
/// or `config:KEY` for plugins to which the user names the source in a configuration of theirs; or, where the host itself
/// says so, `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotName(String);

/// As long as the system's own paths can be.
const LONGEST_PATH: usize = 4096;

/// Why a text is no slot name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a secret slot: use lower-case letters, digits, `-` and `_`, at most 64, or `env:NAME`"
)]
pub struct InvalidSlot(String);

impl SlotName {
    /// Checks a text and makes it a slot name.
    ///
    /// # Errors
    /// Says what a slot name may consist of.
    pub fn parse(text: &str) -> Result<Self, InvalidSlot> {
        let own = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let valid = match text.split_once(':') {
            Some(("env" | "auth" | "config", name)) => is_word(name, 128, key),
            Some(_) => false,
            None => is_word(text, 64, own),
        };
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSlot(text.to_owned()))
        }
    }

    /// The slot of a file that the user's own configuration or environment names. No manifest can ask for one: there is
    /// no text that [`SlotName::parse`] reads as such a name.
    ///
    /// # Errors
    /// The path is empty, too long, or holds control characters.
    pub fn of_file(path: &str) -> Result<Self, InvalidSlot> {
        let name = format!("file:{path}");
        if is_word(path, LONGEST_PATH, |c| !c.is_control()) {
            Ok(Self(name))
        } else {
            Err(InvalidSlot(name))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SlotName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_word(text: &str, longest: usize, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.len() <= longest && text.chars().all(allowed)
}

/// The name of a field class in manifests and locks.
pub fn class_name(class: FieldClass) -> &'static str {
    match class {
        FieldClass::Basic => "basic",
        FieldClass::Content => "content",
        FieldClass::Identity => "identity",
        FieldClass::Location => "location",
    }
}

/// The field class of that name.
pub(crate) fn class_named(name: &str) -> Option<FieldClass> {
    [
        FieldClass::Basic,
        FieldClass::Content,
        FieldClass::Identity,
        FieldClass::Location,
    ]
    .into_iter()
    .find(|class| class_name(*class) == name)
}

/// All pairwise meets, less those that another one covers.
fn meet_sets<T: Meet + Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> BTreeSet<T> {
    let all: BTreeSet<T> = a
        .iter()
        .flat_map(|x| b.iter().filter_map(|y| x.meet(y)))
        .collect();
    all.iter()
        .filter(|x| !all.iter().any(|y| y != *x && y.covers(x)))
        .cloned()
        .collect()
}

fn uncovered<T: Meet + Ord>(wanted: &BTreeSet<T>, held: &BTreeSet<T>) -> BTreeSet<T> {
    wanted
        .iter()
        .filter(|x| !held.iter().any(|y| y.covers(x)))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
