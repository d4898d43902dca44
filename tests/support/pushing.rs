//! Clients that push, whatever becomes of the door and of what is behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::StatusCode;

use super::door::Door;
use super::http::http_client;
use super::image::Image;
use super::state::record;
use super::wait::{PAUSE, until_seen};

/// Within which time doors write again once there is a database that takes writes; twice that on a busy machine.
const HEALED: Duration = Duration::from_secs(20);

/// Where they push to.
const REPOSITORY: &str = "team/app";

/// Puts the manifest there; nothing where the door gives no answer.
pub async fn put(door: &str, image: &Image, tag: &str) -> Option<StatusCode> {
    let answer = image.put_by(&http_client(), door, REPOSITORY, tag).await;
    answer.ok().map(|answer| answer.status())
}

/// Clients that push tags to a door one after the other, until they are told to stop.
pub struct Pushing {
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    workers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Pushing {
    /// To a door that answers all of them.
    pub fn to(door: &str, image: &Arc<Image>) -> Self {
        let (acknowledged, stop): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let worker = |worker: usize| {
            let (door, image) = (door.to_owned(), Arc::clone(image));
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut tags = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    let tag = format!("t{worker}-{number}");
                    match put(&door, &image, &tag).await.map(|status| status.as_u16()) {
                        Some(201) => {
                            tags.push(tag);
                            acknowledged.fetch_add(1, Ordering::Release);
                        }
                        Some(500 | 503 | 504) => tokio::time::sleep(PAUSE).await,
                        other => panic!("{tag}: {other:?}"),
                    }
                }
                tags
            })
        };
        let workers = (0..4).map(worker).collect();
        Self { acknowledged, stop, workers }
    }

    /// Waits for so many more.
    pub async fn until_acknowledged(&self, more: usize) {
        let wanted = self.acknowledged.load(Ordering::Acquire) + more;
        let seen = async || self.acknowledged.load(Ordering::Acquire);
        until_seen("tags are acknowledged", HEALED, seen, |seen| *seen >= wanted).await;
    }

    /// The tags that were acknowledged.
    pub async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        let mut tags = Vec::new();
        for worker in self.workers {
            tags.extend(worker.await.unwrap());
        }
        tags
    }
}

/// Fails where a tag that was acknowledged is not recorded.
pub async fn assert_recorded(door: &Door, acknowledged: Vec<String>) {
    let (all, recorded) = (acknowledged.len(), record(&door.url()).await);
    let is_lost = |tag: &String| !recorded.contains_key(&(REPOSITORY.to_owned(), tag.clone()));
    let lost: Vec<String> = acknowledged.into_iter().filter(is_lost).collect();
    assert!(lost.is_empty(), "of {all} these are lost: {lost:?}");
}
