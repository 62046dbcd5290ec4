//! The state of a shell, as text that can be compared.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Makes bash tell its state between two zero bytes: variables, functions, aliases, options, traps, and what it would
/// pass on to programs. Builtins only, on one line, without single quotes.
pub(super) const SCRIPT: &str = "printf \"\\0\"; declare -p; declare -f; alias -p; shopt -p; set +o; trap -p; umask; \
    pwd; echo /proc/self/fd/*; \
    while read -r a b; do case $a in Sig[BI]*) echo $a $b;; esac; done </proc/self/status; \
    while read -r a; do echo $a; done </proc/self/limits; printf \"\\0\"";

/// Makes bash tell the environment it was started with, each variable before a zero byte.
pub(super) const ENVIRONMENT_SCRIPT: &str =
    "while IFS= read -r -d \"\" a; do printf \"%s\\0\" \"$a\"; done </proc/self/environ";

/// Variables that differ between any two shells, or say what was run rather than what is set.
const FLEETING: [&str; 21] = [
    "BASHOPTS",
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_CMDS",
    "BASH_EXECUTION_STRING",
    "BASH_LINENO",
    "BASH_REMATCH",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "HISTCMD",
    "LINENO",
    "PIPESTATUS",
    "PPID",
    "RANDOM",
    "SECONDS",
    "SRANDOM",
    "_",
];

/// Takes what a shell told apart: its state, and the environment after it if there is one. None if anything was put
/// out before, or the shell did not come to the end.
pub(super) fn parse(output: &[u8]) -> Option<(Vec<u8>, BTreeMap<OsString, OsString>)> {
    let mut parts = output.strip_prefix(b"\0")?.split(|byte| *byte == 0);
    let state = parts.next()?;
    let mut rest: Vec<&[u8]> = parts.collect();
    // Each part ends with a zero byte, so nothing comes after the last one.
    if !rest.pop()?.is_empty() {
        return None;
    }
    let variables = rest.into_iter().map(variable).collect::<Option<_>>()?;
    Some((comparable(state), variables))
}

fn variable(text: &[u8]) -> Option<(OsString, OsString)> {
    let equals = text.iter().skip(1).position(|byte| *byte == b'=')? + 1;
    let (name, value) = (&text[..equals], &text[equals + 1..]);
    Some((
        OsStr::from_bytes(name).to_owned(),
        OsStr::from_bytes(value).to_owned(),
    ))
}

/// The state without what differs anyway.
fn comparable(state: &[u8]) -> Vec<u8> {
    let lines = state.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !is_fleeting(line))
        .collect::<Vec<_>>()
        .concat()
}

fn is_fleeting(line: &[u8]) -> bool {
    if line.ends_with(b" login_shell\n") {
        return true;
    }
    let Some(declared) = line.strip_prefix(b"declare -") else {
        return false;
    };
    let name = declared
        .split(|byte| *byte == b' ')
        .nth(1)
        .unwrap_or_default();
    let name = name
        .split(|byte| matches!(byte, b'=' | b'\n'))
        .next()
        .unwrap_or_default();
    FLEETING.iter().any(|fleeting| fleeting.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_environment_are_taken_apart() {
        let output = b"\0declare -ir PPID=\"7\"\ndeclare -- A=\"1\"\nshopt -u login_shell\n0022\n\0A=1=2\0=x=y\0";
        let (state, variables) = parse(output).unwrap();
        assert_eq!(state, b"declare -- A=\"1\"\n0022\n");
        let expected = [("=x", "y"), ("A", "1=2")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(variables, BTreeMap::from(expected));
    }

    #[test]
    fn what_is_not_whole_or_has_something_before_it_is_nothing() {
        for output in [
            &b""[..],
            b"\0",
            b"\0state",
            b"hello\n\0state\0",
            b"\0state\0A=1",
            b"\0state\0A\0",
        ] {
            assert_eq!(parse(output), None, "{}", output.escape_ascii());
        }
        assert_eq!(
            parse(b"\0state\0"),
            Some((b"state".to_vec(), BTreeMap::new()))
        );
    }
}
