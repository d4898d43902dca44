//! `GET /ui/compare?repository=&from=&to=`: what changed between two manifests of a repository, each named by its tag or digest.

mod layers;
mod parts;
mod said;
mod standing;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use self::layers::{LayerRow, layers};
use self::parts::{PartRow, parts};
use self::said::{Change, changes};
use self::standing::Standing;
use super::super::error::ApiError;
use super::super::manifest_reader::{ManifestReader, WholeSize};
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::error::PageError;
use super::format::{Number, ShortDigest, Size, SizeOfParts};
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::visit::{Visit, rendered};
use super::wrapping::Wrapping;
use crate::oci::{Reference, RepositoryName};
use crate::store::ManifestRecord;

/// So many rows of each kind are shown.
const MOST: usize = 100;

#[derive(Template)]
#[template(path = "compare.html", config = "src/web/pages/templates/askama.toml")]
struct Compare {
    layout: Layout,
    repository: String,
    repository_page: String,
    from: Side,
    towards: Side,
    /// The page the other way round.
    turned: String,
    /// Whether it is one and the same.
    is_same: bool,
    /// How the size changed, in words.
    size: String,
    layers: Cut<LayerRow>,
    /// How many layers came, went and stayed, in words.
    counts: String,
    parts: Cut<PartRow>,
    changes: Cut<Change>,
}

/// One of the two.
struct Side {
    name: String,
    page: String,
    /// Whether the name is that of a tag: its digest is shown beside it.
    is_tag: bool,
    digest: ShortDigest,
    bytes: SizeOfParts,
}

/// The first rows of many, and how many there are beside them.
struct Cut<T> {
    rows: Vec<T>,
    more: Number,
}

impl<T> Cut<T> {
    fn of(mut rows: Vec<T>) -> Self {
        let more = rows.len().saturating_sub(MOST);
        rows.truncate(MOST);
        Self { rows, more: Number(more as u64) }
    }
}

/// Shows what changed.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let parameters = Parameters::parse(Some(&visit.query), &["repository", "from", "to"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    let from = named(&parameters, "from")?;
    let towards = named(&parameters, "to")?;
    let mut reader = ManifestReader::wait(&state).await?;
    let old = reader.one(&repository, from.clone()).await?.record;
    let new = reader.one(&repository, towards.clone()).await?.record;
    let old_size = reader.sizes(&repository, &old.document).await?.whole;
    let new_size = reader.sizes(&repository, &new.document).await?.whole;
    let (layers, counts) = layers(&old, &new);
    let side = |reference: &Reference, record: &ManifestRecord, size: WholeSize| Side {
        name: match reference {
            Reference::Tag(tag) => tag.to_string(),
            Reference::Digest(digest) => digest.encoded().chars().take(12).collect(),
        },
        page: links::reference(&repository, reference),
        is_tag: matches!(reference, Reference::Tag(_)),
        digest: ShortDigest::of(&repository, &record.digest),
        bytes: size.into(),
    };
    rendered(&Compare {
        layout: visit.layout(Section::Repositories, &format!("{repository}: what changed")),
        turned: links::compare(&repository, &towards, &from),
        is_same: old.digest == new.digest,
        size: difference(old_size, new_size),
        layers: Cut::of(layers),
        counts: counts.in_words(),
        parts: Cut::of(parts(&repository, &old.document, &new.document)),
        changes: Cut::of(changes(&old, &new)),
        from: side(&from, &old, old_size),
        towards: side(&towards, &new, new_size),
        repository_page: links::repository(&repository),
        repository: repository.to_string(),
    })
}

/// The tag or digest in this parameter.
fn named(parameters: &Parameters<'_>, name: &'static str) -> Result<Reference, ApiError> {
    let text = parameters.text(name).map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or(ApiError::MissingParameter { name })?;
    Reference::parse(text).map_err(|error| ApiError::InvalidParameter { name, source: error.into() })
}

/// How a size changed, in words.
fn difference(from: WholeSize, towards: WholeSize) -> String {
    if from.is_least || towards.is_least {
        return "not known: there are too many parts".to_owned();
    }
    let (from, towards) = (from.bytes, towards.bytes);
    match (towards.checked_sub(from), from.checked_sub(towards)) {
        (Some(0), _) => "as large as before".to_owned(),
        (Some(more), _) => format!("{} more", Size(more).in_words()),
        (None, less) => format!("{} less", Size(less.unwrap_or_default()).in_words()),
    }
}
