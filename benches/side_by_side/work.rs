//! The kinds of work that are measured, and how each is done through one way.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use portreeve::oci::Digest;

use crate::Fault;
use crate::content::{Blob, BlobFamily, Request, manifest};
use crate::http::Client;
use crate::load::{self, Done};
use crate::measure::{Figures, in_turn};
use crate::proxies::Proxy;
use crate::registry::{LISTED, LISTED_UNDER, REPOSITORY, Registry, StaticFiles, TAG, TAGGED, listed};

/// Something to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// GET of a manifest by tag, through to the registry.
    ManifestGet,
    /// HEAD of a manifest by tag, through to the registry.
    ManifestHead,
    /// GET of a manifest by digest, which portreeve answers from its record.
    DigestGet,
    /// HEAD of the same.
    DigestHead,
    /// A page of 100 tags in the middle of 10,000, which portreeve answers from its record.
    TagsPage,
    /// A page of 100 repositories in the middle of 10,000, likewise.
    CatalogPage,
    /// PUT of manifests, each another one under another tag.
    ManifestPut,
    /// GET of a blob of 256 MiB from the registry.
    BlobPull,
    /// Push of blobs of 256 MiB to the registry.
    BlobPush,
    /// GET of a file of a manifest's size, which shows the proxies' own limit.
    StaticGet,
    /// GET of a file of 256 MiB.
    StaticPull,
    /// Push of blobs of 256 MiB to where they are thrown away, which shows the proxies' own limit.
    DiscardedPush,
    /// Sixteen transfers of 1 GiB at once, and rest.
    Memory,
    /// Opening the store after a crash.
    Opening,
}

impl Work {
    /// What stands in the table.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ManifestGet => "manifest GET by tag",
            Self::ManifestHead => "manifest HEAD by tag",
            Self::DigestGet => "manifest GET by digest",
            Self::DigestHead => "manifest HEAD by digest",
            Self::TagsPage => "100 of 10,000 tags",
            Self::CatalogPage => "100 of 10,000 repositories",
            Self::ManifestPut => "manifest PUT",
            Self::BlobPull => "256 MiB blob pull",
            Self::BlobPush => "256 MiB blob push",
            Self::StaticGet => "manifest GET, static files",
            Self::StaticPull => "256 MiB pull, static files",
            Self::DiscardedPush => "256 MiB push, discarded",
            Self::Memory => "8 pulls and 8 pushes of 1 GiB at once",
            Self::Opening => "opening the store",
        }
    }

    /// Whether it asks for lists, which have to be long.
    pub const fn asks_for_lists(self) -> bool {
        matches!(self, Self::TagsPage | Self::CatalogPage)
    }

    /// Whether portreeve does it from its record, which has to be complete.
    pub const fn needs_record(self) -> bool {
        self.asks_for_lists() || matches!(self, Self::DigestGet | Self::DigestHead)
    }

    /// Whether its figure is bytes rather than requests.
    pub const fn moves_blobs(self) -> bool {
        matches!(self, Self::BlobPull | Self::BlobPush | Self::StaticPull | Self::DiscardedPush)
    }
}

/// Where the work goes.
pub struct Ground<'a> {
    /// The real registry.
    pub registry: &'a Registry,
    /// The ways to it.
    pub to_registry: &'a [Proxy],
    /// The static files.
    pub static_files: &'a StaticFiles,
    /// The ways to those.
    pub to_static_files: &'a [Proxy],
    /// The ways to where uploads are thrown away.
    pub to_discard: &'a [Proxy],
    /// Blobs of 256 MiB.
    pub blobs: &'a BlobFamily,
    /// How long each turn lasts.
    pub turn: Duration,
}

impl Ground<'_> {
    /// Measures one kind of work that all ways do in turn.
    pub fn measure(&self, work: Work) -> Result<Vec<Figures>, Fault> {
        match work {
            Work::ManifestGet => self.small(self.to_registry, "GET", TAG),
            Work::ManifestHead => self.small(self.to_registry, "HEAD", TAG),
            Work::DigestGet => {
                self.small(self.to_registry, "GET", &Digest::sha256(manifest(TAG).as_bytes()).to_string())
            }
            Work::DigestHead => {
                self.small(self.to_registry, "HEAD", &Digest::sha256(manifest(TAG).as_bytes()).to_string())
            }
            Work::TagsPage => self.list(&format!("/v2/{TAGGED}/tags/list?n=100&last={}", listed(LISTED / 2))),
            Work::CatalogPage => {
                self.list(&format!("/v2/_catalog?n=100&last={}/{}", LISTED_UNDER, listed(LISTED / 2)))
            }
            Work::StaticGet => self.small(self.to_static_files, "GET", TAG),
            Work::ManifestPut => self.manifest_puts(),
            Work::BlobPull => {
                let path = self.registry.put_blob(self.blobs)?;
                self.pulls(self.to_registry, &path)
            }
            Work::StaticPull => self.pulls(self.to_static_files, &self.static_files.blob),
            // Removed straight at the registry and not in the time: clearing up is no work of the proxy.
            Work::BlobPush => {
                self.pushes(self.to_registry, &|repository, blob| self.registry.remove(repository, blob))
            }
            Work::DiscardedPush => self.pushes(self.to_discard, &|_, _| Ok(())),
            Work::Memory | Work::Opening => Ok(Vec::new()),
        }
    }

    fn small(&self, ways: &[Proxy], method: &'static str, reference: &str) -> Result<Vec<Figures>, Fault> {
        let request = Request::for_manifest(method, REPOSITORY, reference);
        in_turn(ways, self.turn, &|way, turn| load::requests(way.address(), &request, turn))
    }

    fn list(&self, path: &str) -> Result<Vec<Figures>, Fault> {
        let request = Request::getting(path);
        let ways = self.to_registry;
        // Of a registry that does not know the parameters each of them is one page with all.
        for way in ways {
            let page = reqwest::blocking::get(format!("http://{}{path}", way.address()))?.text()?;
            if !page.contains(&listed(LISTED / 2 + 1)) {
                return Err(format!("{path} through {} does not list what is there", way.way.name()).into());
            }
        }
        in_turn(ways, self.turn, &|way, turn| load::requests(way.address(), &request, turn))
    }

    fn manifest_puts(&self) -> Result<Vec<Figures>, Fault> {
        let mut requests = Vec::new();
        for way in self.to_registry {
            let repository = format!("bench/put-{}", way.way.name());
            self.registry.prepare(&repository)?;
            requests.push((way.way, Request::putting_manifests(&repository)));
        }
        in_turn(self.to_registry, self.turn, &|way, turn| {
            let request = requests.iter().find(|(name, _)| *name == way.way);
            let (_, request) = request.ok_or("no requests for this way")?;
            load::requests(way.address(), request, turn)
        })
    }

    fn pulls(&self, ways: &[Proxy], path: &str) -> Result<Vec<Figures>, Fault> {
        for way in ways {
            load::pull_and_verify(&mut Client::connect(way.address())?, path)?;
        }
        in_turn(ways, self.turn, &|way, turn| {
            let mut client = Client::connect(way.address())?;
            transfers(turn, self.blobs.size(), || {
                let begun = Instant::now();
                load::pull(&mut client, path, self.blobs.size())?;
                Ok(begun.elapsed())
            })
        })
    }

    fn pushes(
        &self,
        ways: &[Proxy],
        clear_up: &dyn Fn(&str, &Blob<'_>) -> Result<(), Fault>,
    ) -> Result<Vec<Figures>, Fault> {
        in_turn(ways, self.turn, &|way, turn| {
            let repository = format!("bench/pushed-{}", way.way.name());
            let mut client = Client::connect(way.address())?;
            transfers(turn, self.blobs.size(), || {
                let blob = self.blobs.another();
                let begun = Instant::now();
                load::push(&mut client, &repository, &blob)?;
                let elapsed = begun.elapsed();
                clear_up(&repository, &blob)?;
                Ok(elapsed)
            })
        })
    }
}

/// Transfers one blob after the other for this time, at least one. Each transfer says how long it took.
fn transfers(
    turn: Duration,
    size: u64,
    mut transfer: impl FnMut() -> Result<Duration, Fault>,
) -> Result<Done, Fault> {
    let mut done = Done::nothing()?;
    while done.completed == 0 || done.elapsed < turn {
        crate::interruption::check()?;
        let elapsed = transfer()?;
        done.elapsed += elapsed;
        done.completed += 1;
        done.bytes += size;
        done.latency.saturating_record(u64::try_from(elapsed.as_micros())?);
    }
    Ok(done)
}
