//! A door in the past: what is done through it now was done some time ago.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::browser::SOON;
use crate::support::door::{Door, DoorBuilder};
use crate::support::guard::{password, token};
use crate::support::http::{client_builder, http_client};
use crate::support::image::Image;
use crate::support::state::ACCEPT_ALL;
use crate::support::sweep::LIMIT;
use crate::support::wait::until_seen;

/// In seconds.
pub(super) const HOUR: u64 = 60 * 60;
/// In seconds.
pub(super) const DAY: u64 = 24 * HOUR;

/// So many images are uploaded at once.
const AT_ONCE: usize = 8;

/// Something that was done, so many seconds ago.
pub(super) struct Moment {
    pub(super) ago: u64,
    pub(super) act: Act,
}

/// What was done.
pub(super) enum Act {
    /// Somebody pushed an image, with each of these tags.
    Push {
        user: &'static str,
        agent: &'static str,
        repository: &'static str,
        tags: Vec<String>,
        image: Image,
    },
    /// Somebody pulled.
    Pull { user: &'static str, agent: &'static str, repository: &'static str, tag: &'static str },
    /// Somebody deleted a tag.
    Delete { user: &'static str, repository: &'static str, tag: &'static str },
    /// Somebody pushed to the registry itself.
    Around { repository: &'static str, tag: &'static str, image: Image },
    /// An administrator had record and registry compared.
    Sweep { user: &'static str },
}

/// The door, and the file that says how far its clock is behind.
pub(super) struct Past {
    door: Door,
    clock: PathBuf,
    registry: String,
}

impl Past {
    /// Starts this door before the registry with this URL, with a clock of which the file says what it shows. The door wants to
    /// know who asks.
    pub(super) async fn before(door: DoorBuilder, clock: PathBuf, registry: String) -> Self {
        set(&clock, 35 * DAY);
        let door = door.with_clock_of(&clock).start().await;
        Self { door, clock, registry }
    }

    /// Does all of it, in the order of time.
    pub(super) async fn play(&self, mut moments: Vec<Moment>) {
        self.push_blobs(&moments).await;
        moments.sort_by_key(|moment| Reverse(moment.ago));
        for Moment { ago, act } in moments {
            set(&self.clock, ago);
            match act {
                Act::Push { user, agent, repository, tags, image } => {
                    self.push(user, agent, repository, &tags, &image).await;
                }
                Act::Pull { user, agent, repository, tag } => self.pull(user, agent, repository, tag).await,
                Act::Delete { user, repository, tag } => self.delete(user, repository, tag).await,
                Act::Around { repository, tag, image } => image.push(&self.registry, repository, tag).await,
                Act::Sweep { user } => self.sweep(user).await,
            }
        }
    }

    /// Stops the door, which writes down what it has counted.
    pub(super) async fn end(mut self) {
        self.door.signal("TERM");
        assert!(self.door.wait_exit(SOON).await.success());
    }

    /// What somebody does to a repository by a client that calls itself this.
    async fn client(&self, user: &str, agent: &str, repository: &str) -> Client {
        let scope = format!("repository:{repository}:pull,push,delete");
        let token = token(&self.door.url(), user, &[&scope]).await;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        headers.insert(USER_AGENT, HeaderValue::from_bytes(agent.as_bytes()).unwrap());
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPT_ALL));
        client_builder().default_headers(headers).build().unwrap()
    }

    /// Uploads the blobs of all images, since the record is about manifests, and to the registry, which knows no users.
    async fn push_blobs(&self, moments: &[Moment]) {
        let mut there = HashSet::new();
        let mut missing = Vec::new();
        for moment in moments {
            if let Act::Push { repository, image, .. } = &moment.act {
                let mut image = image.clone();
                image.blobs.retain(|(blob, _)| there.insert((*repository, blob.clone())));
                missing.push((repository, image));
            }
        }
        let upload =
            async |(repository, image): (&&str, Image)| image.push_blobs(&self.registry, repository).await;
        stream::iter(missing).for_each_concurrent(AT_ONCE, upload).await;
    }

    async fn push(&self, user: &str, agent: &str, repository: &str, tags: &[String], image: &Image) {
        let client = self.client(user, agent, repository).await;
        for tag in tags {
            let put = image.put_by(&client, &self.door.url(), repository, tag).await.unwrap();
            assert_eq!(
                put.status(),
                StatusCode::CREATED,
                "{repository}:{tag}: {}",
                put.text().await.unwrap()
            );
        }
    }

    async fn pull(&self, user: &str, agent: &str, repository: &str, tag: &str) {
        let client = self.client(user, agent, repository).await;
        let got = client.get(self.manifest(repository, tag)).send().await.unwrap();
        assert_eq!(got.status(), StatusCode::OK, "{user} pulls {repository}:{tag}");
    }

    async fn delete(&self, user: &str, repository: &str, tag: &str) {
        let client = self.client(user, "crane/v0.22.1", repository).await;
        let deleted = client.delete(self.manifest(repository, tag)).send().await.unwrap();
        assert_eq!(deleted.status(), StatusCode::ACCEPTED, "{user} deletes {repository}:{tag}");
    }

    fn manifest(&self, repository: &str, tag: &str) -> String {
        format!("{}/v2/{repository}/manifests/{tag}", self.door.url())
    }

    async fn sweep(&self, user: &str) {
        let base = self.door.url();
        let start = http_client().post(format!("{base}/api/v1/sync")).json(&json!({"deep": true}));
        let started = start.basic_auth(user, Some(password(user))).send().await.unwrap();
        let number = started.json::<Value>().await.unwrap()["sweep"].as_u64().unwrap();
        let status = async || {
            let ask = http_client().get(format!("{base}/api/v1/status"));
            let answer = ask.basic_auth(user, Some(password(user))).send().await.unwrap();
            answer.json::<Value>().await.unwrap()["sweep"].take()
        };
        let ended = |sweep: &Value| sweep["last"]["number"].as_u64().is_some_and(|ended| ended >= number);
        let last = until_seen("the sweep ends", LIMIT, status, ended).await["last"].take();
        assert_eq!(last["outcome"], "complete", "{last:#}");
    }
}

/// The door's process reads the file at any time.
fn set(clock: &Path, ago: u64) {
    let aside = clock.with_extension("new");
    std::fs::write(&aside, format!("-{ago}")).unwrap();
    std::fs::rename(aside, clock).unwrap();
}
