//! What the registry denies without that being believed yet: the rows stay and are served, and say since when. No event
//! tells of it, since nothing of the record has changed.

use super::draft::{Draft, Effect, Held, RowChange};
use crate::oci::Reference;
use crate::store::MissingMark;
use crate::store::row::{ManifestRow, TagRow};

pub(super) fn missing(held: &Held, draft: Draft<'_>, reference: &Reference) -> Effect {
    let mark = MissingMark { since: draft.provenance.now, sequence: draft.next };
    set(held, draft, reference, Some(mark))
}

pub(super) fn present(held: &Held, draft: Draft<'_>, reference: &Reference) -> Effect {
    set(held, draft, reference, None)
}

fn set(held: &Held, mut draft: Draft<'_>, reference: &Reference, missing: Option<MissingMark>) -> Effect {
    let Some(mut repository) = draft.repository.take() else { return Effect::default() };
    let is_news = |before: Option<MissingMark>| before.is_some() != missing.is_some();
    let count = match reference {
        Reference::Tag(tag) => {
            let Some(row) = held.tags.get(tag).filter(|row| is_news(row.missing)) else {
                return Effect::default();
            };
            let row = TagRow { missing, ..row.clone() };
            draft.rows.push(RowChange::Tag { tag: tag.clone(), row, previous: None });
            &mut repository.missing_tags
        }
        Reference::Digest(digest) => {
            let row = held.manifest.as_ref().map(|(row, _)| row);
            let Some(row) = row.filter(|row| is_news(row.missing)) else {
                return Effect::default();
            };
            let row = ManifestRow { missing, ..row.clone() };
            draft.rows.push(RowChange::ManifestRow { digest: digest.clone(), row });
            &mut repository.missing_manifests
        }
    };
    *count = if missing.is_some() { *count + 1 } else { count.saturating_sub(1) };
    draft.repository = Some(repository);
    draft.finish()
}
