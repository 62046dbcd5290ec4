//! Finding a run of lines in a file, strictly first and then more forgivingly.

/// Whether a line of a file is the one that a patch means.
type Comparison = fn(&str, &str) -> bool;

/// Ways to compare lines, strictest first. Models lose white space at the ends of lines, then at their beginnings, and
/// write plain signs where a file has typographic ones.
const COMPARISONS: [Comparison; 4] = [
    |a, b| a == b,
    |a, b| a.trim_end() == b.trim_end(),
    |a, b| a.trim() == b.trim(),
    |a, b| plain(a).eq(plain(b)),
];

/// A line without outer white space, its typographic signs replaced by those of a keyboard.
fn plain(line: &str) -> impl Iterator<Item = char> + '_ {
    line.trim().chars().map(|sign| match sign {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        other => other,
    })
}

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

/// The place at which lines come closest to what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closest {
    /// The first line of the place, from zero.
    pub(super) start: usize,
    /// How many lines match from there on.
    pub(super) matched: usize,
}

/// The first place from `from` on where the longest beginning of `wanted` stands; none if even its first line is
/// nowhere.
pub(super) fn closest(lines: &[&str], wanted: &[&str], from: usize) -> Option<Closest> {
    let same = COMPARISONS[COMPARISONS.len() - 1];
    let at = |start: usize| {
        let pairs = wanted.iter().zip(&lines[start..]);
        let matched = pairs
            .take_while(|(wanted, line)| same(line, wanted))
            .count();
        Closest { start, matched }
    };
    let places = (from.min(lines.len())..lines.len()).map(at);
    places
        .rev()
        .max_by_key(|place| place.matched)
        .filter(|place| place.matched > 0)
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

    #[test]
    fn typographic_signs_are_forgiven_last() {
        let lines = [
            "it\u{2019}s \u{201c}so\u{201d} \u{2013}\u{a0}x",
            "it's \"so\" - x",
        ];
        assert_eq!(find(&lines, &["it's \"so\" - x"], 0, false), Some(1));
        assert_eq!(find(&lines[..1], &["it's \"so\" - x"], 0, false), Some(0));
        assert_eq!(find(&["a - b"], &["a + b"], 0, false), None);
    }

    #[test]
    fn the_closest_place_is_the_first_of_the_longest() {
        let lines = ["a", "x", "a", "b", "y", "a", "b", "z"];
        let place = |start, matched| Some(Closest { start, matched });
        assert_eq!(closest(&lines, &["a", "b", "c"], 0), place(2, 2));
        assert_eq!(closest(&lines, &["a", "b", "c"], 3), place(5, 2));
        assert_eq!(closest(&lines, &["q"], 0), None);
        assert_eq!(closest(&lines, &["a"], 99), None);
    }
}
