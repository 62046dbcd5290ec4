//! Real components that take each other's place.

use std::time::Duration;

use dovetail_core::plugin::{HookDecision, PluginEvent, PluginFault};
use dovetail_tests::{MISBEHAVER, NO_RM, NOTES, REWRITE};
use serde_json::{Value, json};

use super::*;
use crate::load::tests::{Lab, ask_hook, ask_tool, request, well, with_wasm};

fn kinds_of_news(lab: &Lab) -> Vec<PluginEvent> {
    let news = lab.runtime.services().news().take();
    news.into_iter().map(|news| news.event).collect()
}

#[tokio::test]
async fn another_component_takes_over_and_its_subscriptions_with_it() {
    let lab = Lab::new();
    let plugin = lab.load(request(NO_RM, "", Value::Null)).await;
    let hook = Arc::clone(plugin.hook().expect("it is a hook"));
    let before = plugin.sha256();
    kinds_of_news(&lab);
    lab.runtime
        .reload(&plugin, with_wasm(NO_RM, REWRITE.wasm))
        .await
        .expect("it takes over");
    assert_eq!(plugin.generation(), 2);
    assert_ne!(plugin.sha256(), before);
    let event = crate::load::tests::event_with(json!({ "command": "git push" }));
    let outcome = hook.handle(&event).await.expect("the port is the same");
    assert!(
        matches!(outcome.decision, HookDecision::Rewrite(_)),
        "{outcome:?}"
    );
    let news = kinds_of_news(&lab);
    assert!(
        matches!(&news[..], [PluginEvent::Reloaded { generation: 2, .. }]),
        "{news:?}"
    );
    assert_eq!(plugin.stats().calls, 2, "what the new one did");
}

// A guest that spins gives its thread back for moments only; the clock needs another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_ends_on_the_old_generation() {
    let lab = Lab::new();
    let orders = json!({ "behave": "sleep", "at": "call-tool", "amount": 500 });
    let plugin = lab.load(request(MISBEHAVER, "", orders)).await;
    let mut slow = Box::pin(ask_tool(&plugin));
    let begun = tokio::time::timeout(Duration::from_millis(50), &mut slow).await;
    assert!(begun.is_err(), "it is in flight");
    lab.runtime
        .reload(&plugin, request(MISBEHAVER, "", Value::Null))
        .await
        .expect("it takes over");
    assert_eq!(ask_tool(&plugin).await, Ok(well()), "the new one answers");
    assert_eq!(slow.await, Ok(well()), "and so does the old one");
    assert_eq!((plugin.generation(), plugin.stats().faults), (2, 0));
}

#[tokio::test]
async fn a_component_that_fails_leaves_the_last_good_one_running_with_its_grant() {
    let lab = Lab::new();
    let plugin = lab.load(request(MISBEHAVER, "", Value::Null)).await;
    let provider = plugin.provider().expect("it is a provider");
    provider
        .configure("p", &json!({}))
        .await
        .expect("configured");
    let grant = lab
        .runtime
        .services()
        .egress()
        .grant(plugin.id())
        .expect("granted");
    let trap = |at: &str| request(MISBEHAVER, "", json!({ "behave": "trap", "at": at }));
    let half = with_wasm(MISBEHAVER, &MISBEHAVER.wasm[..MISBEHAVER.wasm.len() / 2]);
    for (bad, words) in [
        (trap("describe"), "broke while it was loaded"),
        (trap("configure"), "does not answer as it must"),
        (trap("list-tools"), "does not answer as it must"),
        (half, "ends too early"),
    ] {
        kinds_of_news(&lab);
        let error = lab
            .runtime
            .reload(&plugin, bad)
            .await
            .expect_err("it fails");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(ask_tool(&plugin).await, Ok(well()), "{words}");
        assert!(ask_hook(&plugin).await.is_ok(), "{words}");
        let now = lab
            .runtime
            .services()
            .egress()
            .grant(plugin.id())
            .expect("still granted");
        assert_eq!(
            (plugin.generation(), now),
            (1, Arc::clone(&grant)),
            "{words}"
        );
        let news = kinds_of_news(&lab);
        assert!(
            news.iter()
                .any(|event| matches!(event, PluginEvent::ReloadFailed { .. })),
            "{news:?}"
        );
    }
}

#[tokio::test]
async fn a_component_of_other_kinds_takes_a_new_session() {
    let lab = Lab::new();
    let plugin = lab.load(request(NO_RM, "", Value::Null)).await;
    let error = lab
        .runtime
        .reload(&plugin, request(NOTES, "", Value::Null))
        .await
        .expect_err("it is something else");
    assert!(error.to_string().contains("takes a new session"), "{error}");
    assert!(ask_hook(&plugin).await.is_ok());
}

#[tokio::test]
async fn a_stopped_plugin_answers_nobody_until_it_is_reloaded() {
    let lab = Lab::new();
    let plugin = lab.load(request(NO_RM, "", Value::Null)).await;
    lab.runtime.stop(&plugin, "it changed".to_owned());
    let answer = ask_hook(&plugin).await;
    assert!(
        matches!(&answer, Err(PluginError::Fault(PluginFault::NotLoaded { why, .. })) if why == "it changed"),
        "{answer:?}"
    );
    assert!(lab.runtime.services().egress().grant(plugin.id()).is_err());
    lab.runtime
        .reload(&plugin, request(NO_RM, "", Value::Null))
        .await
        .expect("it runs again");
    assert!(ask_hook(&plugin).await.is_ok());
    assert_eq!(plugin.stopped(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_counts_only_for_the_component_that_it_was_given_with() {
    let lab = Lab::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let orders = |at: &str| json!({ "behave": "http", "at": at, "target": url });
    let plugin = lab.load(request(MISBEHAVER, "", orders("call-tool"))).await;
    let wider = dovetail_tests::Guest {
        manifest: Box::leak(
            MISBEHAVER
                .manifest
                .replace("https://granted.example", "http://127.0.0.1:*")
                .into_boxed_str(),
        ),
        ..MISBEHAVER
    };
    let (runtime, running) = (lab.runtime.clone(), plugin.clone());
    let next = request(wider, "", orders("list-tools"));
    let reloading = tokio::spawn(async move { runtime.reload(&running, next).await });
    // The candidate may send requests, and waits for an answer to one.
    let (mut socket, _) = listener.accept().await.expect("it is tried out");
    let denied = ask_tool(&plugin).await.expect_err("the old one may not");
    assert!(matches!(denied, PluginError::Denied(_)), "{denied}");
    let mut head = [0; 4096];
    let read = tokio::io::AsyncReadExt::read(&mut socket, &mut head).await;
    assert!(read.expect("readable") > 0, "it asks");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    tokio::io::AsyncWriteExt::write_all(&mut socket, answer)
        .await
        .expect("answered");
    reloading
        .await
        .expect("it ends")
        .expect("the new one takes over");
    assert_eq!(plugin.generation(), 2);
    let egress = lab.runtime.services().egress();
    let grant = egress.grant(plugin.id()).expect("granted");
    assert!(grant.allows_url(&url.parse().expect("a URL")));
}
