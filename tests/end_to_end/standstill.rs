//! Whose turn it is, and who lets the other wait for too long: what the registry may take its time for, what the client
//! may, and what the door says when one of them stands still. Each by HTTP/1.1 and HTTP/2, with and without TLS.

mod clients;
mod commits;
mod early_answers;
mod registries;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Client, Response};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::support::door::{Door, DoorBuilder};
use crate::support::http::client_builder;
use crate::support::wait::until;

/// Longer than every short limit of these tests: what one side lets the other wait. It is what is tried, not a wait for
/// something else to happen.
const PAUSE: Duration = Duration::from_millis(2_500);
/// Within which time what has to happen has happened, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A door with these settings, with or without TLS, and clients for it.
struct House {
    door: Door,
    clients: Vec<(&'static str, Client)>,
    _certificate: Option<TempDir>,
}

impl House {
    /// Both houses, which differ in TLS.
    async fn both(settings: impl Fn() -> DoorBuilder) -> [Self; 2] {
        [Self::plain(settings()).await, Self::by_tls(settings()).await]
    }

    async fn plain(settings: DoorBuilder) -> Self {
        let http2 = client_builder().http2_prior_knowledge().build().unwrap();
        let clients = vec![("HTTP/1.1", client_builder().http1_only().build().unwrap()), ("HTTP/2", http2)];
        Self { door: settings.start().await, clients, _certificate: None }
    }

    async fn by_tls(settings: DoorBuilder) -> Self {
        let files = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (files.path().join("certificate.pem"), files.path().join("key.pem"));
        std::fs::write(&certificate, cert.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        let settings = settings
            .set("LISTEN__TLS__CERT", certificate.to_str().unwrap())
            .set("LISTEN__TLS__KEY", key.to_str().unwrap());
        let clients = vec![
            ("HTTP/1.1 by TLS", client_builder().http1_only().build().unwrap()),
            ("HTTP/2 by TLS", client_builder().build().unwrap()),
        ];
        Self { door: settings.start().await, clients, _certificate: Some(files) }
    }

    /// Waits until the log has an access line with all of these.
    async fn until_logged(&self, parts: &[&str]) {
        let has = || self.door.log().lines().any(|line| parts.iter().all(|part| line.contains(part)));
        until(&format!("a line with {parts:?}"), SOON, async || has()).await;
    }

    /// How many exchanges ended because this side stood still.
    async fn stalls(&self, by: &str) -> u64 {
        let metrics = crate::support::http::http_client().get(format!("{}/metrics", self.door.admin()));
        let text = metrics.send().await.unwrap().text().await.unwrap();
        let by = format!("by=\"{by}\"");
        let counts =
            text.lines().filter(|line| line.starts_with("portreeve_stalls_total") && line.contains(&by));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }
}

/// The body of a request whose pieces a test sends when it wants to.
fn body() -> (mpsc::UnboundedSender<Bytes>, reqwest::Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let pieces = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece: Bytes| (std::io::Result::Ok(piece), receiver))
    });
    (sender, reqwest::Body::wrap_stream(pieces))
}

/// These pieces, with a pause before each but the first.
fn with_pauses(pieces: Vec<Bytes>) -> impl Stream<Item = std::io::Result<Bytes>> {
    stream::iter(pieces.into_iter().enumerate()).then(async |(number, piece)| {
        if number > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(piece)
    })
}

/// Begins an upload session, and says where it goes on.
async fn begin(client: &Client, door: &Door) -> String {
    let url = format!("{}/v2/a/blobs/uploads/", door.url());
    let response = client.post(url).send().await.unwrap();
    assert_eq!(response.status(), 202);
    location(&response)
}

fn location(response: &Response) -> String {
    response.headers()["location"].to_str().unwrap().to_owned()
}

/// Where an upload session ends as a blob with this digest.
fn end_of(session: &str, digest: &str) -> String {
    let separator = if session.contains('?') { '&' } else { '?' };
    format!("{session}{separator}digest={digest}")
}
