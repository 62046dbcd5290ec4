//! Before the server has answered.

use std::net::SocketAddr;

use dovetail_tests::script;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{PATIENCE, check_interrupted};
use crate::lab;
use crate::raw_server::RawServer;

/// A listener that takes no more connections: its queue is full, so that further ones are neither made nor refused.
struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl BlackHole {
    /// The length of the queue that is asked for; the system's own is one longer.
    const BACKLOG: u32 = 1;

    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(Self::BACKLOG).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        for _ in 0..=Self::BACKLOG {
            queued.push(TcpStream::connect(address).await.unwrap());
        }
        Self {
            address,
            _listener: listener,
            _queued: queued,
        }
    }

    /// Waits until somebody tries to connect in vain, as the system's table of connections has it.
    async fn wait_for_attempt(&self) {
        // Our address in hexadecimal, with the state of a connection that was asked for and not answered.
        let attempt = format!(" 0100007F:{:04X} 02 ", self.address.port());
        let mut look = tokio::time::interval(std::time::Duration::from_millis(5));
        let looking = async {
            while !std::fs::read_to_string("/proc/net/tcp")
                .unwrap()
                .contains(&attempt)
            {
                look.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking)
            .await
            .expect("it tries to connect");
    }
}

#[tokio::test]
async fn an_interrupt_ends_a_turn_that_connects() {
    let lab = lab(&[&script::answer("on")]).await;
    let hole = BlackHole::new().await;
    let url = format!(
        "model_providers.rehearsal.base_url=http://{}/v1",
        hole.address
    );
    let running = lab.start_exec(&["--json", "-c", &url, "go"]);
    hole.wait_for_attempt().await;
    check_interrupted(&lab, running, "INT").await;
}

#[tokio::test]
async fn an_interrupt_ends_a_turn_that_shakes_hands() {
    let lab = lab(&[&script::answer("on")]).await;
    let silent = RawServer::silent().await;
    let url = format!(
        "model_providers.rehearsal.base_url=https://{}/v1",
        silent.address()
    );
    let running = lab.start_exec(&["--json", "-c", &url, "go"]);
    silent.wait_for_connection().await;
    check_interrupted(&lab, running, "INT").await;
}
