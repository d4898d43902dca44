//! Patterns of repository names, as rules and access tokens name repositories: globs, with `${user}` and `${group}` for the
//! name and for each group of the caller.

use crate::oci::RepositoryName;

const USER: &str = "${user}";
const GROUP: &str = "${group}";

/// A pattern of repository names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// What every name that it matches begins with.
    prefix: String,
    has_variable: bool,
}

/// What the variables of a pattern stand for.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// The caller's name.
    pub user: &'a str,
    /// The caller's groups.
    pub groups: &'a [String],
}

/// Why a text is no pattern of repository names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It has no character.
    #[error("it is empty")]
    Empty,
    /// It has a character, at the beginning of this excerpt, that no repository name has.
    #[error("`{}` is in no repository name", .0.escape_debug())]
    Character(String),
    /// It begins with `!`.
    #[error("it begins with `!`; write a rule with `deny = true`")]
    Negated,
    /// It is no glob.
    #[error(transparent)]
    Glob(#[from] fast_glob::Error),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let plain = text.replace(USER, "u").replace(GROUP, "g");
        if plain.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/*?[]{},!^".contains(&byte);
        if let Some(wrong) = plain.bytes().position(|byte| !is_allowed(byte)) {
            let rest: String = plain.chars().skip(wrong).take(10).collect();
            return Err(InvalidPattern::Character(rest));
        }
        // A pattern that turns everything round is no way to write what is allowed.
        if plain.starts_with('!') {
            return Err(InvalidPattern::Negated);
        }
        fast_glob::validate(&plain)?;
        let end = text.find(['*', '?', '[', '{', '$', '\\']).unwrap_or(text.len());
        Ok(Self {
            text: text.to_owned(),
            prefix: text[..end].to_owned(),
            has_variable: text.contains(USER) || text.contains(GROUP),
        })
    }

    /// Whether it matches a repository's name. Without variables, for a caller who has not logged in, a pattern that has
    /// some matches nothing.
    pub fn matches(&self, variables: Option<Variables<'_>>, repository: &RepositoryName) -> bool {
        let name = repository.as_str();
        // Most patterns are about others: this settles it in a few nanoseconds.
        if !name.starts_with(&self.prefix) {
            return false;
        }
        if !self.has_variable {
            return fast_glob::glob_match(&self.text, name);
        }
        let Some(Variables { user, groups }) = variables else { return false };
        let mut text = self.text.clone();
        if text.contains(USER) {
            let Some(user) = component(user) else { return false };
            text = text.replace(USER, user);
        }
        if !text.contains(GROUP) {
            return fast_glob::glob_match(&text, name);
        }
        groups
            .iter()
            .filter_map(|group| component(group))
            .any(|group| fast_glob::glob_match(text.replace(GROUP, group), name))
    }
}

/// A name that may stand in a repository's name; with anything else in it, it could be read as a pattern.
fn component(name: &str) -> Option<&str> {
    RepositoryName::parse(name).is_ok().then_some(name).filter(|name| !name.contains('/'))
}
