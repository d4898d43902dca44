//! Pages for people, at `/ui/`: written on the server, whole without a script. Everything that they show or do goes through the
//! functions of the API's resources, with the rights that the API's routes declare; no page reads the record itself.
//!
//! To add a page:
//!
//! 1. a file here with its handler: it takes a [`visit::Visit`], calls what the API's handler calls, and answers
//!    `visit::rendered(&Page { layout: visit.layout(Section::…, "Title"), … })`;
//! 2. its template in `templates/`, which extends `layout.html`;
//! 3. its line in `table.rs`, with the routes of the API whose answers it shows;
//! 4. its address in `links.rs`, and its section in `layout.rs` if it is one of its own;
//! 5. its line in `PAGES` of `web/tests/pages.rs`, with what nobody, a user and an administrator are answered: all tests over pages
//!    ask it then, of a record full of hostile names.
//!
//! Names, sizes, times and digests are written by the types of `format/`, icons by [`icon::Icon`], rows that several pages share
//! by those of `rows/`. The classes of the style sheet are listed at its beginning.

mod access;
mod activity;
mod activity_plots;
mod artifact_kind;
mod assets;
mod clock_axis;
mod compare;
mod deletion;
mod doomed;
mod error;
mod error_page;
mod flaws;
mod form;
mod format;
mod guard;
mod headers;
mod history;
mod home;
mod icon;
mod image;
mod in_step;
mod layers;
mod layout;
mod links;
mod manifest;
mod namespaces;
mod next;
mod pager;
mod parts;
mod plot;
mod pull_commands;
mod raw_json;
mod redirect;
mod referrers;
mod repositories;
mod repository;
mod rights;
mod rows;
mod search;
mod settings;
mod sign_in;
mod sorted_list;
mod sync;
mod table;
mod texts;
mod theme;
mod theme_choice;
mod undo;
mod visit;
mod wrapping;

pub(super) use error_page::refused;
pub use settings::PageSettings;
pub(in crate::web) use table::router;
#[cfg(test)]
pub(super) use {assets::all as assets, table::all};

/// Whether a path is of what pages are made of, which is everybody's.
pub(super) fn is_asset(path: &str) -> bool {
    path.starts_with(assets::FOLDER)
}

/// Whether a path is that of a page, or of what pages are made of.
pub(super) fn is_page(path: &str) -> bool {
    path == "/ui" || path.starts_with("/ui/")
}
