//! The header in which the connected application vouches for a request (providers that carry the token of an account).
//!
//! An attestation that cannot be had never keeps a request from being sent: the header says why there is none.

use dovetail_plugin_api::{Error, Header};
use serde::Serialize;

use crate::outside::Outside;

/// Its name.
const HEADER: &str = "x-oai-attestation";
/// The version of its format.
const VERSION: u8 = 1;

/// Its value, as compact JSON in this order.
#[derive(Serialize)]
struct Attestation<'a> {
    #[serde(rename = "v")]
    version: u8,
    #[serde(rename = "s")]
    status: u8,
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

/// The header for a request that is about to be sent; none where nobody is connected who could vouch for it.
pub(crate) fn header(outside: &dyn Outside, provider_id: &str) -> Option<Header> {
    let asked = outside.attest(provider_id);
    let status = match &asked {
        Ok(_) => 0,
        Err(Error::Retryable { after: None, .. }) => 1,
        Err(Error::Other(_)) => 2,
        // What was given up may be asked again at once.
        Err(Error::Retryable { after: Some(_), .. }) => 3,
        Err(Error::Invalid(_)) => 4,
        Err(Error::Unavailable(_) | Error::Denied(_)) => return None,
    };
    let value = Attestation {
        version: VERSION,
        status,
        token: asked.as_deref().ok(),
    };
    let value = serde_json::to_string(&value).ok()?;
    Some(Header::plain(HEADER, value).sensitive())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fake::Fake;

    #[test]
    fn the_header_says_what_came_of_asking() {
        let given_up = Error::Retryable {
            reason: "gone".to_owned(),
            after: Some(Duration::ZERO),
        };
        for (answer, expected) in [
            (Ok("a\"b".to_owned()), Some(r#"{"v":1,"s":0,"t":"a\"b"}"#)),
            (Err(Error::retryable("late")), Some(r#"{"v":1,"s":1}"#)),
            (Err(Error::other("broken")), Some(r#"{"v":1,"s":2}"#)),
            (Err(given_up), Some(r#"{"v":1,"s":3}"#)),
            (Err(Error::invalid("odd")), Some(r#"{"v":1,"s":4}"#)),
            (Err(Error::unavailable("nobody")), None),
            (Err(Error::denied("not granted")), None),
        ] {
            let mut fake = Fake::default();
            fake.attestation = Some(answer.clone());
            let expected = expected.map(|value| Header::plain(HEADER, value).sensitive());
            assert_eq!(header(&fake, "openai"), expected, "{answer:?}");
        }
    }
}
