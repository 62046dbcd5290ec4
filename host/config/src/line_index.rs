//! From a byte's offset to its line and column.

/// Where lines begin.
pub(crate) struct LineIndex<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let after_line_ends = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after_line_ends).collect(),
        }
    }

    /// The line of an offset, from 1.
    pub(crate) fn line(&self, offset: usize) -> u32 {
        let line = self.starts.partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// The column of an offset in characters, from 1.
    pub(crate) fn column(&self, offset: usize) -> u32 {
        let start = self.starts[self.line(offset) as usize - 1];
        let before = self
            .text
            .get(start..offset)
            .map_or(0, |text| text.chars().count());
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The text of a line (from 1) without its end.
    pub(crate) fn text_of(&self, line: u32) -> &'t str {
        let start = self.starts[line as usize - 1];
        self.text[start..].lines().next().unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns() {
        let index = LineIndex::new("a = 1\nbé = 2\r\n\nc");
        let facts: Vec<(u32, u32)> = [0, 5, 6, 10, 15, 16, 17]
            .map(|at| (index.line(at), index.column(at)))
            .to_vec();
        assert_eq!(
            facts,
            [(1, 1), (1, 6), (2, 1), (2, 4), (3, 1), (4, 1), (4, 2)]
        );
        assert_eq!(index.text_of(2), "bé = 2");
        assert_eq!(LineIndex::new("").line(0), 1);
    }
}
