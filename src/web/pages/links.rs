//! The addresses of pages. Names stand in the query: they have slashes.

use url::form_urlencoded::Serializer;

use crate::oci::{Digest, Reference, RepositoryName, Tag};

pub(super) const HOME: &str = "/ui/";
pub(super) const SEARCH: &str = "/ui/search";
pub(super) const REPOSITORIES: &str = "/ui/repositories";
pub(super) const NAMESPACES: &str = "/ui/namespaces";
pub(super) const ACTIVITY: &str = "/ui/activity";
pub(super) const SYNC: &str = "/ui/sync";
pub(super) const FLAWS: &str = "/ui/flaws";
pub(super) const SIGN_IN: &str = "/ui/sign-in";
pub(super) const SIGN_OUT: &str = "/ui/sign-out";
pub(super) const SIGN_OUT_EVERYWHERE: &str = "/ui/sign-out-everywhere";
pub(super) const ACCESS: &str = "/ui/access";
pub(super) const USERS: &str = "/ui/access/users";
pub(super) const USER: &str = "/ui/access/user";
pub(super) const ROBOTS: &str = "/ui/access/robots";
pub(super) const RULES: &str = "/ui/access/rules";
pub(super) const FAILURES: &str = "/ui/access/failures";
pub(super) const GROUPS: &str = "/ui/access/groups";
pub(super) const LOCKOUTS: &str = "/ui/access/lockouts";
pub(super) const REPOSITORY: &str = "/ui/repository";
pub(super) const MANIFEST: &str = "/ui/manifest";
pub(super) const COMPARE: &str = "/ui/compare";
pub(super) const DELETE: &str = "/ui/delete";
pub(super) const UNDELETE: &str = "/ui/undelete";

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

/// The page of a manifest.
pub(super) fn digest(repository: &RepositoryName, digest: &Digest) -> String {
    to(MANIFEST, &[("repository", repository.as_str()), ("digest", &digest.to_string())])
}

/// The page of a tag or of a manifest.
pub(super) fn reference(repository: &RepositoryName, named: &Reference) -> String {
    match named {
        Reference::Tag(named) => tag(repository, named),
        Reference::Digest(named) => digest(repository, named),
    }
}

/// The page that compares two of a repository.
pub(super) fn compare(repository: &RepositoryName, from: &Reference, towards: &Reference) -> String {
    let (from, towards) = (from.to_string(), towards.to_string());
    to(COMPARE, &[("repository", repository.as_str()), ("from", &from), ("to", &towards)])
}

/// The page that deletes one of a repository, or all of it.
pub(super) fn delete(repository: &RepositoryName, named: Option<&Reference>) -> String {
    let text = named.map(ToString::to_string).unwrap_or_default();
    let kind = if matches!(named, Some(Reference::Tag(_))) { "tag" } else { "digest" };
    to(DELETE, &[("repository", repository.as_str()), (kind, &text)])
}

/// The page that deletes what is left of a repository of which a part is deleted.
pub(super) fn delete_rest(repository: &RepositoryName) -> String {
    to(DELETE, &[("repository", repository.as_str()), ("done", "part")])
}

/// The page that deletes some tags of a repository.
pub(super) fn delete_tags(repository: &RepositoryName, tags: &[Tag]) -> String {
    let mut named = vec![("repository", repository.as_str()), ("what", "tags")];
    named.extend(tags.iter().map(|tag| ("tag", tag.as_str())));
    to(DELETE, &named)
}

/// The page of something that was just put back, which says so.
pub(super) fn restored(repository: &RepositoryName, named: &Reference) -> String {
    format!("{}&done=restored", reference(repository, named))
}

/// What happened in a repository.
pub(super) fn activity(repository: &RepositoryName) -> String {
    to(ACTIVITY, &[("repository", repository.as_str())])
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
