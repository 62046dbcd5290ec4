//! A server for what no scripted one does: it accepts connections and leaves the socket to the test.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A listener on the loopback interface whose connections a function serves. Dropping it ends them all.
pub(crate) struct RawServer {
    address: SocketAddr,
    served: watch::Receiver<usize>,
    _accepting: AbortOnDropHandle<()>,
}

impl RawServer {
    /// Serves every connection with `serve`. A connection counts as served once `serve` returns; it stays open.
    pub(crate) async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = TcpStream> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, served) = watch::channel(0);
        let accepting = tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                open.push(serve(stream).await);
                sender.send_modify(|served| *served += 1);
            }
        });
        Self {
            address,
            served,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// Reads what comes first on each connection and never says a word.
    pub(crate) async fn silent() -> Self {
        Self::start(|mut stream| async move {
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes).await.unwrap();
            assert!(read > 0, "the client has something to say");
            stream
        })
        .await
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a connection has been served.
    pub(crate) async fn wait_for_connection(&self) {
        let mut served = self.served.clone();
        served.wait_for(|served| *served > 0).await.unwrap();
    }
}
