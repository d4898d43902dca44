//! The addresses of pages. Names stand in the query: they have slashes.

use url::form_urlencoded::Serializer;

use crate::oci::{RepositoryName, Tag};

pub(super) const HOME: &str = "/ui/";
pub(super) const SEARCH: &str = "/ui/search";
pub(super) const REPOSITORIES: &str = "/ui/repositories";
pub(super) const SIGN_IN: &str = "/ui/sign-in";
pub(super) const SIGN_OUT: &str = "/ui/sign-out";
pub(super) const SIGN_OUT_EVERYWHERE: &str = "/ui/sign-out-everywhere";
pub(super) const ACCESS: &str = "/ui/access";
pub(super) const USERS: &str = "/ui/access/users";
pub(super) const USER: &str = "/ui/access/user";
pub(super) const ROBOTS: &str = "/ui/access/robots";
pub(super) const RULES: &str = "/ui/access/rules";
pub(super) const FAILURES: &str = "/ui/access/failures";
const REPOSITORY: &str = "/ui/repository";
const MANIFEST: &str = "/ui/manifest";

/// A page with these parameters; those without a value are left out.
pub(super) fn to(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// The page of a repository.
pub(super) fn repository(name: &RepositoryName) -> String {
    to(REPOSITORY, &[("name", name.as_str())])
}

/// The page of the manifest that a tag points to.
pub(super) fn tag(repository: &RepositoryName, tag: &Tag) -> String {
    to(MANIFEST, &[("repository", repository.as_str()), ("tag", tag.as_str())])
}

/// The page to sign in at, which leads back to this one.
pub(super) fn sign_in(next: &str) -> String {
    to(SIGN_IN, &[("next", next)])
}

/// The page of a user.
pub(super) fn user(name: &str) -> String {
    to(USER, &[("name", name)])
}

/// A page that says what was done, by a word that it knows.
pub(super) fn done(page: &str, word: &str) -> String {
    let separator = if page.contains('?') { '&' } else { '?' };
    format!("{page}{separator}done={word}")
}

/// The page to sign in at with another password than before.
pub(super) fn signed_out_by_password() -> String {
    to(SIGN_IN, &[("next", ACCESS), ("done", "password")])
}
