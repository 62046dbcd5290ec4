//! A model provider with its own header scheme: a key, and a signature over each request's body.

use std::fmt::Write;

use dovetail_plugin_api::provider::{Description, Prepared, RequestHead, Scope};
use dovetail_plugin_api::{Error, Header, Provider, Secret, export_provider};

/// Serves the provider id `acme`.
#[derive(Default)]
struct Acme;

impl Provider for Acme {
    fn describe(&self) -> Description {
        Description {
            ids: vec!["acme".to_owned()],
            name: "Acme".to_owned(),
            default_endpoint: Some("https://llm.acme.example/v1".to_owned()),
            ..Description::default()
        }
    }

    /// The host puts the key in when the request leaves; this plugin never sees it.
    fn prepare(&mut self, _scope: &Scope) -> Result<Prepared, Error> {
        Ok(Prepared::header(Header::secret(
            "X-Acme-Key",
            Secret::slot("acme-token"),
        )))
    }

    fn authorize(
        &mut self,
        _scope: &Scope,
        head: &RequestHead,
        body_sha256: &[u8; 32],
    ) -> Result<Vec<Header>, Error> {
        Ok(vec![Header::plain(
            "X-Acme-Signature",
            signature(&head.method, body_sha256),
        )])
    }
}

/// `v1;<method>;<digest in hexadecimal>`.
fn signature(method: &str, body_sha256: &[u8; 32]) -> String {
    let mut text = format!("v1;{method};");
    for byte in body_sha256 {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

export_provider!(Acme);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_covers_method_and_body() {
        let text = signature("POST", &[0xab; 32]);
        assert_eq!(text, format!("v1;POST;{}", "ab".repeat(32)));
    }
}
