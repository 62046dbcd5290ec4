//! A server with a certificate that only those trust who are told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{WantsServerCert, WebPkiClientVerifier};
use rustls::{
    ConfigBuilder, RootCertStore, ServerConfig, ServerConnection, StreamOwned, WantsVerifier,
};

/// The certificate, for whoever is to trust it.
pub(crate) const AUTHORITY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/tls/nobody.cert.pem"
);

/// Its private key.
pub(crate) const KEY: &[u8] = include_bytes!("../fixtures/tls/nobody.key.der");
const CERTIFICATE: &[u8] = include_bytes!("../fixtures/tls/nobody.cert.der");

/// One that was good in 2020, with the same key.
pub(crate) const EXPIRED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/fixtures/tls/expired.cert.pem"
);

/// What a server with that certificate is set up with.
pub(crate) fn with_own_certificate() -> ServerConfig {
    let builder = builder().with_no_client_auth();
    with_certificate(builder)
}

/// The same for a server that wants to see that certificate of its clients, too.
pub(crate) fn that_asks_for_a_certificate() -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(CERTIFICATE)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    with_certificate(builder().with_client_cert_verifier(verifier.build().unwrap()))
}

fn builder() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

/// What a server with the certificate that has ended is set up with.
pub(crate) fn with_expired_certificate() -> ServerConfig {
    let expired = include_bytes!("../fixtures/tls/expired.cert.der");
    with_chain(builder().with_no_client_auth(), expired)
}

/// What a server is set up with that shows an authority's own certificate, as `openssl req -x509` makes it.
pub(crate) fn with_authoritys_certificate() -> ServerConfig {
    let authority = include_bytes!("../fixtures/tls/authority.cert.der");
    with_chain(builder().with_no_client_auth(), authority)
}

fn with_certificate(builder: ConfigBuilder<ServerConfig, WantsServerCert>) -> ServerConfig {
    with_chain(builder, CERTIFICATE)
}

fn with_chain(
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
    certificate: &'static [u8],
) -> ServerConfig {
    let chain = vec![CertificateDer::from(certificate)];
    builder
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(KEY).into())
        .unwrap()
}

/// Answers every request with the same bytes, until the tests end.
pub(crate) fn answering(answer: &'static [u8]) -> SocketAddr {
    answering_as(with_own_certificate(), answer)
}

/// The same for a server that is set up like this.
pub(crate) fn answering_as(config: ServerConfig, answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || serve(stream.unwrap(), config, answer));
        }
    });
    address
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, answer: &[u8]) {
    let connection = ServerConnection::new(config).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut length = 0;
    loop {
        let mut line = String::new();
        // A client that does not trust us says so and goes.
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let stream = stream.get_mut();
    stream.write_all(answer).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
}
