//! A repository in a list, as `templates/repositories.html`, `home.html` and `search.html` write it.

use super::super::super::repositories::Repository;
use super::super::format::{Number, Size, Time};
use super::super::links;
use super::super::visit::Visit;

/// A repository in a list. What whoever looks may not know is nothing.
pub(in crate::web::pages) struct RepositoryRow {
    pub name: String,
    pub page: String,
    pub tags: Option<Number>,
    pub bytes: Option<Size>,
    pub pulls: Option<Number>,
    pub last_push: Option<Time>,
    pub last_pull: Option<Time>,
    /// Whether the registry denies something of it.
    pub is_held: bool,
}

impl RepositoryRow {
    /// As the API shows it.
    pub(in crate::web::pages) fn new(repository: Repository, visit: &Visit) -> Self {
        let Repository { name, tags, manifests: _, bytes, last_push, last_pull, pulls, missing } = repository;
        Self {
            page: links::repository(&name),
            name: name.to_string(),
            tags: tags.map(Number),
            bytes: bytes.map(Size),
            pulls: pulls.map(Number),
            last_push: last_push.map(|time| visit.time(time)),
            last_pull: last_pull.map(|time| visit.time(time)),
            is_held: missing.is_some_and(|missing| !missing.is_none()),
        }
    }
}
