//! How an attacker reaches the door: connections from an address of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ground::Target;
use crate::support::http::client_builder;

/// The door did not go along: it refused a connection or closed it.
#[derive(Debug)]
pub struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

impl From<reqwest::Error> for Ended {
    fn from(_: reqwest::Error) -> Self {
        Self
    }
}

/// One attacker's.
pub struct Field {
    /// What is attacked.
    pub target: Target,
    /// A client over HTTP/2.
    pub modern: reqwest::Client,
    /// A client over HTTP/1.1.
    pub old: reqwest::Client,
    from: Ipv4Addr,
    tls: [Arc<ClientConfig>; 2],
}

/// The protocols that a client offers.
#[derive(Clone, Copy)]
pub enum Offer {
    Http1,
    Http2,
}

impl Field {
    /// Of one attacker: each has an address in 127.0.0.0/8 that nobody else has.
    pub fn new(target: &Target, kind: u8, number: u32) -> Self {
        let [_, _, high, low] = (number + 1).to_be_bytes();
        let from = Ipv4Addr::new(127, 100 + kind, high, low);
        let client = || client_builder().local_address(IpAddr::V4(from));
        let pem = std::fs::read(&target.certificate).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
        let offers = [&b"http/1.1"[..], b"h2"];
        let tls = offers.map(|offer| {
            let config = ClientConfig::builder().with_root_certificates(roots.clone());
            let mut config = config.with_no_client_auth();
            config.alpn_protocols = vec![offer.to_vec()];
            Arc::new(config)
        });
        Self {
            target: target.clone(),
            modern: client().build().unwrap(),
            old: client().http1_only().build().unwrap(),
            from,
            tls,
        }
    }

    /// A client over HTTP/2 with connections of its own.
    pub fn another_modern(&self) -> reqwest::Client {
        client_builder().local_address(IpAddr::V4(self.from)).build().unwrap()
    }

    /// The door's URL.
    pub fn url(&self) -> String {
        format!("https://{}", self.target.address)
    }

    /// A connection without anything on it.
    pub async fn tcp(&self) -> Result<TcpStream, Ended> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((self.from, 0)))?;
        Ok(socket.connect(self.target.address).await?)
    }

    /// A connection after TLS.
    pub async fn tls(&self, offer: Offer) -> Result<TlsStream<TcpStream>, Ended> {
        let connector = TlsConnector::from(Arc::clone(&self.tls[offer as usize]));
        Ok(connector.connect(ServerName::try_from("localhost").unwrap(), self.tcp().await?).await?)
    }
}
