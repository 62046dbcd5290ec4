//! A model provider that signs each request with a key in ssh-agent. Native, because an agent is behind a Unix socket.

mod agent;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dovetail_native_api::provider::{Description, Header, Prepared, RequestHead, Scope};
use dovetail_native_api::{Error, Opening, Plugin, Provider, export_plugin};

use crate::agent::{Agent, Key};

/// Serves the provider id `signed`.
struct Signer {
    agent: Agent,
    /// The comment of the key to use; none for the first.
    wanted: Option<String>,
}

impl Plugin for Signer {
    fn open(opening: &Opening) -> Result<Self, Error> {
        let config = opening.config()?;
        let text = |key: &str| config[key].as_str().map(str::to_owned);
        let socket = text("socket")
            .or_else(|| std::env::var("SSH_AUTH_SOCK").ok())
            .ok_or_else(|| {
                Error::Unavailable("no ssh-agent is running: SSH_AUTH_SOCK is not set".to_owned())
            })?;
        Ok(Self {
            agent: Agent::at(Path::new(&socket)),
            wanted: text("key"),
        })
    }
}

impl Provider for Signer {
    fn describe(&self) -> Description {
        Description {
            ids: vec!["signed".to_owned()],
            name: "Signed".to_owned(),
            default_endpoint: Some("https://llm.acme.example/v1".to_owned()),
            ..Description::default()
        }
    }

    fn prepare(&self, _: &Scope) -> Result<Prepared, Error> {
        let key = self.key()?;
        Ok(Prepared {
            headers: vec![Header::plain("X-Key", STANDARD.encode(key.blob))],
            expires_at_unix_ms: None,
        })
    }

    fn authorize(
        &self,
        _: &Scope,
        head: &RequestHead,
        body_sha256: &[u8; 32],
    ) -> Result<Vec<Header>, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let text = signed_text(head, body_sha256, now);
        let signature = self.agent.sign(&self.key()?, text.as_bytes());
        let signature = signature.map_err(|e| self.failed(&e))?;
        Ok(vec![
            Header::plain("X-Signed-At", now.to_string()),
            Header::sensitive(
                "X-Signature",
                format!(
                    "{} {}",
                    signature.algorithm,
                    STANDARD.encode(signature.bytes)
                ),
            ),
        ])
    }
}

impl Signer {
    fn key(&self) -> Result<Key, Error> {
        let keys = self.agent.keys().map_err(|e| self.failed(&e))?;
        let is_wanted = |key: &Key| self.wanted.as_ref().is_none_or(|name| key.comment == *name);
        keys.into_iter().find(is_wanted).ok_or_else(|| {
            Error::Unavailable(match &self.wanted {
                Some(name) => format!("ssh-agent holds no key `{name}`: add it with ssh-add"),
                None => "ssh-agent holds no key: add one with ssh-add".to_owned(),
            })
        })
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        let socket = self.agent.socket().display();
        Error::Unavailable(format!("ssh-agent at `{socket}` cannot be asked: {error}"))
    }
}

/// What is signed, line by line.
fn signed_text(head: &RequestHead, body_sha256: &[u8; 32], now: u64) -> String {
    let digest: String = body_sha256.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}\n{}\n{digest}\n{now}\n", head.method, head.url)
}

export_plugin!(Signer, id: "agent-signer", kinds: [provider]);

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::thread::{self, JoinHandle};

    use dovetail_native_api::provider::{Purpose, ValuePart};

    use super::*;

    /// An agent that gives these answers, one per connection, and returns what it was asked.
    fn agent(dir: &Path, answers: Vec<Vec<u8>>) -> (PathBuf, JoinHandle<Vec<Vec<u8>>>) {
        let socket = dir.join("agent");
        let listener = UnixListener::bind(&socket).expect("bound");
        let serve = move || {
            let answer = |answer: Vec<u8>| {
                let (mut stream, _) = listener.accept().expect("a caller");
                let mut length = [0; 4];
                stream.read_exact(&mut length).expect("a length");
                let mut asked = vec![0; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut asked).expect("a message");
                stream.write_all(&text(&answer)).expect("answered");
                asked
            };
            answers.into_iter().map(answer).collect()
        };
        (socket, thread::spawn(serve))
    }

    fn text(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).expect("short");
        [&length.to_be_bytes()[..], bytes].concat()
    }

    fn two_keys() -> Vec<u8> {
        let keys = [text(b"K1"), text(b"home"), text(b"K2"), text(b"work")].concat();
        [&[12][..], &[0, 0, 0, 2], &keys].concat()
    }

    fn signer(socket: &Path, key: &str) -> Signer {
        let config = format!("{{\"socket\":{socket:?},\"key\":{key:?}}}");
        let opening = Opening {
            config_json: config,
            host: "test".to_owned(),
        };
        Signer::open(&opening).expect("it opens")
    }

    fn scope() -> Scope {
        Scope {
            provider_id: "signed".to_owned(),
            purpose: Purpose::Turn,
            session_source: "exec".to_owned(),
            policy: "strict".to_owned(),
        }
    }

    #[test]
    fn a_request_is_signed_with_the_key_of_that_name() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let signature = [text(b"ssh-ed25519"), text(b"SIG")].concat();
        let signed = [&[14][..], &text(&signature)].concat();
        let (socket, agent) = agent(dir.path(), vec![two_keys(), signed]);
        let head = RequestHead {
            method: "POST".to_owned(),
            url: "https://x/v1/responses".to_owned(),
            headers: Vec::new(),
        };
        let headers = signer(&socket, "work")
            .authorize(&scope(), &head, &[0xab; 32])
            .expect("signed");
        assert_eq!(
            headers[1],
            Header::sensitive("X-Signature", "ssh-ed25519 U0lH")
        );
        let asked = agent.join().expect("the agent ended well");
        let [ValuePart::Literal(now)] = &headers[0].value[..] else {
            unreachable!("a time is one literal")
        };
        let now = now.parse().expect("a number");
        let covered = signed_text(&head, &[0xab; 32], now);
        let expected = [&[13][..], &text(b"K2"), &text(covered.as_bytes()), &[0; 4]].concat();
        assert_eq!(asked, [vec![11], expected]);
    }

    #[test]
    fn without_an_agent_or_a_key_the_request_fails_with_a_sentence() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let nobody = signer(&dir.path().join("nobody"), "work").prepare(&scope());
        let words = nobody.expect_err("there is nobody").to_string();
        assert!(words.starts_with("ssh-agent at `"), "{words}");
        let (socket, agent) = agent(dir.path(), vec![two_keys()]);
        let error = signer(&socket, "other").prepare(&scope());
        assert_eq!(
            error,
            Err(Error::Unavailable(
                "ssh-agent holds no key `other`: add it with ssh-add".to_owned()
            ))
        );
        agent.join().expect("the agent ended well");
    }

    #[test]
    fn answers_that_are_cut_short_or_of_another_kind_are_errors() {
        for answer in [vec![5], vec![12], vec![12, 0, 0, 0, 9], vec![]] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let (socket, agent) = agent(dir.path(), vec![answer]);
            assert!(signer(&socket, "work").prepare(&scope()).is_err());
            agent.join().expect("the agent ended well");
        }
    }
}
