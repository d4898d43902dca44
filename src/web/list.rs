//! The shape of every list: `{"items": […], "next": "…"|null}`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::Page;

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// What to give as `after` for the next part.
    pub(super) next: Option<String>,
}

impl<T> List<T> {
    /// A page of the store, each of its records as the API shows it.
    pub(super) fn of<R: Into<T>, K: ToString>(page: Page<R, K>) -> Self {
        Self {
            items: page.items.into_iter().map(Into::into).collect(),
            next: page.next.map(|key| key.to_string()),
        }
    }
}
