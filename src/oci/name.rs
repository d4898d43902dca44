//! Repository names.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::text::excerpt;

/// A repository's name within the registry, such as `team/app`.
///
/// Grammar (distribution `reference.go`, OCI distribution spec "Pulling manifests"): path components separated by
/// single slashes; a component is lower-case letters and digits in runs joined by `.`, `_`, `__` or any number of
/// `-`; at most 255 bytes altogether. Compared bytewise. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Arc<str>);

/// Why a text is not a repository name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRepositoryName {
    /// Nothing at all.
    #[error("a repository name must not be empty")]
    Empty,
    /// More than 255 bytes.
    #[error("a repository name has at most {} bytes, this one has {length}", RepositoryName::MAXIMUM_BYTES)]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A component that the grammar does not allow.
    #[error(
        "`{component}` is no path component of a repository name: lower-case letters and digits, \
         joined by single `.` or `_`, by `__`, or by `-`"
    )]
    Component {
        /// The beginning of the offending component.
        component: String,
    },
}

impl RepositoryName {
    /// The longest name, in bytes.
    pub const MAXIMUM_BYTES: usize = 255;

    /// Parses a name, bytewise and exactly.
    ///
    /// # Errors
    /// When the text is empty, too long or has a component outside the grammar.
    pub fn parse(text: &str) -> Result<Self, InvalidRepositoryName> {
        if text.is_empty() {
            return Err(InvalidRepositoryName::Empty);
        }
        if text.len() > Self::MAXIMUM_BYTES {
            return Err(InvalidRepositoryName::TooLong { length: text.len() });
        }
        match text.split('/').find(|component| !is_component(component.as_bytes())) {
            None => Ok(Self(text.into())),
            Some(component) => Err(InvalidRepositoryName::Component { component: excerpt(component) }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, as one pass over the bytes.
fn is_component(bytes: &[u8]) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = bytes;
    loop {
        let run = rest.iter().take_while(|byte| is_alphanumeric(**byte)).count();
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        if rest.is_empty() {
            return true;
        }
        let separator = rest.iter().take_while(|byte| !is_alphanumeric(**byte)).count();
        let allowed = match &rest[..separator] {
            b"." | b"_" | b"__" => true,
            dashes => dashes.iter().all(|byte| *byte == b'-'),
        };
        if !allowed {
            return false;
        }
        rest = &rest[separator..];
    }
}

super::text::text_newtype!(RepositoryName, InvalidRepositoryName);
