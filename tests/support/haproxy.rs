//! A real HAProxy before three doors, by `config/haproxy.cfg`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use reqwest::StatusCode;
use tempfile::TempDir;

use super::door::Door;
use super::http::http_client;
use super::port;
use super::wait::until;

const SOON: Duration = Duration::from_secs(60);

/// HAProxy with the file that operators are given; only its addresses and its certificate are the test's own.
pub struct Proxy {
    child: Child,
    url: String,
    directory: TempDir,
}

impl Proxy {
    /// Starts it before three doors; answers once it lets requests through.
    pub async fn start(doors: impl IntoIterator<Item = &Door>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(path("registry.pem"), [certificate.pem(), key.serialize_pem()].concat()).unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/haproxy.cfg");
        let mut text = std::fs::read_to_string(file).unwrap();
        let address = port::free();
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "config/haproxy.cfg has no `{from}`");
            text = text.replace(from, to);
        };
        replace("bind :443", &format!("bind {address}"));
        replace("/etc/haproxy/registry.pem", path("registry.pem").to_str().unwrap());
        // So many descriptors are not there everywhere.
        replace("maxconn 10000", "maxconn 500");
        for (number, door) in (1..).zip(doors) {
            replace(&format!("10.0.0.1{number}:5000"), &door.address().to_string());
        }
        std::fs::write(path("haproxy.cfg"), text).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(path("haproxy.cfg"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("haproxy cannot be run ({error}): Debian's package haproxy brings it")
            });
        let mut proxy = Self { child, url: format!("https://{address}"), directory };
        until("HAProxy lets requests through", SOON, async || {
            let ended = proxy.child.try_wait().unwrap();
            assert!(ended.is_none(), "HAProxy ended: {}", proxy.log());
            let asked = http_client().get(format!("{}/v2/", proxy.url)).send().await;
            asked.is_ok_and(|answer| answer.status() == StatusCode::OK)
        })
        .await;
        proxy
    }

    /// What clients reach it by.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A line for each request, and for each door that comes and goes.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Not what went well.
            let log = self.log();
            let odd = log.lines().filter(|line| !line.contains(" 20")).collect::<Vec<_>>().join("\n");
            eprintln!("--- HAProxy:\n{odd}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
