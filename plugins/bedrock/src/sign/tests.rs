//! Held against AWS's published vectors, and against botocore, which is somebody else's implementation.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dovetail_plugin_api::PlainHeader;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::testing::text;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/sigv4");

fn credentials(id: &str, secret: &str, token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
        session_token: token.map(str::to_owned),
        expires_at_unix_ms: None,
    }
}

/// A request to sign.
struct Asked {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// The headers of its signature, by name.
fn signed(asked: &Asked, signing: &Signing<'_>) -> BTreeMap<String, String> {
    let header = |(name, value): &(String, String)| PlainHeader {
        name: name.clone(),
        value: value.clone(),
    };
    let head = RequestHead {
        method: asked.method.clone(),
        url: asked.url.clone(),
        headers: asked.headers.iter().map(header).collect(),
    };
    let digest: [u8; 32] = Sha256::digest(asked.body.as_bytes()).into();
    let headers = sign(signing, &head, |_| true, &digest).expect("it can be signed");
    let pair = |header: &Header| {
        let value = text(header).expect("a signature is text");
        (header.name().to_owned(), value.to_owned())
    };
    headers.iter().map(pair).collect()
}

#[derive(Deserialize)]
struct Suite {
    access_key_id: String,
    secret_access_key: String,
    region: String,
    service: String,
    time_unix_ms: u64,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    token: Option<String>,
    signed_headers: String,
    signature: String,
}

#[test]
fn the_published_vectors_have_their_signatures() {
    let text = std::fs::read_to_string(Path::new(FIXTURES).join("vectors.json")).expect("a file");
    let suite: Suite = serde_json::from_str(&text).expect("the vectors");
    assert!(suite.vectors.len() > 20, "{} vectors", suite.vectors.len());
    for vector in suite.vectors {
        let asked = Asked {
            method: vector.method,
            url: vector.url,
            headers: vector.headers,
            body: vector.body,
        };
        let credentials = credentials(
            &suite.access_key_id,
            &suite.secret_access_key,
            vector.token.as_deref(),
        );
        let signing = Signing {
            credentials: &credentials,
            region: &suite.region,
            service: &suite.service,
            time_unix_ms: suite.time_unix_ms,
        };
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, Signature={}",
            vector.signed_headers, vector.signature
        );
        let found = signed(&asked, &signing);
        assert_eq!(
            found.get("authorization"),
            Some(&expected),
            "{}",
            vector.name
        );
        assert_eq!(
            found.get("x-amz-security-token"),
            vector.token.as_ref(),
            "{}",
            vector.name
        );
    }
}

#[test]
fn what_others_change_or_drop_is_not_signed() {
    let asked = Asked {
        method: "POST".to_owned(),
        url: "https://bedrock-mantle.us-east-1.api.aws/openai/v1/responses".to_owned(),
        headers: [
            "Originator",
            "user-agent",
            "Authorization",
            "x-amz-date",
            "X-Amz-Security-Token",
            "host",
            "kept",
        ]
        .map(|name| (name.to_owned(), "v".to_owned()))
        .into(),
        body: String::new(),
    };
    let credentials = credentials("AK", "s", Some("t"));
    let signing = Signing {
        credentials: &credentials,
        region: "us-east-1",
        service: "bedrock-mantle",
        time_unix_ms: 1_795_224_440_000,
    };
    let found = signed(&asked, &signing);
    let authorization = &found["authorization"];
    assert!(
        authorization.starts_with(
            "AWS4-HMAC-SHA256 Credential=AK/20261121/us-east-1/bedrock-mantle/aws4_request, \
             SignedHeaders=host;kept;x-amz-date;x-amz-security-token, Signature="
        ),
        "{authorization}"
    );
    assert_eq!(found["x-amz-date"], "20261121T012720Z");
    assert_eq!(found["x-amz-security-token"], "t");
}

#[test]
fn headers_that_do_not_arrive_are_not_signed() {
    let credentials = credentials("AK", "s", None);
    let signing = Signing {
        credentials: &credentials,
        region: "us-east-1",
        service: "bedrock-mantle",
        time_unix_ms: 0,
    };
    let head = RequestHead {
        method: "POST".to_owned(),
        url: "https://example.com/".to_owned(),
        headers: vec![PlainHeader {
            name: "x_lost".to_owned(),
            value: "1".to_owned(),
        }],
    };
    let headers = sign(&signing, &head, |name| !name.contains('_'), &[0; 32]).expect("signed");
    let authorization = headers
        .iter()
        .find(|header| header.name() == "authorization");
    let value = authorization.and_then(text).expect("it is signed");
    assert!(value.contains("SignedHeaders=host;x-amz-date,"), "{value}");
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn pick<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.roll(texts.len())]
    }

    fn several<'a>(&mut self, most: usize, texts: &[&'a str]) -> Vec<&'a str> {
        (0..self.roll(most + 1)).map(|_| self.pick(texts)).collect()
    }

    fn request(&mut self) -> Asked {
        let segments = [
            "openai",
            "v1",
            "a%20b",
            "%E1%88%B4",
            "x:y",
            "~t",
            "a+b",
            "model=1",
            "arn%3Aaws%2Fx",
            "..",
            ".",
            "",
        ];
        let mut path = self.several(6, &segments);
        if path.last().is_some_and(|last| last.starts_with('.')) {
            // What is left of a path that ends so is understood differently. The host resolves such parts before.
            path.push("end");
        }
        let path = path.join("/");
        let pairs = [
            "a=1",
            "b=",
            "c",
            "A=2",
            "a=0",
            "sp=x%20y",
            "pl=%2B",
            "utf=%C3%BC",
            "eq=a%3Db",
            "-._~=-._~",
        ];
        let query = self.several(5, &pairs).join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        let host = self.pick(&[
            "bedrock-mantle.us-east-1.api.aws",
            "gateway.example:8443",
            "127.0.0.1:18080",
        ]);
        let names = [
            "accept",
            "Content-Type",
            "X-Team",
            "x-codex-turn-metadata",
            "session-id",
            "x-odd.name",
            "x-num-1",
        ];
        let values = [
            "v",
            "  padded  ",
            "two   blanks",
            "{\"a\":\"b c\"}",
            "text/event-stream",
            "a,b;c=\"d\"",
            "",
        ];
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for name in self.several(7, &names) {
            headers.insert(name.to_owned(), self.pick(&values).to_owned());
        }
        let body = self
            .several(5, &["{\"input\":[]}", "ü", "\n", "plain "])
            .concat();
        Asked {
            method: self.pick(&["POST", "GET", "PUT"]).to_owned(),
            url: format!("https://{host}/{path}{mark}{query}"),
            headers: headers.into_iter().collect(),
            body,
        }
    }
}

/// A Python that has botocore: that of `.ci/run`, or the system's.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("DOVETAIL_CI_CACHE")
        .map(PathBuf::from)
        .or_else(|| {
            let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let caches =
                caches.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
            Some(caches.join("dovetail-ci"))
        });
    let installed = cache.map(|cache| cache.join("python/bin/python"));
    installed
        .into_iter()
        .chain([PathBuf::from("python3")])
        .find(|python| {
            let asked = Command::new(python)
                .args(["-c", "import botocore.auth"])
                .output();
            asked.is_ok_and(|output| output.status.success())
        })
}

/// Each line as botocore answers it.
fn botocore(python: &Path, lines: &[String]) -> Vec<BTreeMap<String, String>> {
    let mut running = Command::new(python)
        .arg(Path::new(FIXTURES).join("sign.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = running.stdin.take().expect("it is piped");
    let input = lines.join("\n") + "\n";
    // From another thread: both pipes may fill up.
    let feeding = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = running.wait_with_output().expect("it ends");
    feeding
        .join()
        .expect("it does not panic")
        .expect("it reads all");
    let text = String::from_utf8(output.stdout).expect("text");
    let answers = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("headers"));
    answers.collect()
}

#[test]
fn a_hundred_requests_are_signed_as_botocore_signs_them() {
    let Some(python) = python() else {
        // Past the capture of test output, so that nobody takes silence for a pass.
        let said = writeln!(
            std::io::stderr(),
            "not run: no Python with botocore (pip install botocore)"
        );
        return said.expect("there is a standard error");
    };
    let mut dice = Dice(20_261_121);
    let (mut ours, mut lines) = (Vec::new(), Vec::new());
    for number in 0..100_u64 {
        let asked = dice.request();
        let token = (number % 2 == 1).then_some("FwoGZXIvYXdzEXAMPLE//token==");
        let (region, service) = (
            dice.pick(&["us-east-1", "eu-west-1", "us-gov-west-1"]),
            dice.pick(&["bedrock-mantle", "bedrock", "sts"]),
        );
        let credentials = credentials(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            token,
        );
        let signing = Signing {
            credentials: &credentials,
            region,
            service,
            time_unix_ms: 1_795_224_440_000 + number * 12_345_678,
        };
        ours.push(signed(&asked, &signing));
        let line = json!({
            "method": asked.method, "url": asked.url, "headers": asked.headers, "body": asked.body,
            "access_key_id": credentials.access_key_id, "secret_access_key": credentials.secret_access_key,
            "session_token": token, "region": region, "service": service, "time_unix_ms": signing.time_unix_ms,
        });
        lines.push(line.to_string());
    }
    let theirs = botocore(&python, &lines);
    assert_eq!(theirs.len(), 100);
    for ((ours, theirs), line) in ours.iter().zip(&theirs).zip(&lines) {
        assert_eq!(ours, theirs, "{line}");
    }
}
