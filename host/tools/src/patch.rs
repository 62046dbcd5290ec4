//! The patch envelope: reading it, finding its places in files, and what the files become.
//!
//! `patch/desk.rs` reads files, `patch/write.rs` alone changes them; the rest is pure text work. An update names lines to find rather than line numbers, so a
//! patch stays good when lines above it moved.

mod desk;
mod locate;
mod parse;
#[cfg(test)]
mod properties;
mod update;
mod write;

pub(crate) use desk::{intended, plan};
pub(crate) use parse::{FileOp, Patch};
pub(crate) use update::updated;
pub(crate) use write::{Change, Entry, write_all};

/// What a patch would make of a file's text, whatever the file's name: one entry for each operation, none for a
/// deletion. Touches nothing; the fuzz target's way in.
///
/// # Errors
/// What is wrong with the patch, or which lines the text does not have, as the model is told.
pub fn dry_run(patch: &str, text: &str) -> Result<Vec<Option<String>>, String> {
    let patch = Patch::parse(patch).map_err(|error| format!("invalid patch: {error}"))?;
    let made = patch.ops.into_iter().map(|op| match op {
        FileOp::Add { content, .. } => Ok(Some(content)),
        FileOp::Delete { .. } => Ok(None),
        FileOp::Update { path, sections, .. } => updated(&path, text, &sections).map(Some),
    });
    made.collect()
}

/// The envelope's grammar, for models that write free text in a grammar.
pub(crate) const GRAMMAR: &str = r#"start: opening file+ closing
opening: "*** Begin Patch" LF
closing: "*** End Patch" LF?

file: added | deleted | updated
added: "*** Add File: " path LF new_line+
deleted: "*** Delete File: " path LF
updated: "*** Update File: " path LF moved? section*

moved: "*** Move to: " path LF
section: place* line+ at_end?
place: ("@@" | "@@ " /(.+)/) LF
line: ("+" | "-" | " ") /(.*)/ LF
new_line: "+" /(.*)/ LF
at_end: "*** End of File" LF
path: /(.+)/

%import common.LF
"#;
