//! As much of the ssh-agent protocol as it takes to list keys and to sign: messages with a length in front, each with a
//! number for its kind, and texts with a length in front.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// An agent answers with less than this; OpenSSH has the same limit.
const MOST_BYTES: usize = 256 << 10;

/// The host waits two seconds for a signature. What the agent has to ask its user takes longer, and is refused.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A running agent.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    socket: PathBuf,
}

/// A key that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The public key as the agent knows it.
    pub(crate) blob: Vec<u8>,
    /// What its owner calls it.
    pub(crate) comment: String,
}

/// A signature as the agent gives it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Such as `ssh-ed25519`.
    pub(crate) algorithm: String,
    /// The signature itself.
    pub(crate) bytes: Vec<u8>,
}

impl Agent {
    pub(crate) fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The keys that it holds, in its order.
    pub(crate) fn keys(&self) -> io::Result<Vec<Key>> {
        let answer = self.ask(&[REQUEST_IDENTITIES], IDENTITIES_ANSWER)?;
        let mut rest = Reader(&answer);
        let count = rest.number()?;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push(Key {
                blob: rest.text()?.to_vec(),
                comment: String::from_utf8_lossy(rest.text()?).into_owned(),
            });
        }
        Ok(keys)
    }

    /// Has it sign some bytes.
    pub(crate) fn sign(&self, key: &Key, data: &[u8]) -> io::Result<Signature> {
        let mut message = vec![SIGN_REQUEST];
        push(&mut message, &key.blob);
        push(&mut message, data);
        // No flags: the signature that is usual for this kind of key.
        message.extend(0_u32.to_be_bytes());
        let answer = self.ask(&message, SIGN_RESPONSE)?;
        let mut signature = Reader(Reader(&answer).text()?);
        Ok(Signature {
            algorithm: String::from_utf8_lossy(signature.text()?).into_owned(),
            bytes: signature.text()?.to_vec(),
        })
    }

    fn ask(&self, message: &[u8], wanted: u8) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut framed = Vec::with_capacity(message.len() + 4);
        push(&mut framed, message);
        stream.write_all(&framed)?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > MOST_BYTES {
            return Err(io::Error::other(
                "the agent's answer has an impossible length",
            ));
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        if answer[0] != wanted {
            return Err(io::Error::other("the agent refused"));
        }
        answer.remove(0);
        Ok(answer)
    }
}

fn push(message: &mut Vec<u8>, text: &[u8]) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    message.extend(length.to_be_bytes());
    message.extend(text);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| io::Error::other("the agent's answer ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> io::Result<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> io::Result<&'a [u8]> {
        let length = self.number()? as usize;
        self.take(length)
    }
}
