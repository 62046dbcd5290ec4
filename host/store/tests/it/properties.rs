//! Whatever is in a file: it is read as far as it goes, reported, and can be gone on with.

use dovetail_core::item::ResponseItem;
use dovetail_store::{
    ForkAt, ForkSettings, RolloutRecorder, check_file, fork_thread, list_turns, load_thread, repair,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::Feed;
use crate::lines::{A, Home, event, line, message, said, texts, turn};

fn any_line() -> impl Strategy<Value = Vec<Value>> {
    let word = "[a-z]{1,6}";
    prop_oneof![
        4 => word.prop_map(|word| turn(&word)),
        1 => word.prop_map(|word| vec![said("user", &word)]),
        1 => word.prop_map(|word| vec![said("assistant", &word)]),
        1 => Just(vec![event("task_started")]),
        1 => (0..4_u64).prop_map(|turns| {
            vec![line("event_msg", json!({"type": "thread_rolled_back", "num_turns": turns}))]
        }),
        1 => (word, proptest::option::of(0..9_u64)).prop_map(|(word, number)| {
            let history = [message("user", &word)];
            vec![line("compacted", json!({"message": "", "replacement_history": history, "window_number": number}))]
        }),
        1 => word.prop_map(|word| vec![line("compacted", json!({"message": word}))]),
        1 => Just(vec![line("hologram", json!([1, 2]))]),
    ]
}

fn any_history() -> impl Strategy<Value = Vec<Value>> {
    proptest::collection::vec(any_line(), 0..12).prop_map(|parts| parts.concat())
}

/// What a history adds up to, done the slow and simple way: turns are a list, and nothing is ever let go.
fn simply(lines: &[Value]) -> Vec<String> {
    #[derive(Default)]
    struct Turn {
        announced: bool,
        said: bool,
        base: Option<Vec<(bool, String)>>,
        items: Vec<(bool, String)>,
    }
    fn now(turns: &[Turn]) -> Vec<(bool, String)> {
        let mut all = Vec::new();
        for turn in turns {
            if let Some(base) = &turn.base {
                all.clone_from(base);
            }
            all.extend(turn.items.iter().cloned());
        }
        all
    }
    let mut turns = vec![Turn::default()];
    for line in lines {
        let payload = &line["payload"];
        match (line["type"].as_str(), payload["type"].as_str()) {
            (_, Some("task_started")) => turns.push(Turn {
                announced: true,
                ..Turn::default()
            }),
            (_, Some("thread_rolled_back")) => {
                let mut left = payload["num_turns"].as_u64().unwrap_or(0);
                while left > 0
                    && let Some(turn) = turns.pop()
                {
                    left -= u64::from(turn.said);
                }
            }
            (_, Some("message")) => {
                let user = payload["role"] == "user";
                if turns.is_empty() {
                    turns.push(Turn::default());
                }
                if user
                    && turns
                        .last()
                        .is_some_and(|turn| turn.said && !turn.announced)
                {
                    turns.push(Turn::default());
                }
                let turn = turns.last_mut().expect("one was pushed");
                turn.said |= user;
                let text = payload["content"][0]["text"].as_str().unwrap_or_default();
                turn.items.push((user, text.to_owned()));
            }
            (Some("compacted"), _) => {
                let base = match payload["replacement_history"].as_array() {
                    Some(items) => items
                        .iter()
                        .map(|item| {
                            (
                                true,
                                item["content"][0]["text"]
                                    .as_str()
                                    .unwrap_or_default()
                                    .to_owned(),
                            )
                        })
                        .collect(),
                    None => {
                        let mut base = now(&turns);
                        // A summary that stands for older words is itself no word of the user's.
                        base.retain(|(user, _)| *user);
                        let summary = payload["message"].as_str().unwrap_or_default();
                        base.push((false, summary.to_owned()));
                        base
                    }
                };
                if turns.is_empty() {
                    turns.push(Turn::default());
                }
                let turn = turns.last_mut().expect("one was pushed");
                turn.items.clear();
                turn.base = Some(base);
            }
            _ => {}
        }
    }
    now(&turns).into_iter().map(|(_, text)| text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is let go along the way is never missed in the end.
    #[test]
    fn histories_add_up(history in any_history()) {
        let home = Home::new();
        let path = home.thread(A, &history);
        let thread = load_thread(&path).expect("it loads");
        prop_assert_eq!(texts(&thread), simply(&history));
        prop_assert_eq!(&thread.damage, &[]);
        prop_assert_eq!(thread.next_ordinal as usize, history.len() + 1);
    }

    /// A fork after any turn begins with what there was at that turn's end.
    #[test]
    fn forks_begin_with_what_there_was(history in any_history(), pick in any::<prop::sample::Index>()) {
        let home = Home::new();
        let path = home.thread(A, &history);
        let turns = list_turns(&path).expect("turns");
        prop_assume!(!turns.is_empty());
        let turn = &turns[pick.index(turns.len())];
        let at = ForkAt::Turn(turn.number.to_string());
        let (fork, mut recorder) = fork_thread(&path, &at, ForkSettings::default()).expect("it forks");
        recorder.begin().expect("its first line");
        let end = usize::try_from(fork.info.forked_from.expect("a fork").ordinal_exclusive.expect("a place"))
            .expect("a small number");
        prop_assert_eq!(texts(&fork), simply(&history[..end - 1]));
        prop_assert_eq!(load_thread(&fork.path).expect("it loads").items, fork.items);
    }

    /// Bytes that were overwritten, left out or added anywhere: nothing panics, all of it is reported, and after a
    /// repair nothing is left to report and nothing more was lost.
    #[test]
    fn damage_anywhere_is_survived(
        history in any_history(),
        place in any::<prop::sample::Index>(),
        length in 0..300_usize,
        noise in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let home = Home::new();
        let path = home.thread(A, &history);
        let mut bytes = std::fs::read(&path).expect("the file");
        let start = place.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, noise);
        std::fs::write(&path, &bytes).expect("written");
        let Ok(thread) = load_thread(&path) else {
            // Only a file in which nothing at all is left cannot be read.
            prop_assert!(check_file(&path).unusable.is_some());
            return Ok(());
        };
        let checked = check_file(&path);
        prop_assert_eq!(checked.findings.len(), thread.damage.len());
        if checked.repairable {
            repair(&path).expect("it is repaired");
            prop_assert!(check_file(&path).is_sound());
        }
        let repaired = load_thread(&path).expect("it loads");
        prop_assert_eq!(&repaired.items, &thread.items);
        let (taken_up, recorder) = RolloutRecorder::resume(&path).expect("it resumes");
        prop_assert_eq!(&taken_up.items, &thread.items);
        let mut feed = Feed::of(recorder, taken_up.info.thread_id);
        feed.turn("again", "Yes.");
        let after = load_thread(&path).expect("it loads");
        prop_assert_eq!(after.items.len(), thread.items.len() + 2);
        prop_assert_eq!(after.damage.len(), 0);
    }

    /// Items of any type and shape survive being kept.
    #[test]
    fn unknown_items_survive(kind in "[a-z_]{1,12}", depth in any::<i32>(), words in ".{0,40}") {
        let home = Home::new();
        let item = json!({"type": format!("x_{kind}"), "id": "x_1", "depth": depth, "words": words, "list": [null, {"a": 1.5}]});
        let path = home.thread(A, &[line("response_item", item.clone())]);
        let thread = load_thread(&path).expect("it loads");
        let expected: ResponseItem = serde_json::from_value(item.clone()).expect("an item");
        prop_assert_eq!(&thread.items, &[expected]);
        prop_assert_eq!(serde_json::to_value(&thread.items[0]).expect("JSON"), item);
    }
}
