//! The way back from a browser: a listener on loopback that waits for one request and answers it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use dovetail_core::secret::SecretText;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The port that the authority lets a sign-in come back to.
const PORT: u16 = 1455;
/// The path that it comes back to.
const PATH: &str = "/auth/callback";
/// A request's head; the query holds a code and little else.
const MOST_HEAD: usize = 16 << 10;
/// A browser on this machine needs milliseconds, once it asks.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// Browsers have a handful; more than that is somebody who wants to use memory up.
const MOST_CONNECTIONS: usize = 64;

/// A listener for one sign-in.
pub(super) struct Callback {
    listener: TcpListener,
    port: u16,
    /// Connections that have not said yet what they want. Browsers open some ahead, and use them late or never.
    asking: JoinSet<Option<Returned>>,
}

/// A browser that came back and waits for a page.
pub(super) struct Returned {
    /// What it brought.
    pub(super) query: SecretText,
    browser: TcpStream,
}

impl Callback {
    /// Listens. Only this machine can connect.
    pub(super) async fn listen() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            listener,
            port,
            asking: JoinSet::new(),
        })
    }

    /// The address to come back to.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://{}{PATH}", self.address())
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Waits for the browser. Whatever else asks is told that there is nothing.
    pub(super) async fn wait(&mut self) -> std::io::Result<Returned> {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (browser, _) = accepted?;
                    if self.asking.len() < MOST_CONNECTIONS {
                        self.asking.spawn(asked(browser, self.port));
                    }
                }
                Some(asked) = self.asking.join_next() => {
                    if let Ok(Some(returned)) = asked {
                        return Ok(returned);
                    }
                }
            }
        }
    }
}

/// What a connection wants, if it is the browser that comes back.
async fn asked(mut browser: TcpStream, port: u16) -> Option<Returned> {
    let target = tokio::time::timeout(READ_LIMIT, read_target(&mut browser, port));
    // Anything else is nobody's browser: a scan, or a page that guesses.
    let target = target.await.ok()?.ok()??;
    match target.split_once('?') {
        Some((PATH, query)) => {
            let query = SecretText::new(query.to_owned());
            Some(Returned { query, browser })
        }
        _ => {
            answer(&mut browser, "404 Not Found", "There is nothing here.").await;
            None
        }
    }
}

impl Returned {
    /// Tells the person in the browser how it went.
    pub(super) async fn tell(mut self, worked: bool, words: &str) {
        let status = match worked {
            true => "200 OK",
            false => "400 Bad Request",
        };
        answer(&mut self.browser, status, words).await;
    }
}

/// The target of a `GET` that was meant for this listener; none for anything else.
async fn read_target(browser: &mut TcpStream, port: u16) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    loop {
        let mut chunk = [0; 2048];
        let read = browser.read(&mut chunk).await?;
        head.extend_from_slice(&chunk[..read]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&head) {
            Ok(status) if status.is_complete() => {
                let is_get = request.method == Some("GET");
                let here = is_here(request.headers, port);
                let target = request.path.filter(|_| is_get && here);
                return Ok(target.map(str::to_owned));
            }
            Ok(_) if read > 0 && head.len() < MOST_HEAD => {}
            Ok(_) | Err(_) => return Ok(None),
        }
    }
}

/// Whether a request names this listener: a page elsewhere that resolves its own name to this machine does not.
fn is_here(headers: &[httparse::Header<'_>], port: u16) -> bool {
    let host = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("host"));
    let expected = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    host.is_some_and(|host| {
        expected
            .iter()
            .any(|known| known.as_bytes().eq_ignore_ascii_case(host.value))
    })
}

async fn answer(browser: &mut TcpStream, status: &str, words: &str) {
    let escaped = words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Dovetail</title><body style=\"font-family:sans-serif;margin:4em\"><p>{escaped}</p>"
    );
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        page.len()
    );
    // Somebody who closed the page has seen enough.
    drop(browser.write_all(format!("{head}{page}").as_bytes()).await);
    drop(browser.shutdown().await);
}
