//! Reading what images say of themselves: the configuration of each image that the history tells of, once, after it was
//! recorded, however it was learnt. So nothing waits for it, and what a crash cuts off is read after it.
//!
//! A registry that cannot be asked is waited for; a configuration that the registry does not give, again and again, is passed
//! over. A pull-through cache is never asked: it would fetch what nobody wants.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::membership::LeaseHolder;
use crate::clock::Backoff;
use crate::oci::ImageConfig;
use crate::registry::{BodyError, RegistryClient, RegistryError};
use crate::store::{Event, EventKind, FoundImage, PageRequest, ReadImage, Store, StoreError, UnreadImage};
use crate::telemetry::{CounterFamily, FailureLog};

pub(super) static IMAGES_READ: CounterFamily = CounterFamily {
    name: "portreeve_image_configs_total",
    help: "Configurations of images that were read from the registry, by how that ended",
    labels: &[("result", &["read", "unusable", "passed_over"])],
};

/// How many events are looked at between two notes of how far that has come.
const EVENTS: usize = 64;
/// How many configurations are asked for at once.
const READ_AT_ONCE: usize = 4;
/// How often it is looked whether there is something new.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two parts of the history in which there was something to read, so that a registry has the most of its time for
/// clients.
const PAUSE: Duration = Duration::from_millis(250);
/// The same while clients are served: what a registry is asked beside that, they wait for.
const PAUSE_FOR_CLIENTS: Duration = Duration::from_secs(2);
/// Between attempts at what failed.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(5)).with_jitter(0.5);
/// How often a configuration is asked for that the registry, asked, does not give.
const ATTEMPTS: u32 = 6;

/// Reads what images say of themselves, until told to stop; more slowly while clients are served. Dropped at any await it loses nothing but what has to be asked again.
pub async fn read_images(
    store: Arc<dyn Store>,
    registry: Arc<RegistryClient>,
    lease: LeaseHolder,
    is_serving: impl Fn() -> bool + Send + Sync,
    stop: CancellationToken,
) {
    if registry.is_cache() {
        return;
    }
    let reader = Reader { store, registry, failures: FailureLog::new(), empty_until: AtomicU64::new(0) };
    let reading = async {
        loop {
            lease.wait().await;
            tokio::select! {
                biased;
                () = lease.lost() => {}
                () = reader.read_for_ever(&is_serving) => {}
            }
        }
    };
    stop.run_until_cancelled(reading).await;
    lease.release().await;
}

struct Reader {
    store: Arc<dyn Store>,
    registry: Arc<RegistryClient>,
    failures: FailureLog,
    /// Up to this number there is no event that was not looked at. Not every number is that of an event.
    empty_until: AtomicU64,
}

/// What asking for a configuration came to.
enum Answer {
    Read(Box<ReadImage>),
    /// The registry was asked, and did not give it.
    Denied(RegistryError),
    /// The registry could not be asked.
    Away(RegistryError),
}

/// Why a part of the history was not read to its end.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry did not give something.
    #[error(transparent)]
    Denied(RegistryError),
    /// It could not be asked.
    #[error(transparent)]
    Away(RegistryError),
}

impl Reader {
    async fn read_for_ever(&self, is_serving: &(impl Fn() -> bool + Send + Sync)) {
        let (mut attempts, mut denials) = (0_u32, 0_u32);
        loop {
            let pause = match self.read_part(denials).await {
                Ok(part) => {
                    (attempts, denials) = (0, 0);
                    if self.failures.worked() {
                        tracing::info!("what images say of themselves is read again");
                    }
                    part.pause(is_serving())
                }
                Err(error) => {
                    attempts = attempts.saturating_add(1);
                    denials += u32::from(matches!(error, Interrupted::Denied(_)));
                    if self.failures.failed(&error) {
                        tracing::warn!(%error, "what images say of themselves cannot be read now; trying again");
                    }
                    PAUSES.jittered(attempts, &mut fastrand::Rng::new())
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads the images of which the next events tell. After so many denials of some of that, what the registry does not
    /// give is passed over.
    async fn read_part(&self, denials: u32) -> Result<Part, Interrupted> {
        let read_until = self.store.images_read_until().await?;
        let sequence = self.store.sequence().await?;
        if sequence.get() <= read_until.get().max(self.empty_until.load(Ordering::Relaxed)) {
            return Ok(Part::Nothing);
        }
        let page = PageRequest { after: Some(read_until), limit: EVENTS };
        let events = self.store.events(None, page).await?;
        let Some(last) = events.items.last().map(|event| event.sequence) else {
            // Numbers without events are those of intents. Events to come have later ones.
            self.empty_until.store(sequence.get(), Ordering::Relaxed);
            return Ok(Part::Nothing);
        };
        let found: BTreeSet<FoundImage> = events.items.iter().filter_map(found_image).collect();
        let unread = self.store.unread_images(found.into_iter().collect()).await?;
        let is_empty = unread.is_empty();
        let (read, failed) = self.read(unread, denials).await;
        // What was read is kept also where the part has to be looked at again.
        let until = if failed.is_some() { read_until } else { last };
        if !read.is_empty() || until > read_until {
            self.store.keep_images(read, until).await?;
        }
        match failed {
            Some(interrupted) => Err(interrupted),
            None if is_empty && events.next.is_some() => Ok(Part::NothingToRead),
            None => Ok(Part::Read),
        }
    }

    /// Asks for configurations. Answers what was read, and why that has to be done again.
    async fn read(&self, unread: Vec<UnreadImage>, denials: u32) -> (Vec<ReadImage>, Option<Interrupted>) {
        let mut answers = stream::iter(unread).map(|image| self.ask(image)).buffer_unordered(READ_AT_ONCE);
        let (mut read, mut failed) = (Vec::new(), None);
        while let Some(answer) = answers.next().await {
            match answer {
                Answer::Read(image) => {
                    IMAGES_READ.with([if image.config.is_some() { "read" } else { "unusable" }]).increment(1);
                    read.push(*image);
                }
                Answer::Denied(error) if denials + 1 >= ATTEMPTS && self.answers_otherwise().await => {
                    tracing::warn!(%error, "what an image says of itself is not known");
                    IMAGES_READ.with(["passed_over"]).increment(1);
                }
                Answer::Denied(error) => failed = failed.or(Some(Interrupted::Denied(error))),
                // Nothing else is asked: it would fail alike.
                Answer::Away(error) => return (read, Some(Interrupted::Away(error))),
            }
        }
        (read, failed)
    }

    /// Whether the registry fails at this alone, and not at everything.
    async fn answers_otherwise(&self) -> bool {
        self.registry.inspect().await.is_ok_and(|found| !found.status.is_server_error())
    }

    async fn ask(&self, UnreadImage { repository, digest, config }: UnreadImage) -> Answer {
        let limit = ImageConfig::MAXIMUM_BYTES;
        if config.size > limit as u64 {
            return Answer::Read(Box::new(ReadImage { repository, digest, config: None }));
        }
        let config = match self.registry.blob(&repository, &config.digest, limit).await {
            Ok(bytes) => bytes.and_then(|bytes| ImageConfig::parse(&bytes).ok()),
            Err(RegistryError::Broken { source: BodyError::TooLong(_), .. }) => None,
            // It would answer anything so.
            Err(error @ RegistryError::Refused { status, .. }) if is_about_all(status) => {
                return Answer::Away(error);
            }
            Err(error @ (RegistryError::Refused { .. } | RegistryError::Malformed { .. })) => {
                return Answer::Denied(error);
            }
            Err(
                error @ (RegistryError::Unreachable { .. }
                | RegistryError::Broken { .. }
                | RegistryError::TimedOut { .. }
                | RegistryError::NotSigned { .. }
                | RegistryError::NoBackend { .. }),
            ) => return Answer::Away(error),
        };
        Answer::Read(Box::new(ReadImage { repository, digest, config }))
    }
}

/// Whether a status speaks of the registry, or of the door's credentials, and not of what was asked for.
fn is_about_all(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// What there was in a part of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It is at its end.
    Nothing,
    /// There is more, and nothing in this part was to be read.
    NothingToRead,
    /// Something was read, or the end was reached.
    Read,
}

impl Part {
    fn pause(self, is_serving: bool) -> Duration {
        match self {
            Self::Nothing => LOOK_EVERY,
            Self::NothingToRead => Duration::ZERO,
            Self::Read if is_serving => PAUSE_FOR_CLIENTS,
            Self::Read => PAUSE,
        }
    }
}

/// The manifest that an event says is there.
fn found_image(event: &Event) -> Option<FoundImage> {
    match event.kind {
        EventKind::ManifestPut | EventKind::TagRestored => {
            Some(FoundImage { repository: event.repository.clone(), digest: event.digest.clone()? })
        }
        EventKind::TagDeleted
        | EventKind::ManifestDeleted
        | EventKind::RepositoryFound
        | EventKind::RepositoryGone => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;
    use crate::oci::{Descriptor, Digest, Document, Manifest, ManifestKind, MediaType, RepositoryName};
    use crate::registry::{Backends, RegistryKind, RegistrySettings};
    use crate::store::{Change, Guard, LeaseName, Ledger as _, MemoryStore, Records as _, Source};
    use crate::sync::membership::Membership;
    use crate::sync::scripted_registry::{Answer as Scripted, ScriptedRegistry};

    fn name() -> RepositoryName {
        RepositoryName::parse("team/app").unwrap()
    }

    /// What each image says of itself; the images differ by their own bytes.
    fn configuration() -> serde_json::Value {
        json!({"os": "linux", "architecture": "arm64", "config": {"Env": ["TOKEN=hunter2"]}})
    }

    fn image(own: &'static str, config_bytes: &str) -> Manifest {
        let config = Descriptor {
            media_type: "application/vnd.oci.image.config.v1+json".into(),
            digest: Digest::sha256(config_bytes.as_bytes()),
            size: config_bytes.len() as u64,
            platform: None,
            artifact_type: None,
            annotations: std::collections::BTreeMap::new(),
        };
        let document = Document {
            kind: ManifestKind::Image,
            config: Some(config),
            ..Document::unread(MediaType::OCI_MANIFEST.into(), 1)
        };
        Manifest { bytes: own.into(), digest: Digest::sha256(own.as_bytes()), document }
    }

    struct House {
        store: Arc<MemoryStore>,
        registry: Arc<ScriptedRegistry>,
        /// How often the registry was asked for a blob.
        asked: Arc<AtomicUsize>,
        _stop: tokio_util::sync::DropGuard,
    }

    /// Reads images of a registry of this kind that does this with questions about blobs.
    fn house(kind: RegistryKind, script: impl Fn(&str) -> Scripted + Send + Sync + 'static) -> House {
        let (store, registry) = (Arc::new(MemoryStore::default()), ScriptedRegistry::new(["team/app"]));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        registry.script(move |method, path| {
            assert_eq!(*method, Method::GET);
            let (_, digest) = path.split_once("/blobs/")?;
            count.fetch_add(1, Ordering::Relaxed);
            Some(script(digest))
        });
        let backend = url::Url::parse("http://registry.test/").unwrap();
        let backends = Arc::new(Backends::new([backend]));
        let settings = RegistrySettings { kind, ..RegistrySettings::new(backends, Duration::from_secs(10)) };
        let client = Arc::new(RegistryClient::new(settings, registry.transport()));
        let membership = Arc::new(Membership::new(Arc::clone(&store) as _));
        let stop = CancellationToken::new();
        let lease = LeaseHolder::new(LeaseName::Images, membership);
        tokio::spawn(read_images(Arc::clone(&store) as _, client, lease, || false, stop.clone()));
        House { store, registry, asked, _stop: stop.drop_guard() }
    }

    impl House {
        async fn record(&self, manifest: &Manifest) {
            let tags = vec![crate::oci::Tag::parse("t").unwrap()];
            let put = Change::ManifestPut { repository: name(), manifest: Arc::new(manifest.clone()), tags };
            let guard = Guard { reference: None, since: self.store.sequence().await.unwrap(), lease: None };
            let now = Timestamp::from_milliseconds(1);
            self.store.record(vec![put], Source::Swept, guard, now).await.unwrap();
        }

        /// Waits until all that was recorded so far was looked at.
        async fn until_read(&self) {
            let last = self.store.sequence().await.unwrap();
            while crate::store::Images::images_read_until(&*self.store).await.unwrap() < last {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }

        async fn architecture(&self, manifest: &Manifest) -> Option<String> {
            let record = self.store.manifest(&name(), &manifest.digest).await.unwrap().unwrap();
            Some(record.image?.platform?.architecture)
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_is_read_once_however_often_the_history_tells_of_it() {
        let house = house(RegistryKind::Registry, |_| Scripted::Document(configuration(), None));
        let image = image("one", &configuration().to_string());
        house.record(&image).await;
        house.until_read().await;
        assert_eq!(house.architecture(&image).await.as_deref(), Some("arm64"));
        // Another tag, so that the history tells of it again.
        house.record(&self::image("two", &configuration().to_string())).await;
        house.record(&image).await;
        house.until_read().await;
        assert_eq!(house.asked(), 2, "each of the two once");
        assert_eq!(house.architecture(&image).await.as_deref(), Some("arm64"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_registry_does_not_have_and_what_is_no_configuration_is_asked_for_once() {
        let gone = image("gone", "gone");
        let of_gone = gone.document.config.clone().unwrap().digest;
        let house = house(RegistryKind::Registry, move |digest| match digest == of_gone.as_str() {
            true => Scripted::Absent("BLOB_UNKNOWN"),
            false => Scripted::Document(json!(null), None),
        });
        let odd = image("odd", "null");
        for manifest in [&gone, &odd, &gone, &odd] {
            house.record(manifest).await;
            house.until_read().await;
            assert_eq!(house.architecture(manifest).await, None);
        }
        assert_eq!(house.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_is_away_is_waited_for_and_nothing_is_passed_over() {
        let house = house(RegistryKind::Registry, |_| Scripted::Unreachable);
        let image = image("one", &configuration().to_string());
        house.record(&image).await;
        tokio::time::sleep(Duration::from_hours(3)).await;
        assert!(house.asked() > ATTEMPTS as usize);
        house.registry.script(|_, _| Some(Scripted::Document(configuration(), None)));
        house.until_read().await;
        assert_eq!(house.architecture(&image).await.as_deref(), Some("arm64"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_registry_refuses_again_and_again_holds_nothing_up() {
        let (refused, other) = (image("refused", "x"), image("other", &configuration().to_string()));
        let of_refused = refused.document.config.clone().unwrap().digest;
        let house = house(RegistryKind::Registry, move |digest| match digest == of_refused.as_str() {
            true => Scripted::status(500),
            false => Scripted::Document(configuration(), None),
        });
        for manifest in [&refused, &other] {
            house.record(manifest).await;
        }
        house.until_read().await;
        assert_eq!(house.architecture(&refused).await, None);
        assert_eq!(house.architecture(&other).await.as_deref(), Some("arm64"));
        assert_eq!(house.asked(), ATTEMPTS as usize + 1, "the other one was asked for once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_fails_at_everything_is_waited_for_and_nothing_is_passed_over() {
        for (status, is_all) in [(503, false), (401, false), (500, true)] {
            let house = house(RegistryKind::Registry, move |_| Scripted::status(status));
            if is_all {
                house.registry.script(move |_, _| Some(Scripted::status(status)));
            }
            let image = image("one", &configuration().to_string());
            house.record(&image).await;
            tokio::time::sleep(Duration::from_hours(3)).await;
            house.registry.script(|_, path| {
                path.contains("/blobs/").then(|| Scripted::Document(configuration(), None))
            });
            house.until_read().await;
            assert_eq!(house.architecture(&image).await.as_deref(), Some("arm64"), "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_of_another_digest_are_not_believed() {
        let house = house(RegistryKind::Registry, |_| Scripted::Document(configuration(), None));
        let image = image("one", "something else");
        house.record(&image).await;
        house.until_read().await;
        assert_eq!(house.architecture(&image).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_is_never_asked() {
        let house = house(RegistryKind::Proxy, |_| Scripted::Document(configuration(), None));
        house.record(&image("one", &configuration().to_string())).await;
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(house.asked(), 0);
    }
}
