//! The clock of a real registry that verifies tokens, made to leap.
//!
//! No process can be given another time of day while it runs. What stands between the door and the registry does the same: it
//! signs each token anew with its times moved back, and moves the `Date` of each answer forward. The registry judges tokens as
//! it would by a clock that is so far ahead.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portreeve::auth::Issuer;
use portreeve::clock::Timestamp;
use portreeve::oci::Access;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::guard::Guard;
use super::registry::Registry;

/// How long what is left of a refused body is read.
const LINGER: Duration = Duration::from_secs(2);

/// A registry's clock. Dropping it closes its port.
pub struct LeapingClock {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    registry: SocketAddr,
    issuer: Issuer,
    /// How many seconds it is ahead.
    ahead: AtomicI64,
    /// How many bytes of a request's body come before the registry hears of the request.
    held_back: AtomicUsize,
    /// The request lines that were answered 401 though a token came with them.
    refused: Mutex<Vec<String>>,
}

impl LeapingClock {
    /// Stands before a registry that trusts this guard.
    pub async fn before(registry: &Registry, guard: &Guard) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            registry: registry.address(),
            issuer: guard.issuer(),
            ahead: AtomicI64::new(0),
            held_back: AtomicUsize::new(0),
            refused: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (accepting, each) = (Arc::clone(&shared), stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let shared = Arc::clone(&accepting);
                // Whoever leaves ends it.
                tokio::spawn(each.clone().run_until_cancelled_owned(async move {
                    let _ = shared.carry(stream).await;
                }));
            }
        }));
        Self { address, shared, _stop: stop.drop_guard() }
    }

    /// Where the registry is to be asked.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the clock is so many seconds ahead, or behind.
    pub fn leap(&self, seconds: i64) {
        self.shared.ahead.store(seconds, Ordering::SeqCst);
    }

    /// From now on the registry hears of a request when so many bytes of its body have come.
    pub fn hold_back(&self, bytes: usize) {
        self.shared.held_back.store(bytes, Ordering::SeqCst);
    }

    /// How many tokens the registry has refused.
    pub fn refused(&self) -> usize {
        self.refused_at("")
    }

    /// How many of those came with a request whose line has this in it.
    pub fn refused_at(&self, part: &str) -> usize {
        self.shared.refused.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }
}

impl Shared {
    /// One request and its answer.
    async fn carry(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (head, mut body) = read_head(&mut client).await?;
        let ahead = self.ahead.load(Ordering::SeqCst);
        let has_body = head.to_ascii_lowercase().contains("content-length: ");
        while has_body && body.len() < self.held_back.load(Ordering::SeqCst) {
            client.read_buf(&mut body).await?;
        }
        let mut registry = TcpStream::connect(self.registry).await?;
        let mut is_shown = false;
        let mut lines = Vec::new();
        for line in head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:")) {
            match line.split_once(": Bearer ") {
                Some((name, token)) if name.eq_ignore_ascii_case("authorization") => {
                    is_shown = true;
                    lines.push(format!("{name}: Bearer {}", self.moved(token, -ahead)));
                }
                _ => lines.push(line.to_owned()),
            }
        }
        registry.write_all(format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n")).as_bytes()).await?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_registry, mut to_registry) = registry.split();
        let up = async {
            // A registry that refuses the request does not read all of it: its answer is read meanwhile.
            if to_registry.write_all(&body).await.is_err() {
                std::future::pending::<()>().await;
            }
            let _ = tokio::io::copy(&mut from_client, &mut to_registry).await;
            std::future::pending::<()>().await;
        };
        let down = async {
            loop {
                let (answer, rest) = read_head(&mut from_registry).await?;
                let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
                let line = |line: &str| match line.strip_prefix("Date: ") {
                    Some(date) => format!("Date: {}", later(date, ahead)),
                    None => line.to_owned(),
                };
                // Before its client knows.
                if is_shown && status == "401" {
                    let line = head.lines().next().unwrap_or_default().to_owned();
                    self.refused.lock().unwrap().push(line);
                }
                let lines: Vec<String> = answer.lines().map(line).collect();
                to_client.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).await?;
                to_client.write_all(&rest).await?;
                if !status.starts_with('1') {
                    break;
                }
            }
            tokio::io::copy(&mut from_registry, &mut to_client).await?;
            to_client.shutdown().await
        };
        tokio::select! {
            done = down => done?,
            () = up => {}
        }
        // To close a connection while bytes come in is to reset it.
        let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut client, &mut tokio::io::sink())).await;
        Ok(())
    }

    /// The same token for another time.
    fn moved(&self, token: &str, seconds: i64) -> String {
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let scope = |access: &Value| {
            let actions: Vec<String> = access["actions"].as_array().unwrap().iter().map(text).collect();
            format!("{}:{}:{}", text(&access["type"]), text(&access["name"]), actions.join(","))
        };
        let scopes: Vec<String> = claims["access"].as_array().unwrap().iter().map(scope).collect();
        let access = Access::parse_all(scopes.iter().map(String::as_str));
        let subject = claims["sub"].as_str().filter(|subject| !subject.is_empty());
        let made =
            Timestamp::from_milliseconds(claims["nbf"].as_u64().unwrap() * 1000).shifted(seconds * 1000);
        self.issuer.issue_at(subject, &access, made).unwrap().token
    }
}

/// A head without its last line, and what came behind it.
async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            read.truncate(end);
            return Ok((String::from_utf8(read).unwrap(), rest));
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn later(date: &str, seconds: i64) -> String {
    let date = Timestamp::from(httpdate::parse_http_date(date).unwrap());
    httpdate::fmt_http_date(date.shifted(seconds * 1000).into())
}
