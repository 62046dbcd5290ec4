//! Programs that print credentials: `credential_process` of a profile, and `aws.credential_export` of the user's table.

use std::time::Duration;

use crate::command::CommandLine;
use crate::credentials::{Credentials, Document};
use crate::outside::Outside;
use crate::trouble::Trouble;

/// AWS's own tools wait for ever; a password manager may ask for a touch or a fingerprint.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a program that prints credentials.
pub(crate) fn run(
    outside: &impl Outside,
    what: &str,
    command: &CommandLine,
) -> Result<Credentials, Trouble> {
    let printed = command.output(outside, what)?;
    Document::read(&format!("{what} `{}`", command.program), &printed)
}

/// The same, for the line that a profile has. There is no shell, as there is none in AWS's own tools.
pub(crate) fn run_line(
    outside: &impl Outside,
    profile: &str,
    line: &str,
) -> Result<Credentials, Trouble> {
    let mut words = shlex::split(line).unwrap_or_default().into_iter();
    let Some(program) = words.next() else {
        return Err(Trouble::lasting(format!(
            "`credential_process` of profile `{profile}` is no command: its quotes are not closed, or it is empty"
        )));
    };
    let command = CommandLine {
        program,
        args: words.collect(),
        cwd: None,
        timeout: TIMEOUT,
    };
    run(outside, "credential_process", &command)
}
