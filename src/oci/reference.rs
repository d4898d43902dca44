//! Tags, and references: what may stand behind `/manifests/` in a path.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Digest;
use super::text::excerpt;

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
    /// The reference as it stands in a path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
