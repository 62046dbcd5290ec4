//! Tool servers: the interface `tools` of the contract.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Plugin, base64_text};

/// A tool on offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tool {
    /// Its name within the server.
    pub name: String,
    /// A title for people.
    #[serde(default)]
    pub title: Option<String>,
    /// What it does, for the model.
    pub description: String,
    /// A JSON Schema object for its arguments.
    pub input_schema_json: String,
    /// A JSON Schema object for its structured result.
    #[serde(default)]
    pub output_schema_json: Option<String>,
    /// Whether calls may overlap others. Calls to one native plugin never do.
    #[serde(default)]
    pub parallel_safe: bool,
    /// Whether it changes nothing.
    #[serde(default)]
    pub read_only: bool,
}

impl Tool {
    /// A tool without arguments that changes nothing.
    pub fn new(name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: None,
            description: description.to_owned(),
            input_schema_json: r#"{"type":"object","properties":{}}"#.to_owned(),
            output_schema_json: None,
            parallel_safe: false,
            read_only: true,
        }
    }
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Call {
    /// The model's id for the call.
    pub call_id: String,
    /// Which tool.
    pub name: String,
    /// Its arguments, a JSON object.
    pub arguments_json: String,
    /// About the turn, a JSON object.
    pub turn_metadata_json: String,
}

impl Call {
    /// The arguments as a value.
    ///
    /// # Errors
    /// `invalid` where they are not JSON, which no host sends.
    pub fn arguments(&self) -> Result<Value, Error> {
        serde_json::from_str(&self.arguments_json).map_err(|e| Error::Invalid(e.to_string()))
    }
}

/// Bytes of some type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Blob {
    /// The bytes.
    #[serde(with = "base64_text")]
    pub data: Vec<u8>,
    /// Such as `image/png`.
    pub mime_type: String,
}

/// A piece of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Text.
    Text(String),
    /// An image.
    Image(Blob),
    /// Sound.
    Audio(Blob),
    /// The URI of a resource.
    ResourceLink(String),
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallResult {
    /// The pieces, in order.
    pub content: Vec<Content>,
    /// A structured result, as JSON.
    #[serde(default)]
    pub structured_json: Option<String>,
    /// Whether the tool failed.
    #[serde(default)]
    pub is_error: bool,
}

impl CallResult {
    /// A result that is one text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            content: vec![Content::Text(text.into())],
            structured_json: None,
            is_error: false,
        }
    }

    /// A failure that the model should know about.
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            is_error: true,
            ..Self::text(text)
        }
    }
}

/// The parameters of `call-tool`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallTool {
    /// The call.
    pub call: Call,
}

/// Offers tools to the model.
pub trait Tools: Plugin {
    /// Lists the tools.
    ///
    /// # Errors
    /// They cannot be listed now.
    fn list_tools(&self) -> Result<Vec<Tool>, Error>;

    /// Runs one. A failure that the model should read is a [`CallResult::failed`].
    ///
    /// # Errors
    /// There is no such tool, or it cannot run.
    fn call_tool(&self, call: &Call) -> Result<CallResult, Error>;
}
