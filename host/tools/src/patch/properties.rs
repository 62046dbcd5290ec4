//! What holds of every patch and every file.

use proptest::prelude::*;
use similar::{ChangeTag, TextDiff};

use super::parse::{FileOp, Patch, Section};
use super::update::updated;

/// Lines as files and patches have them: often alike, sometimes with what the envelope means something by.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ab]{0,2}",
        1 => "[ \t]{0,2}[ab][ \t]{0,2}",
        1 => prop::sample::select(vec![
            "*** Begin Patch", "*** End Patch", "*** End of File", "*** Add File: x", "@@", "@@ a", "-a", "+a", "EOF",
            "```", "\u{feff}", "\u{201c}a\u{201d}", "é€",
        ]).prop_map(str::to_owned),
        1 => "[^\n\r]{0,6}",
    ]
}

fn file(ending: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..12)
        .prop_map(move |lines| lines.iter().map(|line| format!("{line}{ending}")).collect())
}

/// The patch that makes one text of another, with everything around it as context.
fn patch(before: &str, after: &str) -> String {
    let mut text = "*** Begin Patch\n*** Update File: f\n@@\n".to_owned();
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Equal => ' ',
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        text.push(sign);
        text.push_str(change.value().trim_end_matches(['\r', '\n']));
        text.push('\n');
    }
    text + "*** End Patch\n"
}

fn sections(text: &str) -> Vec<Section> {
    let patch = Patch::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    match <[FileOp; 1]>::try_from(patch.ops) {
        Ok([FileOp::Update { sections, .. }]) => sections,
        other => panic!("one update: {other:?}"),
    }
}

fn apply(before: &str, after: &str) -> Result<String, String> {
    updated("f", before, &sections(&patch(before, after)))
}

proptest! {
    #[test]
    fn a_patch_and_its_inverse_lead_there_and_back(
        (before, after) in prop_oneof![(file("\n"), file("\n")), (file("\r\n"), file("\r\n"))],
    ) {
        // A patch without a line changes nothing, which is refused; and the ends of no lines are unknown.
        prop_assume!(!before.is_empty() && !after.is_empty());
        prop_assert_eq!(apply(&before, &after), Ok(after.clone()));
        prop_assert_eq!(apply(&after, &before), Ok(before));
    }

    #[test]
    fn any_text_is_read_or_refused(text in prop::collection::vec(line(), 0..20).prop_map(|lines| lines.join("\n"))) {
        for text in [format!("*** Begin Patch\n{text}\n*** End Patch"), text] {
            if let Ok(patch) = Patch::parse(&text) {
                prop_assert!(!patch.ops.is_empty());
            }
        }
    }

    #[test]
    fn any_update_applies_or_is_refused(text in ".{0,40}(\n.{0,10}){0,6}", body in prop::collection::vec("[ +-]?.{0,3}|@@( .{0,3})?|[*]{3} End of File", 1..10)) {
        let patch = format!("*** Begin Patch\n*** Update File: f\n{}\n*** End Patch", body.join("\n"));
        let Ok(patch) = Patch::parse(&patch) else { return Ok(()) };
        for op in &patch.ops {
            if let FileOp::Update { sections, .. } = op {
                // Whatever comes of it, it is a text or a reason.
                if let Err(why) = updated("f", &text, sections) {
                    prop_assert!(why.starts_with("`f` "), "{}", why);
                }
            }
        }
    }
}
