//! Long words that go on in the next line where a reader would break them.

use askama::Template;
use askama::filters::HtmlSafe;

/// A media type, which may break behind its separators.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    source = r##"{% for part in self.0.split_inclusive(['/', '.']) %}{{ part }}<wbr>{% endfor %}"##,
    ext = "html"
)]
pub(super) struct Wrapping<'a>(pub &'a str);

impl HtmlSafe for Wrapping<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_may_break_behind_its_separators_and_is_escaped() {
        for (text, written) in [
            ("application/vnd.oci+json", "application/<wbr>vnd.<wbr>oci+json<wbr>"),
            ("<b/", "&#60;b/<wbr>"),
            ("", ""),
        ] {
            assert_eq!(Wrapping(text).render().unwrap(), written);
        }
    }
}
