//! A registry behind TLS, and what the operator is told when a registry cannot be talked to: each cause has its own words
//! and its own remedy.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::support::binary::portreeve;
use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{record, truth};
use crate::support::sweep::sweep_through;

/// A private authority, and a certificate that it signed.
struct Authority(TempDir);

impl Authority {
    /// Whose certificate is for these names.
    fn signing_for(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority_certificate = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, &authority_key);
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority_certificate.pem()).unwrap();
        std::fs::write(directory.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self(directory)
    }

    fn file(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    /// A registry behind TLS with the certificate: a door of its own before a plain one.
    async fn serve(&self, registry: &Registry) -> Door {
        Door::builder(registry.url())
            .set("LISTEN__TLS__CERT", self.file("cert.pem"))
            .set("LISTEN__TLS__KEY", self.file("key.pem"))
            .start()
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_believed_whose_certificate_a_private_authority_signed() {
    let authority = Authority::signing_for(&["127.0.0.1"]);
    let registry = Registry::start().await;
    let tls = authority.serve(&registry).await;
    let door = Door::builder(tls.url()).set("REGISTRY__CA", authority.file("ca.pem")).start().await;
    Image::small(1).push(&door.url(), "team/app", "through").await;
    Image::small(2).push(&registry.url(), "team/app", "around").await;
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    let (good, said) = door.check().await;
    assert!(good, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_for_which_a_registry_cannot_be_talked_to_has_its_words_and_its_remedy() {
    let authority = Authority::signing_for(&["localhost"]);
    let registry = Registry::start().await;
    let tls = authority.serve(&registry).await;
    let port = tls.address().port();
    let ca = authority.file("ca.pem");
    let plain = registry.address();
    // No name has a label of more than 63 bytes (RFC 1035), so that no server of names is asked.
    let unknown = format!("http://{}:5000", "a".repeat(64));
    let cases = [
        (unknown, None, "has a name that is not found", "resolve"),
        ("http://127.0.0.1:9".to_owned(), None, "refuses connections", "start it"),
        (
            format!("https://localhost:{port}"),
            None,
            "has a certificate of an unknown authority",
            "registry.ca",
        ),
        (format!("https://127.0.0.1:{port}"), Some(&ca), "has a certificate for other names", "registry.url"),
        (format!("https://{plain}"), None, "does not speak TLS", "http://"),
        (format!("http://127.0.0.1:{port}"), None, "does not speak HTTP", "https://"),
    ];
    for (url, ca, fault, remedy) in cases {
        let directory = tempfile::tempdir().unwrap();
        let mut check = portreeve();
        check.arg("check").current_dir(directory.path()).env("PORTREEVE__REGISTRY__URL", &url);
        check.env("PORTREEVE__LISTEN__DOOR", "127.0.0.1:0").env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0");
        if let Some(ca) = ca {
            check.env("PORTREEVE__REGISTRY__CA", ca);
        }
        let output = check.output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{url}: {said}");
        let line = said
            .lines()
            .find(|line| line.contains("The registry at"))
            .unwrap_or_else(|| panic!("{url}: {said}"));
        assert!(line.starts_with("wrong") && line.contains(fault) && line.contains(remedy), "{url}: {line}");
        assert!(line.len() < 260, "a sentence is short: {line}");
    }
}
