//! The addresses of pages. Names stand in the query: they have slashes.

use url::form_urlencoded::Serializer;

use crate::oci::{RepositoryName, Tag};

pub(super) const HOME: &str = "/ui/";
pub(super) const SEARCH: &str = "/ui/search";
pub(super) const REPOSITORIES: &str = "/ui/repositories";
pub(super) const ACTIVITY: &str = "/ui/activity";
pub(super) const SYNC: &str = "/ui/sync";
pub(super) const FLAWS: &str = "/ui/flaws";
pub(super) const SIGN_IN: &str = "/ui/sign-in";
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
