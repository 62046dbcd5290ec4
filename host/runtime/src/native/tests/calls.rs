//! Calls that break, hang, or go well after all.

use super::*;

#[tokio::test]
async fn answers_that_are_not_as_agreed_are_faults_with_the_reason() {
    let lab = Lab::new();
    let plugin = lab.crude().await;
    for (tool, words) in [
        (
            "garbage",
            "trapped in `call-tool`: its answer is not understood: invalid type: integer",
        ),
        (
            "notutf8",
            "trapped in `call-tool`: its answer is not understood: expected value",
        ),
        (
            "silent",
            "trapped in `call-tool`: its answer is not understood: EOF while parsing",
        ),
        (
            "null",
            "trapped in `call-tool`: it gave a null pointer with a length",
        ),
        (
            "huge",
            "passed its limit of 64 KiB of output in `call-tool`",
        ),
        (
            "status",
            "trapped in `call-tool`: it returned the unknown status 77",
        ),
        ("panic", "trapped in `call-tool`: it broke badly"),
        (
            "badly",
            "trapped in `call-tool`: its error is not understood",
        ),
    ] {
        let error = broken(&plugin, tool).await;
        assert!(
            error.starts_with(&format!("plugin `crude` {words}")),
            "`{tool}`: {error}"
        );
        plugin.release();
    }
    assert_eq!(plugin.stats().faults, 8);
    let refused = call(&plugin, "error").await;
    let words = "no token\u{20} inserted".to_owned();
    assert_eq!(
        refused,
        Err(PluginError::Unavailable(words)),
        "fit to print"
    );
    let missing = broken(&plugin, "unknown").await;
    assert_eq!(
        missing,
        "plugin `crude` does not implement `call-tool`, which its kind must"
    );
    assert_eq!(plugin.stats().faults, 8, "a refusal is no fault");
}

#[tokio::test]
async fn what_a_library_gave_goes_back_to_it() {
    let lab = Lab::new();
    let plugin = lab.crude().await;
    let listed = plugin.tools().expect("tools").list_tools().await;
    let names: Vec<String> = listed
        .expect("listed")
        .into_iter()
        .map(|tool| tool.name)
        .collect();
    assert_eq!(
        names,
        ["well", "segv", "abort", "exit", "unwind", "hang"],
        "the tool without a usable name is left out"
    );
    let fault = broken(&plugin, "huge").await;
    assert!(fault.contains("64 KiB of output"), "{fault}");
    // Given back: open, list, the one that was too long, and the second open.
    let told = call(&plugin, "well").await;
    assert_eq!(told, Ok("opened 2, released 04".to_owned()));
}

#[tokio::test]
async fn a_call_that_does_not_return_is_left_behind_and_the_plugin_is_not_called_again() {
    let lab = Lab::new();
    let plugin = lab.crude().await;
    assert_eq!(
        broken(&plugin, "hang").await,
        "plugin `crude` did not answer `call-tool` within 1000 ms"
    );
    assert_eq!(
        broken(&plugin, "well").await,
        "plugin `crude` is not running: an earlier call of it has not returned, and native code cannot be stopped: \
         restart dovetail to use it again"
    );
}

#[tokio::test]
async fn a_call_that_returns_late_leaves_the_plugin_usable() {
    let lab = Lab::new();
    let plugin = lab.crude().await;
    let sign = lab.dir.path().join("wake up");
    let path = json!({ "path": sign, "end": "" });
    let late = call_with(&plugin, "nap", &path).await;
    assert!(matches!(
        late,
        Err(PluginError::Fault(PluginFault::Deadline { .. }))
    ));
    assert!(broken(&plugin, "well").await.contains("has not returned"));
    std::fs::write(&sign, "").expect("written");
    // It wakes up by itself; until then it says the same as before.
    let told = loop {
        match call(&plugin, "well").await {
            Err(PluginError::Fault(PluginFault::NotLoaded { .. })) => {
                tokio::task::yield_now().await
            }
            told => break told,
        }
    };
    assert_eq!(
        told.map(|text| text[..8].to_owned()),
        Ok("opened 2".to_owned())
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_hide_that_a_call_hangs() {
    let lab = Lab::new();
    let plugin = lab.crude().await;
    let hanging = call(&plugin, "hang");
    let given_up = tokio::time::timeout(Duration::from_millis(50), hanging).await;
    assert!(given_up.is_err(), "nobody waits for it any more");
    // The next in line is told once the deadline of the first has passed.
    let next = broken(&plugin, "well").await;
    assert!(next.contains("has not returned"), "{next}");
}

#[tokio::test]
async fn a_library_that_nobody_uses_any_more_is_used_again() {
    let lab = Lab::new();
    let library = own_crude();
    let load = || lab.try_load(CRUDE_MANIFEST, &library, Value::Null);
    let first = load().await.expect("it loads");
    let second = load().await.expect("it loads");
    let opened = |text: Result<String, PluginError>| text.map(|text| text[..8].to_owned());
    assert_eq!(
        opened(call(&first, "well").await),
        Ok("opened 1".to_owned())
    );
    assert_eq!(
        opened(call(&second, "well").await),
        Ok("opened 1".to_owned()),
        "each has a copy of its own"
    );
    drop(first);
    // Its thread gives it back when it notices.
    let again = loop {
        let third = load().await.expect("it loads");
        match opened(call(&third, "well").await) {
            Ok(text) if text == "opened 1" => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert_eq!(again, Ok("opened 2".to_owned()));
}
