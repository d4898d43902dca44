//! What is wrong with what is held, as far as the record alone tells.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, Document, Reference, RepositoryName};

/// The most digests that are named of what something lacks.
pub(super) const MAXIMUM_LACKING: usize = 100;

/// A kind of what may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    /// An index of which the repository does not have all manifests.
    MissingChildren,
    /// A manifest about another one that the repository does not have.
    MissingSubject,
    /// A tag that the registry denies, and that the record keeps all the same.
    LostTag,
    /// A repository that holds nothing.
    EmptyRepository,
    /// A manifest to which nothing leads: no tag, no index, and it is about no other one. That may be meant so.
    Untagged,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::MissingChildren, Self::MissingSubject, Self::LostTag, Self::EmptyRepository, Self::Untagged];

    /// Its name in answers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingChildren => "missing_children",
            Self::MissingSubject => "missing_subject",
            Self::LostTag => "lost_tag",
            Self::EmptyRepository => "empty_repository",
            Self::Untagged => "untagged",
        }
    }
}

/// A text that names no kind of flaw.
#[derive(Debug, thiserror::Error)]
#[error("it must be one of missing_children, missing_subject, lost_tag, empty_repository and untagged")]
pub struct UnknownFlaw;

impl FromStr for Flaw {
    type Err = UnknownFlaw;

    fn from_str(text: &str) -> Result<Self, UnknownFlaw> {
        Self::ALL.into_iter().find(|flaw| flaw.as_str() == text).ok_or(UnknownFlaw)
    }
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlawCounts {
    /// [`Flaw::MissingChildren`].
    pub missing_children: u64,
    /// [`Flaw::MissingSubject`].
    pub missing_subject: u64,
    /// [`Flaw::LostTag`].
    pub lost_tag: u64,
    /// [`Flaw::EmptyRepository`].
    pub empty_repository: u64,
    /// [`Flaw::Untagged`].
    pub untagged: u64,
}

impl FlawCounts {
    /// The number of one kind.
    pub const fn of(&self, flaw: Flaw) -> u64 {
        match flaw {
            Flaw::MissingChildren => self.missing_children,
            Flaw::MissingSubject => self.missing_subject,
            Flaw::LostTag => self.lost_tag,
            Flaw::EmptyRepository => self.empty_repository,
            Flaw::Untagged => self.untagged,
        }
    }

    /// The number of one kind, to be set.
    pub(super) const fn of_mut(&mut self, flaw: Flaw) -> &mut u64 {
        match flaw {
            Flaw::MissingChildren => &mut self.missing_children,
            Flaw::MissingSubject => &mut self.missing_subject,
            Flaw::LostTag => &mut self.lost_tag,
            Flaw::EmptyRepository => &mut self.empty_repository,
            Flaw::Untagged => &mut self.untagged,
        }
    }
}

/// What has a flaw: its place in the list of all that have it, in bytewise order. As a text, `repository`, `repository:tag` or
/// `repository@digest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flawed {
    /// The repository.
    pub repository: RepositoryName,
    /// What in it; the repository itself where there is none.
    pub reference: Option<Reference>,
}

/// Something that has a flaw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlawRecord {
    /// What has it.
    pub about: Flawed,
    /// Of what is missing the digests, at most 100: the children, the subject, the manifest of the tag.
    pub lacks: Vec<Digest>,
}

impl fmt::Display for Flawed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, reference } = self;
        match reference {
            None => repository.fmt(formatter),
            Some(Reference::Tag(tag)) => write!(formatter, "{repository}:{tag}"),
            Some(Reference::Digest(digest)) => write!(formatter, "{repository}@{digest}"),
        }
    }
}

/// A text that is no [`Flawed`].
#[derive(Debug, thiserror::Error)]
#[error("it must be what `next` of the list said")]
pub struct InvalidFlawed;

impl FromStr for Flawed {
    type Err = InvalidFlawed;

    fn from_str(text: &str) -> Result<Self, InvalidFlawed> {
        // A name has neither of the two.
        let (repository, reference) = match text.find(['@', ':']) {
            Some(place) => (text.get(..place), text.get(place + 1..)),
            None => (Some(text), None),
        };
        let repository = repository.and_then(|name| RepositoryName::parse(name).ok()).ok_or(InvalidFlawed)?;
        let reference =
            reference.map(|text| Reference::parse(text).map_err(|_| InvalidFlawed)).transpose()?;
        Ok(Self { repository, reference })
    }
}

/// What a manifest's repository holds about it, as far as it tells flaws.
pub(super) trait Surroundings {
    /// Why something cannot be read.
    type Error;

    /// Whether the repository has this manifest.
    fn has_manifest(&self, digest: &Digest) -> Result<bool, Self::Error>;

    /// Whether a tag or an index of the repository leads to this manifest.
    fn is_led_to(&self, digest: &Digest) -> Result<bool, Self::Error>;
}

/// The flaws that a manifest may have.
pub(super) const OF_MANIFESTS: [Flaw; 3] = [Flaw::MissingChildren, Flaw::MissingSubject, Flaw::Untagged];

/// Which flaws a recorded manifest has. A document of which it is known that it names neither children nor a subject need not
/// be given.
pub(super) fn flaws_of<S: Surroundings>(
    around: &S,
    digest: &Digest,
    document: Option<&Document>,
) -> Result<Vec<Flaw>, S::Error> {
    let mut flaws = Vec::new();
    if let Some(document) = document {
        for child in document.child_manifests() {
            if !around.has_manifest(child)? {
                flaws.push(Flaw::MissingChildren);
                break;
            }
        }
        if let Some(subject) = &document.subject
            && !around.has_manifest(&subject.digest)?
        {
            flaws.push(Flaw::MissingSubject);
        }
    }
    let is_about_another = document.is_some_and(|document| document.subject.is_some());
    if !is_about_another && !around.is_led_to(digest)? {
        flaws.push(Flaw::Untagged);
    }
    Ok(flaws)
}

/// What a manifest lacks that has this flaw.
pub(super) fn lacking<S: Surroundings>(
    around: &S,
    flaw: Flaw,
    document: &Document,
) -> Result<Vec<Digest>, S::Error> {
    let mut lacking = Vec::new();
    let subject = document.subject.iter().map(|subject| &subject.digest);
    let named: Vec<&Digest> = match flaw {
        Flaw::MissingChildren => document.child_manifests().collect(),
        Flaw::MissingSubject => subject.collect(),
        Flaw::LostTag | Flaw::EmptyRepository | Flaw::Untagged => Vec::new(),
    };
    for digest in named {
        if lacking.len() == MAXIMUM_LACKING {
            break;
        }
        if !around.has_manifest(digest)? && !lacking.contains(digest) {
            lacking.push(digest.clone());
        }
    }
    Ok(lacking)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_flaw_is_read_as_it_is_shown() {
        let digest = Digest::sha256(b"x");
        for text in ["a/b", "a/b:t", &format!("a/b@{digest}")] {
            assert_eq!(text.parse::<Flawed>().unwrap().to_string(), text);
        }
        for text in ["", "A", "a:", "a@x/y", ":t", "a:b:c"] {
            assert!(text.parse::<Flawed>().is_err(), "{text}");
        }
        for flaw in Flaw::ALL {
            assert_eq!(flaw.as_str().parse::<Flaw>().unwrap(), flaw);
            assert_eq!(serde_json::to_value(flaw).unwrap(), flaw.as_str());
        }
    }
}
