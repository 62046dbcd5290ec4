//! Reasoning that a server leaves in the text, between tags: what models write that nobody told it how to read.

/// What reasoning begins with; before any of the answer.
pub(crate) const BEGIN: &str = "<think>";
/// What it ends with.
pub(crate) const END: &str = "</think>";

/// Tells the two apart, in whichever pieces they come.
#[derive(Debug, Default)]
pub(crate) struct Split {
    place: Place,
    /// What may belong to a tag, or to the blanks around one.
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start, where reasoning may begin.
    #[default]
    Start,
    /// Behind the first tag, and behind the blanks that follow it.
    Begun,
    Inside,
    /// Behind the second tag.
    Ended,
    /// In the answer.
    Text,
}

/// A piece of one or the other; not empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Reasoning.
    Thought(String),
    /// The answer.
    Text(String),
}

impl Split {
    /// The next piece of the text, and what is known of it.
    pub(crate) fn push(&mut self, piece: &str) -> Vec<Told> {
        if self.place == Place::Text {
            return vec![Told::Text(piece.to_owned())];
        }
        self.held.push_str(piece);
        let mut told = Vec::new();
        while self.step(&mut told) {}
        told
    }

    /// The text has ended: what was held back.
    pub(crate) fn finish(&mut self) -> Option<Told> {
        let rest = std::mem::take(&mut self.held);
        let told = match std::mem::replace(&mut self.place, Place::Text) {
            // Blanks alone, as models write them before a call, are no answer.
            Place::Start if rest.trim().is_empty() => return None,
            Place::Start | Place::Text => Told::Text(rest),
            Place::Begun | Place::Inside => Told::Thought(rest.trim_end().to_owned()),
            Place::Ended => Told::Text(String::new()),
        };
        let (Told::Thought(text) | Told::Text(text)) = &told;
        (!text.is_empty()).then_some(told)
    }

    /// Goes on by one place; false where it takes more text to do so.
    fn step(&mut self, told: &mut Vec<Told>) -> bool {
        match self.place {
            Place::Start => {
                let text = self.held.trim_start();
                if let Some(rest) = text.strip_prefix(BEGIN) {
                    self.held = rest.to_owned();
                    self.place = Place::Begun;
                    return true;
                }
                if !BEGIN.starts_with(text) {
                    self.tell_text(told);
                }
                false
            }
            Place::Begun => {
                self.held = self.held.trim_start().to_owned();
                if !self.held.is_empty() {
                    self.place = Place::Inside;
                }
                !self.held.is_empty()
            }
            Place::Inside => {
                let (thought, rest) = match self.held.split_once(END) {
                    Some((thought, rest)) => (thought.trim_end(), Some(rest.to_owned())),
                    None => (before_end(&self.held), None),
                };
                let length = thought.len();
                if length > 0 {
                    told.push(Told::Thought(thought.to_owned()));
                }
                match rest {
                    Some(rest) => {
                        self.held = rest;
                        self.place = Place::Ended;
                        true
                    }
                    None => {
                        self.held.drain(..length);
                        false
                    }
                }
            }
            Place::Ended => {
                self.held = self.held.trim_start().to_owned();
                if !self.held.is_empty() {
                    self.tell_text(told);
                }
                false
            }
            Place::Text => false,
        }
    }

    fn tell_text(&mut self, told: &mut Vec<Told>) {
        told.push(Told::Text(std::mem::take(&mut self.held)));
        self.place = Place::Text;
    }
}

/// What of a thought is neither the start of its last tag nor blanks that may stand before that.
fn before_end(held: &str) -> &str {
    let starts = (1..END.len()).rev().map(|length| &END[..length]);
    let start = starts.into_iter().find(|start| held.ends_with(start));
    held[..held.len() - start.map_or(0, str::len)].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, thought: &str, answer: &str) {
        for size in [1, 3, text.len()] {
            let mut split = Split::default();
            let (mut thoughts, mut texts) = (String::new(), String::new());
            let characters: Vec<char> = text.chars().collect();
            let pieces = characters.chunks(size).map(String::from_iter);
            let mut told: Vec<Told> = pieces.flat_map(|piece| split.push(&piece)).collect();
            told.extend(split.finish());
            for told in told {
                match told {
                    Told::Thought(piece) => thoughts.push_str(&piece),
                    Told::Text(piece) => texts.push_str(&piece),
                }
            }
            assert_eq!(
                (thoughts.as_str(), texts.as_str()),
                (thought, answer),
                "{text} by {size}"
            );
        }
    }

    #[test]
    fn reasoning_between_tags_is_no_text() {
        check(
            "<think>\nhm\n\nyes \n</think>\n\nHello <b>",
            "hm\n\nyes",
            "Hello <b>",
        );
        check("\n <think>a </b> c</think>d", "a </b> c", "d");
        check("<think>\n\n</think>\n\nHi", "", "Hi");
        check("<think>日本</think> 🦀", "日本", "🦀");
        check("<think>cut </thi", "cut </thi", "");
        check("<think>a</think>\n", "a", "");
        check("\n\n", "", "");
    }

    #[test]
    fn tags_elsewhere_are_text() {
        for text in [
            "Say <think>x</think>",
            "<thin",
            " <thinking>x</thinking>",
            "\n\nHi",
            "<",
        ] {
            check(text, "", text);
        }
        check(
            "<think>a</think>b <think>c</think>",
            "a",
            "b <think>c</think>",
        );
    }
}
