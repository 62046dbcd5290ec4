//! A made-up host of its own for each table, and what is done in it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use dovetail_core::secret::SecretText;
use dovetail_runtime::discovery::Found;
use dovetail_runtime::grant::Grant;
use dovetail_runtime::host_env::HostEnv;
use dovetail_runtime::inspect;
use dovetail_runtime::load::{LoadError, LoadRequest, Runtime, cache_dir};
use dovetail_runtime::manifest::Kind;
use dovetail_runtime::native::{UNSANDBOXED, outline};
use dovetail_runtime::plugin::Plugin;
use dovetail_runtime::secret_source::SecretSource;
use dovetail_runtime::services::Services;
use tempfile::TempDir;

use crate::outside::Script;
use crate::provider::Trial;
use crate::report::{Finding, Report, TableReport, micros};
use crate::table::{Placed, Table};
use crate::timing::Times;
use crate::{hooks, provider, sink, tools};

/// A plugin to be tried out.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The plugin.
    pub found: Found,
    /// What it is let do.
    pub grant: Grant,
}

/// Why a plugin could not be tried out at all.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The made-up host's files cannot be written.
    #[error("cannot make a place to try the plugin out in")]
    Place(#[from] std::io::Error),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] dovetail_runtime::engine::EngineError),
    /// A table names a file outside of the working directory.
    #[error("{}: the file `{name}` is not in the working directory", table.display())]
    Outside {
        /// The table.
        table: PathBuf,
        /// The file.
        name: String,
    },
}

/// Tries a plugin out, alone and with the cases of tables.
///
/// # Errors
/// Where that cannot be done; what is wrong with the plugin is in the report.
pub async fn try_out(candidate: &Candidate, tables: &[Table]) -> Result<Report, LabError> {
    let compiled = tempfile::tempdir()?;
    let mut report = head(candidate);
    // The world for the probes is that of the first table: what it needs to run at all is written there.
    let native = candidate.found.manifest.native;
    let lab = Lab::new(tables.first(), native)?;
    let started = Instant::now();
    let plugin = match lab.load(candidate, tables.first(), compiled.path()).await? {
        Ok(plugin) => plugin,
        Err(error) => {
            report.find("load", sentence(&error));
            report.notes.extend(error.hint());
            return Ok(report);
        }
    };
    report.compile_us = micros(started.elapsed());
    drop(plugin);
    let started = Instant::now();
    let again = lab.load(candidate, tables.first(), compiled.path()).await?;
    report.load_us = micros(started.elapsed());
    match again {
        Ok(plugin) => {
            probe(&plugin, &mut report).await;
            lab.close(&plugin, &mut report, true);
        }
        Err(error) => report.find("load", format!("the second time: {}", sentence(&error))),
    }
    for table in tables {
        try_table(candidate, table, compiled.path(), &mut report).await?;
    }
    if report.most_memory_bytes * 10 > report.memory_limit_bytes * 9 {
        report.find("memory", "it needs nearly all the memory that it may have");
    }
    Ok(report)
}

fn head(candidate: &Candidate) -> Report {
    let manifest = &candidate.found.manifest;
    let bytes = &candidate.found.wasm.bytes;
    let contract = match manifest.native {
        true => outline::check(bytes).map(|found| found.contract).ok(),
        false => inspect::check(bytes).map(|found| found.contract).ok(),
    };
    let note =
        "the made-up host is no wall around native code: it ran with everything that you may do";
    let notes = manifest.native.then(|| note.to_owned());
    Report {
        id: manifest.id.to_string(),
        version: manifest.version.to_string(),
        kinds: manifest.kinds.iter().map(ToString::to_string).collect(),
        native: manifest.native,
        mark: manifest.native.then_some(UNSANDBOXED),
        contract: contract.map_or_else(|| "?".to_owned(), |contract| contract.to_string()),
        notes: notes.into_iter().collect(),
        bytes: candidate.found.wasm.bytes.len() as u64,
        memory_limit_bytes: manifest.limits.memory_bytes,
        ..Report::default()
    }
}

/// Asks a plugin all that its kinds can be asked.
async fn probe(plugin: &Plugin, report: &mut Report) {
    let limit = |kind| plugin.manifest().limits.deadline(kind);
    if let Some(hook) = plugin.hook() {
        hooks::probe(hook.as_ref(), limit(Kind::Hooks), report).await;
    }
    if let Some(server) = plugin.tools() {
        tools::probe(server.as_ref(), limit(Kind::Tools), report).await;
    }
    if let Some(provider) = plugin.provider() {
        provider::probe(provider.as_ref(), limit(Kind::Provider), report).await;
    }
    if let Some(sink) = plugin.sink() {
        sink::probe(sink.as_ref(), limit(Kind::Sink), report).await;
        sink::farewell(sink.as_ref(), report).await;
    }
}

/// Runs a table's cases, in a host of its own.
async fn try_table(
    candidate: &Candidate,
    table: &Table,
    compiled: &Path,
    report: &mut Report,
) -> Result<(), LabError> {
    let lab = Lab::new(Some(table), candidate.found.manifest.native)?;
    let plugin = match lab.load(candidate, Some(table), compiled).await? {
        Ok(plugin) => plugin,
        Err(error) => {
            report.find(
                "load",
                format!("{}: {}", table.file.display(), sentence(&error)),
            );
            return Ok(());
        }
    };
    let mut verdicts = Verdicts::default();
    run_cases(&plugin, table, &lab, &mut verdicts, report).await;
    report.findings.extend(verdicts.findings);
    report.tables.push(TableReport {
        file: table.file.clone(),
        cases: table.cases(),
        passed: verdicts.passed,
    });
    lab.close(&plugin, report, false);
    Ok(())
}

async fn run_cases(
    plugin: &Plugin,
    table: &Table,
    lab: &Lab,
    verdicts: &mut Verdicts,
    report: &mut Report,
) {
    let limit = |kind| plugin.manifest().limits.deadline(kind);
    let missing = |kind: &str| Some(format!("the plugin does not export `{kind}`"));
    for placed in &table.hook {
        let verdict = match plugin.hook() {
            Some(hook) => hooks::run(hook.as_ref(), placed).await,
            None => missing("hooks"),
        };
        verdicts.note(table, placed, placed.case.name.as_deref(), verdict);
    }
    let mut times = Times::default();
    for placed in &table.tool {
        let verdict = match plugin.tools() {
            Some(server) => tools::run(server.as_ref(), placed, &mut times).await,
            None => missing("tools"),
        };
        verdicts.note(table, placed, placed.case.name.as_deref(), verdict);
    }
    report.time("call-tool", &times, limit(Kind::Tools));
    let mut times = Times::default();
    let egress = lab.services.egress();
    let mut trial = plugin
        .provider()
        .map(|provider| Trial::new(provider.as_ref(), egress.as_ref()));
    for placed in &table.provider {
        let verdict = match &mut trial {
            Some(trial) => trial.run(placed, &mut times).await,
            None => missing("provider"),
        };
        verdicts.note(table, placed, placed.case.name.as_deref(), verdict);
    }
    report.time("provider calls", &times, limit(Kind::Provider));
    for placed in &table.sink {
        let verdict = match plugin.sink() {
            Some(sink) => sink::run(sink.as_ref(), placed, &lab.cwd()).await,
            None => missing("sink"),
        };
        verdicts.note(table, placed, placed.case.name.as_deref(), verdict);
    }
}

/// How the cases of a table went.
#[derive(Default)]
struct Verdicts {
    passed: usize,
    findings: Vec<Finding>,
}

impl Verdicts {
    fn note<T>(
        &mut self,
        table: &Table,
        placed: &Placed<T>,
        name: Option<&str>,
        problem: Option<String>,
    ) {
        match problem {
            None => self.passed += 1,
            Some(problem) => self.findings.push(Finding {
                about: name.unwrap_or("case").to_owned(),
                problem,
                place: Some(format!("{}:{}", table.file.display(), placed.line)),
            }),
        }
    }
}

/// A made-up host.
struct Lab {
    dir: TempDir,
    script: Arc<Script>,
    services: Arc<Services>,
}

impl Lab {
    /// Whoever hands over a native plugin to be tried out has decided that its code may run.
    fn new(table: Option<&Table>, native: bool) -> Result<Self, LabError> {
        let dir = tempfile::tempdir()?;
        let project = dir.path().join("project");
        std::fs::create_dir(&project)?;
        if let Some(table) = table {
            write_files(table, &project)?;
        }
        let script = Arc::new(table.map_or_else(Script::default, |table| {
            Script::new(
                table.http.clone(),
                table.process.clone(),
                table.now_unix_ms(),
            )
        }));
        let env: HostEnv = table
            .into_iter()
            .flat_map(|table| &table.host.env)
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let outside = Arc::clone(&script) as Arc<dyn dovetail_runtime::outside::Outside>;
        let services =
            Services::made_up(env, &dir.path().join("home"), &project, outside).with_native(native);
        Ok(Self {
            dir,
            script,
            services: Arc::new(services),
        })
    }

    /// The working directory.
    fn cwd(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    async fn load(
        &self,
        candidate: &Candidate,
        table: Option<&Table>,
        compiled: &Path,
    ) -> Result<Result<Plugin, LoadError>, LabError> {
        let (runtime, _) = Runtime::sharing(&cache_dir(compiled), Arc::clone(&self.services))?;
        let inline = |(slot, value): (&String, &String)| {
            (
                slot.clone(),
                SecretSource::Inline(SecretText::new(value.clone())),
            )
        };
        let secrets: BTreeMap<String, SecretSource> = table
            .into_iter()
            .flat_map(|table| &table.host.secrets)
            .map(inline)
            .collect();
        let request = LoadRequest {
            found: candidate.found.clone(),
            grant: candidate.grant.clone(),
            secrets,
            config: table
                .map(|table| table.host.config.clone())
                .unwrap_or_default(),
            records: None,
        };
        Ok(runtime.load(request).await)
    }

    /// Adds what is known at the end. While a plugin is only probed, nothing can be expected to answer it.
    fn close(&self, plugin: &Plugin, report: &mut Report, probing: bool) {
        let stats = plugin.stats();
        report.most_memory_bytes = report.most_memory_bytes.max(stats.most_memory);
        for denial in plugin.denials() {
            if !report.notes.contains(&denial) {
                report.notes.push(denial);
            }
        }
        for what in self.script.unanswered() {
            if probing {
                report.notes.push(what);
            } else {
                report.find("outside", what);
            }
        }
    }
}

fn write_files(table: &Table, project: &Path) -> Result<(), LabError> {
    for (name, text) in &table.host.files {
        let inside = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(LabError::Outside {
                table: table.file.clone(),
                name: name.clone(),
            });
        }
        let path = project.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(project))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// An error with its causes in one line.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
