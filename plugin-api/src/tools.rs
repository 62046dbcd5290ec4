//! Tool servers.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Error;
use crate::bindings::tools::exports::dovetail::plugin::tools as contract;

pub use crate::bindings::tools::exports::dovetail::plugin::tools::{
    Blob, Call, CallResult, Content, PromptInfo, ResourceInfo, Tool,
};

/// A server of tools, shaped like MCP. The model sees each tool as `mcp__<plugin>` / `<name>`.
///
/// One value serves all calls of a component instance; the host replaces an instance that traps or is late.
///
/// ```
/// use dovetail_plugin_api::tools::{Call, CallResult, Tool};
/// use dovetail_plugin_api::{Error, Tools, export_tools};
/// use serde::Deserialize;
/// use serde_json::json;
///
/// #[derive(Default)]
/// struct Dice;
///
/// #[derive(Deserialize)]
/// struct Roll {
///     sides: u32,
/// }
///
/// impl Tools for Dice {
///     fn list_tools(&mut self) -> Result<Vec<Tool>, Error> {
///         let schema = json!({
///             "type": "object",
///             "properties": { "sides": { "type": "integer", "minimum": 1 } },
///             "required": ["sides"],
///         });
///         Ok(vec![Tool::new("roll", "Rolls a die", schema).read_only().parallel_safe()])
///     }
///
///     fn call_tool(&mut self, call: Call) -> Result<CallResult, Error> {
///         let roll: Roll = call.arguments()?;
///         Ok(CallResult::text(format!("{}", 1 + 41 % roll.sides.max(1))))
///     }
/// }
///
/// export_tools!(Dice);
/// ```
pub trait Tools: Default + 'static {
    /// The tools. Called at start and after the plugin changes.
    ///
    /// # Errors
    /// Any error leaves the server without tools, visibly.
    fn list_tools(&mut self) -> Result<Vec<Tool>, Error>;

    /// Runs a tool.
    ///
    /// # Errors
    /// The model sees the text as a failed result.
    fn call_tool(&mut self, call: Call) -> Result<CallResult, Error>;

    /// The resources. By default there are none.
    ///
    /// # Errors
    /// Any error leaves the server without resources.
    fn list_resources(&mut self) -> Result<Vec<ResourceInfo>, Error> {
        Ok(Vec::new())
    }

    /// Reads a resource. By default there are none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a URI that is not on offer.
    fn read_resource(&mut self, uri: &str) -> Result<Vec<Content>, Error> {
        Err(Error::Invalid(format!("there is no resource `{uri}`")))
    }

    /// The prompts. By default there are none.
    ///
    /// # Errors
    /// Any error leaves the server without prompts.
    fn list_prompts(&mut self) -> Result<Vec<PromptInfo>, Error> {
        Ok(Vec::new())
    }

    /// Renders a prompt; the arguments are texts. By default there are none.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is not on offer or a missing argument.
    fn get_prompt(&mut self, name: &str, arguments: &Map<String, Value>) -> Result<String, Error> {
        let _ = arguments; // Named for the documentation's sake.
        Err(Error::Invalid(format!("there is no prompt `{name}`")))
    }
}

impl Tool {
    /// A tool with a JSON Schema object for its arguments. It is taken to change things, and not to overlap others,
    /// until [`read_only`](Self::read_only) and [`parallel_safe`](Self::parallel_safe) say otherwise.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        input_schema: Value,
    ) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: description.into(),
            input_schema_json: input_schema.to_string(),
            output_schema_json: None,
            parallel_safe: false,
            read_only: false,
        }
    }

    /// Gives it a title for people.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Describes structured results with a JSON Schema object.
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output_schema_json = Some(schema.to_string());
        self
    }

    /// Says that calls may overlap others.
    pub fn parallel_safe(mut self) -> Self {
        self.parallel_safe = true;
        self
    }

    /// Says that it changes nothing.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

impl Call {
    /// The arguments as a type of the plugin's.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the tool and the argument, so that the model can correct itself.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.arguments_json)
            .map_err(|error| Error::Invalid(format!("arguments of `{}`: {error}", self.name)))
    }

    /// A field of the turn's metadata, such as `thread_id` or `model`; none where it is missing or no text.
    pub fn turn_metadata(&self, field: &str) -> Option<String> {
        // What is not JSON has no fields.
        let metadata: Value = serde_json::from_str(&self.turn_metadata_json).ok()?;
        Some(metadata.get(field)?.as_str()?.to_owned())
    }
}

impl CallResult {
    /// One piece of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            content: vec![Content::Text(text.into())],
            structured_json: None,
            is_error: false,
        }
    }

    /// A failure, in words for the model.
    pub fn failure(text: impl Into<String>) -> Self {
        Self {
            is_error: true,
            ..Self::text(text)
        }
    }

    /// A structured result, with its JSON as text for models that read only that.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the value cannot be JSON, such as a map whose keys are no texts.
    pub fn structured(value: &impl Serialize) -> Result<Self, Error> {
        let json = serde_json::to_string(value)?;
        Ok(Self {
            structured_json: Some(json.clone()),
            ..Self::text(json)
        })
    }
}

/// Makes a type's [`Tools`] implementation the component's `tools` export.
///
/// Outside of wasm it only checks that the type implements the trait, so that crates build and test natively.
#[macro_export]
macro_rules! export_tools {
    ($plugin:ty) => {
        const _: () = {
            type DovetailExport = $crate::tools::Adapter<$plugin>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::tools::export!(DovetailExport with_types_in $crate::bindings::tools);
            const _: Option<DovetailExport> = None;
        };
    };
}

/// Carries [`Tools`] to the contract's trait.
#[doc(hidden)]
#[derive(Debug)]
pub struct Adapter<T: Tools>(std::marker::PhantomData<T>);

impl<T: Tools> contract::Guest for Adapter<T> {
    fn list_tools() -> Result<Vec<Tool>, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.list_tools()?))
    }

    fn call_tool(call: Call) -> Result<CallResult, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.call_tool(call)?))
    }

    fn list_resources() -> Result<Vec<ResourceInfo>, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.list_resources()?))
    }

    fn read_resource(uri: String) -> Result<Vec<Content>, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.read_resource(&uri)?))
    }

    fn list_prompts() -> Result<Vec<PromptInfo>, contract::Error> {
        crate::instance::with(|plugin: &mut T| Ok(plugin.list_prompts()?))
    }

    fn get_prompt(name: String, arguments_json: String) -> Result<String, contract::Error> {
        crate::instance::with(|plugin: &mut T| {
            let arguments = serde_json::from_str(&arguments_json).map_err(Error::from)?;
            Ok(plugin.get_prompt(&name, &arguments)?)
        })
    }
}
