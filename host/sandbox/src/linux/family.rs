//! The processes that a command started, also those that have left its group and its session.
//!
//! Two things lead to them: who started whom, and the environment, which a process passes on to all that it starts. The
//! first is lost when a process in between ends, the second when a program clears its environment; few do both.

use std::fs::{self, File};
use std::path::PathBuf;

use super::sys;

/// Rounds of looking. A process that forks while we look is found in the next round.
const ROUNDS: usize = 20;

/// More than any command starts; a fork bomb is not followed for ever.
const MOST: usize = 4096;

/// The descendants of a command, held so that none of them can come to mean another process.
#[derive(Debug)]
pub struct Family(Vec<File>);

impl Family {
    /// Finds the descendants of a child of this process that was not waited for yet.
    pub fn of(leader: u32) -> Self {
        let (mut found, mut parents) = (Vec::new(), vec![leader]);
        while let Some(parent) = parents.pop() {
            for child in children(parent) {
                // Opened, then looked at again: by now the number could mean another process.
                if found.len() < MOST
                    && let Ok(process) = sys::open_process(child)
                    && parent_of(child) == Some(parent)
                {
                    found.push(process);
                    parents.push(child);
                }
            }
        }
        Self(found)
    }

    /// Kills them.
    pub fn kill(&self) {
        for process in &self.0 {
            // A process that is gone already needs no killing.
            sys::kill_process(process).ok();
        }
    }
}

/// Kills every process whose environment has all of these variables. Looks at all processes, so it takes a while.
pub fn kill_by_environment(variables: &[(&str, &str)]) {
    let entries: Vec<Vec<u8>> = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}").into_bytes())
        .collect();
    for _ in 0..ROUNDS {
        if !kill_found(&entries) {
            return;
        }
    }
}

/// One round; whether anything was found.
fn kill_found(entries: &[Vec<u8>]) -> bool {
    let mut found = false;
    for pid in all_processes() {
        if has_all(pid, entries)
            && let Ok(process) = sys::open_process(pid)
            && has_all(pid, entries)
        {
            found |= sys::kill_process(&process).is_ok();
        }
    }
    found
}

fn all_processes() -> impl Iterator<Item = u32> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |pid| *pid != own)
}

/// Whether a process began with all of these variables. One that has ended has none.
fn has_all(pid: u32, entries: &[Vec<u8>]) -> bool {
    fs::read(about(pid, "environ")).is_ok_and(|text| {
        let has = |entry: &Vec<u8>| {
            text.split(|byte| *byte == 0)
                .any(|variable| variable == entry)
        };
        entries.iter().all(has)
    })
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(about(pid, "task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let numbers = lists.flat_map(|list| {
        let numbers = list
            .split_ascii_whitespace()
            .filter_map(|number| number.parse().ok());
        numbers.collect::<Vec<u32>>()
    });
    numbers.collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(about(pid, "status")).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    parent.trim().parse().ok()
}

fn about(pid: u32, what: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{what}"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A shell whose descendants hold its output open, once all of them have said that they run.
    fn start(script: &str, lines: usize) -> (Child, BufReader<std::process::ChildStdout>) {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", script])
            .env("FAMILY_TEST", script)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        for _ in 0..lines {
            output.read_line(&mut String::new()).unwrap();
        }
        (shell, output)
    }

    #[test]
    fn descendants_are_found_in_whatever_session_and_environment() {
        let script =
            "setsid sh -c 'echo; env -i /bin/sh -c \"echo; exec sleep 1000\"' & echo; wait";
        let (mut shell, mut output) = start(script, 3);
        let family = Family::of(shell.id());
        assert_eq!(family.0.len(), 2);
        family.kill();
        shell.wait().unwrap();
        // The end of the output is the end of everybody who could write.
        output.read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn orphans_are_found_by_what_they_inherited() {
        let script = "(setsid sh -c 'echo; exec sleep 1001' &) ; wait";
        let (mut shell, mut output) = start(script, 1);
        shell.wait().unwrap();
        kill_by_environment(&[("FAMILY_TEST", "another")]);
        assert!(all_processes().any(|pid| has_all(pid, &[format!("FAMILY_TEST={script}").into()])));
        kill_by_environment(&[("FAMILY_TEST", script)]);
        output.read_to_end(&mut Vec::new()).unwrap();
    }
}
