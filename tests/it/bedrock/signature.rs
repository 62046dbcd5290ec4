//! What AWS would do with a request: computes its signature once more, from what arrived. Written for these tests alone,
//! for paths that need no escaping.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::SECRET;

/// A request as it arrived.
pub(super) struct Arrived<'a> {
    pub(super) method: &'a str,
    /// The path without a query.
    pub(super) path: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a [u8],
}

/// What a good signature says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) access_key_id: String,
    /// `region/service`.
    pub(super) scope: String,
    pub(super) headers: Vec<String>,
    /// As in `x-amz-date`.
    pub(super) date: String,
}

impl Arrived<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Fails unless the signature is that of what arrived.
    #[track_caller]
    pub(super) fn check(&self) -> Signed {
        let authorization = self.header("authorization").expect("it is signed");
        let rest = authorization
            .strip_prefix("AWS4-HMAC-SHA256 Credential=")
            .expect("a signature");
        let [credential, headers, signature] = rest.split(", ").collect::<Vec<_>>()[..] else {
            panic!("three parts: {authorization}")
        };
        let (names, signature) = (
            headers.strip_prefix("SignedHeaders=").unwrap(),
            signature.strip_prefix("Signature=").unwrap(),
        );
        let [id, day, region, service, "aws4_request"] =
            credential.split('/').collect::<Vec<_>>()[..]
        else {
            panic!("five parts: {credential}")
        };
        let date = self.header("x-amz-date").expect("it says when");
        assert_eq!(&date[..8], day);
        let mut canonical = format!("{}\n{}\n\n", self.method, self.path);
        for name in names.split(';') {
            let value = self
                .header(name)
                .unwrap_or_else(|| panic!("`{name}` is signed and did not arrive"));
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            canonical.push_str(&format!("{name}:{value}\n"));
        }
        canonical.push_str(&format!("\n{names}\n{}", hex(&Sha256::digest(self.body))));
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            hex(&Sha256::digest(canonical.as_bytes()))
        );
        let first = format!("AWS4{SECRET}").into_bytes();
        let key = [day, region, service, "aws4_request"]
            .iter()
            .fold(first, |key, part| mac(&key, part));
        assert_eq!(hex(&mac(&key, &to_sign)), signature, "{canonical}");
        Signed {
            access_key_id: id.to_owned(),
            scope: format!("{region}/{service}"),
            headers: names.split(';').map(str::to_owned).collect(),
            date: date.to_owned(),
        }
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
