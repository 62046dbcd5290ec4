//! The change of config.toml: made, checked by reading it as a configuration, shown without anybody's secrets.

use std::io::{BufRead, IsTerminal as _};
use std::path::Path;

use dovetail_config::{Config, EditError, UserFile, load_with_user_text, mask_line};
use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use super::AddArgs;
use super::page::Page;
use crate::config_cmd::place_text;
use crate::fatal::Fatal;
use crate::render::Ink;
use crate::terminal_text::visible;
use crate::{exec, out};

/// Lines around what changes.
const AROUND: usize = 2;

/// A change that is to be made.
#[derive(Debug)]
pub(super) struct Change {
    file: UserFile,
    /// The keys of lines that are ours alone.
    keys: Vec<String>,
    /// What of it will not have the effect that it looks like.
    pub(super) warnings: Vec<String>,
}

/// Fails where a table of this id cannot be written, before anybody is asked anything.
///
/// # Errors
/// There is one already, or another layer has it.
pub(super) fn check_free(
    home: &Path,
    config: &Config,
    id: &str,
    replace: bool,
) -> anyhow::Result<()> {
    let Some(place) = config.place(&["model_providers", id]) else {
        return Ok(());
    };
    let own = UserFile::open(home).map_err(told)?;
    let here = own.has_provider(id);
    if here && replace {
        return Ok(());
    }
    let fatal = Fatal::new(format!(
        "there is a provider `{id}` already, in {}",
        place_text(&place)
    ));
    Err(match here {
        true => fatal
            .hint("replace its table: --replace")
            .hint("or choose another id: --id"),
        // What a stronger or a weaker layer says would be mixed with it.
        false => fatal.hint("choose another id: --id"),
    }
    .into())
}

impl Change {
    /// Makes the change, and reads what comes of it as every command would.
    ///
    /// # Errors
    /// The file cannot be changed like this, or would be no configuration any more.
    pub(super) fn make(
        home: &Path,
        cwd: &Path,
        args: &AddArgs,
        id: &str,
        table: &Map<String, Value>,
        model: &str,
    ) -> anyhow::Result<Self> {
        let mut file = UserFile::open(home).map_err(told)?;
        file.put_provider(id, table, args.replace).map_err(told)?;
        if args.select {
            file.set("model_provider", id).map_err(told)?;
            file.set("model", model).map_err(told)?;
        }
        let text = file.text().to_owned();
        let config = exec::load_config_by(home, cwd, &args.config, |request| {
            load_with_user_text(request, &text)
        })?;
        let keys = table.keys().map(String::as_str);
        let keys = keys.chain(["model", "model_provider"]);
        Ok(Self {
            warnings: warnings(&config, args, id, table),
            keys: keys.map(str::to_owned).collect(),
            file,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The change as people know it from version control. What is there already is shown without values that may be secret.
    pub(super) fn diff(&self, page: Page) -> String {
        let diff = TextDiff::from_lines(self.file.original(), self.file.text());
        let mut text = format!("{}\n", visible(&self.path().display().to_string()));
        for hunk in diff.unified_diff().context_radius(AROUND).iter_hunks() {
            let head = hunk.header().to_string();
            text.push_str(&format!("{}\n", page.style.paint(Ink::Dim, &head)));
            for change in hunk.iter_changes() {
                let line = change.value().trim_end_matches(['\r', '\n']);
                let (line, ink) = match change.tag() {
                    ChangeTag::Equal => (format!(" {}", mask_line(line)), Ink::Dim),
                    ChangeTag::Delete => (format!("-{}", mask_line(line)), Ink::Bad),
                    ChangeTag::Insert if self.is_ours(line) => (format!("+{line}"), Ink::Good),
                    ChangeTag::Insert => (format!("+{}", mask_line(line)), Ink::Good),
                };
                text.push_str(&format!("{}\n", page.style.paint(ink, &visible(&line))));
            }
        }
        text
    }

    /// Whether nobody else's words are in a line. Where tables stand in one line, those of others are in it, too.
    fn is_ours(&self, line: &str) -> bool {
        let key = line.split_once(" = ").map(|(key, _)| key);
        line.is_empty()
            || line.starts_with("[model_providers.")
            || key.is_some_and(|key| self.keys.iter().any(|own| own == key))
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file was changed meanwhile, or cannot be written.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        Ok(self.file.write().map_err(told)?)
    }
}

/// What another layer decides instead.
fn warnings(config: &Config, args: &AddArgs, id: &str, table: &Map<String, Value>) -> Vec<String> {
    let mut warnings = Vec::new();
    let own = Value::Object(table.clone());
    if config.model_providers.get(id) != Some(&own) {
        warnings.push(format!(
            "another layer of the configuration changes `model_providers.{id}`"
        ));
    }
    if args.select && config.model_provider != id {
        let place = config.place(&["model_provider"]);
        let place = place.map_or_else(|| "another layer".to_owned(), |place| place_text(&place));
        warnings.push(format!(
            "`{}` stays the chosen provider: {place} says so",
            config.model_provider
        ));
    }
    warnings
}

fn told(error: EditError) -> Fatal {
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
    let fatal = Fatal::new(format!("{error}{cause}"));
    match error {
        EditError::Config(error) => error.hint().into_iter().fold(fatal, Fatal::hint),
        EditError::Exists { .. } => fatal
            .hint("replace it: --replace")
            .hint("or choose another id: --id"),
        EditError::Changed { .. } => fatal.hint("nothing was written: try again"),
        EditError::InTheWay { .. } => fatal.hint("correct it by hand; nothing was written"),
        EditError::ReadOnly { path } => fatal
            .hint(format!(
                "nothing was written; to allow it: chmod u+w {}",
                path.display()
            ))
            .hint("or add the table elsewhere by hand: --dry-run shows it"),
        EditError::Write { .. } => {
            fatal.hint("nothing was written; --dry-run shows the table, to add it by hand")
        }
        EditError::Malformed { .. } => fatal,
    }
}

/// Whether there is somebody to ask.
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks whether to write it.
///
/// # Errors
/// The answer cannot be read.
pub(super) fn ask() -> std::io::Result<bool> {
    answer(&mut std::io::stdin().lock())
}

fn answer(input: &mut dyn BufRead) -> std::io::Result<bool> {
    loop {
        out::stderr("write it? [y]es · [n]o ");
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" | "" => return Ok(false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for (text, expected) in [
            ("y\n", true),
            ("what\nYES\n", true),
            ("\n", false),
            ("", false),
            ("n\n", false),
        ] {
            assert_eq!(
                answer(&mut text.as_bytes()).expect("readable"),
                expected,
                "{text}"
            );
        }
    }
}
