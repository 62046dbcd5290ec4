//! What the user said, as the model gets it.

use std::path::PathBuf;

use crate::item::ContentItem;

/// What the user said.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// Images that came with it, in order.
    pub images: Vec<PromptImage>,
}

/// An image of a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct PromptImage {
    /// The file, as the user wrote it.
    pub path: PathBuf,
    /// What the model gets.
    pub content: ContentItem,
}

impl Prompt {
    /// The message's parts, each with its kind. Every image has its number and name around it, so that the text below
    /// can speak of it.
    pub(super) fn parts(&self) -> Vec<(ContentItem, &'static str)> {
        let text = |text: String| (ContentItem::InputText { text }, "user.text");
        let images = self.images.iter().enumerate().flat_map(|(index, image)| {
            let (number, path) = (index + 1, image.path.display());
            [
                text(format!("<image name=[Image #{number}] path=\"{path}\">")),
                (image.content.clone(), "user.image"),
                text("</image>".to_owned()),
            ]
        });
        images.chain([text(self.text.clone())]).collect()
    }
}
