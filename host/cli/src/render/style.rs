//! Colours, where there are any.

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Escape codes for colours.
    Coloured,
    /// Text alone.
    Plain,
}

/// A colour with a meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ink {
    Dim,
    Bold,
    Good,
    Bad,
    Note,
}

impl Style {
    /// The text in a colour.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Dim => "2",
            Ink::Bold => "1",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Note => "33",
        };
        match self {
            Self::Coloured if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Coloured | Self::Plain => text.to_owned(),
        }
    }
}
