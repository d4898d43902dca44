//! Plain requests, as a client makes them.

use std::sync::LazyLock;

use reqwest::{Client, ClientBuilder, Response};

/// A client that follows no redirect by itself and believes any certificate. Each test has a runtime of its own, and
/// pooled connections belong to one, so it is not shared between tests.
pub fn http_client() -> Client {
    client_builder().build().unwrap()
}

/// Such a client, to be changed before it is built.
pub fn client_builder() -> ClientBuilder {
    static PROVIDER: LazyLock<()> = LazyLock::new(|| {
        // The only failure is that it is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    LazyLock::force(&PROVIDER);
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_danger_accept_invalid_certs(true)
}

/// Deletes a manifest by tag or digest.
pub async fn delete(base: &str, repository: &str, reference: &str) -> Response {
    let url = format!("{base}/v2/{repository}/manifests/{reference}");
    http_client().delete(url).send().await.unwrap()
}

/// The code and the message of an error body of the distribution specification; fails for any other body.
pub async fn error_of(response: Response) -> (String, String) {
    let text = response.text().await.unwrap();
    let body: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let entry = &body["errors"][0];
    let field = |name: &str| entry[name].as_str().unwrap_or_else(|| panic!("no {name}: {text}")).to_owned();
    (field("code"), field("message"))
}
