//! Who may send, and with what.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dovetail_core::model::{FailureStage, ModelClient as _};
use dovetail_core::plugin::{FailureKind, PluginError, Recovery, ValuePart};
use dovetail_core::retry::RecoveryStep;
use sha2::{Digest as _, Sha256};

use crate::support::{
    KEY, TestProvider, client, endpoint, exchange, literal, options, refused, script, send, server,
    template,
};

#[tokio::test]
async fn no_credential_means_no_request() {
    let server = server("{ text = 'hi' }").await;
    for (error, transient, message) in [
        (
            PluginError::Unavailable("no key: run `dovetail login`".to_owned()),
            false,
            "no key: run `dovetail login`",
        ),
        (
            PluginError::Retryable {
                reason: "busy".to_owned(),
                after: Some(Duration::from_secs(3)),
            },
            true,
            "busy",
        ),
    ] {
        let provider = Arc::new(TestProvider::default());
        *provider.refuses.lock().expect("no panic") = Some(error);
        let error = refused(&client(provider, endpoint(&server.base_url()), options())).await;
        assert_eq!(
            (error.stage, error.transient, error.message.as_str()),
            (FailureStage::Auth, transient, message)
        );
        assert_eq!(error.retry_after.is_some(), transient);
    }
    let provider = TestProvider {
        signature: vec![template("x-sign", &[ValuePart::Secret("other".to_owned())])],
        ..TestProvider::default()
    };
    let error = refused(&client(
        Arc::new(provider),
        endpoint(&server.base_url()),
        options(),
    ))
    .await;
    assert_eq!(
        (error.stage, error.message.as_str()),
        (FailureStage::Auth, "slot `other` is empty")
    );
    let address = format!("{}/forbidden/", server.base_url());
    let error = refused(&client(Arc::default(), endpoint(&address), options())).await;
    assert_eq!(
        (error.stage, error.message.as_str()),
        (FailureStage::Auth, "denied: that origin is not granted")
    );
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn the_final_request_is_signed_and_its_secrets_are_not_shown() {
    let server = server("{ text = 'hi' }").await;
    let mut provider = TestProvider {
        signature: vec![
            literal("x-signature", "signed"),
            literal("Authorization", "SIGV4 x"),
        ],
        ..TestProvider::default()
    };
    provider.description.removed_headers = vec!["X-Odd".to_owned(), "session-id".to_owned()];
    let provider = Arc::new(provider);
    let mut endpoint = endpoint(&server.base_url());
    endpoint.headers = vec![literal("x-odd", "1")];
    exchange(&client(Arc::clone(&provider), endpoint, options())).await;
    let recorded = server.requests().remove(0);
    let (head, digest) = provider.seen.lock().expect("no panic").remove(0);
    assert_eq!(digest, <[u8; 32]>::from(Sha256::digest(&recorded.body)));
    assert_eq!(
        (head.method.as_str(), head.url),
        ("POST", format!("{}/responses", server.base_url()))
    );
    let seen = |name: &str| {
        head.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(
        (seen("authorization"), seen("x-odd"), seen("session-id")),
        (Some(""), None, None)
    );
    assert_eq!(seen("content-type"), Some("application/json"));
    assert_eq!(
        (
            recorded.header("x-signature"),
            recorded.header("authorization")
        ),
        (Some("signed"), Some("SIGV4 x"))
    );
    assert_eq!(
        (recorded.header("x-odd"), recorded.header("session-id")),
        (None, None)
    );
}

#[tokio::test]
async fn a_credential_is_got_once_however_many_want_it_and_again_when_it_ends() {
    let server = script("[[response]]\ntimes = 5").await;
    let provider = Arc::new(TestProvider {
        expires_in: Some(Duration::from_secs(60)),
        ..TestProvider::default()
    });
    let shared = client(
        Arc::clone(&provider),
        endpoint(&server.base_url()),
        options(),
    );
    let answers = tokio::join!(exchange(&shared), exchange(&shared), exchange(&shared));
    assert_eq!((answers.0.1, answers.1.1, answers.2.1), (None, None, None));
    assert_eq!(provider.prepared.load(Ordering::SeqCst), 1);
    let provider = Arc::new(TestProvider {
        expires_in: Some(Duration::ZERO),
        ..TestProvider::default()
    });
    let hasty = client(
        Arc::clone(&provider),
        endpoint(&server.base_url()),
        options(),
    );
    for _ in 0..2 {
        exchange(&hasty).await;
    }
    assert_eq!(provider.prepared.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_refused_credential_is_recovered_once_for_all_who_used_it() {
    let server = script(
        "[[response]]\ntimes = 2\nactions = [{ status = 401, body = 'no' }]\n[[response]]\nactions = [{ text = 'hi' }]",
    )
    .await;
    let provider = Arc::new(TestProvider::default());
    let options = options();
    let of_a_thread = || {
        let provider = Arc::clone(&provider);
        client(provider, endpoint(&server.base_url()), options.clone())
    };
    let (one, other) = (of_a_thread(), of_a_thread());
    let (first, second) = tokio::join!(refused(&one), refused(&other));
    assert_eq!(
        (first.kind, second.kind),
        (FailureKind::Unauthorized, FailureKind::Unauthorized)
    );
    assert_eq!(
        one.recover(&first, RecoveryStep::First).await,
        Recovery::Changed
    );
    assert_eq!(
        other.recover(&second, RecoveryStep::First).await,
        Recovery::Changed
    );
    assert_eq!(provider.recovered.load(Ordering::SeqCst), 1);
    assert_eq!(exchange(&other).await.1, None);
    assert_eq!(provider.prepared.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_recovery_that_fails_says_so() {
    let server = server("{ status = 401 }").await;
    let recovery = Recovery::Permanent("sign in again".to_owned());
    let provider = Arc::new(TestProvider {
        recovery: recovery.clone(),
        ..TestProvider::default()
    });
    let client = client(provider, endpoint(&server.base_url()), options());
    let error = refused(&client).await;
    assert_eq!(client.recover(&error, RecoveryStep::First).await, recovery);
}

#[tokio::test]
async fn no_text_of_ours_holds_the_credential() {
    let body = format!("key {KEY} is wrong");
    let server = script(&format!(
        "[[response]]\nactions = [{{ status = 401, body = '{body}' }}]
        [[response]]\nactions = [{{ failed = {{ code = 'x', message = '{body}' }} }}]"
    ))
    .await;
    let provider = Arc::new(TestProvider::default());
    let mut endpoint = endpoint(&server.base_url());
    endpoint.query = vec![("key".to_owned(), KEY.to_owned())];
    let client = client(Arc::clone(&provider), endpoint, options());
    let error = refused(&client).await;
    let url = format!("{}/responses?key=…", server.base_url());
    assert_eq!(
        error.message,
        format!("unexpected status 401 Unauthorized: key … is wrong, url: {url}")
    );
    let (_, error) = crate::support::collect(send(&client).await.expect("the stream begins")).await;
    let error = error.expect("it fails");
    assert_eq!(
        error.message,
        "stream disconnected before completion: key … is wrong"
    );
    let seen = format!(
        "{client:?} {:?}",
        provider.classified.lock().expect("no panic")
    );
    assert!(
        !seen.contains(KEY) && seen.contains("key … is wrong"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_credential_does_not_say_where_a_request_goes_or_ends() {
    let server = server("{ text = 'hi' }").await;
    for name in ["Host", "content-length", "Transfer-Encoding"] {
        let provider = TestProvider {
            signature: vec![literal(name, "3")],
            ..TestProvider::default()
        };
        let endpoint = endpoint(&server.base_url());
        let error = refused(&client(Arc::new(provider), endpoint, options())).await;
        assert_eq!(
            error.message,
            format!("header `{name}` is the host's own to set, no credential has it")
        );
        assert!(server.requests().is_empty(), "{name}");
    }
}
