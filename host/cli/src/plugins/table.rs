//! What the plugins of a session did, as a table.

use std::fmt::Write as _;

use dovetail_runtime::plugin::Plugin;

use crate::plugin_cmd::layout::duration;
use crate::plugin_cmd::with_mark;

/// What each plugin is, did, and may do.
pub(super) fn table(plugins: &[Plugin]) -> String {
    let mut text = format!(
        "{:<14} {:<9} {:>5}  {:>8}  {}\n",
        "plugin", "kind", "calls", "p50", "granted"
    );
    for plugin in plugins {
        let kinds: Vec<&str> = plugin.kinds().iter().map(|kind| kind.name()).collect();
        let stats = plugin.stats();
        let p50 = stats.p50.map_or_else(|| "–".to_owned(), duration);
        let mut granted = wrapped(&granted(plugin), GRANT_WIDTH).into_iter();
        let first = granted.next().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:<9} {:>5}  {p50:>8}  {first}",
            plugin.id().as_str(),
            kinds.join("+"),
            stats.calls
        );
        for line in granted {
            let _ = writeln!(text, "{:<41} {line}", "");
        }
    }
    text
}

fn granted(plugin: &Plugin) -> String {
    let granted = plugin.grant().capabilities().to_string();
    with_mark(granted, plugin.manifest().native)
}

/// What is left of 80 columns for the grants.
const GRANT_WIDTH: usize = 38;

/// A list in lines that fit; an entry that does not fit alone gets a line of its own.
fn wrapped(list: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for entry in list.split(", ") {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 2 + entry.chars().count() <= width => {
                line.push_str(", ");
                line.push_str(entry);
            }
            Some(line) => {
                line.push(',');
                lines.push(entry.to_owned());
            }
            None => lines.push(entry.to_owned()),
        }
    }
    lines
}
