//! A tag in a list over several repositories, as `templates/home.html` and `templates/search.html` write it.

use super::super::super::tags::TagOfRepository;
use super::super::format::{ShortDigest, Size, Time};
use super::super::links;
use super::super::visit::Visit;

/// A tag in a list over several repositories.
pub(in crate::web::pages) struct TagRow {
    pub repository: String,
    pub repository_page: String,
    pub tag: String,
    pub page: String,
    pub digest: ShortDigest,
    pub bytes: Size,
    pub pushed: Option<Time>,
    /// When it was found, where the door did not carry the push.
    pub found: Option<Time>,
    pub pushed_by: Option<String>,
    /// Whether the registry denies it.
    pub is_held: bool,
}

impl TagRow {
    /// As the API shows it.
    pub(in crate::web::pages) fn new(shown: TagOfRepository, visit: &Visit) -> Self {
        let TagOfRepository { repository, tag } = shown;
        Self {
            repository_page: links::repository(&repository),
            page: links::tag(&repository, &tag.tag),
            repository: repository.to_string(),
            tag: tag.tag.to_string(),
            digest: ShortDigest::of(&repository, &tag.digest),
            bytes: Size(tag.bytes),
            pushed: tag.pushed_at.map(|time| visit.time(time)),
            found: tag.found_at.map(|time| visit.time(time)),
            pushed_by: tag.pushed_by,
            is_held: tag.missing_since.is_some(),
        }
    }
}
