//! Rows that several pages show.

mod repository;
mod tag;

pub(super) use repository::RepositoryRow;
pub(super) use tag::TagRow;
