//! The built-in provider where the server knows no WebSockets: the upgrade, and the request that gets through.

use dovetail_tests::Lab;

use super::resume::HELLO;
use super::{Traces, check};
use crate::DOVETAIL;

const REFUSAL: &str = r#"
[[upgrade]]
status = 404
body = '{"error":{"message":"nope"}}'
"#;

#[tokio::test]
async fn the_built_in_provider_falls_back_to_http_as_captured() {
    let mut lab = Lab::bare(DOVETAIL);
    lab.play(&[REFUSAL, HELLO].concat()).await;
    lab.set_env("CODEX_API_KEY", "k");
    let url = lab.server().base_url();
    lab.write_config(&format!(
        "model = \"gpt-5.5\"\nopenai_base_url = \"{url}\"\n"
    ));
    let ran = lab.exec_json(&["hello"], 0).await;
    lab.expect_played();
    let ours = Traces::ours(&lab.requests(), &ran);
    check("fallback", &lab, Traces::captured("fallback"), ours);
}
