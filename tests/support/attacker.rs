//! A connection to the door with which a test does what no client does: nothing, half of something, or something for ever;
//! with and without TLS, from an address of its own, in the frames of HTTP/2 where it wants.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// What an HTTP/2 client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Between two pieces of what drips.
const DRIP: Duration = Duration::from_millis(100);

/// Bytes both ways.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// An open connection.
pub struct Attacker(Box<dyn Bytes>);

impl Attacker {
    /// Connects.
    pub async fn open(door: SocketAddr) -> Self {
        Self(Box::new(TcpStream::connect(door).await.unwrap()))
    }

    /// Connects from this address of the loopback network.
    pub async fn from(address: impl Into<IpAddr>, door: SocketAddr) -> Self {
        Self(Box::new(connect_from(address, door).await))
    }

    /// Connects with a small buffer for what comes, so that what is not read stops the door soon.
    pub async fn unreading(door: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self(Box::new(socket.connect(door).await.unwrap()))
    }

    /// Connects by TLS, and offers this protocol.
    pub async fn by_tls(door: SocketAddr, protocol: &[u8]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(BelievesAll))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(door).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        Self(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()))
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Sends as much of these bytes as the door takes.
    ///
    /// # Errors
    /// When it has closed the connection.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Waits until something came, and answers it.
    pub async fn receive(&mut self) -> Vec<u8> {
        let mut piece = vec![0; 64 * 1024];
        let length = self.0.read(&mut piece).await.unwrap();
        assert_ne!(length, 0, "the door closed the connection");
        piece.truncate(length);
        piece
    }

    /// Waits until something came, and answers it; nothing where the door has closed the connection.
    pub async fn try_receive(&mut self) -> Vec<u8> {
        let mut piece = vec![0; 64 * 1024];
        let length = self.0.read(&mut piece).await.unwrap_or(0);
        piece.truncate(length);
        piece
    }

    /// Reads until the door closes the connection, at most for so long: whether it did, and what came.
    pub async fn is_closed_within(&mut self, limit: Duration) -> (bool, Vec<u8>) {
        let mut came = Vec::new();
        // A reset is an end, too.
        let is_closed = tokio::time::timeout(limit, self.0.read_to_end(&mut came)).await.is_ok();
        (is_closed, came)
    }

    /// The same while one piece after the other is sent: of these, and the last one again and again.
    pub async fn is_closed_while_dripping(&mut self, pieces: &[&[u8]], limit: Duration) -> (bool, Vec<u8>) {
        let mut pieces = pieces.iter().copied().peekable();
        let (mut reader, mut writer) = tokio::io::split(&mut self.0);
        let mut came = Vec::new();
        let deadline = Instant::now() + limit;
        let dripping = async {
            let mut piece: &[u8] = b"";
            loop {
                piece = pieces.next().unwrap_or(piece);
                if writer.write_all(piece).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(DRIP).await;
            }
        };
        let is_closed = tokio::select! {
            // A reset is an end, too.
            _ = reader.read_to_end(&mut came) => true,
            () = async { dripping.await; std::future::pending().await } => false,
            () = tokio::time::sleep_until(deadline) => false,
        };
        (is_closed, came)
    }
}

/// Connects from this address.
pub async fn connect_from(address: impl Into<IpAddr>, door: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((address.into(), 0))).unwrap();
    socket.connect(door).await.unwrap()
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The settings with which a client begins: windows of so many bytes.
pub fn settings(window: u32) -> Vec<u8> {
    frame(4, 0, 0, &[&[0, 4], window.to_be_bytes().as_slice()].concat())
}

/// A question whether the other side lives.
pub fn ping() -> Vec<u8> {
    frame(6, 0, 0, b"12345678")
}

/// The fields of a request, each in its plainest form (RFC 7541 section 6.2.2).
pub fn fields(method: &str, path: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (name, value) in [(":method", method), (":scheme", "http"), (":authority", "door"), (":path", path)] {
        fields.push(0);
        for text in [name, value] {
            fields.push(u8::try_from(text.len()).unwrap());
            assert!(text.len() < 127, "{text}");
            fields.extend(text.as_bytes());
        }
    }
    fields
}

/// A request without a body.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    // END_HEADERS and END_STREAM.
    frame(1, 5, stream, &fields("GET", path))
}

/// Believes any certificate.
#[derive(Debug)]
struct BelievesAll;

impl ServerCertVerifier for BelievesAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
