//! What came of trying a plugin out.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// Something that is wrong with a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The function or the table's case that it is about.
    pub about: String,
    /// What is wrong, in one sentence.
    pub problem: String,
    /// The table and line, where it is about a case.
    pub place: Option<String>,
}

/// How long the calls of one function took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// The function.
    pub call: String,
    /// How often it was called.
    pub calls: usize,
    /// Half of the calls took less, in microseconds.
    pub p50_us: u64,
    /// 95 % of the calls took less, in microseconds.
    pub p95_us: u64,
    /// What it may take, in milliseconds.
    pub limit_ms: u64,
}

/// How one table went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// The table.
    pub file: PathBuf,
    /// Its cases.
    pub cases: usize,
    /// Those that went as expected.
    pub passed: usize,
}

/// All that was found out about a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The plugin.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its kinds.
    pub kinds: Vec<String>,
    /// Whether it is native code.
    pub native: bool,
    /// What is said wherever native code is shown; none for components.
    pub mark: Option<&'static str>,
    /// The contract that it was built for.
    pub contract: String,
    /// Its size.
    pub bytes: u64,
    /// How long it took to compile and load the first time, in microseconds.
    pub compile_us: u64,
    /// How long it takes to load once it is compiled, in microseconds.
    pub load_us: u64,
    /// What it is or offers, in short sentences.
    pub facts: Vec<String>,
    /// How long its functions took.
    pub timings: Vec<Timing>,
    /// The most memory of an instance, in bytes.
    pub most_memory_bytes: u64,
    /// What it may have.
    pub memory_limit_bytes: u64,
    /// The tables.
    pub tables: Vec<TableReport>,
    /// What it was refused, and other things worth knowing that are no faults.
    pub notes: Vec<String>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn find(&mut self, about: &str, problem: impl Into<String>) {
        self.findings.push(Finding {
            about: about.to_owned(),
            problem: problem.into(),
            place: None,
        });
    }

    pub(crate) fn time(&mut self, call: &str, times: &crate::timing::Times, limit: Duration) {
        let Some((calls, p50, p95)) = times.summary() else {
            return;
        };
        self.timings.push(Timing {
            call: call.to_owned(),
            calls,
            p50_us: micros(p50),
            p95_us: micros(p95),
            limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        });
        if p95 * 2 > limit {
            self.find(
                call,
                format!(
                    "takes {} ms of the {} ms that it may: a busy machine would end it",
                    p95.as_millis(),
                    limit.as_millis()
                ),
            );
        }
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
