//! What exactly a deletion takes with it, in words: for the command and for the page that ask before they delete.

use std::fmt;

use crate::oci::{Digest, RepositoryName, Tag};

/// How many other tags of a manifest are named.
const NAMED: usize = 10;

/// What is to be deleted, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionPreview {
    /// A tag alone.
    Tag {
        /// In which repository.
        repository: RepositoryName,
        /// Which one.
        tag: Tag,
        /// What it points to.
        digest: Digest,
        /// All tags of that.
        tags: Vec<Tag>,
    },
    /// Several tags.
    Tags {
        /// In which repository.
        repository: RepositoryName,
        /// Which ones.
        tags: Vec<Tag>,
        /// How many manifests have no tag then.
        untagged: usize,
    },
    /// A manifest with its tags.
    Manifest {
        /// In which repository.
        repository: RepositoryName,
        /// Which one.
        digest: Digest,
        /// All its tags.
        tags: Vec<Tag>,
    },
    /// All that a repository has.
    Repository {
        /// Which one.
        repository: RepositoryName,
        /// How many tags and manifests that is, if it is known.
        counts: Option<(u64, u64)>,
    },
}

impl DeletionPreview {
    /// The tags that stay when one of them is deleted.
    pub fn staying(&self) -> Vec<&Tag> {
        match self {
            Self::Tag { tag, tags, .. } => tags.iter().filter(|other| *other != tag).collect(),
            Self::Tags { .. } | Self::Manifest { .. } | Self::Repository { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for DeletionPreview {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { repository, tag, digest, .. } => {
                let stay = match self.staying().as_slice() {
                    [] => "the manifest stays, without a tag".to_owned(),
                    [other] => format!("{other} stays"),
                    others => format!("{} stay", in_words(others)),
                };
                write!(formatter, "the tag {repository}:{tag}, which points to {digest}; {stay}")
            }
            Self::Tags { repository, tags, untagged } => {
                let noun = if tags.len() == 1 { "tag" } else { "tags" };
                let stay = match (tags.len(), untagged) {
                    (1, 0) => "the manifest stays, with another tag".to_owned(),
                    (1, _) => "the manifest stays, without a tag".to_owned(),
                    (_, 0) => "all manifests stay, each with another tag".to_owned(),
                    (_, 1) => "all manifests stay, one of them without a tag".to_owned(),
                    (_, untagged) => format!("all manifests stay, {untagged} of them without a tag"),
                };
                let tags = in_words(&tags.iter().collect::<Vec<_>>());
                write!(formatter, "the {noun} {tags} of {repository}; {stay}")
            }
            Self::Manifest { repository, digest, tags } if tags.is_empty() => {
                write!(formatter, "the manifest {repository}@{digest}, which has no tag")
            }
            Self::Manifest { repository, digest, tags } => {
                let noun = if tags.len() == 1 { "tag" } else { "tags" };
                let tags: Vec<&Tag> = tags.iter().collect();
                let tags = in_words(&tags);
                write!(formatter, "the manifest {repository}@{digest}, and with it the {noun} {tags}")
            }
            Self::Repository { repository, counts: Some((tags, manifests)) } => {
                write!(formatter, "all of {repository}: {tags} tags, {manifests} manifests")
            }
            Self::Repository { repository, counts: None } => write!(formatter, "all of {repository}"),
        }
    }
}

fn in_words(tags: &[&Tag]) -> String {
    let mut words: Vec<String> = tags.iter().take(NAMED).map(ToString::to_string).collect();
    if tags.len() > NAMED {
        words.push(format!("and {} more", tags.len() - NAMED));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_goes_and_what_stays() {
        let repository = RepositoryName::parse("team/app").unwrap();
        let digest = Digest::sha256(b"x");
        let tags = |names: &[&str]| names.iter().map(|name| Tag::parse(name).unwrap()).collect::<Vec<_>>();
        let tag = |names: &[&str]| DeletionPreview::Tag {
            repository: repository.clone(),
            tag: Tag::parse("v1").unwrap(),
            digest: digest.clone(),
            tags: tags(names),
        };
        let begin = format!("the tag team/app:v1, which points to {digest}; ");
        assert_eq!(tag(&["v1"]).to_string(), format!("{begin}the manifest stays, without a tag"));
        assert_eq!(tag(&["latest", "v1", "x"]).to_string(), format!("{begin}latest, x stay"));
        assert_eq!(tag(&["latest", "v1"]).to_string(), format!("{begin}latest stays"));
        let manifest = DeletionPreview::Manifest {
            repository: repository.clone(),
            digest: digest.clone(),
            tags: tags(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]),
        };
        assert_eq!(
            manifest.to_string(),
            format!(
                "the manifest team/app@{digest}, and with it the tags a, b, c, d, e, f, g, h, i, j, and 2 more"
            )
        );
        for (untagged, stay) in [
            (0, "all manifests stay, each with another tag"),
            (1, "all manifests stay, one of them without a tag"),
            (2, "all manifests stay, 2 of them without a tag"),
        ] {
            let several =
                DeletionPreview::Tags { repository: repository.clone(), tags: tags(&["a", "b"]), untagged };
            assert_eq!(several.to_string(), format!("the tags a, b of team/app; {stay}"));
        }
        for (untagged, stay) in [(0, "with another tag"), (1, "without a tag")] {
            let one = DeletionPreview::Tags { repository: repository.clone(), tags: tags(&["a"]), untagged };
            assert_eq!(one.to_string(), format!("the tag a of team/app; the manifest stays, {stay}"));
        }
        let manifest = DeletionPreview::Manifest {
            repository: repository.clone(),
            digest: digest.clone(),
            tags: tags(&["a"]),
        };
        assert_eq!(manifest.to_string(), format!("the manifest team/app@{digest}, and with it the tag a"));
        let all = DeletionPreview::Repository { repository, counts: Some((2, 3)) };
        assert_eq!(all.to_string(), "all of team/app: 2 tags, 3 manifests");
    }
}
