//! Tags, and references: what may stand behind `/manifests/` in a path.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::text::excerpt;
use super::{Digest, InvalidDigest};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (OCI distribution spec). Case matters. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

/// Why a text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no tag: 1 to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`")]
pub struct InvalidTag {
    /// The beginning of the text that was given.
    pub text: String,
}

impl Tag {
    /// The longest tag, in bytes.
    pub const MAXIMUM_BYTES: usize = 128;

    /// Parses a tag, bytewise and exactly.
    ///
    /// # Errors
    /// When the text does not match the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidTag> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = match text.as_bytes() {
            [first, rest @ ..] => {
                is_word(*first)
                    && rest.len() < Self::MAXIMUM_BYTES
                    && rest.iter().all(|byte| is_word(*byte) || matches!(byte, b'.' | b'-'))
            }
            [] => false,
        };
        if valid { Ok(Self(text.into())) } else { Err(InvalidTag { text: excerpt(text) }) }
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

super::text::text_newtype!(Tag, InvalidTag);

/// What names a manifest within a repository: a tag, which may move, or a digest, which cannot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(Digest),
}

impl Reference {
    /// Reads a reference as it stands in a path: what has a colon is a digest.
    ///
    /// # Errors
    /// When it is neither a tag nor a digest.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        if text.contains(':') {
            return Ok(Self::Digest(Digest::parse(text)?));
        }
        Ok(Self::Tag(Tag::parse(text)?))
    }

    /// The reference as it stands in a path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

/// Neither a tag nor a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// It has no colon, and is no tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
    /// It has a colon, and is no digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn a_tag_has_at_most_128_bytes() {
        assert!(Tag::parse(&"a".repeat(128)).is_ok());
        let error = Tag::parse(&"a".repeat(129)).unwrap_err();
        assert!(error.text.chars().count() <= 65, "{error}");
    }

    #[test]
    fn case_matters_in_a_tag() {
        assert_ne!(Tag::parse("V1").unwrap(), Tag::parse("v1").unwrap());
    }

    #[test]
    fn a_reference_shows_as_it_stands_in_a_path() {
        let digest = Digest::sha256(b"");
        assert_eq!(Reference::Tag(Tag::parse("v1").unwrap()).to_string(), "v1");
        assert_eq!(Reference::Digest(digest.clone()).to_string(), digest.as_str());
    }

    proptest! {
        /// The grammar of the OCI distribution specification, "Pulling manifests".
        #[test]
        fn the_parser_is_the_specification(text in "[aZ0_.: -]{0,6}|\\PC{0,4}") {
            let expression = Regex::new("^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$").unwrap();
            prop_assert_eq!(Tag::parse(&text).is_ok(), expression.is_match(&text));
        }
    }
}
