//! Rows that several pages show.

mod event;
mod repository;
mod tag;

pub(super) use event::{EventRow, kind_in_words};
pub(super) use repository::RepositoryRow;
pub(super) use tag::TagRow;
