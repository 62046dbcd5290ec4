//! A sink that appends events to a file, one JSON object per line.
//!
//! The file lies in the one directory that the grant mounts at `/data`. A batch is written whole or reported as not
//! written; an event that is delivered twice is there twice, with the same `id`.

mod file;
mod options;

use dovetail_plugin_api::sink::{Ack, Event, FieldClasses, Subscription};
use dovetail_plugin_api::{Error, Sink, config, export_sink, log};

use file::EventFile;
use options::Options;

/// Where the grant mounts the directory.
const MOUNT: &str = "/data";

/// The open file.
#[derive(Debug, Default)]
struct JsonlSink {
    file: Option<EventFile>,
    full: bool,
}

impl Sink for JsonlSink {
    fn subscriptions(&self) -> Subscription {
        Subscription::to(["*"], FieldClasses::all())
    }

    fn open(&mut self, config_json: &str) -> Result<(), Error> {
        let options: Options = config::parse(config_json)?;
        self.file = Some(EventFile::open(MOUNT.as_ref(), &options)?);
        Ok(())
    }

    fn deliver(&mut self, batch: Vec<Event>) -> Result<Ack, Error> {
        let file = self.file.as_mut().ok_or("the sink is not open")?;
        if file.append(&batch)? {
            return Ok(Ack::Accepted);
        }
        if !std::mem::replace(&mut self.full, true) {
            log::warn(format!(
                "{} has reached max_bytes, later events are not kept",
                file.name()
            ));
        }
        Ok(Ack::Reject(
            batch.into_iter().map(|event| event.id).collect(),
        ))
    }

    fn close(&mut self) -> Result<(), Error> {
        self.file.take().map_or(Ok(()), EventFile::close)
    }
}

export_sink!(JsonlSink);
