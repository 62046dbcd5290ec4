//! A tool server that says what it was told: the arguments to the model, everything to the log.

use std::io;

use dovetail_plugin_api::tools::{Call, CallResult, Tool};
use dovetail_plugin_api::{Error, Tools, export_tools, log};
use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Value, json};

/// Says it back.
#[derive(Debug, Default)]
struct Echo;

/// JSON with a blank after each colon and comma, as scripts in other languages write it.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

fn spaced(value: &Map<String, Value>) -> Result<String, Error> {
    let mut text = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut text, Spaced));
    written.map_err(|error| Error::Other(error.to_string()))?;
    String::from_utf8(text).map_err(|error| Error::Other(error.to_string()))
}

impl Tools for Echo {
    fn list_tools(&mut self) -> Result<Vec<Tool>, Error> {
        let schema = json!({ "type": "object", "properties": { "t": { "type": "string" } } });
        Ok(vec![Tool::new("echo", "Says it back", schema).read_only()])
    }

    fn call_tool(&mut self, call: Call) -> Result<CallResult, Error> {
        let metadata: Value = serde_json::from_str(&call.turn_metadata_json)
            .map_err(|error| Error::Invalid(error.to_string()))?;
        let arguments: Map<String, Value> = call.arguments()?;
        log::info(format!(
            "received {}",
            json!({
                "name": call.name,
                "arguments": arguments,
                "_meta": { "callId": call.call_id, "x-codex-turn-metadata": metadata },
            })
        ));
        Ok(CallResult::text(format!("echo:{}", spaced(&arguments)?)))
    }
}

export_tools!(Echo);
