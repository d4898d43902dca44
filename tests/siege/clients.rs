//! Clients who do nothing wrong: they log in for the first time, pull, push, and ask whether the door is well. All that they
//! want has to be given to them, in time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use reqwest::Client;
use tokio::time::Instant;

use crate::ground::{Ground, NEWCOMERS, token};
use crate::support::http::client_builder;
use crate::support::image::Image;

/// Between two pieces of work of one client.
const PAUSE: Duration = Duration::from_millis(50);
/// When a client gives up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How many failures are told.
const TOLD: usize = 5;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Asking for a token by a password that the door has not seen yet.
    Login,
    /// The same with one password again and again, beside somebody at this address whose password is stale.
    LoginBesideStale,
    /// A manifest and its blobs.
    Pull,
    /// An image: blobs and manifest.
    Push,
    /// `/readyz` of the admin listener.
    Ready,
    /// `/metrics` of the admin listener.
    Metrics,
}

impl Work {
    const ALL: [Self; 6] =
        [Self::Login, Self::LoginBesideStale, Self::Pull, Self::Push, Self::Ready, Self::Metrics];
}

/// What was done of one kind.
#[derive(Clone)]
pub struct Done {
    /// Milliseconds, of what succeeded.
    pub took: Histogram<u64>,
    /// How often it failed.
    pub failed: usize,
    /// The first failures.
    pub failures: Vec<String>,
}

/// What was done of each kind.
pub type Report = BTreeMap<Work, Done>;

/// Them.
pub struct Clients(Arc<Place>);

struct Place {
    url: String,
    admin: String,
    /// Where the next newcomer is.
    newcomer: AtomicUsize,
    /// What the next image is made of.
    seed: AtomicUsize,
}

impl Clients {
    /// Of this door.
    pub fn new(ground: &Ground) -> Self {
        Self(Arc::new(Place {
            url: ground.url(),
            admin: ground.door.admin(),
            newcomer: AtomicUsize::new(0),
            seed: AtomicUsize::new(1000),
        }))
    }

    /// Lets them work for this time.
    pub async fn work(&self, length: Duration) -> Report {
        let until = Instant::now() + length;
        let tasks: Vec<_> = Work::ALL
            .into_iter()
            .map(|work| (work, tokio::spawn(go_on(work, Arc::clone(&self.0), until))))
            .collect();
        let mut report = Report::new();
        for (work, task) in tasks {
            report.insert(work, task.await.unwrap());
        }
        report
    }
}

async fn go_on(work: Work, place: Arc<Place>, until: Instant) -> Done {
    let mut done = Done { took: Histogram::new(2).unwrap(), failed: 0, failures: Vec::new() };
    let client = client_builder().timeout(ANSWER_TIMEOUT).build().unwrap();
    while Instant::now() < until {
        let began = Instant::now();
        match place.once(work, &client).await {
            Ok(()) => done.took.record(u64::try_from(began.elapsed().as_millis()).unwrap()).unwrap(),
            Err(failure) => {
                done.failed += 1;
                if done.failures.len() < TOLD {
                    done.failures.push(format!("after {:?}: {failure}", began.elapsed()));
                }
            }
        }
        let pause = if matches!(work, Work::Ready | Work::Metrics) { PAUSE * 10 } else { PAUSE };
        tokio::time::sleep(pause).await;
    }
    done
}

impl Place {
    async fn once(&self, work: Work, client: &Client) -> Result<(), String> {
        match work {
            Work::Login => {
                let number = self.newcomer.fetch_add(1, Ordering::Relaxed) % NEWCOMERS;
                // Newcomers come by new connections.
                let client =
                    client_builder().timeout(ANSWER_TIMEOUT).build().map_err(|error| error.to_string())?;
                token(&client, &self.url, &format!("newcomer-{number}"), "repository:team/a:pull").await?;
                Ok(())
            }
            Work::LoginBesideStale => {
                let stale =
                    client.get(format!("{}/token", self.url)).basic_auth("rotated", Some("the old one"));
                let status = stale.send().await.map_err(|error| format!("{error:?}"))?.status();
                if status != 401 && status != 429 {
                    return Err(format!("a stale password is answered with {status}"));
                }
                token(client, &self.url, "rotated", "repository:team/a:pull").await?;
                Ok(())
            }
            Work::Pull => self.pull(client).await,
            Work::Push => self.push(client).await,
            Work::Ready => self.probe(client, "readyz").await,
            Work::Metrics => self.probe(client, "metrics").await,
        }
    }

    async fn probe(&self, client: &Client, path: &str) -> Result<(), String> {
        let response = client.get(format!("{}/{path}", self.admin)).send().await;
        let response = response.map_err(|error| format!("{error:?}"))?;
        if response.status() == 200 { Ok(()) } else { Err(format!("{path}: {}", response.status())) }
    }

    async fn push(&self, client: &Client) -> Result<(), String> {
        let seed = self.seed.fetch_add(1, Ordering::Relaxed) as u64;
        let token = token(client, &self.url, "worker", "repository:team/pushed:pull,push").await?;
        push(client, &self.url, &token, "team/pushed", &Image::small(seed), &format!("tag-{}", seed % 10))
            .await
    }

    async fn pull(&self, client: &Client) -> Result<(), String> {
        let image = Image::small(1);
        let token = token(client, &self.url, "worker", "repository:team/pulled:pull,push").await?;
        let url = format!("{}/v2/team/pulled/manifests/tag", self.url);
        let accept = image.media_type.clone();
        let request = client.get(url).bearer_auth(&token).header("accept", accept);
        let response = request.send().await.map_err(|error| format!("{error:?}"))?;
        if response.status() == 404 {
            return push(client, &self.url, &token, "team/pulled", &image, "tag").await;
        }
        if response.status() != 200 {
            return Err(format!("manifest: {}", response.status()));
        }
        response.bytes().await.map_err(|error| format!("{error:?}"))?;
        for (digest, bytes) in &image.blobs {
            let request =
                client.get(format!("{}/v2/team/pulled/blobs/{digest}", self.url)).bearer_auth(&token);
            let response = request.send().await.map_err(|error| format!("{error:?}"))?;
            let pulled = response.bytes().await.map_err(|error| format!("{error:?}"))?;
            if pulled != *bytes {
                return Err(format!("the blob has {} bytes instead of {}", pulled.len(), bytes.len()));
            }
        }
        Ok(())
    }
}

/// Pushes an image with a token.
pub async fn push(
    client: &Client,
    base: &str,
    token: &str,
    repository: &str,
    image: &Image,
    tag: &str,
) -> Result<(), String> {
    let told = |error: reqwest::Error| format!("{error:?}");
    for (digest, bytes) in &image.blobs {
        let start = client.post(format!("{base}/v2/{repository}/blobs/uploads/")).bearer_auth(token);
        let started = start.send().await.map_err(told)?;
        let location = started.headers().get("location").and_then(|location| location.to_str().ok());
        let location = location.ok_or_else(|| format!("upload: {}", started.status()))?.to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let put = client.put(format!("{location}{separator}digest={digest}")).bearer_auth(token);
        let put = put.header("content-type", "application/octet-stream").body(bytes.clone());
        let put = put.send().await.map_err(told)?;
        if put.status() != 201 {
            return Err(format!("blob: {}", put.status()));
        }
    }
    let put = client.put(format!("{base}/v2/{repository}/manifests/{tag}")).bearer_auth(token);
    let put = put.header("content-type", &image.media_type).body(image.manifest.clone());
    let put = put.send().await.map_err(told)?;
    if put.status() == 201 { Ok(()) } else { Err(format!("manifest: {}", put.status())) }
}

impl Done {
    /// The 99th percentile, in milliseconds.
    pub fn p99(&self) -> u64 {
        self.took.value_at_quantile(0.99)
    }
}

impl fmt::Display for Done {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (took, at) = (&self.took, |quantile| self.took.value_at_quantile(quantile));
        write!(
            formatter,
            "{:>6} done, {:>3} failed, p50 {:>5} ms, p99 {:>5} ms, max {:>5} ms",
            took.len(),
            self.failed,
            at(0.5),
            at(0.99),
            took.max()
        )
    }
}
