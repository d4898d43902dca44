//! The door behind its own certificate.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use reqwest::Version;
use reqwest::header::LOCATION;
use reqwest::tls::TlsInfo;
use tempfile::TempDir;

use crate::support::door::Door;
use crate::support::http::client_builder;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{record, truth};
use crate::support::tool::Tool;
use crate::support::wait::until;

/// Within which time an exchanged certificate has to be noticed: the door looks every five seconds.
const EXCHANGED: Duration = Duration::from_secs(15);

/// The files of a certificate that can be exchanged.
struct Files(TempDir);

impl Files {
    /// With a certificate in them, and that certificate as DER.
    fn new() -> (Self, Vec<u8>) {
        let files = Self(tempfile::tempdir().unwrap());
        let certificate = files.renew();
        (files, certificate)
    }

    fn certificate(&self) -> PathBuf {
        self.0.path().join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    /// Puts another certificate in place.
    fn renew(&self) -> Vec<u8> {
        self.renew_until(4096)
    }

    /// Puts one in place that is good until this year.
    fn renew_until(&self, year: i32) -> Vec<u8> {
        let mut parameters =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        parameters.not_before = date_time_ymd(2001, 1, 1);
        parameters.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        write(&self.key(), &key.serialize_pem());
        write(&self.certificate(), &certificate.pem());
        certificate.der().to_vec()
    }
}

/// Writes as a certificate manager does: all of it or nothing.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

async fn start(registry: &Registry, files: &Files) -> Door {
    Door::builder(registry.url())
        .set("LISTEN__TLS__CERT", files.certificate().to_str().unwrap())
        .set("LISTEN__TLS__KEY", files.key().to_str().unwrap())
        .start()
        .await
}

/// The certificate that a new connection is shown.
async fn shown(door: &Door) -> Vec<u8> {
    let client = client_builder().tls_info(true).build().unwrap();
    let response = client.get(format!("{}/healthz", door.url())).send().await.unwrap();
    response.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_http2_or_http1_as_it_offers_and_its_way_back_is_https() {
    let registry = Registry::start().await;
    let (files, certificate) = Files::new();
    let door = start(&registry, &files).await;
    assert_eq!(shown(&door).await, certificate);
    let image = Image::small(1);
    image.push(&door.url(), "a", "tag").await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    let modern = client_builder().build().unwrap();
    let old = client_builder().http1_only().build().unwrap();
    for (client, version) in [(&modern, Version::HTTP_2), (&old, Version::HTTP_11)] {
        let response = client.get(format!("{}/v2/", door.url())).send().await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (version, 200));
        let response = client.post(format!("{}/v2/a/blobs/uploads/", door.url())).send().await.unwrap();
        assert_eq!(response.status(), 202);
        let location = response.headers()[LOCATION].to_str().unwrap();
        assert!(
            location.starts_with(&format!("https://{}/v2/a/blobs/uploads/", door.address())),
            "{location}"
        );
        let (digest, blob) = &image.blobs[1];
        let response = client.get(format!("{}/v2/a/blobs/{digest}", door.url())).send().await.unwrap();
        assert_eq!((response.version(), response.bytes().await.unwrap()), (version, blob.clone()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_and_pulls_by_tls() {
    let registry = Registry::start().await;
    let (files, _) = Files::new();
    let door = start(&registry, &files).await;
    let image = Image::small(1);
    image.push(&registry.url(), "from", "tag").await;
    let skopeo = Tool::new("skopeo", "skopeo");
    let from = format!("docker://{}/from:tag", registry.address());
    let to = format!("docker://{}/to:tag", door.address());
    let options = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"];
    skopeo.run(&[&options[..], &[&from, &to]].concat()).await;
    let pushed = [(("to".to_owned(), "tag".to_owned()), image.digest.clone())];
    assert_eq!(record(&door.url()).await, pushed.into());
    skopeo.run(&[&options[..], &[&to, "dir:pulled"]].concat()).await;
    assert_eq!(image.manifest, std::fs::read(skopeo.home().join("pulled/manifest.json")).unwrap());
    // skopeo falls back to plain HTTP where it may: it did not have to.
    let url = format!("http://{}/v2/", door.address());
    assert!(client_builder().build().unwrap().get(url).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchanged_certificate_is_used_without_a_restart() {
    let registry = Registry::start().await;
    let (files, first) = Files::new();
    let door = start(&registry, &files).await;
    assert_eq!(shown(&door).await, first);
    let kept = client_builder().build().unwrap();
    assert_eq!(kept.get(format!("{}/v2/", door.url())).send().await.unwrap().status(), 200);

    let second = files.renew();
    until("the new certificate is shown", EXCHANGED, async || shown(&door).await == second).await;
    // Connections that are there already go on.
    assert_eq!(kept.get(format!("{}/v2/", door.url())).send().await.unwrap().status(), 200);

    // A certificate that cannot be used changes nothing, and is said.
    write(&files.certificate(), "no certificate");
    let said = || door.log().contains("the new TLS certificate cannot be used; the old one stays");
    until("the door complains", EXCHANGED, async || said()).await;
    assert_eq!(shown(&door).await, second);
    let third = files.renew();
    until("the next certificate is shown", EXCHANGED, async || shown(&door).await == third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_over_is_not_taken_in_exchange_and_is_warned_about_at_a_start() {
    let registry = Registry::start().await;
    let (files, first) = Files::new();
    let mut door = start(&registry, &files).await;
    let said =
        || door.log().contains("the TLS certificate is for localhost, 127.0.0.1, and good until 4096-01-01");
    until("the door tells of its certificate", EXCHANGED, async || said()).await;
    files.renew_until(2002);
    let said =
        || door.log().contains("is good from 2001-01-01T00:00:00.000Z until 2002-01-01T00:00:00.000Z only");
    until("the door refuses it", EXCHANGED, async || said()).await;
    assert_eq!(shown(&door).await, first);
    let (_, said) = door.check().await;
    let line = said.lines().find(|line| line.contains("The TLS certificate")).unwrap();
    assert!(line.starts_with("warn ") && line.contains("2002-01-01T00:00:00.000Z, which is over"), "{line}");
    door.restart().await;
    let said = || door.log().contains("which is over: clients refuse it; renew it");
    until("the door warns", EXCHANGED, async || said()).await;
}
