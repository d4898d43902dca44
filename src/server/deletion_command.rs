//! `portreeve delete` and `portreeve undelete`: by the running door's API through its socket.

use std::fmt;
use std::io::Write;

use serde::Deserialize;
use serde_json::{Value, json};

use super::door_client::Client;
use super::record_command::{RecordCommandError, connect, url};
use crate::config::Config;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::web::DeletionPreview;

/// What is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doomed {
    /// A tag alone, or a manifest with its tags.
    Reference {
        /// In which repository.
        repository: RepositoryName,
        /// Which one.
        reference: Reference,
    },
    /// All that a repository has.
    Repository(RepositoryName),
}

impl fmt::Display for Doomed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference { repository, reference: Reference::Tag(tag) } => {
                write!(formatter, "{repository}:{tag}")
            }
            Self::Reference { repository, reference: Reference::Digest(digest) } => {
                write!(formatter, "{repository}@{digest}")
            }
            Self::Repository(repository) => write!(formatter, "all of {repository}"),
        }
    }
}

/// What is to be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// In which repository.
    pub repository: RepositoryName,
    /// The tag, if it is one.
    pub tag: Option<Tag>,
    /// The manifest, if it is one, or not the last one of the tag.
    pub digest: Option<Digest>,
}

#[derive(Deserialize)]
struct ManifestPart {
    digest: Digest,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct RepositoryPart {
    name: RepositoryName,
    tags: Option<u64>,
    manifests: Option<u64>,
}

#[derive(Deserialize)]
struct RepositoriesPart {
    items: Vec<RepositoryPart>,
}

#[derive(Deserialize)]
struct EmptiedPart {
    manifests: u64,
    tags: u64,
    is_empty: bool,
}

#[derive(Deserialize)]
struct PutBackPart {
    digest: Digest,
    tags: Vec<Tag>,
    children: Vec<Digest>,
}

/// Writes what exactly would go, a line for each of these.
///
/// # Errors
/// When no door runs, one of them is not recorded, or the lines cannot be written.
pub fn preview(config: &Config, doomed: &[Doomed], out: &mut dyn Write) -> Result<(), RecordCommandError> {
    let (runtime, door) = connect(config)?;
    runtime.block_on(async {
        for doomed in doomed {
            let preview = preview_of(&door, doomed).await?;
            writeln!(out, "{preview}")?;
        }
        Ok(())
    })
}

async fn preview_of(door: &Client, doomed: &Doomed) -> Result<DeletionPreview, RecordCommandError> {
    Ok(match doomed {
        Doomed::Reference { repository, reference } => {
            let (kind, text) = match reference {
                Reference::Tag(tag) => ("tag", tag.to_string()),
                Reference::Digest(digest) => ("digest", digest.to_string()),
            };
            let pairs = [("repository", repository.as_str()), (kind, text.as_str())];
            let request = door.http.get(url("manifests", &pairs));
            let ManifestPart { digest, tags } = door.ask("show a manifest", request).await?;
            let repository = repository.clone();
            match reference.clone() {
                Reference::Tag(tag) => DeletionPreview::Tag { repository, tag, digest, tags },
                Reference::Digest(_) => DeletionPreview::Manifest { repository, digest, tags },
            }
        }
        Doomed::Repository(repository) => {
            let request = door.http.get(url("repositories", &[("q", repository.as_str()), ("n", "1000")]));
            let found: RepositoriesPart = door.ask("list what it has recorded", request).await?;
            let found = found.items.into_iter().find(|found| found.name == *repository);
            let counts = found.map(|RepositoryPart { tags, manifests, .. }| {
                (tags.unwrap_or_default(), manifests.unwrap_or_default())
            });
            DeletionPreview::Repository { repository: repository.clone(), counts }
        }
    })
}

/// Deletes these one after the other, and writes a line for each. One that is not deleted ends it.
///
/// # Errors
/// When no door runs, it refuses, or a line cannot be written.
pub fn delete(config: &Config, doomed: &[Doomed], out: &mut dyn Write) -> Result<(), RecordCommandError> {
    let (runtime, door) = connect(config)?;
    runtime.block_on(async {
        for doomed in doomed {
            match doomed {
                Doomed::Reference { repository, reference } => {
                    let (path, kind, text) = match reference {
                        Reference::Tag(tag) => ("tags", "tag", tag.to_string()),
                        Reference::Digest(digest) => ("manifests", "digest", digest.to_string()),
                    };
                    let pairs = [("repository", repository.as_str()), (kind, text.as_str())];
                    let _: Value = door.ask("delete it", door.http.delete(url(path, &pairs))).await?;
                    writeln!(out, "deleted {doomed}")?;
                }
                Doomed::Repository(repository) => empty(&door, repository, out).await?,
            }
        }
        Ok(())
    })
}

async fn empty(
    door: &Client,
    repository: &RepositoryName,
    out: &mut dyn Write,
) -> Result<(), RecordCommandError> {
    let (mut tags, mut manifests) = (0, 0);
    loop {
        let request = door.http.delete(url("repositories", &[("repository", repository.as_str())]));
        let part: EmptiedPart = door.ask("delete it", request).await?;
        tags += part.tags;
        manifests += part.manifests;
        // Where nothing goes and something is left, asking again changes nothing.
        if part.is_empty || part.tags + part.manifests == 0 {
            let left = if part.is_empty {
                ""
            } else {
                "; the registry does not have the rest, and is asked about it"
            };
            writeln!(out, "deleted {tags} tags and {manifests} manifests of {repository}{left}")?;
            return Ok(());
        }
    }
}

/// Puts something back, and writes what.
///
/// # Errors
/// When no door runs, it refuses, or it cannot be written what was put back.
pub fn undelete(config: &Config, lost: &Lost, out: &mut dyn Write) -> Result<(), RecordCommandError> {
    let (runtime, door) = connect(config)?;
    let Lost { repository, tag, digest } = lost;
    runtime.block_on(async {
        let request = door.http.post(url("undelete", &[("repository", repository.as_str())]));
        let body = json!({ "tag": tag, "digest": digest });
        let answer: PutBackPart = door.ask("put it back", request.json(&body)).await?;
        for child in &answer.children {
            writeln!(out, "put back {repository}@{child}")?;
        }
        match answer.tags.as_slice() {
            [] => writeln!(out, "put back {repository}@{}", answer.digest)?,
            tags => {
                for tag in tags {
                    writeln!(out, "put back {repository}:{tag}, which points to {}", answer.digest)?;
                }
            }
        }
        Ok(())
    })
}
