//! Histories of any shape, as requests get them: properties that no sequence of items breaks.

#![expect(clippy::expect_used, reason = "a test says why it fails by failing")]

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use dovetail_core::history::{History, ProviderTrail};
use dovetail_core::ids::TurnId;
use dovetail_core::item::{ContentItem, OutputPayload, ResponseItem};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Items of every type, with few enough call ids that calls and outputs meet, miss and repeat.
fn any_item() -> impl Strategy<Value = ResponseItem> {
    let id = prop::sample::select(vec!["a", "b", "c"]);
    let kind = 0..13_u8;
    (kind, id, any::<bool>()).prop_map(|(kind, id, stamped)| {
        let mut value = match kind {
            0 => json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}),
            1 => json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ho"}], "phase": "commentary"}),
            2 => json!({"type": "reasoning", "summary": [], "content": null, "encrypted_content": "ENC"}),
            3 => json!({"type": "function_call", "name": "f", "arguments": "{}", "call_id": id}),
            4 => json!({"type": "function_call_output", "call_id": id, "output": "out"}),
            5 => json!({"type": "custom_tool_call", "call_id": id, "name": "p", "input": "x"}),
            6 => json!({"type": "custom_tool_call_output", "call_id": id, "output": "out"}),
            7 => json!({"type": "local_shell_call", "call_id": id, "status": "completed", "action": {"type": "exec", "command": ["ls"]}}),
            8 => json!({"type": "tool_search_call", "call_id": id, "execution": "client", "arguments": {}}),
            9 => json!({"type": "tool_search_output", "call_id": id, "execution": "client", "status": "completed", "tools": [{"name": "t"}]}),
            10 => json!({"type": "compaction", "encrypted_content": "ENC"}),
            11 => json!({"type": "function_call_output", "call_id": id, "output": [{"type": "input_image", "image_url": "data:,"}]}),
            _ => json!({"type": "hologram", "depth": 3, "nested": {"a": [1, 2]}}),
        };
        if stamped {
            value["internal_chat_message_metadata_passthrough"] =
                json!({"turn_id": format!("turn-{id}"), "content_item_metadata": [{"provenance": {"type": "user"}}]});
        }
        serde_json::from_value(value).expect("the fixture is an item")
    })
}

fn any_items() -> impl Strategy<Value = Vec<ResponseItem>> {
    prop::collection::vec(any_item(), 0..24)
}

fn history(items: &[ResponseItem]) -> History {
    History::resume(items.to_vec(), &ProviderTrail::default(), "p")
}

fn request(items: &[ResponseItem], image_input: bool) -> Vec<ResponseItem> {
    let items = history(items).for_request(image_input);
    items.iter().map(|item| ResponseItem::clone(item)).collect()
}

fn json_of(item: &ResponseItem) -> Value {
    serde_json::to_value(item).expect("items serialize")
}

/// Whether an item is a call or an output, and of which id.
fn part(item: &Value) -> Option<(bool, String)> {
    let call = match item["type"].as_str()? {
        "function_call" | "custom_tool_call" | "local_shell_call" | "tool_search_call" => true,
        "function_call_output" | "custom_tool_call_output" | "tool_search_output" => false,
        _ => return None,
    };
    Some((call, item["call_id"].as_str()?.to_owned()))
}

proptest! {
    // A failure is printed with its input; no file of old failures is kept.
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_call_has_one_output_behind_it_and_every_output_a_call_before_it(items in any_items()) {
        let mut open: HashMap<String, usize> = HashMap::new();
        for item in request(&items, true) {
            match part(&json_of(&item)) {
                Some((true, id)) => *open.entry(id).or_default() += 1,
                Some((false, id)) => {
                    let open = open.entry(id).or_default();
                    prop_assert!(*open > 0, "an output answers nothing");
                    *open -= 1;
                }
                None => {}
            }
        }
        prop_assert!(open.values().all(|open| *open == 0), "a call has no output");
    }

    #[test]
    fn nothing_but_outputs_without_calls_is_left_out_and_nothing_changes_on_the_way(items in any_items()) {
        let sent = request(&items, true);
        let stand_in = |item: &&ResponseItem| {
            let item = json_of(item);
            item["output"] == "aborted" || item["tools"] == json!([])
        };
        let mut kept = sent.iter().filter(|item| !stand_in(item)).peekable();
        for item in &items {
            if kept.next_if(|kept| *kept == item).is_none() {
                prop_assert!(matches!(part(&json_of(item)), Some((false, _))), "{item:?} is left out");
            }
        }
        prop_assert_eq!(kept.next(), None, "something was put in, or is out of order");
        prop_assert_eq!(request(&sent, true), sent, "what is whole stays as it is");
    }

    #[test]
    fn a_stand_in_for_an_output_belongs_to_the_turn_of_its_call(items in any_items()) {
        let sent: Vec<Value> = request(&items, true).iter().map(json_of).collect();
        for (at, item) in sent.iter().enumerate() {
            if item["output"] == "aborted" {
                let call = &sent[at - 1];
                let turn = |item: &Value| item["internal_chat_message_metadata_passthrough"]["turn_id"].clone();
                prop_assert_eq!(&item["call_id"], &call["call_id"]);
                prop_assert_eq!(turn(item), turn(call));
            }
        }
    }

    #[test]
    fn a_model_without_eyes_gets_no_image_and_everything_else(items in any_items()) {
        let with: Vec<Value> = request(&items, true).iter().map(json_of).collect();
        let without: Vec<Value> = request(&items, false).iter().map(json_of).collect();
        prop_assert_eq!(with.len(), without.len());
        for (with, without) in with.iter().zip(&without) {
            prop_assert!(!without.to_string().contains("input_image"));
            if !with.to_string().contains("input_image") {
                prop_assert_eq!(with, without);
            } else {
                prop_assert_eq!(
                    &with["internal_chat_message_metadata_passthrough"],
                    &without["internal_chat_message_metadata_passthrough"]
                );
            }
        }
    }

    #[test]
    fn items_survive_a_file_to_the_letter(items in any_items()) {
        let turn = TurnId::generate();
        let now = UNIX_EPOCH + Duration::from_millis(1500);
        let mut history = History::default();
        for item in items {
            let kept = history.push(item, turn, now);
            let line = serde_json::to_string(&*kept).expect("items serialize");
            let read: ResponseItem = serde_json::from_str(&line).expect("items are read back");
            prop_assert_eq!(serde_json::to_string(&read).expect("items serialize"), line);
            prop_assert_eq!(&read, &*kept);
        }
    }

    #[test]
    fn an_id_is_given_once_and_of_the_items_type(items in any_items()) {
        let turn = TurnId::generate();
        let mut history = History::default();
        for item in items {
            let kind = json_of(&item)["type"].as_str().expect("a type").to_owned();
            let kept = history.push(item, turn, UNIX_EPOCH);
            let prefix = match kind.as_str() {
                "message" => "msg_",
                "reasoning" => "rs_",
                "function_call" => "fc_",
                "function_call_output" => "fco_",
                "custom_tool_call" => "ctc_",
                "custom_tool_call_output" => "ctco_",
                "local_shell_call" => "lsh_",
                "tool_search_call" => "tsc_",
                "tool_search_output" => "tso_",
                "compaction" => "cmp_",
                _ => {
                    prop_assert_eq!(kept.id(), None);
                    continue;
                }
            };
            let id = kept.id().expect("an id").to_owned();
            prop_assert!(id.starts_with(prefix) && id.len() == prefix.len() + 36, "{id}");
            let again = history.push((*kept).clone(), turn, UNIX_EPOCH);
            prop_assert_eq!(again.id(), Some(id.as_str()));
        }
    }
}

#[test]
fn request_controls_never_get_an_id() {
    let mut history = History::default();
    for kind in ["compaction_trigger", "configuration_update"] {
        let item = serde_json::from_value(json!({ "type": kind })).expect("an item");
        let kept = history.push(item, TurnId::generate(), UNIX_EPOCH);
        assert_eq!(json_of(&kept), json!({ "type": kind }));
    }
}

#[test]
fn the_other_types_get_the_prefixes_of_the_service() {
    let mut history = History::default();
    for (kind, prefix) in [
        ("agent_message", "amsg_"),
        ("web_search_call", "ws_"),
        ("image_generation_call", "ig_"),
        ("context_compaction", "cmp_"),
        ("additional_tools", "at_"),
    ] {
        let item = serde_json::from_value(json!({ "type": kind })).expect("an item");
        let kept = history.push(item, TurnId::generate(), UNIX_EPOCH);
        let id = kept.id().unwrap_or_default();
        assert!(id.starts_with(prefix), "{kind}: {id}");
        assert!(kept.turn_id().is_some(), "{kind} carries its turn");
    }
}

#[test]
fn what_is_stamped_already_is_not_stamped_again() {
    let mut history = History::default();
    let item: ResponseItem = serde_json::from_value(json!({
        "type": "function_call_output", "id": "srv", "call_id": "a", "output": "x", "metadata": {"turn_id": "old", "create_time": 7.0}
    }))
    .expect("an item with the key of older files");
    let kept = history.push(item, TurnId::generate(), UNIX_EPOCH);
    assert_eq!(
        json_of(&kept),
        json!({"type": "function_call_output", "id": "srv", "call_id": "a", "output": "x",
            "internal_chat_message_metadata_passthrough": {"turn_id": "old", "create_time": 7.0}})
    );
}

#[test]
fn an_image_leaves_a_text_where_it_was() {
    let image = ContentItem::InputImage {
        image_url: "data:,".to_owned(),
        detail: None,
    };
    let call =
        json!({"type": "function_call", "name": "view_image", "arguments": "{}", "call_id": "a"});
    let items = [
        ResponseItem::message("user", vec![image.clone()], &["user.image"]),
        serde_json::from_value(call).expect("an item"),
        ResponseItem::FunctionCallOutput {
            id: None,
            call_id: "a".to_owned(),
            output: OutputPayload::Items(vec![image]),
            metadata: None,
        },
    ];
    let sent = request(&items, false);
    let text = "[an image was here; this model cannot look at images]";
    assert_eq!(json_of(&sent[0])["content"][0]["text"], text);
    assert_eq!(json_of(&sent[2])["output"][0]["text"], text);
}
