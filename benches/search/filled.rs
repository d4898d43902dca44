//! A record that is full from the start.

use std::sync::Arc;

use portreeve::clock::Timestamp;
use portreeve::oci::{Digest, Manifest, MediaType, Reference, RepositoryName, Tag};
use portreeve::store::{Change, Guard, Recorded, Source, Store};

use crate::Fault;

/// How many tags a repository has.
pub const TAGS: usize = 100;
/// How many tags point to each manifest.
const OF_ONE: usize = 10;
/// How many repositories are recorded at once.
const PART: usize = 20;

/// Records so many repositories, a second after one another.
pub async fn fill(store: &dyn Store, repositories: usize) -> Result<(), Fault> {
    let begun = Timestamp::now().as_milliseconds();
    for part in (0..repositories).collect::<Vec<_>>().chunks(PART) {
        let mut changes = Vec::new();
        for number in part {
            for manifest in 0..TAGS / OF_ONE {
                changes.push(pushed(*number, manifest)?);
            }
        }
        let now = Timestamp::from_milliseconds(begun + part[0] as u64 * 1_000);
        let reference = Some(Reference::Tag(Tag::parse("none")?));
        let guard = Guard { reference, since: store.sequence().await?, lease: None };
        match store.record(changes, Source::Swept, guard, now).await? {
            Recorded::Changed(_) => {}
            Recorded::Unchanged | Recorded::Superseded => return Err("the record was not filled".into()),
        }
    }
    Ok(())
}

/// A manifest of a repository, with its tags.
fn pushed(repository: usize, manifest: usize) -> Result<Change, Fault> {
    let config = Digest::sha256(b"{}");
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{}}},"layers":[],"annotations":{{"org.opencontainers.image.revision":"{repository}-{manifest}"}}}}"#,
        MediaType::OCI_MANIFEST,
        (repository * 7 + manifest * 13) % 1_000_000,
    );
    let random = |salt: usize| Digest::sha256(format!("{repository} {manifest} {salt}").as_bytes());
    let tags = (0..OF_ONE).map(|place| {
        let number = manifest * OF_ONE + place;
        let name = match number % 4 {
            0 => format!("v{}.{}.{number}", repository % 10, manifest),
            1 => format!("main-{}", &random(place).encoded()[..7]),
            2 => format!("release-2026.{manifest}.{place}"),
            _ => format!("pr-{number}-{}", &random(place).encoded()[..4]),
        };
        Tag::parse(&name)
    });
    Ok(Change::ManifestPut {
        repository: RepositoryName::parse(&format!("team{:02}/app{repository:05}", repository % 100))?,
        manifest: Arc::new(Manifest::parse(text.into(), None)?),
        tags: tags.collect::<Result<_, _>>()?,
    })
}
