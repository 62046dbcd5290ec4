//! The file itself.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use dovetail_plugin_api::Error;
use dovetail_plugin_api::sink::Event;

use crate::options::Options;

/// A full disk or a lost mount does not heal in milliseconds.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// A file that grows by whole lines.
#[derive(Debug)]
pub(crate) struct EventFile {
    name: String,
    file: File,
    length: u64,
    max_bytes: Option<u64>,
    /// Whether the last write may have stopped inside a line.
    torn: bool,
}

impl EventFile {
    /// Opens or makes the file in a directory.
    pub(crate) fn open(directory: &Path, options: &Options) -> Result<Self, Error> {
        let name = options.path.as_str().to_owned();
        let path = directory.join(&name);
        let opened = OpenOptions::new().append(true).create(true).open(&path);
        let file = opened.map_err(|error| explain(&name, &error))?;
        let length = file
            .metadata()
            .map_err(|error| explain(&name, &error))?
            .len();
        // A line that a crash cut short must not swallow the next one.
        let torn = length > 0 && last_byte(&path, length).is_some_and(|byte| byte != b'\n');
        Ok(Self {
            name,
            file,
            length,
            max_bytes: options.max_bytes,
            torn,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Appends a batch with one write. False where it would pass the file's limit; then nothing is written.
    pub(crate) fn append(&mut self, batch: &[Event]) -> Result<bool, Error> {
        let mut lines = Vec::new();
        if self.torn {
            lines.push(b'\n');
        }
        for event in batch {
            lines.extend_from_slice(event.to_json().to_string().as_bytes());
            lines.push(b'\n');
        }
        let length = self.length.saturating_add(lines.len() as u64);
        if self.max_bytes.is_some_and(|most| length > most) {
            return Ok(false);
        }
        self.torn = true;
        self.file.write_all(&lines).map_err(|error| {
            Error::retry_after(
                format!("could not append to {}: {error}", self.name),
                RETRY_DELAY,
            )
        })?;
        self.torn = false;
        self.length = length;
        Ok(true)
    }

    /// Has the system write down what it holds.
    pub(crate) fn close(self) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(|error| explain(&self.name, &error))
    }
}

/// The last byte of the file; none where the grant does not let it be read, and then it is taken to be whole.
fn last_byte(path: &Path, length: u64) -> Option<u8> {
    let read = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(length - 1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        Ok(byte[0])
    };
    read().ok()
}

fn explain(name: &str, error: &io::Error) -> Error {
    let text = format!("could not open {name} in the granted directory: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => Error::Denied(text),
        io::ErrorKind::NotFound => Error::Unavailable(format!(
            "{text} (is a directory granted at {}?)",
            crate::MOUNT
        )),
        _ => Error::Retryable {
            reason: text,
            after: Some(RETRY_DELAY),
        },
    }
}

#[cfg(test)]
mod tests {
    use dovetail_plugin_api::config;

    use super::*;

    fn event(id: &str) -> Event {
        Event {
            id: id.to_owned(),
            sequence: 1,
            kind: "turn.started".to_owned(),
            version: 1,
            time_unix_ms: 0,
            thread_id: "t".to_owned(),
            turn_id: None,
            fields: vec![],
        }
    }

    fn line(id: &str) -> String {
        format!("{}\n", event(id).to_json())
    }

    fn open(directory: &Path, options: &str) -> EventFile {
        EventFile::open(directory, &config::parse(options).expect("valid options"))
            .expect("it opens")
    }

    #[test]
    fn batches_are_appended_across_runs() {
        let directory = tempfile::tempdir().expect("a directory");
        for ids in [["a", "b"], ["c", "d"]] {
            let mut file = open(directory.path(), "{}");
            assert_eq!(file.append(&ids.map(event)), Ok(true));
            file.close().expect("it closes");
        }
        let text =
            std::fs::read_to_string(directory.path().join("events.jsonl")).expect("it is there");
        assert_eq!(text, ["a", "b", "c", "d"].map(line).concat());
    }

    #[test]
    fn a_line_that_was_cut_short_stays_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("events.jsonl");
        std::fs::write(&path, r#"{"id":"to"#).expect("written");
        assert_eq!(open(directory.path(), "{}").append(&[event("a")]), Ok(true));
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert_eq!(text, format!("{{\"id\":\"to\n{}", line("a")));
    }

    #[test]
    fn a_full_file_stays_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let size = line("a").len();
        let mut file = open(directory.path(), &format!(r#"{{"max_bytes":{size}}}"#));
        assert_eq!(file.append(&[event("a")]), Ok(true));
        assert_eq!(file.append(&[event("b")]), Ok(false));
        let text =
            std::fs::read_to_string(directory.path().join("events.jsonl")).expect("it is there");
        assert_eq!(text, line("a"));
    }

    #[test]
    fn a_missing_directory_is_explained() {
        let options = config::parse("{}").expect("valid options");
        let error =
            EventFile::open(Path::new("/no/such/place"), &options).expect_err("it is not there");
        assert!(
            matches!(&error, Error::Unavailable(text) if text.contains("granted at /data")),
            "{error:?}"
        );
    }
}
