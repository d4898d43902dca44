//! How a request of the door's own gets to a backend: the one seam beneath [`super::RegistryClient`], so that everything
//! above it, from paging to what a 404 means, can be tried against a scripted registry without sockets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

use super::connection_fault::ConnectionFault;
use super::timeouts::{RegistryTimeouts, TimedOut};
use super::{Authorities, Backend};

/// A request to one backend.
#[derive(Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// The whole URL, path and query byte for byte as they have to arrive.
    pub url: String,
    /// Its headers, without framing; with a `Host` only if that is to be another one than the URL's.
    pub headers: HeaderMap,
    /// Its body; empty for a question.
    pub body: Bytes,
    /// How long the answer's body may be, in bytes.
    pub limit: usize,
    /// How long the answer may take to begin.
    pub timeout: RequestTimeout,
}

/// How long the answer to a request may take to begin.
#[derive(Clone, Debug)]
pub enum RequestTimeout {
    /// As long as the transport waits for any.
    Answer,
    /// As long as the backend may be at a commit.
    Commit {
        /// The limits.
        timeouts: RegistryTimeouts,
        /// Whose signs of life count.
        backend: Arc<Backend>,
    },
}

/// What a backend answered.
#[derive(Debug)]
pub struct Received {
    /// The status.
    pub status: StatusCode,
    /// The headers, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// The whole body; or why there is none, which changes nothing about the status.
    pub body: Result<Bytes, BodyError>,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection came about: the backend has heard nothing.
    #[error("connecting failed{0}")]
    Connect(Causes),
    /// The connection broke before the answer began: the backend may have heard the request.
    #[error("the request failed{0}")]
    Lost(Causes),
    /// The answer did not begin in time: the backend may have heard the request.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The answer to a commit was waited for as long as that is done: the backend may have heard the request.
    #[error("no answer: {0}")]
    GivenUp(TimedOut),
}

impl TransportError {
    /// Why the backend cannot be talked to, if that is what it is.
    pub const fn fault(&self) -> Option<ConnectionFault> {
        match self {
            Self::Connect(causes) | Self::Lost(causes) => causes.fault,
            Self::TimedOut(_) => Some(ConnectionFault::TimedOut),
            Self::GivenUp(_) => None,
        }
    }
}

/// Why the body of an answer is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BodyError {
    /// It is longer than it may be.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// It stood still for too long.
    #[error("it stood still for {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// It came too slowly to an end.
    #[error("it did not end within {}", humantime::format_duration(*.0))]
    Endless(Duration),
    /// It broke off.
    #[error("it broke off{0}")]
    Broken(Causes),
}

/// What lies behind an error, in the words of those it passed through. URLs are left out, since a query may carry what
/// should not be logged.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    words: Vec<String>,
    fault: Option<ConnectionFault>,
}

impl Causes {
    /// The causes of an error, without its own words.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let words = std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string);
        Self { words: words.collect(), fault: ConnectionFault::of(error) }
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words.iter().try_for_each(|cause| write!(formatter, ": {cause}"))
    }
}

impl fmt::Debug for Request {
    /// Without headers, which carry credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Takes requests to backends.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends a request and waits for the whole answer. Redirects are answers like others.
    ///
    /// Dropping the future leaves open whether the backend heard the request.
    async fn send(&self, request: Request) -> Result<Received, TransportError>;
}

/// The transport over HTTP/1.1, with pooled connections.
#[derive(Debug)]
pub struct HttpTransport {
    http: reqwest::Client,
    timeout: Duration,
}

/// How many times its timeout a whole body may take: it may come slowly, but not by a byte now and then for ever.
const WHOLE_BODY: u32 = 10;

impl HttpTransport {
    /// `timeout` bounds the wait for a connection, for an answer to begin, and for a body that stands still; ten times as
    /// long a body as a whole. Certificates are believed that one of `authorities` has signed, or of the system's without.
    ///
    /// # Errors
    /// When the TLS configuration of the system, or of the authorities, cannot be used.
    pub fn new(timeout: Duration, authorities: Option<&Authorities>) -> Result<Self, reqwest::Error> {
        // Only the first call of a process sets it; all set the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder();
        if let Some(authorities) = authorities {
            builder = builder.tls_certs_only(authorities.certificates()?);
        }
        let http = builder
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(64)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self { http, timeout })
    }

    /// Reads a whole body of at most `limit` bytes.
    async fn body(&self, mut response: reqwest::Response, limit: usize) -> Result<Bytes, BodyError> {
        let mut body = BytesMut::new();
        let longest = self.timeout.saturating_mul(WHOLE_BODY);
        let begun = Instant::now();
        loop {
            if begun.elapsed() > longest {
                return Err(BodyError::Endless(longest));
            }
            match tokio::time::timeout(self.timeout, response.chunk()).await {
                Err(_elapsed) => return Err(BodyError::TimedOut(self.timeout)),
                Ok(Err(error)) => return Err(BodyError::Broken(Causes::of(&error))),
                Ok(Ok(None)) => return Ok(body.freeze()),
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() > limit => {
                    return Err(BodyError::TooLong(limit));
                }
                Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            }
        }
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Received, TransportError> {
        let Request { method, url, headers, body, limit, timeout } = request;
        let sent = self.http.request(method, url).headers(headers).body(body).send();
        let answer = match timeout {
            RequestTimeout::Answer => tokio::time::timeout(self.timeout, sent)
                .await
                .map_err(|_elapsed| TransportError::TimedOut(self.timeout))?,
            RequestTimeout::Commit { timeouts, backend } => tokio::select! {
                biased;
                answer = sent => answer,
                timed_out = timeouts.expired(backend) => return Err(TransportError::GivenUp(timed_out)),
            },
        };
        let response = match answer {
            Err(error) if error.is_connect() => return Err(TransportError::Connect(Causes::of(&error))),
            Err(error) => return Err(TransportError::Lost(Causes::of(&error))),
            Ok(response) => response,
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response, limit).await;
        Ok(Received { status, headers, body })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(50);

    /// A server that does this with the one connection that comes, once its request has come.
    async fn server<F: Future<Output = ()> + Send>(
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v2/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0, "the request");
            serve(connection).await;
        });
        url
    }

    async fn send(url: String, timeout: Duration) -> Result<Received, TransportError> {
        let request = Request {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            limit: 1_000_000,
            timeout: RequestTimeout::Answer,
        };
        HttpTransport::new(timeout, None).unwrap().send(request).await
    }

    #[tokio::test]
    async fn a_body_that_comes_by_a_byte_now_and_then_ends() {
        let url = server(async |mut connection| {
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
            // Always in time for the next byte.
            while connection.write_all(b"x").await.is_ok() {
                tokio::time::sleep(TIMEOUT / 10).await;
            }
        });
        let received = send(url.await, TIMEOUT).await.unwrap();
        assert!(matches!(received.body, Err(BodyError::Endless(_))), "{received:?}");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_in_its_body_still_has_its_status() {
        let url = server(async |mut connection| {
            connection.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\nbegun").await.unwrap();
        });
        let received = send(url.await, TIMEOUT * 100).await.unwrap();
        assert_eq!(received.status, StatusCode::CREATED);
        assert!(matches!(received.body, Err(BodyError::Broken(_))), "{received:?}");
    }

    #[tokio::test]
    async fn a_connection_that_ends_without_an_answer_may_have_carried_the_request() {
        let sent = send(server(async |connection| drop(connection)).await, TIMEOUT * 100).await;
        assert!(matches!(sent, Err(TransportError::Lost(_))), "{sent:?}");
    }

    #[tokio::test]
    async fn where_nothing_listens_nothing_was_sent() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v2/", free.local_addr().unwrap());
        drop(free);
        let sent = send(url, TIMEOUT * 100).await;
        assert!(matches!(sent, Err(TransportError::Connect(_))), "{sent:?}");
    }
}
