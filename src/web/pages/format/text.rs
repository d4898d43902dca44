//! Texts that others wrote, such as annotations: a manifest may have megabytes of them.

use askama::Template;
use askama::filters::HtmlSafe;

use super::Number;

/// How many characters of a text are shown.
const MOST: usize = 500;

/// A text, cut where it is long, with how much more of it there is.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    source = r#"{{ self.shown }}{% if self.more.0 > 0 %}… <span class="quiet">and {{ self.more }} more characters</span>{% endif %}"#,
    ext = "html"
)]
pub(in crate::web::pages) struct CutText {
    shown: String,
    more: Number,
}

impl HtmlSafe for CutText {}

impl From<&str> for CutText {
    fn from(text: &str) -> Self {
        let (shown, rest) = split(text, MOST);
        Self { shown: shown.to_owned(), more: Number(rest.chars().count() as u64) }
    }
}

impl CutText {
    /// About how many bytes of a page it takes.
    pub(in crate::web::pages) const fn shown_bytes(&self) -> usize {
        self.shown.len()
    }
}

/// The beginning of a text that stands where there is room for so many characters alone.
pub(in crate::web::pages) fn shortened(text: &str, most: usize) -> String {
    match split(text, most) {
        (all, "") => all.to_owned(),
        (shown, _) => format!("{shown}…"),
    }
}

fn split(text: &str, most: usize) -> (&str, &str) {
    let end = text.char_indices().nth(most).map_or(text.len(), |(place, _)| place);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_says_how_much_more_there_is() {
        assert_eq!(CutText::from("<b>").to_string(), "&#60;b&#62;");
        let long = "ü".repeat(MOST + 1_200);
        let shown = CutText::from(&*long).to_string();
        let end = "… <span class=\"quiet\">and 1,200 more characters</span>";
        assert_eq!(shown, format!("{}{end}", "ü".repeat(MOST)));
        assert_eq!((&*shortened("äöü", 3), &*shortened("äöü", 2)), ("äöü", "äö…"));
    }
}
