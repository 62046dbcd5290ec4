//! `dovetail demo`: everything at work on a small project, offline.
//!
//! Only the model is played; the rest is the real path: the `openai` plugin's key, HTTP, streaming, a hook, a tool
//! server, the sandboxed shell, the patch tool and a sink, in a temporary home.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use dovetail_rehearsal::{RehearsalServer, Script};

use crate::args::{ConfigOverrides, DemoArgs, ExecArgs, ExecOptions, RunOptions, SandboxArg};
use crate::exec::{self, Stage};
use crate::fatal::Fatal;
use crate::{builtins, out, plugins};

const SCRIPT: &str = include_str!("../demo/fix-greeting.toml");
const PROJECT: &[(&str, &str)] = &[
    ("greet.sh", include_str!("../demo/project/greet.sh")),
    ("test.sh", include_str!("../demo/project/test.sh")),
    (
        "notes/style.md",
        include_str!("../demo/project/notes/style.md"),
    ),
];
/// What the script's server expects, so that the demo shows a key on its way.
const KEY: &str = "rehearsal-key";
const PROMPT: &str = "fix the failing test";

/// Runs the demo.
///
/// # Errors
/// The stage could not be set, or the play did not go as written.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let stage = tempfile::Builder::new()
        .prefix("dovetail-demo-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    let (home, project) = (stage.path().join("home"), stage.path().join("project"));
    let script = Script::parse(SCRIPT).context("the demo's own script is damaged")?;
    let server = RehearsalServer::start(script)
        .await
        .context("cannot serve the rehearsal on loopback")?;
    set_the_stage(&home, &project, &server.base_url())?;
    let events = home.join("dovetail/events/events.jsonl");
    let sandboxed = dovetail_sandbox::status().is_available();
    if !args.json {
        out::stderr(&opening(sandboxed));
    }
    let after_events = events.clone();
    let json = args.json;
    let code = exec::run(
        exec_args(&project, args.json, sandboxed),
        Stage {
            home: Some(home),
            without_keys: true,
            passing: true,
            after: Some(Box::new(move |house| {
                if !json {
                    out::stderr(&closing(house, &after_events));
                }
            })),
        },
    )
    .await?;
    let report = server.stop().await;
    if args.keep {
        out::stderr(&format!("kept: {}\n", stage.keep().display()));
    }
    if !report.is_success() {
        return Err(Fatal::new(format!("the rehearsal did not go as written: {report}")).into());
    }
    Ok(code)
}

fn exec_args(project: &Path, json: bool, sandboxed: bool) -> ExecArgs {
    let sandbox = match sandboxed {
        true => SandboxArg::WorkspaceWrite,
        false => SandboxArg::DangerFullAccess,
    };
    let options = ExecOptions {
        sandbox: Some(sandbox),
        cd: Some(project.to_owned()),
        skip_git_repo_check: true,
        json,
        strict: true,
        ..ExecOptions::default()
    };
    ExecArgs {
        command: None,
        prompt: Some(PROMPT.to_owned()),
        run: RunOptions {
            config: ConfigOverrides::default(),
            options,
        },
    }
}

fn set_the_stage(home: &Path, project: &Path, base_url: &str) -> anyhow::Result<()> {
    for (name, text) in PROJECT {
        let path = project.join(name);
        fs::create_dir_all(path.parent().unwrap_or(project))
            .context("cannot make the demo's project")?;
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    fs::create_dir_all(home.join("dovetail/events")).context("cannot make the demo's home")?;
    let config = format!(
        "model = \"gpt-5.5\"\nopenai_base_url = \"{base_url}\"\n\n\
         [dovetail.plugins.jsonl-sink]\nenabled = true\n\
         config = {{ path = \"{}\" }}\n",
        home.join("dovetail/events/events.jsonl").display()
    );
    fs::write(home.join("config.toml"), config).context("cannot write the demo's configuration")?;
    write_private(
        &home.join("auth.json"),
        &format!("{{\"OPENAI_API_KEY\":\"{KEY}\"}}"),
    )?;
    for guest in builtins::DEMO {
        plugins::install_embedded(home, guest)?;
    }
    Ok(())
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

fn opening(sandboxed: bool) -> String {
    let mut text = String::from("dovetail demo · offline rehearsal, nothing leaves this machine\n");
    text.push_str(
        "  project   greeting (1 failing test)          model  rehearsal script `fix-greeting`\n",
    );
    if !sandboxed {
        text.push_str(
            "  sandbox   this kernel has none, so the demo's own two commands run without\n",
        );
    }
    text.push('\n');
    text
}

fn closing(house: &plugins::House, events: &PathBuf) -> String {
    let mut text = String::from("\n");
    text.push_str(&house.table());
    let count = fs::read_to_string(events).map_or(0, |text| text.lines().count());
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{count} events were delivered to the sink's file.");
    text.push_str("\nnext: OPENAI_API_KEY=… dovetail exec \"explain this repository\"\n");
    text.push_str(
        "      dovetail exec -c model_provider=ollama -m MODEL \"…\"      a local server\n",
    );
    text.push_str("      README.md, \"Your first plugin in five minutes\"\n");
    text
}
