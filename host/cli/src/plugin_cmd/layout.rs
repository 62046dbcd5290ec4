//! Text in columns and paragraphs for 80 columns.

/// The width that everything fits into.
pub(crate) const WIDTH: usize = 80;

/// Rows of cells under a head. The last column is broken over several lines where it is too long.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let last = head.len().saturating_sub(1);
    let width_of = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..last).map(width_of).collect();
    let indent: usize = widths.iter().map(|width| width + 2).sum();
    let mut text = line(head.iter().copied(), &widths, indent);
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str), &widths, indent));
    }
    text
}

/// The same, with a paragraph below each row.
pub(super) fn table_with_notes(head: &[&str], rows: &[(Vec<String>, String)]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(|(cells, _)| cells.clone()).collect();
    let table = table(head, &cells);
    let mut lines = table.lines();
    let mut text = String::new();
    text.extend(lines.next().map(|head| format!("{head}\n")));
    for (row, (_, note)) in lines.zip(rows) {
        text.push_str(&format!("{row}\n  {}\n", hanging(note, 4)));
    }
    text
}

fn line<'c>(cells: impl Iterator<Item = &'c str>, widths: &[usize], indent: usize) -> String {
    let mut text = String::new();
    for (column, cell) in cells.enumerate() {
        match widths.get(column) {
            Some(width) => text.push_str(&format!("{cell:<width$}  ")),
            None => text.push_str(&hanging(cell, indent)),
        }
    }
    let mut text = text.trim_end().to_owned();
    text.push('\n');
    text
}

/// A text whose first line starts at column `indent`, broken at blanks so that all of it fits.
pub(super) fn hanging(text: &str, indent: usize) -> String {
    // Where the columns before leave nothing, a narrow ribbon is worse than a long line.
    let room = WIDTH.saturating_sub(indent).max(20);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

/// A labelled paragraph: the label in a column of `width`, the text hanging beside it.
pub(super) fn labelled(label: &str, width: usize, text: &str) -> String {
    format!("{label:<width$}{}\n", hanging(text, width))
}

/// The time of a call for people.
pub(crate) fn duration(time: std::time::Duration) -> String {
    let micros = time.as_micros();
    if micros < 1_000 {
        format!("{micros} µs")
    } else if micros < 10_000_000 {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const MB: u64 = 1 << 20;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..MB => format!("{} KB", bytes.div_ceil(1024)),
        _ if bytes.is_multiple_of(MB) => format!("{} MB", bytes / MB),
        _ => format!("{:.1} MB", bytes as f64 / MB as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_the_last_one_wraps() {
        let rows = vec![
            vec![
                "a".to_owned(),
                "ready".to_owned(),
                "word ".repeat(20).trim_end().to_owned(),
            ],
            vec!["longer".to_owned(), "x".to_owned(), String::new()],
        ];
        let text = table(&["plugin", "state", "granted"], &rows);
        let expected = "plugin  state  granted\n\
            a       ready  word word word word word word word word word word word word word\n\
            \x20              word word word word word word word\n\
            longer  x\n";
        assert_eq!(text, expected);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn a_word_that_is_too_long_stands_alone() {
        let word = "x".repeat(100);
        assert_eq!(
            hanging(&format!("a {word} b"), 4),
            format!("a\n    {word}\n    b")
        );
    }

    #[test]
    fn sizes_are_rounded_for_people() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KB"),
            (120_000, "118 KB"),
            (1_700_000, "1.6 MB"),
            (64 << 20, "64 MB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
