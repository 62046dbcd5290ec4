//! `dovetail resume`: goes on with a conversation, picked from a list where none is named.

use std::io::{BufRead, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use dovetail_store::ThreadSummary;

use crate::args::{ExecArgs, ExecCommand, ResumeArgs};
use crate::exec::{self, Stage};
use crate::fatal::Fatal;
use crate::plugin_cmd::layout::{WIDTH, table};
use crate::thread_cmd::{Here, Row, about};

/// How many threads are shown at once.
const SHOWN: usize = 15;
/// The columns before what a thread is about: the number, the age, the turns and the blanks between them.
const FIXED: usize = 2 + 2 + 5 + 2 + 5 + 2;

/// Runs the command.
///
/// # Errors
/// No thread was named and none can be picked; or whatever keeps the turn from starting.
pub(crate) async fn run(args: ResumeArgs) -> anyhow::Result<ExitCode> {
    let ResumeArgs {
        id,
        prompt,
        last,
        all,
        mut run,
    } = args;
    let (id, prompt) = if last || id.is_some() {
        (id, prompt)
    } else {
        let cwd = exec::working_directory(run.options.cd.as_deref())?;
        let threads = candidates((!all).then_some(cwd))?;
        let stdin = std::io::stdin();
        if !(stdin.is_terminal() && std::io::stderr().is_terminal()) {
            return Err(Fatal::new("there is no terminal to pick a thread on")
                .hint("name one: dovetail resume <id or name> \"…\", or take the newest: dovetail resume --last \"…\"")
                .hint("dovetail thread list shows them")
                .into());
        }
        let picked = pick(
            &threads,
            all,
            window_width(),
            &mut stdin.lock(),
            &mut std::io::stderr(),
        )?;
        // That is for runs that nobody watches; here somebody has just chosen what to go on with.
        run.options.skip_git_repo_check = true;
        let prompt = match prompt {
            Some(prompt) => prompt,
            None => ask(&mut stdin.lock(), &mut std::io::stderr())?,
        };
        (Some(picked), Some(prompt))
    };
    let command = ExecCommand::Resume {
        id,
        prompt,
        last,
        all,
        run: Box::default(),
    };
    let args = ExecArgs {
        command: Some(command),
        prompt: None,
        run,
    };
    exec::run(args, Stage::default()).await
}

/// The threads to choose from: those of a directory, or all.
fn candidates(cwd: Option<PathBuf>) -> anyhow::Result<Vec<ThreadSummary>> {
    let home = dovetail_config::codex_home()?;
    let mut here = Here::new(cwd.as_deref());
    let mut threads = dovetail_store::list_threads(&home)?.threads;
    threads.retain(|thread| !thread.archived && !thread.subagent && here.has(thread));
    if threads.is_empty() {
        return Err(dovetail_store::StoreError::Nothing { cwd }.into());
    }
    Ok(threads)
}

/// Shows a list until a number of it is chosen; any other words narrow it.
fn pick(
    threads: &[ThreadSummary],
    places: bool,
    width: usize,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> anyhow::Result<String> {
    let mut words = String::new();
    loop {
        let matching: Vec<&ThreadSummary> = threads
            .iter()
            .filter(|thread| matches(thread, &words))
            .collect();
        show(&matching, places, width, output)?;
        write!(output, "number, or words to filter by (empty to leave): ")?;
        output.flush()?;
        let mut line = String::new();
        let read = input.read_line(&mut line)?;
        let line = line.trim();
        if read == 0 {
            // The terminal has not ended the line.
            writeln!(output)?;
        }
        if read == 0 || (line.is_empty() && words.is_empty()) {
            return Err(Fatal::new("no thread was picked").into());
        }
        let number = line.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        match number.and_then(|index| matching.get(index)) {
            Some(thread) => return Ok(thread.id.to_string()),
            None => line.clone_into(&mut words),
        }
    }
}

/// The width of the window, as far as lists use it.
fn window_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    // One less: some terminals wrap when the last column is written.
    size.map_or(WIDTH, |(width, _)| usize::from(width.0).saturating_sub(1))
        .clamp(FIXED, WIDTH)
}

fn matches(thread: &ThreadSummary, words: &str) -> bool {
    let text = format!(
        "{} {} {} {}",
        thread.id,
        about(thread),
        thread.preview,
        thread.cwd.display()
    )
    .to_lowercase();
    words
        .to_lowercase()
        .split_whitespace()
        .all(|word| text.contains(word))
}

fn show(
    threads: &[&ThreadSummary],
    places: bool,
    width: usize,
    output: &mut impl Write,
) -> std::io::Result<()> {
    if threads.is_empty() {
        return writeln!(output, "nothing matches");
    }
    let now = SystemTime::now();
    let mut head = vec!["#", "age", "turns"];
    if places {
        head.push("in");
    }
    head.push("about");
    let rows: Vec<Vec<String>> = threads
        .iter()
        .take(SHOWN)
        .zip(1..)
        .map(|(thread, number)| {
            let mut cells = vec![number.to_string()];
            cells.extend(Row::of(thread, now, places, width - FIXED).short());
            cells
        })
        .collect();
    write!(output, "{}", table(&head, &rows))?;
    match threads.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(output, "… and {more} more"),
    }
}

/// Asks what to say.
fn ask(input: &mut impl BufRead, output: &mut impl Write) -> anyhow::Result<String> {
    write!(output, "› ")?;
    output.flush()?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    match line.trim() {
        "" => Err(Fatal::new("there is no prompt").into()),
        prompt => Ok(prompt.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use dovetail_core::ids::ThreadId;

    use super::*;

    fn thread(preview: &str, name: Option<&str>) -> ThreadSummary {
        ThreadSummary {
            id: ThreadId::generate(),
            path: "/h/x.jsonl".into(),
            archived: false,
            size: 1,
            modified: SystemTime::now(),
            created: None,
            cwd: "/work/project".into(),
            source: "exec".to_owned(),
            subagent: false,
            thread_source: None,
            originator: String::new(),
            provider_id: String::new(),
            model: String::new(),
            forked_from: None,
            parent_thread_id: None,
            preview: preview.to_owned(),
            turns: 3,
            name: name.map(str::to_owned),
        }
    }

    /// What is picked after typing this, and what was shown until then.
    fn typed(threads: &[ThreadSummary], input: &str) -> (Option<String>, String) {
        let mut output = Vec::new();
        let picked = pick(threads, false, 80, &mut Cursor::new(input), &mut output).ok();
        (picked, String::from_utf8(output).expect("text"))
    }

    #[test]
    fn a_number_picks_from_what_is_shown() {
        let threads = [thread("fix the test", None), thread("write docs", None)];
        let (picked, shown) = typed(&threads, "2\n");
        assert_eq!(picked, Some(threads[1].id.to_string()));
        assert!(
            shown.starts_with(
                "#  age  turns  about\n1  0 s  3      fix the test\n2  0 s  3      write docs\n"
            ),
            "{shown}"
        );
    }

    #[test]
    fn words_narrow_the_list_and_numbers_then_count_in_it() {
        let threads = [
            thread("fix the test", None),
            thread("x", Some("the docs")),
            thread("write docs", None),
        ];
        assert_eq!(
            typed(&threads, "DOCS\n2\n").0,
            Some(threads[2].id.to_string())
        );
        let (picked, shown) = typed(&threads, "nowhere\n\n");
        assert!(shown.contains("nothing matches\n"), "{shown}");
        assert_eq!(
            picked, None,
            "an empty line after a filter shows all, then the input ends"
        );
    }

    #[test]
    fn lines_are_as_long_as_the_window_is_wide() {
        let long =
            "fix the parser in the module that reads what the other program has written there";
        for width in [40, 60, 79] {
            let mut output = Vec::new();
            let (threads, mut input) = ([thread(long, None)], Cursor::new("1\n"));
            pick(&threads, false, width, &mut input, &mut output).expect("it is picked");
            let shown = String::from_utf8(output).expect("text");
            let row = shown.lines().nth(1).expect("a row").chars().count();
            assert!(row <= width && row + 12 > width, "{width}: {shown}");
        }
    }

    #[test]
    fn nothing_is_picked_by_leaving() {
        let threads = [thread("a", None)];
        assert_eq!(typed(&threads, "\n").0, None);
        assert_eq!(typed(&threads, "").0, None);
        assert_eq!(typed(&threads, "7\n").0, None, "there is no seventh");
    }
}
