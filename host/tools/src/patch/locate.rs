//! Finding a run of lines in a file, strictly first and then more forgivingly.

/// Ways to compare lines, strictest first. Models lose white space at the ends of lines, then at their beginnings.
const COMPARISONS: [fn(&str, &str) -> bool; 3] = [
    |a, b| a == b,
    |a, b| a.trim_end() == b.trim_end(),
    |a, b| a.trim() == b.trim(),
];

/// Where `wanted` stands in `lines` at or after `from`. With `at_end` only the file's end will do.
pub(super) fn find(lines: &[&str], wanted: &[&str], from: usize, at_end: bool) -> Option<usize> {
    if wanted.len() > lines.len() {
        return None;
    }
    let last = lines.len() - wanted.len();
    let from = if at_end { last.max(from) } else { from };
    COMPARISONS.iter().find_map(|same| {
        (from..=last).find(|start| {
            wanted
                .iter()
                .zip(&lines[*start..])
                .all(|(wanted, line)| same(line, wanted))
        })
    })
}

/// The longest beginning of `wanted` that stands anywhere from `from` on: tells how far a match came.
pub(super) fn longest_prefix(lines: &[&str], wanted: &[&str], from: usize) -> usize {
    let same = COMPARISONS[2];
    (from..lines.len())
        .map(|start| {
            wanted
                .iter()
                .zip(&lines[start..])
                .take_while(|(wanted, line)| same(line, wanted))
                .count()
        })
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_match_wins_over_an_earlier_forgiving_one() {
        let lines = ["  a", "a", "b"];
        assert_eq!(find(&lines, &["a"], 0, false), Some(1));
        assert_eq!(find(&lines, &["a "], 0, false), Some(1));
        assert_eq!(find(&lines, &["b"], 0, true), Some(2));
        assert_eq!(find(&lines, &["a"], 0, true), None);
        assert_eq!(find(&lines, &["x"], 0, false), None);
        assert_eq!(find(&[], &["x"], 0, false), None);
    }
}
