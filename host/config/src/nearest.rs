//! Which known name a mistyped one was meant to be.

/// The name that looks most like another, if any does.
pub(crate) fn nearest<'n>(
    mistyped: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let (distance, best) = names
        .into_iter()
        .map(|name| (edit_distance(mistyped, name), name))
        .min()?;
    (distance <= 1 + mistyped.chars().count() / 4).then_some(best)
}

/// Levenshtein's distance. Names are short, so the plain table is fast enough.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_right() {
        for (a, b, distance) in [
            ("", "abc", 3),
            ("model", "modle", 2),
            ("notify", "notify", 0),
            ("histroy", "history", 2),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn only_what_looks_alike_is_suggested() {
        let names = ["model", "notify"];
        assert_eq!(nearest("modle", names), Some("model"));
        assert_eq!(nearest("zebra", names), None);
    }
}
