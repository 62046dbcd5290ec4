//! Patterns of command lines that a plugin may have run.

use std::fmt;

use crate::capability::Meet;

/// Why a list of texts is no argv pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidArgv {
    /// There is no program.
    #[error("a command pattern starts with a program")]
    Empty,
    /// The program is a wildcard.
    #[error("the program of a command pattern cannot be a wildcard")]
    WildProgram,
    /// `**` is followed by something.
    #[error("`**` can only be the last part of a command pattern")]
    RestNotLast,
    /// A part holds a zero byte, which no argument can.
    #[error("a command pattern cannot hold a zero byte")]
    ZeroByte,
}

/// A command line such as `["aws", "configure", "*", "**"]`: `*` is any one argument, `**` any number at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArgvPattern {
    fixed: Vec<Part>,
    rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    Exact(String),
    Any,
}

impl ArgvPattern {
    /// Reads a pattern, one text per argument.
    ///
    /// # Errors
    /// For an empty pattern, a wildcard program, or a `**` that is not last.
    pub fn parse<S: AsRef<str>>(parts: &[S]) -> Result<Self, InvalidArgv> {
        let rest = parts.last().is_some_and(|last| last.as_ref() == "**");
        let fixed = &parts[..parts.len() - usize::from(rest)];
        let fixed: Vec<Part> = fixed
            .iter()
            .map(|part| match part.as_ref() {
                "**" => Err(InvalidArgv::RestNotLast),
                "*" => Ok(Part::Any),
                text if text.contains('\0') => Err(InvalidArgv::ZeroByte),
                text => Ok(Part::Exact(text.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        match fixed.first() {
            Some(Part::Exact(program)) if program.is_empty() => Err(InvalidArgv::Empty),
            Some(Part::Exact(_)) => Ok(Self { fixed, rest }),
            Some(Part::Any) => Err(InvalidArgv::WildProgram),
            None if rest => Err(InvalidArgv::WildProgram),
            None => Err(InvalidArgv::Empty),
        }
    }

    /// The pattern for exactly one command line; none for an empty one.
    ///
    /// Unlike [`ArgvPattern::parse`], a `*` among the arguments stands for itself.
    pub fn exact(argv: &[String]) -> Option<Self> {
        let program = argv.first()?;
        if program.is_empty() || argv.iter().any(|arg| arg.contains('\0')) {
            return None;
        }
        Some(Self {
            fixed: argv.iter().cloned().map(Part::Exact).collect(),
            rest: false,
        })
    }

    /// Whether a command line is one of those meant.
    pub fn matches(&self, argv: &[String]) -> bool {
        let long_enough = if self.rest {
            argv.len() >= self.fixed.len()
        } else {
            argv.len() == self.fixed.len()
        };
        long_enough
            && self.fixed.iter().zip(argv).all(|(part, arg)| match part {
                Part::Any => true,
                Part::Exact(text) => text == arg,
            })
    }

    /// The parts as texts, as [`ArgvPattern::parse`] reads them.
    pub fn parts(&self) -> Vec<String> {
        let fixed = self.fixed.iter().map(|part| match part {
            Part::Exact(text) => text.clone(),
            Part::Any => "*".to_owned(),
        });
        fixed.chain(self.rest.then(|| "**".to_owned())).collect()
    }
}

impl Meet for ArgvPattern {
    fn meet(&self, other: &Self) -> Option<Self> {
        let (long, short) = if self.fixed.len() >= other.fixed.len() {
            (self, other)
        } else {
            (other, self)
        };
        if long.fixed.len() > short.fixed.len() && !short.rest {
            return None;
        }
        let head = long
            .fixed
            .iter()
            .zip(&short.fixed)
            .map(|(a, b)| match (a, b) {
                (Part::Any, part) | (part, Part::Any) => Some(part.clone()),
                (Part::Exact(x), Part::Exact(y)) => (x == y).then(|| a.clone()),
            });
        let tail = long.fixed[short.fixed.len()..].iter().cloned().map(Some);
        let fixed = head.chain(tail).collect::<Option<_>>()?;
        Some(Self {
            fixed,
            rest: long.rest && short.rest,
        })
    }
}

impl fmt::Display for ArgvPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.fixed.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            match part {
                Part::Exact(text) => write!(f, "{blank}{}", word(text))?,
                Part::Any => write!(f, "{blank}*")?,
            }
        }
        f.write_str(if self.rest { " **" } else { "" })
    }
}

/// A command line for people, as they would type it; a long one ends early.
pub(crate) fn display_argv<S: AsRef<str>>(argv: &[S]) -> String {
    let words = argv.iter().map(|arg| word(arg.as_ref()));
    let whole = words.collect::<Vec<_>>().join(" ");
    match whole.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

/// Characters of a command line in a message; guests can make much longer ones.
const LONGEST_SHOWN: usize = 400;

/// An argument as it would be typed; control characters are escaped.
fn word(arg: &str) -> String {
    match shlex::try_quote(arg) {
        Ok(quoted) if !arg.chars().any(char::is_control) => quoted.into_owned(),
        Ok(_) | Err(_) => format!("{arg:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(parts: &[&str]) -> Vec<String> {
        parts.iter().map(|part| (*part).to_owned()).collect()
    }

    fn pattern(parts: &[&str]) -> ArgvPattern {
        ArgvPattern::parse(parts).expect("the pattern is valid")
    }

    #[test]
    fn arguments_match_one_by_one() {
        let cases: &[(&[&str], &[&str], bool)] = &[
            (&["aws", "sso", "login"], &["aws", "sso", "login"], true),
            (&["aws", "sso", "login"], &["aws", "sso"], false),
            (
                &["aws", "sso", "login"],
                &["aws", "sso", "login", "--profile"],
                false,
            ),
            (&["aws", "*"], &["aws", "anything at all"], true),
            (&["aws", "*"], &["aws"], false),
            (&["aws", "*"], &["aws", "a", "b"], false),
            (&["aws", "**"], &["aws"], true),
            (&["aws", "**"], &["aws", "a", "b"], true),
            (&["aws", "*", "**"], &["aws"], false),
            (&["aws"], &["/tmp/aws"], false),
            (&["aws"], &[], false),
        ];
        for (parts, argv, expected) in cases {
            assert_eq!(
                pattern(parts).matches(&owned(argv)),
                *expected,
                "{parts:?} and {argv:?}"
            );
        }
    }

    #[test]
    fn broken_patterns_are_refused() {
        let cases: &[(&[&str], InvalidArgv)] = &[
            (&[], InvalidArgv::Empty),
            (&[""], InvalidArgv::Empty),
            (&["*"], InvalidArgv::WildProgram),
            (&["**"], InvalidArgv::WildProgram),
            (&["a", "**", "b"], InvalidArgv::RestNotLast),
            (&["a\0b"], InvalidArgv::ZeroByte),
        ];
        for (parts, expected) in cases {
            assert_eq!(ArgvPattern::parse(parts), Err(*expected), "{parts:?}");
        }
    }

    #[test]
    fn the_meet_is_what_both_allow() {
        type Case<'a> = (&'a [&'a str], &'a [&'a str], Option<&'a [&'a str]>);
        let cases: &[Case<'_>] = &[
            (&["a", "**"], &["a", "b", "*"], Some(&["a", "b", "*"])),
            (&["a", "*", "c"], &["a", "b", "*"], Some(&["a", "b", "c"])),
            (&["a", "**"], &["a", "b", "**"], Some(&["a", "b", "**"])),
            (&["a"], &["a", "**"], Some(&["a"])),
            (&["a"], &["a", "b"], None),
            (&["a", "b"], &["a", "c"], None),
        ];
        for (a, b, expected) in cases {
            let (a, b) = (pattern(a), pattern(b));
            assert_eq!(a.meet(&b), expected.map(pattern));
            assert_eq!(b.meet(&a), a.meet(&b));
        }
    }

    #[test]
    fn an_exact_pattern_takes_stars_as_they_are() {
        let exact = ArgvPattern::exact(&owned(&["echo", "*"])).expect("there is a program");
        assert!(exact.matches(&owned(&["echo", "*"])));
        assert!(!exact.matches(&owned(&["echo", "x"])));
        assert_eq!(ArgvPattern::exact(&[]), None);
    }

    #[test]
    fn commands_are_shown_with_quotes_where_needed() {
        assert_eq!(
            display_argv(&["a", "b c", "", "it's"]),
            r#"a 'b c' '' "it's""#
        );
        assert_eq!(display_argv(&["\u{1b}[2J"]), r#""\u{1b}[2J""#);
        assert_eq!(display_argv(&["é".repeat(1000)]).chars().count(), 401);
    }
}
