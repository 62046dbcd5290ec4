//! Runs the command and judges what it printed. Errors carry its standard error, never its standard output.

use std::time::Duration;

use dovetail_plugin_api::Error;
use dovetail_plugin_api::process::{Command, Output};

use crate::auth_table::AuthTable;
use crate::printed::Token;

/// As much of the standard error as fits a message.
const LONGEST_EXCERPT: usize = 300;

/// Runs the command.
pub(crate) fn fetch(auth: &AuthTable) -> Result<Token, Error> {
    let timeout = Duration::from_millis(auth.timeout_ms.get());
    let mut command = Command::new(&auth.command)
        .args(&auth.args)
        .timeout(timeout);
    if let Some(cwd) = &auth.cwd {
        command = command.cwd(cwd);
    }
    match command.run() {
        Ok(output) => read(auth, &output),
        Err(error) => Err(not_run(auth, error)),
    }
}

/// Puts the command's name before the host's words.
fn not_run(auth: &AuthTable, error: Error) -> Error {
    let subject = subject(auth);
    match error {
        Error::Denied(text) => Error::Denied(format!("{subject} may not run: {text}")),
        Error::Retryable { after, .. } => Error::Retryable {
            reason: format!("{subject} did not end within {} ms", auth.timeout_ms),
            after,
        },
        Error::Invalid(text) => Error::Invalid(format!("{subject} cannot run: {text}")),
        Error::Unavailable(text) => Error::Unavailable(format!("{subject} did not start: {text}")),
        Error::Other(text) => Error::Other(format!("{subject} failed: {text}")),
    }
}

fn read(auth: &AuthTable, output: &Output) -> Result<Token, Error> {
    let fail = |what: String| {
        let excerpt = excerpt(&output.stderr);
        let words = if excerpt.is_empty() {
            String::new()
        } else {
            format!(": {excerpt}")
        };
        Err(Error::Unavailable(format!(
            "{} {what}{words}",
            subject(auth)
        )))
    };
    match output.exit_code {
        Some(0) => {}
        Some(code) => return fail(format!("ended with exit code {code}")),
        None => return fail("was ended by a signal".to_owned()),
    }
    Token::read(&output.stdout).or_else(fail)
}

fn subject(auth: &AuthTable) -> String {
    format!(
        "auth command `{}` of provider `{}`",
        auth.command, auth.provider_id
    )
}

/// The end of the standard error, where programs put what went wrong, on one line.
fn excerpt(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    let line = words.join(" ");
    let surplus = line.chars().count().saturating_sub(LONGEST_EXCERPT);
    if surplus == 0 {
        line
    } else {
        format!("…{}", line.chars().skip(surplus).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn auth() -> AuthTable {
        AuthTable {
            provider_id: "corp".to_owned(),
            command: "print-token".to_owned(),
            args: vec![],
            timeout_ms: NonZeroU64::MIN,
            refresh_interval_ms: None,
            cwd: None,
        }
    }

    #[track_caller]
    fn refused(exit_code: Option<i32>, stdout: &[u8], stderr: &str, expected: &str) {
        let output = Output {
            exit_code,
            stdout: stdout.to_vec(),
            stderr: stderr.as_bytes().to_vec(),
        };
        let expected = format!("auth command `print-token` of provider `corp` {expected}");
        assert_eq!(read(&auth(), &output), Err(Error::Unavailable(expected)));
    }

    #[test]
    fn every_failure_names_the_command_and_hides_the_output() {
        refused(
            Some(3),
            b"tok",
            " not\n logged in\n",
            "ended with exit code 3: not logged in",
        );
        refused(Some(1), b"tok", "", "ended with exit code 1");
        refused(None, b"tok", "", "was ended by a signal");
        refused(Some(0), b" \n", "", "printed no token");
        refused(
            Some(0),
            b"\xff\xfe",
            "",
            "printed a token that is not UTF-8",
        );
        refused(
            Some(0),
            b"tok\nX-Evil: 1",
            "",
            "printed more than one word, or characters that no token has",
        );
    }

    #[test]
    fn a_long_complaint_keeps_its_end() {
        let excerpt = excerpt("ä".repeat(400).as_bytes());
        assert_eq!(excerpt.chars().count(), LONGEST_EXCERPT + 1);
        assert!(excerpt.starts_with('…'));
    }

    #[test]
    fn the_hosts_refusals_keep_their_kind() {
        let late = not_run(&auth(), Error::retryable("timed out"));
        assert_eq!(
            late,
            Error::retryable(
                "auth command `print-token` of provider `corp` did not end within 1 ms"
            )
        );
        let missing = not_run(&auth(), Error::unavailable("no such file"));
        assert_eq!(
            missing,
            Error::unavailable(
                "auth command `print-token` of provider `corp` did not start: no such file"
            )
        );
    }
}
