//! `dovetail trust key`.

use clap::{Args, ValueEnum};
use dovetail_runtime::lock::PluginsLock;
use dovetail_runtime::trust::KeyPlace;
use serde_json::json;

use super::super::{Done, PluginContext};

/// `dovetail trust key`.
#[derive(Debug, Args)]
pub(in super::super) struct KeyArgs {
    /// Move the key there. In the keyring, nothing that only reads files gets at it; where nobody unlocks the keyring, such as
    /// over a remote shell, plugins that you accepted do not run.
    #[arg(long, value_name = "PLACE")]
    keep_in: Option<Place>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Where a key can be kept.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    /// `$CODEX_HOME/dovetail/lock.key`, for you alone.
    File,
    /// The desktop's keyring.
    Keyring,
}

pub(in super::super) fn run(context: &PluginContext, args: &KeyArgs) -> anyhow::Result<Done> {
    let own = &context.places.own_dir;
    if let Some(place) = args.keep_in {
        let place = match place {
            Place::File => KeyPlace::File,
            Place::Keyring => KeyPlace::Keyring,
        };
        PluginsLock::keep_key_in(own, place)?;
    }
    let place = PluginsLock::key_place(own)?;
    let text = match (args.json, place) {
        (true, _) => format!("{:#}\n", json!({ "kept_in": place.map(KeyPlace::as_str) })),
        (false, None) => "there is no trust key yet; it is made with your first grant\n".to_owned(),
        (false, Some(KeyPlace::File)) => {
            let file = PluginsLock::key_path_in(own);
            format!("the trust key is in `{}`\n", file.display())
        }
        (false, Some(KeyPlace::Keyring)) => "the trust key is in the keyring\n".to_owned(),
    };
    Ok(Done::with(text))
}
