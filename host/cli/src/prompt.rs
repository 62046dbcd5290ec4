//! The prompt: from the command line, from standard input, or both.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use base64::Engine as _;
use dovetail_core::item::ContentItem;

use crate::fatal::Fatal;

/// Larger input is a mistake: no model reads it.
const MAX_STDIN: u64 = 16 * 1024 * 1024;
/// The largest image that services take.
const MAX_IMAGE: u64 = 20 * 1024 * 1024;

/// The prompt's text. Piped input is the prompt itself, or is added below one that was given.
///
/// # Errors
/// There is no prompt, or standard input cannot be read.
pub(crate) fn text(given: Option<&str>) -> anyhow::Result<String> {
    let stdin = std::io::stdin();
    let text = match given {
        Some(text) if text != "-" => {
            if stdin.is_terminal() {
                return Ok(text.to_owned());
            }
            let piped = read(stdin)?;
            if piped.trim().is_empty() {
                text.to_owned()
            } else {
                format!("{text}\n\n<stdin>\n{piped}\n</stdin>")
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

fn read(stdin: std::io::Stdin) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    stdin
        .lock()
        .take(MAX_STDIN + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Fatal::new(format!("cannot read standard input: {error}")))?;
    if bytes.len() as u64 > MAX_STDIN {
        return Err(Fatal::new(format!(
            "standard input is larger than {} MiB",
            MAX_STDIN >> 20
        ))
        .into());
    }
    String::from_utf8(bytes).map_err(|_| {
        Fatal::new("standard input is not UTF-8 text")
            .hint("convert it first, or attach an image with `--image FILE`")
            .into()
    })
}

/// Images as the model gets them.
///
/// # Errors
/// Names the file that cannot be read or is no image.
pub(crate) fn images(paths: &[PathBuf]) -> anyhow::Result<Vec<ContentItem>> {
    paths.iter().map(image).collect()
}

fn image(path: &PathBuf) -> anyhow::Result<ContentItem> {
    let shown = path.display();
    let size = std::fs::metadata(path)
        .map_err(|error| Fatal::new(format!("cannot read the image `{shown}`: {error}")))?
        .len();
    if size > MAX_IMAGE {
        return Err(Fatal::new(format!(
            "the image `{shown}` is larger than {} MiB",
            MAX_IMAGE >> 20
        ))
        .into());
    }
    let bytes = std::fs::read(path)
        .map_err(|error| Fatal::new(format!("cannot read the image `{shown}`: {error}")))?;
    let kind = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "image/webp",
        _ => {
            return Err(Fatal::new(format!("`{shown}` is no PNG, JPEG, GIF or WebP image")).into());
        }
    };
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    Ok(ContentItem::InputImage {
        image_url: format!("data:{kind};base64,{data}"),
        detail: None,
    })
}
