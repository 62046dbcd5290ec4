//! How a tool call is getting on. Always linked for tools; of no use to other kinds.

use super::IN_HOST;
use crate::bindings::tools::dovetail::plugin::progress;

/// Reports progress and total in any unit, the same for both, with a message for the user. Natively this does
/// nothing.
pub fn report(progress: f64, total: Option<f64>, message: Option<&str>) {
    if IN_HOST {
        progress::report(progress, total, message);
    }
}
