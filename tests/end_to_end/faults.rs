//! When things go wrong: each row of the table in the README.

mod client_gone;
mod credentials_refused;
mod disk_full;
mod displaced_store;
mod lost_storage;
mod no_registry;
mod old_answers;
mod refused_starts;
mod registry_down;
mod rewrites;
mod unclear_answers;

use std::time::{Duration, Instant};

use reqwest::{Client, Response};

use crate::support::door::Door;
use crate::support::http::{error_of, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{State, assert_in_step, record};
use crate::support::wait::until;

/// Within which time the record has to be what the registry has.
const SOON: Duration = Duration::from_secs(20);
/// `registry.timeout` in these tests.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What a busy machine may add to it; the default would take much longer.
const SLACK: Duration = Duration::from_secs(9);

/// A registry, a relay in front of it that can be told to fail, and a door in front of that.
struct House {
    registry: Registry,
    relay: Relay,
    door: Door,
}

impl House {
    async fn open() -> Self {
        let registry = Registry::start().await;
        let relay = Relay::start(&registry.url()).await;
        let door = Door::builder(relay.url())
            .set("REGISTRY__TIMEOUT", "1s")
            .set("REGISTRY__COMMIT_TIMEOUT", "1s")
            .start()
            .await;
        Self { registry, relay, door }
    }

    /// What the door has recorded.
    async fn record(&self) -> State {
        record(&self.door.url()).await
    }

    async fn assert_in_step(&self) {
        assert_in_step(&self.door.url(), &self.registry.url(), SOON).await;
    }

    /// The digest that is recorded for a tag.
    async fn recorded(&self, repository: &str, tag: &str) -> Option<String> {
        self.record().await.remove(&(repository.to_owned(), tag.to_owned()))
    }

    /// Waits until a tag is recorded with this digest, or as gone.
    async fn until_recorded(&self, repository: &str, tag: &str, digest: Option<&str>) {
        let what = format!("{repository}:{tag} recorded as {digest:?}");
        until(&what, SOON, async || self.recorded(repository, tag).await.as_deref() == digest).await;
    }

    async fn open_intents(&self) -> u64 {
        self.door.get_json("/api/v1/status").await["open_intents"].as_u64().unwrap()
    }

    /// Waits until no write's outcome is open any more.
    async fn until_settled(&self) {
        until("no open intents", SOON, async || self.open_intents().await == 0).await;
    }

    /// From now on manifest writes fare so, and everything else passes.
    fn fault_writes(&self, fault: Fault) {
        self.relay.script(move |request| match request.method.as_str() {
            "PUT" | "DELETE" if request.path.contains("/manifests/") => fault.clone(),
            _ => Fault::None,
        });
    }

    /// From now on everything passes.
    fn heal(&self) {
        self.relay.script(|_| Fault::None);
    }

    /// How often the registry, or the relay in its place, was sent a manifest write under this name.
    fn writes_seen(&self, reference: &str) -> usize {
        let is_write = |line: &String| {
            (line.starts_with("PUT ") || line.starts_with("DELETE "))
                && line.ends_with(&format!("/manifests/{reference}"))
        };
        self.relay.seen().iter().filter(|line| is_write(line)).count()
    }
}

/// An answer that says that something is unavailable, in the specification's form; its message.
async fn unavailable(response: Response, status: u16) -> String {
    let found = response.status();
    let comes_again = response.headers().contains_key("retry-after");
    assert_eq!(comes_again, status == 503, "`Retry-After` goes with 503: {:?}", response.headers());
    let (code, message) = error_of(response).await;
    assert_eq!((found.as_u16(), code.as_str()), (status, "UNAVAILABLE"), "{message}");
    message
}

/// Sends a request with a body, and says how long its answer took.
async fn timed(request: reqwest::RequestBuilder) -> (Response, Duration) {
    let begun = Instant::now();
    let response = request.send().await.unwrap();
    (response, begun.elapsed())
}

/// One request of each way through the door to the registry: a pull, a push's end, a push's beginning.
fn each_way(client: &Client, door: &str, image: &Image) -> [(&'static str, reqwest::RequestBuilder); 3] {
    let manifest = format!("{door}/v2/team/app/manifests/latest");
    let put = client.put(&manifest).header("content-type", &image.media_type).body(image.manifest.clone());
    [
        ("GET manifest", client.get(&manifest)),
        ("PUT manifest", put),
        ("POST upload", client.post(format!("{door}/v2/team/app/blobs/uploads/"))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_through_the_door_is_recorded() {
    let house = House::open().await;
    let door = house.door.url();
    Image::small(1).push(&door, "team/app", "one").await;
    Image::docker(2).push(&door, "team/app", "two").await;
    let (left, right) = (Image::small(3), Image::docker(4));
    for image in [&left, &right] {
        image.push(&door, "team/list", &image.digest).await;
    }
    Image::index(&[&left, &right]).push(&door, "team/list", "both").await;
    Image::about(&left, 5).push(&door, "team/list", "statement").await;
    assert_eq!(house.record().await.len(), 4);
    house.assert_in_step().await;
    assert_eq!(house.writes_seen("one"), 1);
    assert_eq!(http_client().get(format!("{door}/readyz")).send().await.unwrap().status(), 200);
}
