//! The built-in provider where the server knows no WebSockets: the request that gets through.

use dovetail_tests::Lab;

use super::resume::HELLO;
use super::{Traces, check};
use crate::DOVETAIL;

#[tokio::test]
async fn the_built_in_provider_asks_over_http_as_captured() {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(HELLO).await;
    lab.set_env("CODEX_API_KEY", "k");
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "model = \"gpt-5.5\"\nopenai_base_url = \"{url}\"\n"
    ));
    let ran = lab.exec_json(&["hello"], 0).await;
    lab.expect_played();
    let mut theirs = Traces::captured("fallback");
    theirs
        .requests
        .retain(|request| request["method"] == "POST");
    check(
        "fallback",
        &lab,
        theirs,
        Traces::ours(&lab.requests(), &ran),
    );
}
