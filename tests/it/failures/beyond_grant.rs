//! What a guest may not do beyond its grant, and may within it.

use dovetail_tests::script;
use serde_json::json;

use super::{both_tools, check_rest, order};
use crate::lab;

#[tokio::test]
async fn beyond_its_grant_a_plugin_gets_a_refusal_that_names_what_to_grant() {
    for (behave, target, amount, words) in [
        ("http", "https://elsewhere.example/", 0, "elsewhere.example"),
        ("http", "http://127.0.0.1:1/", 0, "127.0.0.1:1"),
        ("process", "id", 0, "id"),
        ("secret", "other-slot", 0, "other-slot"),
        ("kv", "", 4096, "1024"),
        ("read-file", "/etc/passwd", 0, "tool call failed"),
        (
            "write-file",
            "/tmp/dovetail-must-not-be-there",
            0,
            "tool call failed",
        ),
        ("env", "HOME", 0, "not visible"),
    ] {
        let lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        order(
            &lab,
            json!({ "behave": behave, "at": "call-tool", "target": target, "amount": amount }),
        )
        .await;
        lab.exec(&["go"]).await.expect_code(0);
        let output = lab.output_of("bad");
        assert!(output.contains(words), "{behave} {target}: {output}");
        assert!(
            !output.contains("root:") && !output.contains("status 2"),
            "{behave} {target}: {output}"
        );
        if matches!(behave, "http" | "process") {
            assert!(
                output.contains("denied") && output.contains("grant"),
                "{behave} {target}: {output}"
            );
        }
        check_rest(&lab).await;
    }
    assert!(!std::path::Path::new("/tmp/dovetail-must-not-be-there").exists());
}

#[tokio::test]
async fn sockets_that_a_standard_library_brings_along_are_closed() {
    for target in ["127.0.0.1:<port>", "localhost:<port>"] {
        let lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        // Somebody listens there: the scripted model.
        let url = url::Url::parse(&lab.server().base_url()).unwrap();
        let target = target.replace("<port>", &url.port().unwrap().to_string());
        order(
            &lab,
            json!({ "behave": "connect", "at": "call-tool", "target": target }),
        )
        .await;
        lab.exec(&["go"]).await.expect_code(0);
        let output = lab.output_of("bad");
        assert!(output.contains("tool call failed"), "{target}: {output}");
        assert!(
            output.contains("ermission") || output.contains("failed to lookup"),
            "{target}: {output}"
        );
        check_rest(&lab).await;
    }
}

#[tokio::test]
async fn within_its_grant_it_works() {
    for (behave, target, amount, words) in [
        ("process", "true", 0, "Some(0)"),
        ("secret", "granted-slot", 0, "exists: true"),
        ("kv", "", 1000, "kept 1000 bytes"),
        ("env", "GRANTED_VARIABLE", 0, "the value"),
    ] {
        let mut lab = lab(&[&both_tools(), &script::answer("ok"), &script::answer("on")]).await;
        lab.set_env("GRANTED_VARIABLE", "the value");
        lab.set_env("GRANTED_SLOT", "a secret");
        order(
            &lab,
            json!({ "behave": behave, "at": "call-tool", "target": target, "amount": amount }),
        )
        .await;
        lab.exec(&["go"]).await.expect_code(0);
        let output = lab.output_of("bad");
        assert!(output.contains(words), "{behave} {target}: {output}");
        check_rest(&lab).await;
    }
}
