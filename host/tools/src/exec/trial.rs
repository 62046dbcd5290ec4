//! Trying the profile: what a login shell makes of the variables, and whether a plain shell could begin where it ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dovetail_sandbox::Sandbox;

use super::login::{self, Files, Variables};
use super::spawn::{self, Start};
use super::state;

/// A profile that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than any state; a profile that prints without end is stopped here.
const LONGEST: usize = 4 * 1024 * 1024;

/// What to try it with: the surroundings of a command that has just been started.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) shell: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) variables: Variables,
}

impl Trial {
    /// The variables that a plain shell needs to be like a login shell; none if variables are not enough.
    pub(super) async fn run(&self, sandbox: &Sandbox) -> Option<Variables> {
        let tried = tokio::time::timeout(PATIENCE, self.compare(sandbox)).await;
        tried.unwrap_or(None)
    }

    /// When the files of the profile were changed.
    pub(super) fn files(&self) -> Files {
        Files::now(&self.variables)
    }

    async fn compare(&self, sandbox: &Sandbox) -> Option<Variables> {
        let script = login::login_script();
        let output = self
            .told("-lc", script, self.variables.clone(), sandbox)
            .await?;
        let (after_login, learnt) = login::told(&output, &self.variables)?;
        let script = state::SCRIPT.to_owned();
        let variables = login::merged(&learnt, &self.variables);
        let output = self.told("-c", script, variables, sandbox).await?;
        let (plain, _) = state::parse(&output)?;
        (plain == after_login).then_some(learnt)
    }

    /// What a shell puts out, if it ends well.
    async fn told(
        &self,
        flag: &str,
        script: String,
        environment: Variables,
        sandbox: &Sandbox,
    ) -> Option<Vec<u8>> {
        let start = Start {
            argv: vec![shown(&self.shell), flag.to_owned(), script],
            directory: self.directory.clone(),
            environment,
            terminal: false,
        };
        // A shell that cannot be started now says nothing of the profile; commands will tell the user why.
        let (mut child, mut output) = spawn::spawn(&start, sandbox).ok()?;
        let (mut told, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
        loop {
            match output.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) if told.len() + count <= LONGEST => {
                    told.extend_from_slice(&buffer[..count])
                }
                Ok(_) | Err(_) => return None,
            }
        }
        let ended = child.wait().await;
        ended.is_ok_and(|status| status.success()).then_some(told)
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
