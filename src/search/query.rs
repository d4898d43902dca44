//! What is looked for, as it is written.

use std::str::FromStr;

use super::annotations::{Annotation, InvalidAnnotation};
use super::digests::DigestPrefix;
use crate::store::TagRecord;

/// The longest text that is looked for, in bytes: no longer one can stand in a name with its tag.
const MAXIMUM_BYTES: usize = 512;
/// From how many hexadecimal digits on a text may be meant as a digest.
const FEWEST_DIGITS: usize = 6;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(pub(super) Form);

/// The ways in which it can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A part of a name: `app`, `v1`; hexadecimal digits may begin a digest as well.
    Name {
        /// The part.
        text: String,
        /// The digests that it may begin.
        digest: Option<DigestPrefix>,
    },
    /// `app:v1`: the end of a repository's name, and the beginning of a tag.
    Tagged {
        /// The end of the name.
        repository: String,
        /// The beginning of the tag.
        tag: String,
    },
    /// `org.example.team=blue`: the beginning of what a manifest says of itself.
    Annotation(Annotation),
    /// `sha256:9f86`, or `app@sha256:9f86` with the end of a repository's name.
    Digest {
        /// The end of the name; empty for all.
        repository: String,
        /// The beginning of the digest.
        digest: DigestPrefix,
    },
}

/// Why a text cannot be looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// No name is so long.
    #[error("it has more than {MAXIMUM_BYTES} bytes")]
    TooLong,
    /// What has a `=` in it is no key and value.
    #[error(transparent)]
    Annotation(#[from] InvalidAnnotation),
    /// What follows the `@` is no beginning of a digest.
    #[error("behind `@` there has to be a digest or its beginning, such as `sha256:9f86`")]
    Digest,
}

impl Query {
    /// Whether a tag that was found still fits, as it is recorded now.
    pub(super) fn still_fits(&self, record: &TagRecord) -> bool {
        match &self.0 {
            // Whether the manifest is still one of those that say so, the caller knows.
            Form::Tagged { .. } | Form::Annotation(_) => true,
            Form::Name { text, digest } => {
                let begins = |digest: &DigestPrefix| digest.begins(&record.digest);
                record.tag.as_str().contains(text) || digest.as_ref().is_some_and(begins)
            }
            Form::Digest { digest, .. } => digest.begins(&record.digest),
        }
    }
}

impl FromStr for Query {
    type Err = InvalidQuery;

    fn from_str(text: &str) -> Result<Self, InvalidQuery> {
        if text.is_empty() {
            return Err(InvalidQuery::Empty);
        }
        if text.len() > MAXIMUM_BYTES {
            return Err(InvalidQuery::TooLong);
        }
        // No name has a `=` in it.
        if text.contains('=') {
            return Ok(Self(Form::Annotation(text.parse()?)));
        }
        let digest = |text: &str| {
            let (algorithm, encoded) = text.split_once(':')?;
            DigestPrefix::parse(Some(algorithm), encoded)
        };
        if let Some((repository, reference)) = text.split_once('@') {
            let digest = digest(reference).ok_or(InvalidQuery::Digest)?;
            return Ok(Self(Form::Digest { repository: repository.to_owned(), digest }));
        }
        if let Some(digest) = digest(text) {
            return Ok(Self(Form::Digest { repository: String::new(), digest }));
        }
        if let Some((repository, tag)) = text.rsplit_once(':') {
            return Ok(Self(Form::Tagged { repository: repository.to_owned(), tag: tag.to_owned() }));
        }
        let digest = (text.len() >= FEWEST_DIGITS).then(|| DigestPrefix::parse(None, text)).flatten();
        Ok(Self(Form::Name { text: text.to_owned(), digest }))
    }
}
