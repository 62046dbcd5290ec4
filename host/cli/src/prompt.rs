//! The prompt: from the command line, from standard input, or both.

use std::io::{IsTerminal as _, Read as _, Stdin};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::fatal::Fatal;
use crate::out;

/// Larger input is a mistake: no model reads it.
const MAX_STDIN: u64 = 16 * 1024 * 1024;
/// Whoever starts us without closing standard input sees nothing happen; after this long they are told why.
const QUIET: Duration = Duration::from_secs(2);

/// Separates a prompt from the images before it. `-i` takes every argument up to the next option, so in
/// `-i a.png "what is this"` the prompt is taken for an image; it is given away by naming no file and no picture.
pub(crate) fn separate(prompt: Option<String>, images: &mut Vec<PathBuf>) -> Option<String> {
    if prompt.is_some() || images.len() < 2 {
        return prompt;
    }
    let last = images.last()?;
    let is_image = last.exists() || last.extension().is_some_and(is_image_extension);
    let text = last.to_str().filter(|_| !is_image)?.to_owned();
    images.pop();
    Some(text)
}

fn is_image_extension(extension: &std::ffi::OsStr) -> bool {
    ["png", "jpg", "jpeg", "gif", "webp"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// The prompt's text. Piped input is the prompt itself, or is added below one that was given.
///
/// # Errors
/// There is no prompt, or standard input cannot be read.
pub(crate) fn text(given: Option<&str>) -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let text = match given {
        Some(text) if text != "-" => {
            if stdin.is_terminal() {
                text.to_owned()
            } else {
                with_piped(text, &read(stdin)?)
            }
        }
        None if stdin.is_terminal() => String::new(),
        Some(_) | None => read(stdin)?,
    };
    if text.trim().is_empty() {
        return Err(Fatal::new("there is no prompt")
            .hint(
                "give it as an argument: dovetail exec \"explain this repository\", or pipe it in",
            )
            .into());
    }
    Ok(text)
}

fn with_piped(text: &str, piped: &str) -> String {
    if piped.trim().is_empty() {
        return text.to_owned();
    }
    let end = if piped.ends_with('\n') { "" } else { "\n" };
    format!("{text}\n\n<stdin>\n{piped}{end}</stdin>")
}

/// Reads all of standard input, and says so if that takes long.
fn read(stdin: Stdin) -> anyhow::Result<String> {
    let (sender, receiver) = channel();
    // On its own thread: a read cannot be given up, and the notice must not wait for it.
    let reader = std::thread::Builder::new().name("stdin".into());
    reader
        .spawn(move || {
            let mut bytes = Vec::new();
            let read = stdin.lock().take(MAX_STDIN + 1).read_to_end(&mut bytes);
            // Nobody listens any more only if we are about to end.
            drop(sender.send(read.map(|_| bytes)));
        })
        .map_err(|error| cannot_read(&error))?;
    let read = match receiver.recv_timeout(QUIET) {
        Err(RecvTimeoutError::Timeout) => {
            out::stderr("reading standard input until it ends (`</dev/null` if there is none)\n");
            receiver.recv().map_err(|error| cannot_read(&error))?
        }
        read => read.map_err(|error| cannot_read(&error))?,
    };
    let bytes = read.map_err(|error| cannot_read(&error))?;
    if bytes.len() as u64 > MAX_STDIN {
        return Err(Fatal::new(format!(
            "standard input is larger than {} MiB",
            MAX_STDIN >> 20
        ))
        .hint("put it into a file, and name that file in the prompt")
        .into());
    }
    decode(bytes).ok_or_else(|| {
        Fatal::new("standard input is not UTF-8 text")
            .hint("convert it first, or attach an image with `--image FILE`")
            .into()
    })
}

/// Text in UTF-8, or in UTF-16 with its mark, as some shells write it into pipes.
fn decode(bytes: Vec<u8>) -> Option<String> {
    let from_utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xff, 0xfe, rest @ ..] => from_utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => from_utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes).ok(),
    }
}

fn cannot_read(error: &dyn std::error::Error) -> Fatal {
    Fatal::new(format!("cannot read standard input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(images: &[&str], prompt: Option<&str>, left: &[&str], expected: Option<&str>) {
        let mut images: Vec<PathBuf> = images.iter().map(PathBuf::from).collect();
        let found = separate(prompt.map(str::to_owned), &mut images);
        let left: Vec<PathBuf> = left.iter().map(PathBuf::from).collect();
        assert_eq!((found.as_deref(), images), (expected, left));
    }

    #[test]
    fn a_prompt_behind_images_is_found() {
        check(
            &["a.png", "what, and why?"],
            None,
            &["a.png"],
            Some("what, and why?"),
        );
        check(&["a.png", "b.JPEG"], None, &["a.png", "b.JPEG"], None);
        check(
            &["a.png", "what"],
            Some("given"),
            &["a.png", "what"],
            Some("given"),
        );
        check(&["what"], None, &["what"], None);
        check(
            &["a.png", "Cargo.toml"],
            None,
            &["a.png", "Cargo.toml"],
            None,
        );
    }

    #[test]
    fn text_with_a_mark_is_decoded() {
        for bytes in [
            &b"\xef\xbb\xbfh\xc3\xa9"[..],
            b"\xff\xfeh\0\xe9\0",
            b"\xfe\xff\0h\0\xe9",
        ] {
            assert_eq!(decode(bytes.to_vec()).as_deref(), Some("h\u{e9}"));
        }
        assert_eq!(decode(b"\xff\xfe\0".to_vec()), None);
        assert_eq!(decode(b"h\xe9".to_vec()), None);
    }

    #[test]
    fn piped_text_goes_into_a_block_below_the_prompt() {
        assert_eq!(with_piped("p", " \n"), "p");
        assert_eq!(with_piped("p", "log"), "p\n\n<stdin>\nlog\n</stdin>");
        assert_eq!(with_piped("p", "log\n"), "p\n\n<stdin>\nlog\n</stdin>");
    }
}
