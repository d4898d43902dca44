//! What leads from one part of a list to the others.

use askama::Template;
use askama::filters::HtmlSafe;

use super::icon::Icon;

/// Links to the first part of a list, where another is shown, and to the next one.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"{% if first.is_some() || next.is_some() %}<nav class="pager" aria-label="Parts of the list">{% if let Some(page) = first %}<a class="button" href="{{ page }}">{{ first_label }}</a>{% endif %}{% if let Some(page) = next %}<a class="button" href="{{ page }}" rel="next">{{ next_label }}{{ Icon("chevron-right") }}</a>{% endif %}</nav>{% endif %}"#,
    ext = "html"
)]
pub(super) struct Pager {
    first: Option<String>,
    next: Option<String>,
    first_label: &'static str,
    next_label: &'static str,
}

impl HtmlSafe for Pager {}

impl Pager {
    /// With the pages of these parts.
    pub(super) const fn new(first: Option<String>, next: Option<String>) -> Self {
        Self { first, next, first_label: "From the beginning", next_label: "Next" }
    }

    /// The same of a list whose parts are called otherwise.
    pub(super) fn called(self, first_label: &'static str, next_label: &'static str) -> Self {
        Self { first_label, next_label, ..self }
    }

    /// Whether there are further parts.
    pub(super) const fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Whether this is a later part.
    pub(super) const fn has_first(&self) -> bool {
        self.first.is_some()
    }
}
