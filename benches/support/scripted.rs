//! A registry whose repositories are computed from their numbers: nothing is held, and every answer is at hand, so that it
//! costs next to nothing beside the sweep that is measured. The scripted registry of the tests holds what it has, and would.

use std::net::SocketAddr;
use std::sync::mpsc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use portreeve::oci::{Digest, MediaType};
use tokio::net::TcpListener;

use crate::Fault;

/// What it holds.
#[derive(Clone, Copy)]
pub struct Holdings {
    pub repositories: usize,
    /// How many tags each repository has.
    pub tags: usize,
}

/// Starts one on a thread of its own, which ends with the process. Answers where it listens.
pub fn start(holdings: Holdings) -> Result<SocketAddr, Fault> {
    let (address, bound) = mpsc::channel();
    std::thread::Builder::new().name("scripted".to_owned()).spawn(move || {
        let served = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(serve(holdings, &address)));
        if let Err(error) = served {
            eprintln!("the scripted registry ended: {error}");
        }
    })?;
    Ok(bound.recv()?)
}

async fn serve(holdings: Holdings, address: &mpsc::Sender<SocketAddr>) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    // Whoever started it waits for this.
    let _ = address.send(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(move |request: Request<Incoming>| async move {
            if request.method() == Method::PUT {
                return put(request).await;
            }
            Ok(answer(holdings, request.method(), request.uri()))
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
    }
}

/// The name of the repository with this number.
pub fn name(number: usize) -> String {
    format!("team{:03}/app{number:06}", number / 1_000)
}

/// A manifest of one of its repositories.
pub fn manifest(repository: &str, tag: &str) -> Bytes {
    let config = Digest::sha256(repository.as_bytes());
    let media_type = MediaType::OCI_MANIFEST;
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":100}},"layers":[],"annotations":{{"tag":"{tag}"}}}}"#
    )
    .into()
}

/// Takes a manifest as if it were kept.
async fn put(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let bytes = request.into_body().collect().await?.to_bytes();
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::CREATED;
    with_digest(&mut response, &Digest::sha256(&bytes));
    Ok(response)
}

fn answer(holdings: Holdings, method: &Method, uri: &hyper::Uri) -> Response<Full<Bytes>> {
    let path = uri.path().trim_start_matches("/v2/");
    if path == "_catalog" {
        return catalog(holdings.repositories, uri.query().unwrap_or_default());
    }
    if let Some(repository) = path.strip_suffix("/tags/list") {
        let tags: Vec<String> = (0..holdings.tags).map(|number| format!("v{number}")).collect();
        return json(&serde_json::json!({"name": repository, "tags": tags}));
    }
    let Some((repository, tag)) = path.split_once("/manifests/") else {
        return json(&serde_json::json!({}));
    };
    // By digest only what was named before; which tag that was is found by trying.
    let bytes = if tag.contains(':') {
        let all = (0..holdings.tags).map(|number| manifest(repository, &format!("v{number}")));
        let mut named = all.filter(|bytes| Digest::sha256(bytes).as_str() == tag);
        named.next()
    } else {
        Some(manifest(repository, tag))
    };
    let Some(bytes) = bytes else {
        let mut absent = json(&serde_json::json!({"errors": [{"code": "MANIFEST_UNKNOWN"}]}));
        *absent.status_mut() = StatusCode::NOT_FOUND;
        return absent;
    };
    let digest = Digest::sha256(&bytes);
    let body = if method == Method::HEAD { Bytes::new() } else { bytes };
    let mut response = Response::new(Full::new(body));
    let media_type = http::HeaderValue::from_static(MediaType::OCI_MANIFEST);
    response.headers_mut().insert("content-type", media_type);
    with_digest(&mut response, &digest);
    response
}

fn with_digest(response: &mut Response<Full<Bytes>>, digest: &Digest) {
    if let Ok(digest) = http::HeaderValue::from_str(digest.as_str()) {
        response.headers_mut().insert("docker-content-digest", digest);
    }
}

fn catalog(repositories: usize, query: &str) -> Response<Full<Bytes>> {
    let value = |name| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    };
    let size = value("n").and_then(|n| n.parse().ok()).unwrap_or(100).min(1_000);
    let first = value("after").and_then(|number| number.parse().ok()).unwrap_or(0);
    let end = repositories.min(first + size);
    let names: Vec<String> = (first..end).map(name).collect();
    let mut response = json(&serde_json::json!({ "repositories": names }));
    if end < repositories {
        let link = format!("</v2/_catalog?n={size}&after={end}>; rel=\"next\"");
        if let Ok(link) = http::HeaderValue::from_str(&link) {
            response.headers_mut().insert("link", link);
        }
    }
    response
}

fn json(value: &serde_json::Value) -> Response<Full<Bytes>> {
    Response::new(Full::new(value.to_string().into()))
}
