//! What the user's profile does to a command, learnt once instead of every time.
//!
//! A login shell reads the profile before it runs its command, which takes longer than most commands. Mostly all that
//! comes of it are variables. So while the second command of a directory runs, the profile is tried in the background:
//! a login shell tells its whole state and the variables it exports, and a plain shell that gets those variables tells
//! its state too. Only where both are the same do later commands go to a plain shell. A profile that defines functions,
//! sets options, moves or prints anything is read every time, as before.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::state;

/// How long a lesson holds: a profile may hand out things that expire.
const FRESH: Duration = Duration::from_secs(60);

/// The most directories to know; a model that works in more of them gains little from each.
const MOST: usize = 32;

/// The files that bash may read for a login shell, in the home directory and for everybody.
const OWN_FILES: [&str; 5] = [
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".bashrc",
    ".bash_logout",
];
const COMMON_FILES: [&str; 3] = ["/etc/profile", "/etc/bash.bashrc", "/etc/environment"];
const COMMON_DIRECTORY: &str = "/etc/profile.d";

/// Words by which a command may tell a login shell from another: it can ask, and `exit` reads one more file.
const TELLING: [&str; 3] = ["exit", "logout", "login_shell"];

/// Variables of a command.
pub(super) type Variables = BTreeMap<OsString, OsString>;

/// The lessons of a session.
#[derive(Debug, Default)]
pub(super) struct Login {
    lessons: Mutex<BTreeMap<PathBuf, Lesson>>,
}

/// What is known of the profile for a directory.
#[derive(Debug)]
enum Lesson {
    /// One command was run there.
    Met,
    /// It is being tried.
    Trying,
    /// It does this.
    Learnt(Learnt),
}

#[derive(Debug)]
struct Learnt {
    at: Instant,
    files: Files,
    /// The variables after it; none where it does more than set variables.
    variables: Option<Arc<Variables>>,
}

/// How to run a command that asked for a login shell.
#[derive(Debug)]
pub(super) enum Way {
    /// With a login shell.
    Whole,
    /// With a login shell, and somebody should find out what the profile does.
    WholeAndLearn,
    /// With a plain shell and these variables.
    Short(Arc<Variables>),
}

impl Login {
    /// How to run `command` in `directory`.
    pub(super) fn way(&self, directory: &Path, command: &str, variables: &Variables) -> Way {
        if variables.contains_key(OsStr::new("BASH_ENV")) {
            return Way::Whole;
        }
        let mut lessons = self.lessons();
        let room = lessons.len() < MOST;
        let Some(lesson) = lessons.get_mut(directory) else {
            if room {
                lessons.insert(directory.to_owned(), Lesson::Met);
            }
            return Way::Whole;
        };
        match lesson {
            Lesson::Trying => return Way::Whole,
            Lesson::Learnt(learnt) if learnt.holds(variables) => {
                let telling = TELLING.iter().any(|word| command.contains(word));
                return match &learnt.variables {
                    Some(variables) if !telling => Way::Short(Arc::clone(variables)),
                    Some(_) | None => Way::Whole,
                };
            }
            Lesson::Met | Lesson::Learnt(_) => {}
        }
        *lesson = Lesson::Trying;
        Way::WholeAndLearn
    }

    /// Keeps what a trial brought. `files` are those of before the trial.
    pub(super) fn learnt(&self, directory: PathBuf, files: Files, variables: Option<Variables>) {
        let learnt = Learnt {
            at: Instant::now(),
            files,
            variables: variables.map(Arc::new),
        };
        self.lessons().insert(directory, Lesson::Learnt(learnt));
    }

    fn lessons(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Lesson>> {
        self.lessons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learnt {
    /// Whether it still says what the profile does. That it does too much is not asked again for a while either.
    fn holds(&self, variables: &Variables) -> bool {
        self.at.elapsed() < FRESH && self.files == Files::now(variables)
    }
}

/// When the files of a profile were changed last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Files(Vec<(PathBuf, Option<Stamp>)>);

type Stamp = (SystemTime, u64);

impl Files {
    pub(super) fn now(variables: &Variables) -> Self {
        let home = variables.get(OsStr::new("HOME")).map(PathBuf::from);
        let own = home
            .iter()
            .flat_map(|home| OWN_FILES.map(|name| home.join(name)));
        let mut paths: Vec<PathBuf> = own.chain(COMMON_FILES.map(PathBuf::from)).collect();
        paths.push(COMMON_DIRECTORY.into());
        // What cannot be listed cannot be read by the shell either.
        let entries = std::fs::read_dir(COMMON_DIRECTORY)
            .into_iter()
            .flatten()
            .flatten();
        paths.extend(entries.map(|entry| entry.path()));
        Self(paths.into_iter().map(stamped).collect())
    }
}

fn stamped(path: PathBuf) -> (PathBuf, Option<Stamp>) {
    let found = std::fs::metadata(&path).ok();
    let stamp = found.and_then(|found| Some((found.modified().ok()?, found.len())));
    (path, stamp)
}

/// Variables that belong to one command or one shell, not to the profile.
const OF_THE_CALL: [&str; 6] = [
    "CODEX_TOOL_CALL_ID",
    "CODEX_THREAD_ID",
    "CODEX_SESSION_ID",
    "PWD",
    "SHLVL",
    "_",
];

/// The variables for a command's plain shell: those of the profile, and the command's own.
pub(super) fn merged(learnt: &Variables, own: &Variables) -> Variables {
    let mut all = learnt.clone();
    for name in OF_THE_CALL.map(OsStr::new) {
        match own.get(name) {
            Some(value) => all.insert(name.to_owned(), value.clone()),
            None => all.remove(name),
        };
    }
    all
}

/// The script for a login shell. It tells its state, then its variables through the environment of a shell it becomes.
pub(super) fn login_script() -> String {
    format!(
        "{}; exec \"$BASH\" -c '{}'",
        state::SCRIPT,
        state::ENVIRONMENT_SCRIPT
    )
}

/// What a trial told: by the login shell, which began with the variables `own`.
pub(super) fn told(output: &[u8], own: &Variables) -> Option<(Vec<u8>, Variables)> {
    let (state, variables) = state::parse(output)?;
    let kept = |name: &str| {
        let name = OsStr::new(name);
        variables.get(name) == own.get(name)
    };
    // A profile that touches what is set for each command anew must be read for each command.
    OF_THE_CALL[..3]
        .iter()
        .all(|name| kept(name))
        .then_some((state, variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[track_caller]
    fn check(login: &Login, command: &str, expected: &str) {
        let way = login.way(
            Path::new("/w"),
            command,
            &variables(&[("HOME", "/nowhere")]),
        );
        let way = match way {
            Way::Whole => "whole",
            Way::WholeAndLearn => "whole and learn",
            Way::Short(_) => "short",
        };
        assert_eq!(way, expected, "{command}");
    }

    fn learn(login: &Login, learnt: Option<Variables>) {
        let files = Files::now(&variables(&[("HOME", "/nowhere")]));
        login.learnt("/w".into(), files, learnt);
    }

    #[test]
    fn the_second_command_teaches_and_the_third_gains() {
        let login = Login::default();
        check(&login, "ls", "whole");
        check(&login, "ls", "whole and learn");
        check(&login, "ls", "whole");
        learn(&login, Some(Variables::new()));
        check(&login, "ls", "short");
        check(&login, "ls; exit 3", "whole");
        check(&login, "shopt -q login_shell", "whole");
        learn(&login, None);
        check(&login, "ls", "whole");
    }

    #[test]
    fn a_lesson_of_other_files_does_not_hold() {
        let home = tempfile::tempdir().unwrap();
        let own = variables(&[("HOME", home.path().to_str().unwrap())]);
        let files = Files::now(&own);
        let lesson = |files| Learnt {
            at: Instant::now(),
            files,
            variables: None,
        };
        assert!(lesson(Files::now(&own)).holds(&own));
        std::fs::write(home.path().join(".profile"), "x").unwrap();
        assert!(!lesson(files).holds(&own));
    }

    #[test]
    fn what_belongs_to_the_call_comes_from_the_call() {
        let learnt = variables(&[
            ("A", "profile"),
            ("PWD", "/old"),
            ("CODEX_TOOL_CALL_ID", "old"),
        ]);
        let own = variables(&[("A", "host"), ("CODEX_TOOL_CALL_ID", "new")]);
        let expected = variables(&[("A", "profile"), ("CODEX_TOOL_CALL_ID", "new")]);
        assert_eq!(merged(&learnt, &own), expected);
    }

    #[test]
    fn a_profile_that_touches_the_calls_variables_is_no_lesson() {
        let own = variables(&[("CODEX_TOOL_CALL_ID", "1")]);
        assert!(told(b"\0state\0CODEX_TOOL_CALL_ID=1\0A=b\0", &own).is_some());
        assert!(told(b"\0state\0CODEX_TOOL_CALL_ID=2\0", &own).is_none());
        assert!(told(b"\0state\0A=b\0", &own).is_none());
    }
}
