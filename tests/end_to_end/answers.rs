//! What the door answers from its record, against the registry's own answers and the specification.

mod lists;
mod manifests;
mod referrers;
mod walk;

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use crate::support::door::{Door, DoorBuilder};
use crate::support::http::http_client;
use crate::support::metrics::metrics;
use crate::support::registry::Registry;
use crate::support::sweep::sweep_through;
use crate::support::wait::PAUSE;

/// Within which time an exchange is counted.
const SOON: Duration = Duration::from_secs(20);

/// A registry, and a door whose record is complete.
struct House {
    registry: Registry,
    door: Door,
}

impl House {
    async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    async fn with(set: impl FnOnce(DoorBuilder) -> DoorBuilder) -> Self {
        let registry = Registry::start_lenient().await;
        let door = set(Door::builder(registry.url())).start().await;
        sweep_through(&door, true).await;
        Self { registry, door }
    }

    /// Waits until so many answers on this route are counted as made from the record: an answer is counted when its exchange
    /// is over, which its client does not wait for.
    async fn until_record_answers(&self, route: &str, expected: f64) {
        let deadline = Instant::now() + SOON;
        loop {
            let counted = self.record_answers(route).await;
            if counted >= expected {
                assert_eq!(counted, expected, "{route}");
                return;
            }
            assert!(Instant::now() < deadline, "{route}: {counted} of {expected} within {SOON:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How many answers on this route were made from the record.
    async fn record_answers(&self, route: &str) -> f64 {
        let of_route = format!("route=\"{route}\"");
        let metrics = metrics(&self.door).await;
        let counted = metrics.lines().filter(|line| {
            line.starts_with("portreeve_requests_total{")
                && line.contains(&of_route)
                && line.contains("origin=\"record\"")
        });
        counted.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    }
}

/// An answer, as far as clients care.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    /// Media type, digest, entity tag, length, and what follows.
    headers: Vec<(&'static str, Option<String>)>,
    body: String,
}

/// The headers that clients read of an answer about a manifest or a list.
const READ: [&str; 6] =
    ["content-type", "docker-content-digest", "etag", "content-length", "link", "oci-filters-applied"];

async fn ask(method: Method, url: &str, headers: &[(HeaderName, &str)]) -> Answer {
    let mut request = http_client().request(method, url);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    read(request.send().await.unwrap()).await
}

async fn read(response: Response) -> Answer {
    let value = |headers: &HeaderMap, name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let headers = READ.map(|name| (name, value(response.headers(), name))).into();
    Answer { status: response.status(), headers, body: response.text().await.unwrap() }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name)?.1.as_deref()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The names in this field of a list.
    fn names(&self, field: &str) -> Vec<String> {
        let list = &self.json()[field];
        let names = list.as_array().unwrap_or_else(|| panic!("{field} is no list: {self:?}"));
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// The path and query of the next page.
    fn next(&self) -> Option<String> {
        let link = self.header("link")?;
        let (target, parameters) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(parameters, "; rel=\"next\"");
        Some(target.to_owned())
    }
}

/// All names of a list of the door's, over its pages.
async fn all_names(base: &str, path: &str, field: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let answer = ask(Method::GET, &format!("{base}{path}"), &[]).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        names.append(&mut answer.names(field));
        next = answer.next();
    }
    names
}
