//! Other model APIs, translated from and to Responses.

use std::cell::RefCell;

use serde_json::Value;

use crate::Error;
use crate::bindings::wire::exports::dovetail::plugin::wire as contract;

pub use crate::bindings::wire::exports::dovetail::plugin::wire::{WireEvent, WireRequest};

/// Speaks another model API. Sans-IO: values in, values out; the host owns the connection.
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
    type Decoder = DecoderAdapter<T::Decoder>;

    fn encode(request_json: String) -> Result<WireRequest, contract::Error> {
        crate::instance::with(|plugin: &mut T| {
            let request = serde_json::from_str(&request_json).map_err(Error::from)?;
            Ok(plugin.encode(&request)?)
        })
    }
}

/// Carries a [`Decoder`] to the contract's resource.
#[doc(hidden)]
#[derive(Debug)]
pub struct DecoderAdapter<D>(RefCell<D>);

impl<D: Decoder> contract::GuestDecoder for DecoderAdapter<D> {
    fn new() -> Self {
        Self(RefCell::default())
    }

    fn push(&self, event: WireEvent) -> Result<Vec<String>, contract::Error> {
        Ok(texts(self.0.borrow_mut().push(event)?))
    }

    fn finish(&self) -> Result<Vec<String>, contract::Error> {
        Ok(texts(self.0.borrow_mut().finish()?))
    }
}

fn texts(events: Vec<Value>) -> Vec<String> {
    events.iter().map(Value::to_string).collect()
}
