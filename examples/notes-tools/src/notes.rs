//! The notes in a directory: text files, not looked for in directories below.

use std::fs;
use std::path::Path;

use dovetail_plugin_api::Error;

/// As many hits as a model reads with profit.
const MOST_HITS: usize = 50;

/// The names of the notes, sorted.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(directory).map_err(|error| {
        Error::unavailable(format!(
            "the notes cannot be listed ({error}); is `notes` there?"
        ))
    })?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_text = entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "md" || extension == "txt");
        if is_text && entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Lines that hold all words of a query, in any case, as `file:line: text`.
pub(crate) fn search(directory: &Path, query: &str) -> Result<Vec<String>, Error> {
    let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
    if words.is_empty() {
        return Err(Error::invalid("the query is empty"));
    }
    let mut hits = Vec::new();
    for name in names(directory)? {
        let text = fs::read(directory.join(&name))?;
        for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            let lower = line.to_lowercase();
            if words.iter().all(|word| lower.contains(word)) {
                hits.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
            if hits.len() == MOST_HITS {
                return Ok(hits);
            }
        }
    }
    Ok(hits)
}
