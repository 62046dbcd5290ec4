//! `dovetail provider add`: what a server speaks is found out, shown as a change, and written.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use dovetail_config::Config;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::change::{self, Change};
use super::draft::Draft;
use super::find::{Found, Search, with_hints};
use super::known::Speaks;
use super::model_list;
use super::network::Way;
use super::page::Page;
use super::step::Failed;
use super::{AddArgs, WireArg};
use crate::fatal::{self, Fatal};
use crate::plugins::ProviderPlugins;
use crate::terminal_text::visible;
use crate::{exec, interrupt, out};

pub(super) async fn run(args: AddArgs) -> anyhow::Result<ExitCode> {
    let address = Address::parse(&args.url)?;
    let draft = Draft::of(&args, &address)?;
    if !args.yes && !args.dry_run && !change::can_ask() {
        return Err(
            Fatal::new("this needs a decision, and there is no terminal to ask on")
                .hint("look at it first: --dry-run")
                .hint("write it without asking: --yes")
                .into(),
        );
    }
    let home = dovetail_config::codex_home()?;
    let cwd = std::env::current_dir()?;
    let config = exec::load_config(&home, &cwd, &args.config)?;
    change::check_free(&home, &config, &draft.id, args.replace)?;
    check_unserved(&config, &draft.id).await?;

    let cancel = CancellationToken::new();
    let interrupts = interrupt::watch(cancel.clone());
    let looking = look(&args, &config, &draft, &address, cancel.clone());
    let looked = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Fatal::new("interrupted; nothing was written").into()),
        looked = tokio::time::timeout(args.limit.duration(), looking) => {
            looked.unwrap_or_else(|_elapsed| Err(late(&args).into()))
        }
    };
    interrupts.finished();
    dovetail_runtime::process::end_all();
    let looked = looked?;

    let table = draft.table(&looked.found.base_url, looked.found.speaks);
    let change = Change::make(&home, &cwd, &args, &draft.id, &table, &looked.found.model)?;
    let mut outcome = Added {
        args: &args,
        id: &draft.id,
        table,
        looked,
        change,
        written: false,
    };
    outcome.decide()
}

fn late(args: &AddArgs) -> Fatal {
    let seconds = args.limit.seconds;
    Fatal::new(format!(
        "the server was not found out about within {seconds} s; nothing was written"
    ))
    .hint(format!(
        "a model that is slow to load may need more: --timeout {}",
        seconds.saturating_mul(3)
    ))
}

/// Asks whether to write it. An interrupt meanwhile ends the process: somebody else has to wait for that, as this thread
/// waits for a line.
fn asked() -> std::io::Result<bool> {
    tokio::task::block_in_place(change::ask)
}

/// A plugin that names the id would serve the table, whatever it says.
async fn check_unserved(config: &Config, id: &str) -> anyhow::Result<()> {
    let mut config = config.clone();
    // Any that needs no table of its own: only what is installed counts here.
    "ollama".clone_into(&mut config.model_provider);
    let plugins = ProviderPlugins::load(&config).await?;
    let serving = plugins.served_ids().find(|(served, _)| *served == id);
    match serving {
        Some((_, plugin)) => Err(Fatal::new(format!(
            "`{id}` is served by the plugin `{}`, which speaks for itself",
            plugin.id()
        ))
        .hint("choose another id: --id")
        .into()),
        None => Ok(()),
    }
}

/// What was found out.
struct Looked {
    found: Found,
    /// What came of each attempt, for programs.
    attempts: Value,
    exposed: bool,
}

async fn look(
    args: &AddArgs,
    config: &Config,
    draft: &Draft,
    address: &Address,
    cancel: CancellationToken,
) -> anyhow::Result<Looked> {
    let page = (!args.json).then(Page::of_stderr);
    let way = Way::to(address.url().clone(), "the command line".to_owned(), None);
    if page.is_some() {
        out::stderr(&format!("looking at {}\n", address.url()));
    }
    reach(&way)
        .await
        .map_err(|failed| with_hints(Fatal::new(failed.fact), &failed.fix))?;
    let mut search = Search::new(config, draft, address, cancel);
    search.page = page;
    search.model.clone_from(&args.model);
    if let Some(wire) = args.wire {
        search.order = vec![match wire {
            WireArg::Responses => Speaks::Responses,
            WireArg::Chat => Speaks::Chat,
            WireArg::Messages => Speaks::Messages,
        }];
    }
    let found = search.run().await?;
    let attempts = search.attempts().iter().map(|attempt| {
        json!({
            "base_url": attempt.base_url,
            "wire": attempt.speaks.word(),
            "outcome": attempt.came.word(),
            "message": attempt.words,
        })
    });
    Ok(Looked {
        attempts: attempts.collect(),
        found,
        exposed: way.is_exposed(),
    })
}

async fn reach(way: &Way) -> Result<(), Failed> {
    let addresses = way.dns().await?.value;
    way.tcp(&addresses).await?;
    let (through, tls) = way.beyond().await;
    through?;
    tls.transpose()?;
    Ok(())
}

/// A change, ready to be written.
struct Added<'a> {
    args: &'a AddArgs,
    id: &'a str,
    table: Map<String, Value>,
    looked: Looked,
    change: Change,
    written: bool,
}

impl Added<'_> {
    /// Shows it, asks where somebody has to be asked, and writes it.
    fn decide(&mut self) -> anyhow::Result<ExitCode> {
        let args = self.args;
        for warning in self.warnings() {
            if !args.json {
                out::stderr(&format!("warning: {}\n", visible(&warning)));
            }
        }
        if !args.json {
            out::stdout(&self.found_text());
            out::stdout(&self.change.diff(Page::of_stdout()));
        }
        let asking = !args.yes && !args.dry_run;
        if asking && (args.json || !std::io::stdout().is_terminal()) {
            // Whoever decides has to see it.
            out::stderr(&self.change.diff(Page::of_stderr()));
        }
        let write = !args.dry_run && (args.yes || asked()?);
        if write {
            self.change.write()?;
            self.written = true;
        }
        out::stdout(&match args.json {
            true => format!("{:#}\n", self.json()),
            false => self.last_words(),
        });
        let code = match write || args.dry_run {
            true => fatal::OK,
            false => fatal::FAILED,
        };
        Ok(ExitCode::from(code))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.looked.exposed {
            warnings.push(
                "http:// is not encrypted: whoever is on the way can read key and conversation"
                    .to_owned(),
            );
        }
        if let Some(why) = &self.looked.found.without_tools {
            warnings.push(format!(
                "`{}` calls no tools here, which turns need: {why}",
                self.looked.found.model
            ));
        }
        if !self.looked.found.streams {
            warnings.push(
                "this server does not stream: nothing is seen until an answer is whole".to_owned(),
            );
        }
        warnings.extend(self.change.warnings.iter().cloned());
        warnings
    }

    fn found_text(&self) -> String {
        let found = &self.looked.found;
        let models = match found.models.len() {
            0 => "it lists no models".to_owned(),
            count => format!("{count} models: {}", model_list::some(&found.models)),
        };
        let text = format!(
            "{} at {}; {models}; `{}` answered",
            found.speaks.name(),
            found.base_url,
            found.model
        );
        Page::of_stdout().indented(0, &text)
    }

    fn last_words(&self) -> String {
        if self.args.dry_run {
            return "nothing was written: --dry-run\n".to_owned();
        }
        if !self.written {
            return "nothing was written\n".to_owned();
        }
        let mut text = "written\n".to_owned();
        for (index, command) in self.next().iter().enumerate() {
            let label = if index == 0 { "next: " } else { "      " };
            text.push_str(&format!("{label}{}\n", visible(command)));
        }
        text
    }

    /// What to do with it.
    fn next(&self) -> Vec<String> {
        let (id, model) = (self.id, &self.looked.found.model);
        let model = shlex::try_quote(model).unwrap_or_default();
        let exec = match self.args.select {
            true => "dovetail exec \"hello\"".to_owned(),
            false => format!("dovetail exec -c model_provider={id} -m {model} \"hello\""),
        };
        vec![exec, format!("dovetail provider test {id}")]
    }

    fn json(&self) -> Value {
        let found = &self.looked.found;
        json!({
            "id": self.id,
            "written": self.written,
            "path": self.change.path().display().to_string(),
            "table": self.table,
            "selected": self.args.select,
            "found": {
                "wire": found.speaks.word(),
                "base_url": found.base_url,
                "models": found.models,
                "model": found.model,
                "streaming": found.streams,
                "tools": found.without_tools.is_none(),
            },
            "attempts": self.looked.attempts,
            "warnings": self.warnings(),
            "next": self.next(),
        })
    }
}
