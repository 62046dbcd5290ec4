//! What `exec` prints: JSON lines, or a transcript for people and the answer alone on standard output.

use std::fs::OpenOptions;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dovetail_config::env;
use dovetail_core::event::{Observer, ThreadInfo, TurnSettings};
use dovetail_core::ids::ThreadId;
use dovetail_core::turn::{Prompt, TurnOutcome};

use crate::args::{ColorArg, ExecOptions};
use crate::exec_json::ExecJson;
use crate::fatal::Fatal;
use crate::identity::VERSION;
use crate::out::Stdout;
use crate::render::{self, Banner, Look, Reader, Style, Thinking, Transcript};
use crate::status_line::{StatusLine, WithStatusLine};
use crate::{exec, out};

/// Prints one run.
pub(crate) struct Printer {
    thread_id: ThreadId,
    /// Where the thread is kept; there may be no file of that name yet.
    file: Option<PathBuf>,
    form: Form,
}

enum Form {
    Json(Box<ExecJson<Stdout>>),
    /// The observer was taken; nothing is left to print but the end.
    JsonTaken,
    Text {
        look: Look,
        banner: String,
    },
}

impl Printer {
    /// Decides how to print.
    pub(crate) fn new(
        options: &ExecOptions,
        info: &ThreadInfo,
        settings: &TurnSettings,
        origin: &str,
        file: Option<PathBuf>,
        thinking: Thinking,
    ) -> Self {
        let form = if options.json {
            Form::Json(Box::new(ExecJson::new(Stdout)))
        } else {
            let style = style(options.color);
            let banner = Banner {
                version: VERSION,
                workdir: &settings.cwd,
                model: &settings.model,
                effort: settings.effort.as_deref(),
                provider: &settings.provider_id,
                sandbox: &settings.sandbox_mode,
                network: settings.network_access,
                approvals: &settings.approval_policy,
                thread_id: info.thread_id,
                origin,
            };
            let look = Look {
                style,
                reader: reader(),
                cwd: settings.cwd.clone(),
                thinking,
            };
            Form::Text {
                banner: banner.text(style),
                look,
            }
        };
        Self {
            thread_id: info.thread_id,
            file,
            form,
        }
    }

    /// Says what is about to happen.
    pub(crate) fn begin(&mut self, prompt: &Prompt, warnings: &[String]) {
        match &mut self.form {
            Form::Json(json) => {
                json.thread_started(self.thread_id);
                for warning in warnings {
                    json.warning(warning);
                }
            }
            Form::JsonTaken => {}
            Form::Text { look, banner } => {
                let style = look.style;
                out::stderr(banner);
                for warning in warnings {
                    // A hint belongs to the warning above it.
                    match warning.strip_prefix("hint: ") {
                        Some(hint) => out::stderr(&format!("hint: {hint}\n")),
                        None => out::stderr(&render::warning(style, warning)),
                    }
                }
                let images = prompt.images.iter().map(|image| image.path.as_path());
                out::stderr(&render::prompt(style, &prompt.text, images));
            }
        }
    }

    /// The observer that prints as things happen.
    pub(crate) fn observer(&mut self) -> Box<dyn Observer> {
        match std::mem::replace(&mut self.form, Form::JsonTaken) {
            Form::Json(json) => json,
            Form::JsonTaken => Box::new(ExecJson::new(Stdout)),
            Form::Text { look, banner } => {
                let observer: Box<dyn Observer> =
                    if std::io::stderr().is_terminal() && !dumb_terminal() {
                        let (line, above) = StatusLine::start(std::io::stderr());
                        let transcript = Transcript::new(above, Stdout, &look);
                        Box::new(WithStatusLine { line, transcript })
                    } else {
                        Box::new(Transcript::new(std::io::stderr(), Stdout, &look))
                    };
                self.form = Form::Text { look, banner };
                observer
            }
        }
    }

    /// Says how to go on, and writes the answer to a file where one was asked for.
    ///
    /// # Errors
    /// The file for the answer cannot be written.
    pub(crate) fn end(
        &mut self,
        outcome: &TurnOutcome,
        answer_file: Option<&Path>,
        farewell: bool,
    ) -> anyhow::Result<ExitCode> {
        let answer = match outcome {
            TurnOutcome::Completed(Some(answer)) => answer.as_str(),
            TurnOutcome::Completed(None)
            | TurnOutcome::Failed(_)
            | TurnOutcome::Interrupted
            | TurnOutcome::Unrecorded(_) => "",
        };
        if let (Form::Text { look, .. }, true) = (&self.form, farewell) {
            let kept = self.file.as_deref().is_some_and(Path::exists);
            out::stderr(&render::farewell(look.style, self.thread_id, kept));
        }
        if let Some(path) = answer_file {
            std::fs::write(path, answer).map_err(|error| unwritable(path, &error))?;
        }
        Ok(exec::exit_code(outcome))
    }
}

/// Looks whether the file for the answer can be written, before a turn is paid for.
///
/// # Errors
/// It cannot.
pub(crate) fn check_answer_file(path: &Path) -> anyhow::Result<()> {
    let metadata = path.metadata();
    if metadata.is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        // To open a pipe and close it again would end it for its reader.
        return Ok(());
    }
    let opened = OpenOptions::new().create(true).append(true).open(path);
    Ok(opened.map(drop).map_err(|error| unwritable(path, &error))?)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Fatal {
    Fatal::new(format!(
        "cannot write the answer to `{}`: {error}",
        path.display()
    ))
}

/// Says that a fork was made in which nothing was said yet.
pub(crate) fn forked(options: &ExecOptions, thread_id: ThreadId, warnings: &[String]) {
    if options.json {
        let mut json = ExecJson::new(Stdout);
        json.thread_started(thread_id);
        for warning in warnings {
            json.warning(warning);
        }
        return;
    }
    let style = style(options.color);
    for warning in warnings {
        out::stderr(&render::warning(style, warning));
    }
    out::stdout(&format!("{thread_id}\n"));
    out::stderr(&render::farewell(style, thread_id, true));
}

fn style(when: Option<ColorArg>) -> Style {
    let wanted =
        || std::io::stderr().is_terminal() && env::NO_COLOR.get_os().is_none() && !dumb_terminal();
    match when.unwrap_or(ColorArg::Auto) {
        ColorArg::Always => Style::Coloured,
        ColorArg::Never => Style::Plain,
        ColorArg::Auto if wanted() => Style::Coloured,
        ColorArg::Auto => Style::Plain,
    }
}

/// On a terminal that shows both streams the answer is part of the transcript.
fn reader() -> Reader {
    if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
        Reader::Person
    } else {
        Reader::Program
    }
}

fn dumb_terminal() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}
