//! Items of a conversation, in the Responses API's shape.
//!
//! The same shape is sent, received and kept in rollout files, so it is serialized here once. Key order follows what
//! existing clients send. Fields that nobody needs later are dropped on the way in; item types that are not known are
//! kept whole.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The key that items carry their metadata under.
pub(crate) const PASSTHROUGH: &str = "internal_chat_message_metadata_passthrough";

/// A piece of a message or of a tool's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentItem {
    /// Text to the model.
    InputText {
        /// The text.
        text: String,
    },
    /// An image to the model.
    InputImage {
        /// A URL, usually a `data:` one.
        image_url: String,
        /// How closely to look: `auto`, `low`, `high`, `original`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// Sound to the model.
    InputAudio {
        /// A URL, usually a `data:` one.
        audio_url: String,
    },
    /// Text from the model.
    OutputText {
        /// The text.
        text: String,
    },
    /// The model declined; kept as it said it.
    Refusal {
        /// Its words.
        refusal: String,
    },
    /// A kind this version does not know, kept whole.
    #[serde(untagged)]
    Other(Value),
}

/// A paragraph of a reasoning summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SummaryPart {
    /// Its text.
    SummaryText {
        /// The text.
        text: String,
    },
}

/// A tool's output as the model gets it: one text, or pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OutputPayload {
    /// One text.
    Text(String),
    /// Several pieces.
    Items(Vec<ContentItem>),
}

impl OutputPayload {
    /// All text in it, joined by line ends; images are left out.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Items(items) => {
                let texts: Vec<&str> = items
                    .iter()
                    .filter_map(|item| match item {
                        ContentItem::InputText { text } | ContentItem::OutputText { text } => {
                            Some(text.as_str())
                        }
                        ContentItem::InputImage { .. }
                        | ContentItem::InputAudio { .. }
                        | ContentItem::Refusal { .. }
                        | ContentItem::Other(_) => None,
                    })
                    .collect();
                texts.join("\n")
            }
        }
    }
}

/// Metadata that travels with an item: `internal_chat_message_metadata_passthrough`.
///
/// Kept in rollouts always; sent only to providers that declare they accept it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemMetadata {
    /// The turn the item belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// When it was made, in seconds since 1970; on user and developer messages and tool outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_time: Option<f64>,
    /// What each piece of content is, such as `user.text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_item_kinds: Option<Vec<String>>,
    /// Fields for files alone, and those this version does not know. Never sent.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ItemMetadata {
    /// What services get to see of it. The rest is for files: where content came from, and the like.
    const PUBLIC: &[&str] = &["turn_id", "create_time", "content_item_kinds"];
}

/// One item of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseItem {
    /// Something said.
    Message {
        /// Item id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// `user`, `assistant`, `developer` or `system`.
        role: String,
        /// What was said.
        content: Vec<ContentItem>,
        /// `commentary` or `final_answer`, on assistant messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// See [`ItemMetadata`].
        #[serde(
            default,
            rename = "internal_chat_message_metadata_passthrough",
            alias = "metadata",
            skip_serializing_if = "Option::is_none"
        )]
        metadata: Option<ItemMetadata>,
    },
    /// The model's thinking, usually encrypted.
    Reasoning {
        /// Item id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// What may be shown.
        #[serde(default)]
        summary: Vec<SummaryPart>,
        /// Raw text, where the provider gives it. Written as null otherwise, as existing clients do.
        #[serde(default)]
        content: Option<Value>,
        /// What the provider wants back.
        #[serde(default)]
        encrypted_content: Option<String>,
        /// See [`ItemMetadata`].
        #[serde(
            default,
            rename = "internal_chat_message_metadata_passthrough",
            alias = "metadata",
            skip_serializing_if = "Option::is_none"
        )]
        metadata: Option<ItemMetadata>,
    },
    /// A call of a function tool.
    FunctionCall {
        /// Item id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The tool.
        name: String,
        /// The tool's namespace, such as `mcp__notes`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// The arguments: JSON in a string, as the model wrote it.
        arguments: String,
        /// The call's id.
        call_id: String,
        /// See [`ItemMetadata`].
        #[serde(
            default,
            rename = "internal_chat_message_metadata_passthrough",
            alias = "metadata",
            skip_serializing_if = "Option::is_none"
        )]
        metadata: Option<ItemMetadata>,
    },
    /// What came of a function call.
    FunctionCallOutput {
        /// Item id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The call's id.
        call_id: String,
        /// The output.
        output: OutputPayload,
        /// See [`ItemMetadata`].
        #[serde(
            default,
            rename = "internal_chat_message_metadata_passthrough",
            alias = "metadata",
            skip_serializing_if = "Option::is_none"
        )]
        metadata: Option<ItemMetadata>,
    },
    /// A call of a freeform tool.
    CustomToolCall {
        /// Item id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// As the model's service gave it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<String>,
        /// The call's id.
        call_id: String,
        /// The tool.
        name: String,
        /// The tool's namespace.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// The input text.
        input: String,
        /// See [`ItemMetadata`].
        #[serde(
            default,
            rename = "internal_chat_message_metadata_passthrough",
            alias = "metadata",
            skip_serializing_if = "Option::is_none"
        )]
        metadata: Option<ItemMetadata>,
    },
    /// What came of a freeform call.
    CustomToolCallOutput {
        /// Item id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The call's id.
        call_id: String,
        /// The tool, where the service wants it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The output.
        output: OutputPayload,
        /// See [`ItemMetadata`].
        #[serde(
            default,
            rename = "internal_chat_message_metadata_passthrough",
            alias = "metadata",
            skip_serializing_if = "Option::is_none"
        )]
        metadata: Option<ItemMetadata>,
    },
    /// A search that the service ran itself.
    WebSearchCall {
        /// Item id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// As the service gave it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<String>,
        /// What it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<Value>,
        /// See [`ItemMetadata`].
        #[serde(
            default,
            rename = "internal_chat_message_metadata_passthrough",
            alias = "metadata",
            skip_serializing_if = "Option::is_none"
        )]
        metadata: Option<ItemMetadata>,
    },
    /// Any other type, kept whole.
    #[serde(untagged)]
    Other(Map<String, Value>),
}

impl ResponseItem {
    /// A message that the host writes.
    pub fn message(role: &str, content: Vec<ContentItem>, kinds: &[&str]) -> Self {
        Self::Message {
            id: None,
            role: role.to_owned(),
            content,
            phase: None,
            metadata: Some(ItemMetadata {
                content_item_kinds: Some(kinds.iter().map(|kind| (*kind).to_owned()).collect()),
                ..ItemMetadata::default()
            }),
        }
    }

    /// The item's id, where it has one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message { id, .. }
            | Self::Reasoning { id, .. }
            | Self::FunctionCall { id, .. }
            | Self::FunctionCallOutput { id, .. }
            | Self::CustomToolCall { id, .. }
            | Self::CustomToolCallOutput { id, .. }
            | Self::WebSearchCall { id, .. } => id.as_deref(),
            Self::Other(fields) => fields.get("id").and_then(Value::as_str),
        }
    }

    /// The prefix of ids given to this type; none for types that may not have one.
    fn id_prefix(&self) -> Option<&'static str> {
        match self {
            Self::Message { .. } => Some("msg"),
            Self::Reasoning { .. } => Some("rs"),
            Self::FunctionCall { .. } => Some("fc"),
            Self::FunctionCallOutput { .. } => Some("fco"),
            Self::CustomToolCall { .. } => Some("ctc"),
            Self::CustomToolCallOutput { .. } => Some("ctco"),
            Self::WebSearchCall { .. } => Some("ws"),
            Self::Other(fields) => match fields.get("type").and_then(Value::as_str)? {
                "agent_message" => Some("amsg"),
                "local_shell_call" => Some("lsh"),
                "tool_search_call" => Some("tsc"),
                "tool_search_output" => Some("tso"),
                "image_generation_call" => Some("ig"),
                "compaction" | "compaction_summary" | "context_compaction" => Some("cmp"),
                "additional_tools" => Some("at"),
                _ => None,
            },
        }
    }

    /// Gives the item an id if it has none. Ids from the server are never changed.
    pub(crate) fn ensure_id(&mut self) {
        if self.id().is_some_and(|id| !id.is_empty()) {
            return;
        }
        if let Some(prefix) = self.id_prefix() {
            self.set_id(format!("{prefix}_{}", Uuid::now_v7().hyphenated()));
        }
    }

    pub(crate) fn set_id(&mut self, fresh: String) {
        match self {
            Self::Message { id, .. }
            | Self::Reasoning { id, .. }
            | Self::FunctionCall { id, .. }
            | Self::FunctionCallOutput { id, .. }
            | Self::CustomToolCall { id, .. }
            | Self::CustomToolCallOutput { id, .. }
            | Self::WebSearchCall { id, .. } => *id = Some(fresh),
            Self::Other(fields) => {
                fields.insert("id".to_owned(), Value::String(fresh));
            }
        }
    }

    /// The type of an item that has no variant of its own; empty where it says none.
    pub(crate) fn other_kind(fields: &Map<String, Value>) -> &str {
        fields
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Whether this version knows what the item is for.
    pub(crate) fn is_known(&self) -> bool {
        self.id_prefix().is_some()
    }

    /// The turn that the item was stamped with.
    pub fn turn_id(&self) -> Option<&str> {
        match self {
            Self::Message { metadata, .. }
            | Self::Reasoning { metadata, .. }
            | Self::FunctionCall { metadata, .. }
            | Self::FunctionCallOutput { metadata, .. }
            | Self::CustomToolCall { metadata, .. }
            | Self::CustomToolCallOutput { metadata, .. }
            | Self::WebSearchCall { metadata, .. } => metadata.as_ref()?.turn_id.as_deref(),
            Self::Other(fields) => fields.get(PASSTHROUGH)?.get("turn_id")?.as_str(),
        }
    }

    /// The item's metadata, where its type carries any.
    pub fn metadata_mut(&mut self) -> Option<&mut Option<ItemMetadata>> {
        match self {
            Self::Message { metadata, .. }
            | Self::Reasoning { metadata, .. }
            | Self::FunctionCall { metadata, .. }
            | Self::FunctionCallOutput { metadata, .. }
            | Self::CustomToolCall { metadata, .. }
            | Self::CustomToolCallOutput { metadata, .. }
            | Self::WebSearchCall { metadata, .. } => Some(metadata),
            Self::Other(_) => None,
        }
    }

    /// Removes the metadata, for providers that do not accept it.
    pub fn strip_metadata(&mut self) {
        if let Some(metadata) = self.metadata_mut() {
            *metadata = None;
        } else if let Self::Other(fields) = self {
            fields.shift_remove(PASSTHROUGH);
        }
    }

    /// Removes the parts of the metadata that are for the host's own files only.
    pub fn strip_private_metadata(&mut self) {
        if let Some(metadata) = self.metadata_mut() {
            if let Some(metadata) = metadata {
                metadata.extra.clear();
            }
        } else if let Self::Other(fields) = self
            && let Some(Value::Object(metadata)) = fields.get_mut(PASSTHROUGH)
        {
            metadata.retain(|key, _| ItemMetadata::PUBLIC.contains(&key.as_str()));
        }
    }

    /// Whether the metadata has parts that are for the host's own files only.
    pub fn has_private_metadata(&self) -> bool {
        match self {
            Self::Message { metadata, .. }
            | Self::Reasoning { metadata, .. }
            | Self::FunctionCall { metadata, .. }
            | Self::FunctionCallOutput { metadata, .. }
            | Self::CustomToolCall { metadata, .. }
            | Self::CustomToolCallOutput { metadata, .. }
            | Self::WebSearchCall { metadata, .. } => metadata
                .as_ref()
                .is_some_and(|metadata| !metadata.extra.is_empty()),
            Self::Other(fields) => match fields.get(PASSTHROUGH) {
                Some(Value::Object(metadata)) => metadata
                    .keys()
                    .any(|key| !ItemMetadata::PUBLIC.contains(&key.as_str())),
                Some(_) | None => false,
            },
        }
    }

    /// Whether it is a message from the model, and its text.
    pub fn assistant_text(&self) -> Option<String> {
        match self {
            Self::Message { role, content, .. } if role == "assistant" => {
                Some(content.iter().filter_map(text_of).collect())
            }
            _ => None,
        }
    }
}

fn text_of(item: &ContentItem) -> Option<&str> {
    match item {
        ContentItem::InputText { text } | ContentItem::OutputText { text } => Some(text),
        ContentItem::Refusal { refusal } => Some(refusal),
        ContentItem::InputImage { .. } | ContentItem::InputAudio { .. } | ContentItem::Other(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_round_trip(text: &str) {
        let item: ResponseItem = serde_json::from_str(text).expect("the fixture is an item");
        assert_eq!(serde_json::to_string(&item).expect("items serialize"), text);
    }

    #[test]
    fn items_keep_their_shape_and_key_order() {
        check_round_trip(
            r#"{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"hi"}],"phase":"commentary"}"#,
        );
        check_round_trip(
            r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"**Think**"}],"content":null,"encrypted_content":"ENC=="}"#,
        );
        check_round_trip(
            r#"{"type":"function_call","id":"fc_1","name":"echo","namespace":"mcp__echo","arguments":"{}","call_id":"call_1"}"#,
        );
        check_round_trip(
            r#"{"type":"function_call_output","id":"fco_1","call_id":"call_1","output":[{"type":"input_image","image_url":"data:x","detail":"original"}]}"#,
        );
    }

    #[test]
    fn unknown_item_types_survive_whole() {
        check_round_trip(r#"{"type":"hologram","id":"h_1","depth":3,"nested":{"a":[1,2]}}"#);
    }

    #[test]
    fn a_server_id_is_never_changed() {
        let mut item: ResponseItem = serde_json::from_str(
            r#"{"type":"function_call","id":"fc_1","name":"x","arguments":"{}","call_id":"c"}"#,
        )
        .expect("the fixture is an item");
        item.ensure_id();
        assert_eq!(item.id(), Some("fc_1"));
    }

    #[test]
    fn a_missing_id_gets_its_types_prefix_and_a_v7_uuid() {
        let mut item = ResponseItem::FunctionCallOutput {
            id: None,
            call_id: "c".to_owned(),
            output: OutputPayload::Text(String::new()),
            metadata: None,
        };
        item.ensure_id();
        let id = item.id().expect("an id was given");
        let uuid = Uuid::try_parse(id.strip_prefix("fco_").expect("the prefix")).expect("a UUID");
        assert_eq!(uuid.get_version_num(), 7);
    }
}
