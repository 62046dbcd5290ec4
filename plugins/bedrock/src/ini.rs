//! The format of AWS's two files, as far as its tools agree on it.

use std::collections::BTreeMap;

/// The keys of a section.
pub(crate) type Keys = BTreeMap<String, String>;

/// Some editors put it at the start of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Sections by their whole name, such as `profile dev`. Keys are in lower case; lines that are none are passed over, as
/// AWS's own tools do.
pub(crate) fn parse(text: &str) -> BTreeMap<String, Keys> {
    let mut sections: BTreeMap<String, Keys> = BTreeMap::new();
    let mut section: Option<String> = None;
    // How far the last key of the section is indented.
    let mut indent: Option<usize> = None;
    for line in text.trim_start_matches(BYTE_ORDER_MARK).lines() {
        let own = line.len() - line.trim_start().len();
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = section_name(line) {
            sections.entry(name.clone()).or_default();
            section = Some(name);
            indent = None;
            continue;
        }
        // A line further in than its key belongs to that key's value, which is a table that nobody here reads.
        if indent.is_some_and(|key| own > key) {
            continue;
        }
        let (Some(section), Some((key, value))) = (&section, line.split_once('=')) else {
            continue;
        };
        indent = Some(own);
        let keys = sections.entry(section.clone()).or_default();
        keys.insert(
            key.trim().to_ascii_lowercase(),
            without_comment(value).to_owned(),
        );
    }
    sections
}

/// The name between brackets, with one blank between its words and without quotes.
fn section_name(line: &str) -> Option<String> {
    let inner = line
        .trim_start()
        .strip_prefix('[')?
        .split(']')
        .next()?
        .trim();
    let (kind, name) = inner.split_once([' ', '\t']).unwrap_or(("", inner));
    let name = name.trim();
    let name = ['"', '\'']
        .into_iter()
        .find_map(|quote| name.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(name);
    Some(if kind.is_empty() {
        name.to_owned()
    } else {
        format!("{kind} {name}")
    })
}

fn without_comment(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"]
        .iter()
        .filter_map(|mark| value.find(mark))
        .min()
        .unwrap_or(value.len());
    value[..end].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_comments() {
        let text = "stray = 1\n# note\n[default]\nRegion = eu-west-1 # where we are\ns3 =\n  addressing_style = path\n\
                    [ profile  \"my dev\" ]\r\nrole_arn=arn:aws:iam::1:role/a#b\r\nnot a line\n[sso-session corp]\n\
                    sso_region = us-east-1 ; old\n[default]\noutput = json\n[unclosed\nx = 1\n";
        let sections = parse(text);
        let keys = |pairs: &[(&str, &str)]| -> Keys {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let expected = [
            (
                "default",
                keys(&[("region", "eu-west-1"), ("s3", ""), ("output", "json")]),
            ),
            (
                "profile my dev",
                keys(&[("role_arn", "arn:aws:iam::1:role/a#b")]),
            ),
            ("sso-session corp", keys(&[("sso_region", "us-east-1")])),
            ("unclosed", keys(&[("x", "1")])),
        ];
        let expected: BTreeMap<String, Keys> = expected
            .into_iter()
            .map(|(name, keys)| (name.to_owned(), keys))
            .collect();
        assert_eq!(sections, expected);
        assert_eq!(parse(""), BTreeMap::new());
    }

    #[test]
    fn keys_may_be_indented_and_their_tables_are_further_in() {
        let text = "\u{feff}[default]\n  # mine\n  aws_access_key_id = A\n  s3 =\n    aws_access_key_id = B\n\n  \
                    aws_secret_access_key = s\n  [profile x]\n\tregion = eu-west-1\n\tendpoints =\n\t\tregion = no\n";
        let sections = parse(text);
        let value = |section: &str, key: &str| sections[section].get(key).map(String::as_str);
        assert_eq!(value("default", "aws_access_key_id"), Some("A"));
        assert_eq!(value("default", "aws_secret_access_key"), Some("s"));
        assert_eq!(value("profile x", "region"), Some("eu-west-1"));
    }
}
