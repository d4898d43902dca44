//! What every page has around its own part: the top bar with search, sections, colours and who has signed in.

use super::assets;
use super::icon::Icon;
use super::links;
use super::theme::Theme;

/// Which of the sections in the top bar a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// None of them.
    None,
    Repositories,
    Activity,
    Sync,
}

/// The sections in the top bar, each with its name, its page, and the route of the API whose rights it demands: who may not ask that
/// does not see it. A section that is added has its line here.
pub(super) const SECTIONS: [(Section, &str, &str, &str); 3] = [
    (Section::Repositories, "Repositories", links::REPOSITORIES, "/api/v1/repositories"),
    (Section::Activity, "Activity", links::ACTIVITY, "/api/v1/events"),
    (Section::Sync, "In step", links::SYNC, "/api/v1/status"),
];

/// See the module. A page's template extends `layout.html`, and has this as `layout`.
pub(super) struct Layout {
    /// For the browser's tab.
    pub title: String,
    /// The sections that whoever looks may see.
    pub sections: Vec<SectionLink>,
    pub theme: Theme,
    /// What is looked for, on the page of what was found.
    pub query: String,
    /// The page itself, to come back to.
    pub here: String,
    /// Where to sign in; nothing where nobody has to, or who looks has.
    pub sign_in: Option<String>,
    /// Who has signed in.
    pub user: Option<String>,
    /// Whether they have by a session, which can be ended.
    pub can_sign_out: bool,
}

/// A section in the top bar.
pub(super) struct SectionLink {
    pub name: &'static str,
    pub page: &'static str,
    /// Whether the page belongs to it.
    pub is_here: bool,
}

impl Layout {
    /// What is around a page that is made without knowing who looks.
    pub(super) fn plain(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            sections: Vec::new(),
            theme: Theme::Auto,
            query: String::new(),
            here: links::HOME.to_owned(),
            sign_in: None,
            user: None,
            can_sign_out: false,
        }
    }

    pub(super) fn style(&self) -> &'static str {
        assets::STYLE.path()
    }

    pub(super) fn script(&self) -> &'static str {
        assets::SCRIPT.path()
    }

    pub(super) fn favicon(&self) -> &'static str {
        assets::FAVICON.path()
    }

    pub(super) fn icon(&self, name: &'static str) -> Icon {
        Icon(name)
    }
}
