//! What the address of the page that deletes names, and what comes of deleting it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::deletions::MOST_TAGS;
use super::super::error::ApiError;
use super::super::manifest_item::Referrers;
use super::super::manifest_reader::ManifestReader;
use super::super::parameters::Parameters;
use super::super::preview::DeletionPreview;
use super::super::state::WebState;
use super::super::{repositories, tags};
use super::format::Number;
use super::links;
use super::visit::Visit;
use crate::oci::{Digest, Reference, RepositoryName, Tag};

/// So many names are listed.
const NAMED: usize = 100;

/// What is to be deleted.
pub(super) enum Doomed {
    /// A tag, or a manifest.
    One(RepositoryName, Reference),
    /// Some tags.
    Tags(RepositoryName, Vec<Tag>),
    /// All of a repository.
    All(RepositoryName),
}

/// What comes of it.
pub(super) struct Preview {
    /// As the command says it.
    pub words: String,
    pub goes: Named,
    pub stays: Named,
    /// What refers to it, in words.
    pub referrers: Option<String>,
}

/// The first of many names, and how many there are beside them.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub names: Vec<String>,
    pub more: Number,
}

impl Named {
    fn of<'a>(tags: impl IntoIterator<Item = &'a Tag>) -> Self {
        let mut tags = tags.into_iter();
        let names = tags.by_ref().take(NAMED).map(ToString::to_string).collect();
        Self { names, more: Number(tags.count() as u64) }
    }
}

impl Doomed {
    /// As the query of the page names it, and whether a part of it is deleted already.
    pub(super) fn read(query: &str) -> Result<(Self, bool), ApiError> {
        let known = &["repository", "digest", "what", "done"];
        let (parameters, named) = Parameters::parse_with_several(Some(query), known, "tag")?;
        let repository = parameters.required("repository")?;
        let invalid = |wrong: &str| ApiError::InvalidParameter { name: "tag", source: wrong.into() };
        let mut tags: Vec<Tag> = Vec::new();
        for text in named {
            let tag = Tag::parse(&text)
                .map_err(|error| ApiError::InvalidParameter { name: "tag", source: error.into() })?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
            if tags.len() > MOST_TAGS {
                return Err(invalid("at most 100 tags are deleted at once"));
            }
        }
        let digest = parameters.optional::<Digest>("digest")?;
        let doomed = match (parameters.text("what"), tags.as_slice(), digest) {
            // Where none is chosen all must not go.
            (Some("tags"), [], None) => return Err(invalid("none is chosen: mark those that are to go")),
            (Some("tags"), _, None) => Self::Tags(repository, tags),
            (Some(_), ..) => {
                let wrong = "it is `tags`, and goes with them".into();
                return Err(ApiError::InvalidParameter { name: "what", source: wrong });
            }
            (None, [], None) => Self::All(repository),
            (None, [], Some(digest)) => Self::One(repository, Reference::Digest(digest)),
            (None, [tag], None) => Self::One(repository, Reference::Tag(tag.clone())),
            (None, _, None) => return Err(invalid("it is given twice")),
            (None, _, Some(_)) => {
                return Err(invalid("a manifest is deleted by its `digest`, or one `tag` of it, not both"));
            }
        };
        Ok((doomed, parameters.text("done") == Some("part")))
    }

    /// The page that deletes it.
    pub(super) fn page(&self) -> String {
        match self {
            Self::One(repository, reference) => links::delete(repository, Some(reference)),
            Self::Tags(repository, tags) => links::delete_tags(repository, tags),
            Self::All(repository) => links::delete(repository, None),
        }
    }

    /// The page that leads to it.
    pub(super) fn back(&self) -> String {
        match self {
            Self::One(repository, reference) => links::reference(repository, reference),
            Self::Tags(repository, _) | Self::All(repository) => links::repository(repository),
        }
    }

    /// What it is, and how it is called.
    pub(super) fn in_words(&self) -> (&'static str, String) {
        match self {
            Self::One(repository, Reference::Tag(tag)) => ("the tag", format!("{repository}:{tag}")),
            Self::One(repository, Reference::Digest(digest)) => {
                let short: String = digest.encoded().chars().take(12).collect();
                ("the manifest", format!("{repository}@{short}"))
            }
            Self::Tags(repository, _) => ("some tags of", repository.to_string()),
            Self::All(repository) => ("all of", repository.to_string()),
        }
    }

    /// What exactly would go.
    pub(super) async fn preview(&self, state: &WebState, visit: &Visit) -> Result<Preview, ApiError> {
        let (preview, goes, referrers) = match self {
            Self::All(repository) => {
                let found = repositories::one(state, &visit.viewer, repository).await?;
                let counts = found.tags.zip(found.manifests);
                let preview = DeletionPreview::Repository { repository: repository.clone(), counts };
                (preview, Named::default(), None)
            }
            Self::Tags(repository, chosen) => {
                let (tags, untagged) = known(state, visit, repository, chosen).await?;
                let goes = Named::of(&tags);
                (DeletionPreview::Tags { repository: repository.clone(), tags, untagged }, goes, None)
            }
            Self::One(repository, reference) => {
                let item = ManifestReader::wait(state).await?.one(repository, reference.clone()).await?;
                let referrers = item.referrers.and_then(|referrers| in_words(&referrers));
                let (repository, digest, tags) = (repository.clone(), item.record.digest, item.record.tags);
                match reference.clone() {
                    Reference::Tag(tag) => {
                        let preview = DeletionPreview::Tag { repository, tag, digest, tags };
                        (preview, Named::default(), referrers)
                    }
                    Reference::Digest(_) => {
                        let goes = Named::of(&tags);
                        (DeletionPreview::Manifest { repository, digest, tags }, goes, referrers)
                    }
                }
            }
        };
        Ok(Preview { words: preview.to_string(), goes, stays: Named::of(preview.staying()), referrers })
    }
}

/// Those of the chosen tags that are there, and how many manifests have no tag without them.
async fn known(
    state: &WebState,
    visit: &Visit,
    repository: &RepositoryName,
    chosen: &[Tag],
) -> Result<(Vec<Tag>, usize), ApiError> {
    let mut known = Vec::new();
    let mut by_digest: BTreeMap<Digest, BTreeSet<&Tag>> = BTreeMap::new();
    for tag in chosen {
        let found = tags::one(state, &visit.viewer, repository, tag).await;
        if let Some(found) = ApiError::nothing_if_unknown(found)? {
            by_digest.entry(found.digest).or_default().insert(tag);
            known.push(tag.clone());
        }
    }
    if let (Some(first), true) = (chosen.first(), known.is_empty()) {
        return Err(ApiError::TagUnknown { repository: repository.clone(), tag: first.clone() });
    }
    let mut untagged = 0;
    for (digest, going) in by_digest {
        let all = tags::of_manifest(state, repository, &digest).await?;
        untagged += usize::from(all.iter().all(|tag| going.contains(tag)));
    }
    Ok((known, untagged))
}

/// How many refer to it. Not all of many are counted.
fn in_words(referrers: &Referrers) -> Option<String> {
    match (referrers.first.len(), &referrers.next) {
        (0, _) => None,
        (1, None) => {
            Some("1 other manifest refers to it (a signature, an SBOM or the like). It stays".to_owned())
        }
        (count, None) => {
            Some(format!("{count} other manifests refer to it (signatures, SBOMs and the like). They stay"))
        }
        (count, Some(_)) => Some(format!(
            "More than {count} other manifests refer to it (signatures, SBOMs and the like). They stay"
        )),
    }
}
