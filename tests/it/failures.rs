//! Each row of `docs/failures.md`: what a broken guest does to a turn, and what it does not do. A well plugin works
//! beside the broken one, and the thread goes on afterwards.

mod beyond_grant;
mod hooks;
mod load;
mod providers;
mod sinks;
mod tools;

use dovetail_tests::{Lab, MISBEHAVER, NOTES, script};
use serde_json::Value;

/// What a guest is ordered to do, and words that must be read of it.
pub(crate) type Row = (&'static str, u64, &'static str);

/// Faults of a guest; each must be told in these words wherever it happens.
pub(crate) const FAULTS: &[Row] = &[
    ("trap", 0, "trapped as ordered"),
    ("exit", 0, "plugin `misbehaver` trapped in"),
    ("spin", 0, "within 2000 ms"),
    ("allocate", 0, "passed its limit of 64 MiB of memory"),
    ("recurse", 0, "plugin `misbehaver` trapped in"),
    ("flood-stdout", 0, "plugin `misbehaver` "),
    ("flood-log", 0, "plugin `misbehaver` "),
    ("fail", 0, "failed as ordered"),
];

/// Installs the misbehaver with short deadlines and orders, and a tool server that is well.
pub(crate) async fn order(lab: &Lab, orders: Value) {
    lab.write("notes/style.md", "a comma\n");
    lab.install(&NOTES).await;
    lab.configure(&MISBEHAVER, orders);
    lab.install_with(
        &MISBEHAVER,
        &format!("{}\n[limits]\ndeadline_ms = 2000\n", MISBEHAVER.manifest),
    )
    .await;
}

/// A call of the broken tool server and one of the well one.
pub(crate) fn both_tools() -> String {
    script::response(
        "{ tool_call = \"obey\", namespace = \"mcp__misbehaver\", call_id = \"bad\", arguments = {} },\n\
         { tool_call = \"search\", namespace = \"mcp__notes\", call_id = \"good\", arguments = { query = \"comma\" } }",
    )
}

/// The other plugin worked, and the thread can be taken up.
pub(crate) async fn check_rest(lab: &Lab) {
    assert!(
        lab.output_of("good").contains("style.md:1: a comma"),
        "{}",
        lab.output_of("good")
    );
    lab.exec(&["resume", "--last", "go on"])
        .await
        .expect_code(0);
    lab.expect_played();
}
