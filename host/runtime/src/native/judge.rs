//! What keeps a native plugin from running whoever granted it: that none are allowed, or that it crashed.

use std::path::Path;

use super::mark;
use crate::discovery::Found;
use crate::state::State;

/// Judges a plugin once more where it is native. What processes left behind that ended in the middle of a
/// call without a crash goes into `notices`: it may have been anybody.
pub(crate) fn judge(
    state: &mut State,
    found: &Found,
    allow: bool,
    own_dir: &Path,
    notices: &mut Vec<String>,
) {
    if !found.manifest.native || matches!(state, State::Disabled | State::NotAllowed { .. }) {
        return;
    }
    if !allow {
        *state = State::NativeOff;
        return;
    }
    if !matches!(state, State::Ready(_)) {
        return;
    }
    let id = &found.manifest.id;
    let endings = mark::endings(&mark::dir_in(own_dir), id, &found.wasm.sha256);
    let (crashes, others): (Vec<_>, Vec<_>) = endings
        .into_iter()
        .partition(|ending| ending.signal.is_some());
    for ending in &others {
        notices.push(format!(
            "dovetail (process {}) ended in the middle of `{}` of the native plugin `{id}`, without a crash: it was \
             killed, or the plugin ended it; to stop saying so: dovetail plugin enable {id}",
            ending.process, ending.call
        ));
    }
    if let Some(crash) = crashes.into_iter().next_back() {
        *state = State::Crashed(Box::new(crash));
    }
}
