//! The images of a prompt: read, recognised by their first bytes, and put into the form that services take.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use dovetail_core::item::ContentItem;
use dovetail_core::turn::PromptImage;
use dovetail_tools::UnusableImage;

use crate::fatal::Fatal;

/// The largest image that services take.
const MAX_IMAGE: u64 = 20 * 1024 * 1024;

/// Images as the model gets them. An argument may name several files, with commas between them.
///
/// # Errors
/// Names the file that cannot be read or is no image: a turn without it would answer another question.
pub(crate) fn read(
    arguments: &[PathBuf],
    detail: &'static str,
) -> anyhow::Result<Vec<PromptImage>> {
    arguments
        .iter()
        .flat_map(|argument| files(argument))
        .map(|path| {
            let content = image(&path, detail)?;
            Ok(PromptImage { path, content })
        })
        .collect()
}

/// Changes how closely the model is to look.
pub(crate) fn set_detail(images: &mut [PromptImage], wanted: &str) {
    for image in images {
        if let ContentItem::InputImage { detail, .. } = &mut image.content {
            *detail = Some(wanted.to_owned());
        }
    }
}

/// The files that an argument names; one with a comma in its name is taken at its word.
fn files(argument: &Path) -> Vec<PathBuf> {
    match argument.to_str() {
        Some(text) if text.contains(',') && !argument.exists() => {
            let names = text.split(',').filter(|name| !name.is_empty());
            names.map(PathBuf::from).collect()
        }
        Some(_) | None => vec![argument.to_owned()],
    }
}

fn image(path: &Path, detail: &str) -> anyhow::Result<ContentItem> {
    let shown = path.display();
    let unreadable =
        |error: std::io::Error| Fatal::new(format!("cannot read the image `{shown}`: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    // Anything else may never end.
    if !metadata.is_file() {
        return Err(Fatal::new(format!("the image `{shown}` is not a file")).into());
    }
    if metadata.len() > MAX_IMAGE {
        return Err(Fatal::new(format!(
            "the image `{shown}` is larger than {} MiB",
            MAX_IMAGE >> 20
        ))
        .hint("scale it down first: models see no more than a few megapixels")
        .into());
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let kind = dovetail_tools::image_type(&bytes).map_err(|why| match why {
        UnusableImage::UnknownType => Fatal::new(format!(
            "`{shown}` is no PNG, JPEG, GIF or WebP image"
        ))
        .hint("`-i` takes every argument up to the next option: put the prompt before it, or after `--`"),
        UnusableImage::Damaged | UnusableImage::CutOff => {
            Fatal::new(format!("cannot use the image `{shown}`: {why}"))
                .hint("open it with another program, and save it again")
        }
    })?;
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    Ok(ContentItem::InputImage {
        image_url: format!("data:{kind};base64,{data}"),
        detail: Some(detail.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_may_name_several_files_or_one_with_a_comma() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, other) = (dir.path().join("a"), PathBuf::from("b.png"));
        let both = dir.path().join("a,b.png");
        assert_eq!(files(&both), [one, other]);
        std::fs::write(&both, "").expect("a file");
        assert_eq!(files(&both), [both]);
    }
}
