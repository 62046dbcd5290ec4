//! `dovetail plugin test`: tries a plugin out against a made-up host.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use dovetail_conformance::{Candidate, Report, Table};
use dovetail_core::ids::PluginId;
use dovetail_runtime::discovery::{Found, Wasm};
use dovetail_runtime::grant::Grant;
use dovetail_runtime::inspect;
use dovetail_runtime::lock::Scope;
use dovetail_runtime::manifest::Manifest;
use dovetail_runtime::native::outline;
use dovetail_runtime::plugin_dir;
use dovetail_runtime::state::State;

use super::layout::{duration, hanging, labelled, size};
use super::package::Package;
use super::{Done, PluginContext, check_native, dir_error, find, whole};
use crate::fatal::Fatal;

/// `dovetail plugin test`.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// A component or native library, a folder with a plugin.toml, or the id of a plugin that is there.
    plugin: String,
    /// Cases with what is expected of each; see docs/plugin-test.md.
    #[arg(long = "table", value_name = "FILE")]
    tables: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The column in which values start.
const LABELS: usize = 12;

pub(super) async fn run(context: &PluginContext, args: &TestArgs) -> anyhow::Result<Done> {
    let tables = args
        .tables
        .iter()
        .map(|file| Table::read(file).map_err(|error| table_error(&error)))
        .collect::<anyhow::Result<Vec<Table>>>()?;
    let candidate = candidate(context, &args.plugin, &tables)?;
    let report = dovetail_conformance::try_out(&candidate, &tables).await?;
    let text = if args.json {
        format!("{}\n", serde_json::to_string_pretty(&report)?)
    } else {
        render(&report)
    };
    Ok(Done {
        text,
        declined: !report.findings.is_empty(),
    })
}

fn table_error(error: &dovetail_conformance::TableError) -> anyhow::Error {
    Fatal::new(whole(error))
        .hint("docs/plugin-test.md says what a table holds; examples/*/cases.toml are some")
        .into()
}

fn candidate(context: &PluginContext, plugin: &str, tables: &[Table]) -> anyhow::Result<Candidate> {
    let path = context.cwd.join(plugin);
    if path.is_dir() {
        let found = Package::read(&path, None)?.found;
        return unsandboxed(context, with_all_it_asks_for(found));
    }
    if path.is_file() && check_native::is_library(&path) {
        return unsandboxed(context, with_all_it_asks_for(library(&path, tables)?));
    }
    if path.is_file() {
        return Ok(with_all_it_asks_for(component(&path, tables)?));
    }
    if plugin.contains(['/', '\\']) || plugin.ends_with(".wasm") || plugin.ends_with(".so") {
        return Err(Fatal::new(format!("there is no file `{}`", path.display()))
            .hint("name a component, a folder with a plugin.toml, or the id of a plugin")
            .into());
    }
    let catalogue = context.survey();
    let entry = find(&catalogue, plugin)?;
    let candidate = match &entry.state {
        State::Ready(grant) => Candidate {
            found: entry.found.clone(),
            grant: grant.clone(),
        },
        // Nothing of the machine is in its reach here, so what nobody granted can be tried out too.
        _ => with_all_it_asks_for(entry.found.clone()),
    };
    unsandboxed(context, candidate)
}

/// To try native code out is to run it, which takes the same word of the user as to use it.
fn unsandboxed(context: &PluginContext, candidate: Candidate) -> anyhow::Result<Candidate> {
    context.check_native(&candidate.found.manifest)?;
    Ok(candidate)
}

fn with_all_it_asks_for(found: Found) -> Candidate {
    let request = &found.manifest.request;
    let grant = Grant::intersect(request, request);
    Candidate { found, grant }
}

/// A component without a manifest gets one that says what its exports say.
fn component(path: &Path, tables: &[Table]) -> anyhow::Result<Found> {
    let wasm = plugin_dir::read_component(path).map_err(dir_error)?;
    let inspection = inspect::check(&wasm.bytes).map_err(|error| {
        Fatal::new(format!("`{}` {}", path.display(), whole(&error))).hint(error.hint())
    })?;
    let kinds: BTreeSet<String> = inspection
        .kinds
        .iter()
        .map(|kind| format!("{:?}", kind.name()))
        .collect();
    let kinds: Vec<String> = kinds.into_iter().collect();
    let head = format!("id = \"{}\"\nkinds = [{}]\n", id_of(path), kinds.join(", "));
    without_manifest(&head, wasm, tables)
}

/// The same for a native library, which has its id in it.
fn library(path: &Path, tables: &[Table]) -> anyhow::Result<Found> {
    let library = plugin_dir::read_library(path).map_err(dir_error)?;
    let outline = outline::check(&library.bytes)
        .map_err(|error| Fatal::new(format!("`{}` {error}", path.display())).hint(error.hint()))?;
    let kinds: Vec<String> = outline
        .kinds
        .iter()
        .map(|kind| format!("{:?}", kind.name()))
        .collect();
    let head = format!(
        "id = {:?}\nkinds = [{}]\nnative = true\n",
        outline.id,
        kinds.join(", ")
    );
    without_manifest(&head, library, tables)
}

/// What a file is found as that has no manifest beside it; what it asks for is in the first table.
fn without_manifest(head: &str, wasm: Wasm, tables: &[Table]) -> anyhow::Result<Found> {
    let requests = tables.iter().find_map(Table::request_toml);
    let text = format!(
        "{head}version = \"0.0.0\"\napi = \"={}\"\n{}",
        dovetail_runtime::manifest::HOST_API,
        requests.unwrap_or_default()
    );
    let manifest = Manifest::parse(&text, Path::new("[request] of the table"))
        .map_err(|error| Fatal::new(error.to_string()))?;
    Ok(Found {
        manifest,
        scope: Scope::User,
        dir: None,
        wasm,
        files: Vec::new(),
    })
}

/// An id from a file's name.
fn id_of(path: &Path) -> PluginId {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let text: String = stem
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let fallback = || PluginId::parse("plugin").expect("letters are an id");
    PluginId::parse(text.trim_matches('-')).unwrap_or_else(|_| fallback())
}

/// The report for people.
fn render(report: &Report) -> String {
    let mut text = format!(
        "{} {} · {} · {}{}\n",
        report.id,
        report.version,
        report.kinds.join("+"),
        size(report.bytes),
        report
            .mark
            .map(|mark| format!(" · {mark}"))
            .unwrap_or_default()
    );
    let mut add = |label: &str, value: &str| text.push_str(&labelled(label, LABELS, value));
    add("contract", &format!("dovetail:plugin@{}", report.contract));
    if report.load_us > 0 {
        let time = |us| duration(Duration::from_micros(us));
        let again = match report.native {
            true => "again",
            false => "from the cache",
        };
        add(
            "load",
            &format!(
                "{} the first time, {} {again}",
                time(report.compile_us),
                time(report.load_us)
            ),
        );
    }
    for fact in &report.facts {
        add("", fact);
    }
    for timing in &report.timings {
        let time = |us| duration(Duration::from_micros(us));
        add(
            "time",
            &format!(
                "{}: half within {}, 95 % within {} of {} ms ({} calls)",
                timing.call,
                time(timing.p50_us),
                time(timing.p95_us),
                timing.limit_ms,
                timing.calls
            ),
        );
    }
    if report.most_memory_bytes > 0 {
        let (most, limit) = (
            size(report.most_memory_bytes),
            size(report.memory_limit_bytes),
        );
        add("memory", &format!("{most} of {limit}"));
    }
    for table in &report.tables {
        let passed = format!(
            "{}: {} of {} cases",
            table.file.display(),
            table.passed,
            table.cases
        );
        add("table", &passed);
    }
    for note in &report.notes {
        add("note", note);
    }
    for finding in &report.findings {
        let place = finding
            .place
            .as_ref()
            .map(|place| format!("{place} "))
            .unwrap_or_default();
        add(
            "fail",
            &format!("{place}`{}`: {}", finding.about, finding.problem),
        );
    }
    let verdict = match report.findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", hanging(&verdict, 0));
    text
}
