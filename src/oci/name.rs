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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    #[test]
    fn the_names_that_clients_use_are_names() {
        for text in ["a", "0", "library/ubuntu", "a.b_c__d-e---f/g", "manifests/blobs/tags", "127.0.0.1/x"] {
            assert_eq!(RepositoryName::parse(text).map(|name| name.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_bad_component_is_named() {
        for (text, component) in [
            ("a//b", ""),
            ("/a", ""),
            ("a/", ""),
            ("a/B", "B"),
            ("a/../b", ".."),
            ("a/b..c", "b..c"),
            ("a/b___c", "b___c"),
            ("a/b._c", "b._c"),
            ("-a", "-a"),
            ("a_/b", "a_"),
            ("a b", "a b"),
            ("é", "é"),
        ] {
            let component = component.to_owned();
            assert_eq!(
                RepositoryName::parse(text),
                Err(InvalidRepositoryName::Component { component }),
                "{text}"
            );
        }
        assert_eq!(RepositoryName::parse(""), Err(InvalidRepositoryName::Empty));
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        assert!(RepositoryName::parse(&"a".repeat(255)).is_ok());
        assert_eq!(
            RepositoryName::parse(&"a".repeat(256)),
            Err(InvalidRepositoryName::TooLong { length: 256 })
        );
    }

    #[test]
    fn serde_does_not_go_around_the_grammar() {
        assert_eq!(serde_json::from_str::<RepositoryName>("\"a/b\"").unwrap().as_str(), "a/b");
        assert!(serde_json::from_str::<RepositoryName>("\"a/../b\"").is_err());
    }

    proptest! {
        /// The grammar of the OCI distribution specification, "Pulling manifests".
        #[test]
        fn the_parser_is_the_specification(text in "[a-zA0._/-]{0,12}") {
            let component = "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*";
            let expression = Regex::new(&format!("^{component}(/{component})*$")).unwrap();
            prop_assert_eq!(RepositoryName::parse(&text).is_ok(), expression.is_match(&text));
        }
    }
}
