//! `dovetail rehearse`: plays a script as a model server, or records one.

use std::process::ExitCode;

use dovetail_rehearsal::{RehearseMode, RehearseOptions};
use tokio_util::sync::CancellationToken;

use crate::args::RehearseArgs;
use crate::out;

/// Runs the command until the script is played or Ctrl-C.
///
/// # Errors
/// The script cannot be used, or the rehearsal went differently from it.
pub(crate) async fn run(args: RehearseArgs) -> anyhow::Result<ExitCode> {
    let mode = match (args.script, args.record, args.upstream) {
        (Some(script), None, None) => RehearseMode::Play { script },
        (None, Some(out), Some(upstream)) => RehearseMode::Record { out, upstream },
        // The command line does not parse with any other combination.
        _ => {
            return Err(crate::fatal::Fatal::new(
                "name a script, or `--record OUT --upstream URL`",
            )
            .into());
        }
    };
    let options = RehearseOptions {
        mode,
        port: args.port,
        ready_file: args.ready_file,
    };
    let stop = CancellationToken::new();
    let until = stop.clone();
    let interrupts = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            until.cancel();
        }
    });
    let report = dovetail_rehearsal::run(options, stop).await;
    interrupts.abort();
    out::stderr(&format!("{}\n", report?));
    Ok(ExitCode::SUCCESS)
}
