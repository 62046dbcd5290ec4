//! Looking for damage, and mending files while keeping what they were.

use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use dovetail_core::ids::ThreadId;
use serde_json::{Value, json};

use crate::damage::{Damage, Problem};
use crate::error::StoreError;
use crate::files::Files;
use crate::lineage::{self, Part};
use crate::lines::Line;
use crate::lock::WriterLock;
use crate::parse::Record;
use crate::place::{Compression, FileName};
use crate::walk::Walk;
use crate::{names, place};

/// What was found in a file.
#[derive(Debug)]
pub struct Checked {
    /// The file.
    pub path: PathBuf,
    /// Its thread, where it tells.
    pub thread: Option<ThreadId>,
    /// How many lines could be read.
    pub good_lines: u64,
    /// What could not, in order.
    pub findings: Vec<Finding>,
    /// Why the file as a whole cannot be used: it is no thread, or what it begins in is missing.
    pub unusable: Option<StoreError>,
    /// Whether [`repair`] can do anything about it.
    pub repairable: bool,
}

impl Checked {
    /// Whether nothing is wrong with it.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.unusable.is_none()
    }
}

/// A damaged line, and what it held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line.
    pub damage: Damage,
    /// What was lost with it, as far as can be told, such as `a message of the assistant`.
    pub lost: String,
}

/// The files to check: those of one thread, or all of a home.
///
/// # Errors
/// A directory cannot be listed; or there is no such thread.
pub fn files_to_check(home: &Path, thread: Option<ThreadId>) -> Result<Vec<PathBuf>, StoreError> {
    let files = Files::scan(home)?;
    let wanted = |id: ThreadId| thread.is_none_or(|thread| thread == id);
    let mut paths: Vec<PathBuf> = files
        .all()
        .iter()
        .filter(|file| wanted(file.name.thread))
        .map(|file| file.path.clone())
        .collect();
    paths.sort();
    match thread {
        Some(id) if paths.is_empty() => Err(StoreError::NotFound {
            id,
            sessions: place::sessions(home),
        }),
        Some(_) | None => Ok(paths),
    }
}

/// Lines of the file of names that cannot be read, from 1.
///
/// # Errors
/// The file is there but cannot be read.
pub fn check_names(home: &Path) -> Result<(PathBuf, Vec<u64>), StoreError> {
    Ok((names::path(home), names::damaged_lines(home)?))
}

/// Reads all of a file and says what is wrong with it.
pub fn check_file(path: &Path) -> Checked {
    let mut checked = Checked {
        path: path.to_owned(),
        thread: None,
        good_lines: 0,
        findings: Vec::new(),
        unusable: None,
        repairable: false,
    };
    if let Err(error) = look_through(path, &mut checked) {
        // What has not one line of a thread can be put aside.
        checked.repairable |= matches!(&error, StoreError::NoMeta { .. });
        checked.unusable = Some(error);
    }
    checked
}

/// Files that nobody reads because another one of the same thread counts, with that one: somebody copied them.
///
/// # Errors
/// A directory cannot be listed.
pub fn copies(home: &Path) -> Result<Vec<(PathBuf, PathBuf)>, StoreError> {
    let files = Files::scan(home)?;
    let mut copies: Vec<(PathBuf, PathBuf)> = files
        .all()
        .iter()
        .filter_map(|file| {
            let counts = files.rollout(file.name.rollout)?;
            (counts != file).then(|| (file.path.clone(), counts.path.clone()))
        })
        .collect();
    copies.sort();
    Ok(copies)
}

fn look_through(path: &Path, checked: &mut Checked) -> Result<(), StoreError> {
    let part = Part::open(path)?;
    checked.thread = ThreadId::parse(&part.meta.id).ok();
    let mut walk = Walk::default();
    let read = walk.part(&part, |_| {
        checked.good_lines += 1;
        Ok::<(), Infallible>(())
    })?;
    read.unwrap_or_else(|never| match never {});
    walk.damage.sort_by_key(|damage| damage.line);
    checked.repairable = !walk.damage.is_empty();
    checked.findings = describe_all(&part, walk.damage)?;
    // The files it begins in are checked on their own; here it matters that they are there.
    lineage::parts(part).map(|_| ())
}

/// Reads the damaged lines again to say what they held.
fn describe_all(part: &Part, damage: Vec<Damage>) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::with_capacity(damage.len());
    let mut damage = damage.into_iter().peekable();
    let mut lines = part.lines()?;
    while damage.peek().is_some() {
        // Where it cannot be read on, the rest has no text to look at.
        let Ok(Some((line, text))) = lines.next() else {
            break;
        };
        if let Some(damage) = damage.next_if(|damage| damage.line == line.number) {
            let lost = match damage.problem {
                Problem::NoMeta => "where and how the thread began".to_owned(),
                Problem::OtherThread { .. } => "nothing: the file's name counts".to_owned(),
                Problem::Torn
                | Problem::Unreadable(_)
                | Problem::TooLong
                | Problem::Unpackable
                | Problem::EndsEarly { .. } => what_it_held(text),
            };
            findings.push(Finding { damage, lost });
        }
    }
    findings.extend(damage.map(|damage| Finding {
        damage,
        lost: "everything from there on".to_owned(),
    }));
    Ok(findings)
}

/// How much of a line is looked at for what it is.
const HEAD: usize = 4096;

/// What a line held, told from the words that are left of it.
fn what_it_held(text: &[u8]) -> String {
    let head = String::from_utf8_lossy(&text[..text.len().min(HEAD)]);
    let words = |key: &str| -> Vec<String> {
        let found = head.match_indices(key).filter_map(|(at, _)| {
            let rest = head[at + key.len()..].trim_start().strip_prefix(':')?;
            let word = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            (word.len() < 40).then(|| word.to_owned())
        });
        found.collect()
    };
    let (kinds, roles) = (words("\"type\""), words("\"role\""));
    let inner = kinds.get(1).map_or("unknown", String::as_str);
    match (kinds.first().map(String::as_str), roles.first()) {
        (Some("response_item"), Some(role)) => format!("a message of the {role}"),
        (Some("response_item"), None) => format!("an item `{inner}`"),
        (Some("event_msg"), _) => format!("an event `{inner}`"),
        (Some("session_meta"), _) => "what the thread is (`session_meta`)".to_owned(),
        (Some(kind), _) => format!("a line `{kind}`"),
        (None, _) => "nothing that can be told".to_owned(),
    }
}

/// What a repair left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// The mended file; none where there was not one line to keep.
    pub path: Option<PathBuf>,
    /// The file as it was.
    pub original: PathBuf,
}

/// Writes a file anew without what cannot be read, and keeps the file as it was beside it.
///
/// A damaged line becomes a blank one of the same length, because forks find their beginning by its place in the file.
///
/// # Errors
/// The thread is in use, or something cannot be written; the file is then as it was.
pub fn repair(path: &Path) -> Result<Repaired, StoreError> {
    let part = match Part::open(path) {
        Err(StoreError::NoMeta { .. }) => return put_aside(path),
        part => part?,
    };
    let thread = ThreadId::parse(&part.meta.id).map_err(|_| StoreError::NoMeta {
        path: path.to_owned(),
    })?;
    let _lock = WriterLock::take(place::home_of(path), thread)?;
    let mended = match part.compression {
        Compression::None => path.to_owned(),
        Compression::Zstd => path.with_extension(""),
    };
    let temporary = path.with_extension("mending");
    let written = write_mended(&part, &temporary);
    written.inspect_err(|_| {
        // Half a copy is of no use to anybody. If it cannot be removed, the next attempt writes over it.
        drop(std::fs::remove_file(&temporary));
    })?;
    let original = free_name(path);
    let failed = |source| StoreError::io("repair", path, source);
    std::fs::hard_link(path, &original).map_err(failed)?;
    std::fs::rename(&temporary, &mended).map_err(failed)?;
    if mended != path {
        std::fs::remove_file(path).map_err(failed)?;
    }
    Ok(Repaired {
        path: Some(mended),
        original,
    })
}

/// Takes a file without a line of any thread out of the lists.
fn put_aside(path: &Path) -> Result<Repaired, StoreError> {
    let name = path
        .file_name()
        .and_then(|name| FileName::parse(name.to_str()?));
    let _lock = name
        .map(|name| WriterLock::take(place::home_of(path), name.thread))
        .transpose()?;
    let original = free_name(path);
    std::fs::rename(path, &original).map_err(|source| StoreError::io("repair", path, source))?;
    Ok(Repaired {
        path: None,
        original,
    })
}

fn write_mended(part: &Part, temporary: &Path) -> Result<(), StoreError> {
    let mut walk = Walk::default();
    let mut cwd = None;
    let read = walk.part(part, |entry| {
        if let Record::Context(context) = entry.record {
            cwd = cwd.take().or(context.cwd);
        }
        Ok::<(), Infallible>(())
    })?;
    read.unwrap_or_else(|never| match never {});
    walk.damage.sort_by_key(|damage| damage.line);
    let lost_meta = part.meta_line.is_none();
    let mut damage = walk.damage.iter().peekable();
    let failed = |source| StoreError::io("write", temporary, source);
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(temporary);
    let mut out = BufWriter::new(opened.map_err(failed)?);
    let mut lines = part.lines()?;
    // A compressed file that breaks off was read as far as it goes.
    while let Ok(Some((line, text))) = lines.next() {
        let whole = |out: &mut BufWriter<File>| out.write_all(text).and_then(|()| end(out));
        match damage
            .next_if(|damage| damage.line == line.number)
            .map(|damage| &damage.problem)
        {
            None => whole(&mut out),
            Some(Problem::Torn) => Ok(()),
            Some(Problem::NoMeta) => out
                .write_all(&meta_again(part, cwd.as_deref()))
                .and_then(|()| end(&mut out))
                .and_then(|()| whole(&mut out)),
            Some(Problem::OtherThread { .. }) => {
                write_padded(&mut out, &of_this_thread(text, &part.meta.id), line)
            }
            Some(_) if line.number == 1 && lost_meta => {
                write_padded(&mut out, &meta_again(part, cwd.as_deref()), line)
            }
            Some(_) => write_padded(&mut out, b"", line),
        }
        .map_err(failed)?;
    }
    let file: File = out
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

fn end(out: &mut impl Write) -> std::io::Result<()> {
    out.write_all(b"\n")
}

/// The line that says which thread a file is of, with the thread that it is of.
fn of_this_thread(text: &[u8], id: &str) -> Vec<u8> {
    let Ok(mut line) = serde_json::from_slice::<Value>(text) else {
        return text.to_vec();
    };
    // The first files have it on the line itself.
    let place = match line.get("payload") {
        Some(_) => &mut line["payload"]["id"],
        None => &mut line["id"],
    };
    *place = id.into();
    line.to_string().into_bytes()
}

/// A text in the place of a line, filled up to its length where it is shorter.
fn write_padded(out: &mut impl Write, text: &[u8], line: Line) -> std::io::Result<()> {
    out.write_all(text)?;
    let mut left = line.bytes.saturating_sub(1 + text.len() as u64);
    let blanks = [b' '; 4096];
    while left > 0 {
        let length = left.min(blanks.len() as u64);
        out.write_all(&blanks[..usize::try_from(length).unwrap_or(blanks.len())])?;
        left -= length;
    }
    end(out)
}

/// The first line again, as far as the file's name and what follows tell.
fn meta_again(part: &Part, cwd: Option<&str>) -> Vec<u8> {
    let id = &part.meta.id;
    let time = "1970-01-01T00:00:00.000Z";
    let mut payload = json!({
        "session_id": id, "id": id, "timestamp": time, "cwd": cwd.unwrap_or("/"), "originator": "",
        "cli_version": "", "source": "unknown",
    });
    let mut line = json!({"timestamp": time});
    if let Some(mode) = &part.meta.history_mode {
        payload["history_mode"] = mode.as_str().into();
        line["ordinal"] = 0.into();
    }
    line["type"] = "session_meta".into();
    line["payload"] = payload;
    line.to_string().into_bytes()
}

/// A name for the file as it was, which lists do not take for a thread.
fn free_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    let first = PathBuf::from(&name);
    std::iter::once(first.clone())
        .chain((2..1000).map(|number| {
            let mut name = name.clone();
            name.push(format!("-{number}"));
            PathBuf::from(name)
        }))
        .find(|path| !path.exists())
        .unwrap_or(first)
}
