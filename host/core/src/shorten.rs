//! Long outputs of tools, cut to what a model may be shown: both ends stay, the middle goes.

use crate::item::{ContentItem, OutputPayload};

/// A rough measure, the same that the model's service is planned with.
pub(crate) const BYTES_PER_TOKEN: u64 = 4;

/// Tokens of one output where neither the user nor the model's description says otherwise.
pub const DEFAULT_OUTPUT_TOKENS: u64 = 10_000;

/// The room for what tools write around an output that they have shortened themselves: a part of the limit, and at
/// least so many bytes.
const ROOM: u64 = 5;
const LEAST_ROOM: u64 = 512;

/// Cuts an output that is longer than so many tokens. Parts share the budget in their order; images cost nothing.
pub(crate) fn shortened(output: OutputPayload, tokens: u64) -> OutputPayload {
    let budget = tokens.saturating_mul(BYTES_PER_TOKEN);
    let allowed = budget.saturating_add((budget / ROOM).max(LEAST_ROOM));
    match output {
        OutputPayload::Text(text) if text.len() as u64 > allowed => {
            OutputPayload::Text(ends(&text, budget))
        }
        OutputPayload::Text(text) => OutputPayload::Text(text),
        OutputPayload::Items(items) => {
            let mut left = allowed;
            let fitted = items.into_iter().map(|item| fitted(item, &mut left));
            OutputPayload::Items(fitted.collect())
        }
    }
}

fn fitted(item: ContentItem, left: &mut u64) -> ContentItem {
    let (ContentItem::InputText { text } | ContentItem::OutputText { text }) = &item else {
        return item;
    };
    let length = text.len() as u64;
    if length <= *left {
        *left -= length;
        return item;
    }
    let text = ends(text, std::mem::take(left));
    ContentItem::InputText { text }
}

/// The two ends of a text, with what is missing named.
fn ends(text: &str, budget: u64) -> String {
    format!(
        "Warning: truncated output (original token count: {})\nTotal output lines: {}\n\n{}",
        tokens(text.len()),
        text.lines().count(),
        without_middle(text, budget),
    )
}

/// A text of which so many bytes are kept, half at each end.
pub(crate) fn without_middle(text: &str, budget: u64) -> String {
    let half = usize::try_from(budget / 2).unwrap_or(usize::MAX);
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len().saturating_sub(half).max(head));
    let (head, tail) = (&text[..head], &text[tail..]);
    let gone = tokens(text.len() - head.len() - tail.len());
    format!("{head}…{gone} tokens truncated…{tail}")
}

fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ContentItem {
        ContentItem::InputText {
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let fits = OutputPayload::Text("x".repeat(552));
        assert_eq!(shortened(fits.clone(), 10), fits);
        let items = OutputPayload::Items(vec![text("one"), text("two")]);
        assert_eq!(shortened(items.clone(), 10), items);
    }

    #[test]
    fn both_ends_of_the_long_stay_and_characters_stay_whole() {
        let long = OutputPayload::Text(format!("€€\n{}\n€€", "x".repeat(1000)));
        let expected = "Warning: truncated output (original token count: 254)\nTotal output lines: 3\n\n\
                        €…252 tokens truncated…€";
        assert_eq!(shortened(long, 2), OutputPayload::Text(expected.to_owned()));
    }

    #[test]
    fn parts_share_the_budget_and_images_are_free() {
        let image = ContentItem::InputImage {
            image_url: "x".repeat(1000),
            detail: None,
        };
        let parts = vec![
            text(&"y".repeat(516)),
            image.clone(),
            text("123456789"),
            text("z"),
        ];
        let items = shortened(OutputPayload::Items(parts), 3);
        let cut = |text: &str| {
            let tokens = text.len().div_ceil(4);
            format!(
                "Warning: truncated output (original token count: {tokens})\nTotal output lines: 1\n\n"
            )
        };
        let expected = vec![
            text(&"y".repeat(516)),
            image,
            text(&format!("{}1234…1 tokens truncated…6789", cut("123456789"))),
            text(&format!("{}…1 tokens truncated…", cut("z"))),
        ];
        assert_eq!(items, OutputPayload::Items(expected));
    }
}
