//! Other model APIs, translated from and to Responses.
//!
//! [`Conversation`] reads a request into what most APIs want, [`Answer`] writes the events of the response; a plugin adds
//! the vendor's own shapes between the two.

mod answer;
mod conversation;
mod tool_names;

use std::cell::RefCell;

use serde_json::Value;

use crate::Error;
use crate::bindings::wire::exports::dovetail::plugin::wire as contract;

pub use self::answer::{Answer, Usage};
pub use self::conversation::{Conversation, Entry, Part, Said, Thought, ToolResult, ToolUse};
pub use self::tool_names::{OfferedTool, ToolNames};
pub use crate::bindings::wire::exports::dovetail::plugin::wire::{WireEvent, WireRequest};

/// Speaks another model API. Sans-IO: values in, values out; the host owns the connection.
///
/// The host makes a new instance for each request: it calls `configure` of the provider beside this, then `encode`, and
/// makes one decoder for the response. So a value may keep from `encode` what its decoder needs.
///
/// ```
/// use dovetail_plugin_api::wire::{Decoder, WireEvent, WireRequest};
/// use dovetail_plugin_api::{Error, Wire, export_wire};
/// use serde_json::{Value, json};
///
/// #[derive(Default)]
/// struct Echo;
///
/// impl Wire for Echo {
///     type Decoder = EchoStream;
///
///     fn encode(&mut self, request: &Value) -> Result<WireRequest, Error> {
///         let body = serde_json::to_vec(&json!({ "say": request["input"] }))?;
///         Ok(WireRequest { path: "/echo".into(), headers: vec![], body })
///     }
/// }
///
/// #[derive(Default)]
/// struct EchoStream {
///     ended: bool,
/// }
///
/// impl Decoder for EchoStream {
///     fn push(&mut self, event: WireEvent) -> Result<Vec<Value>, Error> {
///         self.ended = event.name == "end";
///         Ok(vec![json!({ "type": "response.output_text.delta", "delta": event.data })])
///     }
///
///     fn finish(&mut self) -> Result<Vec<Value>, Error> {
///         if !self.ended {
///             return Err(Error::retryable("the stream ended before `end`"));
///         }
///         Ok(vec![json!({ "type": "response.completed", "response": { "id": "r1" } })])
///     }
/// }
///
/// export_wire!(Echo);
/// ```
pub trait Wire: Default + 'static {
    /// What reads one response; a new one is made for each.
    type Decoder: Decoder;

    /// Turns a Responses request into the provider's.
    ///
    /// # Errors
    /// Any error fails the request with its text.
    fn encode(&mut self, request: &Value) -> Result<WireRequest, Error>;

    /// Starts reading the response to the request that was encoded last. By default nothing of the request is needed.
    fn decoder(&mut self) -> Self::Decoder {
        Self::Decoder::default()
    }
}

/// A request with a body of JSON, to a path below the base URL.
impl WireRequest {
    /// Makes one without headers; `content-type` and `accept` are set by the host.
    pub fn json(path: impl Into<String>, body: &Value) -> Self {
        Self {
            path: path.into(),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }
}

/// Turns a provider's stream back into Responses events.
pub trait Decoder: Default + 'static {
    /// One event in, any number of Responses events out.
    ///
    /// # Errors
    /// Any error ends the stream with its text.
    fn push(&mut self, event: WireEvent) -> Result<Vec<Value>, Error>;

    /// The stream has ended: what is left.
    ///
    /// # Errors
    /// [`Error::Retryable`] where it ended too early.
    fn finish(&mut self) -> Result<Vec<Value>, Error>;
}

/// Makes a type's [`Wire`] implementation the component's `wire` export.
///
/// Outside of wasm it only checks that the type implements the trait, so that crates build and test natively.
#[macro_export]
macro_rules! export_wire {
    ($plugin:ty) => {
        const _: () = {
            type DovetailExport = $crate::wire::Adapter<$plugin>;
            #[cfg(target_family = "wasm")]
    $crate::bindings::wire::export!(DovetailExport with_types_in $crate::bindings::wire);
            const _: Option<DovetailExport> = None;
        };
    };
}

/// Carries a [`Wire`] to the contract's trait.
#[doc(hidden)]
#[derive(Debug)]
pub struct Adapter<T: Wire>(std::marker::PhantomData<T>);

impl<T: Wire> contract::Guest for Adapter<T> {
    type Decoder = DecoderAdapter<T>;

    fn encode(request_json: String) -> Result<WireRequest, contract::Error> {
        crate::instance::with(|plugin: &mut T| {
            let request = serde_json::from_str(&request_json).map_err(Error::from)?;
            Ok(plugin.encode(&request)?)
        })
    }
}

/// Carries a [`Decoder`] to the contract's resource.
#[doc(hidden)]
pub struct DecoderAdapter<T: Wire>(RefCell<T::Decoder>);

impl<T: Wire> contract::GuestDecoder for DecoderAdapter<T> {
    fn new() -> Self {
        Self(RefCell::new(crate::instance::with(|plugin: &mut T| {
            plugin.decoder()
        })))
    }

    fn push(&self, event: WireEvent) -> Result<Vec<String>, contract::Error> {
        Ok(texts(self.0.borrow_mut().push(event)?))
    }

    fn finish(&self) -> Result<Vec<String>, contract::Error> {
        Ok(texts(self.0.borrow_mut().finish()?))
    }
}

impl<T: Wire> std::fmt::Debug for DecoderAdapter<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DecoderAdapter")
    }
}

fn texts(events: Vec<Value>) -> Vec<String> {
    events.iter().map(Value::to_string).collect()
}
