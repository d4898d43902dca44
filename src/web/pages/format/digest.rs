//! Digests: as many digits as tell them apart, the whole one to hover over and to copy.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::icon::Icon;
use super::super::links;
use crate::oci::{Digest, RepositoryName};

/// How many digits are shown: as many as `docker images` shows.
const DIGITS: usize = 12;

/// A digest, shortened.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"<span class="digest">{% if let Some(page) = page %}<a href="{{ page }}"><code title="{{ whole }}">{{ short }}</code></a>{% else %}<code title="{{ whole }}">{{ short }}</code>{% endif %}<button class="copy" type="button" data-copy="{{ whole }}" aria-label="Copy the digest {{ short }}" hidden>{{ Icon("copy") }}</button></span>"#,
    ext = "html"
)]
pub(in crate::web::pages) struct ShortDigest {
    whole: String,
    short: String,
    /// The page of what it is the digest of.
    page: Option<String>,
}

impl HtmlSafe for ShortDigest {}

impl From<&Digest> for ShortDigest {
    fn from(digest: &Digest) -> Self {
        let whole = digest.to_string();
        let short = whole.split_once(':').map_or(&*whole, |(_, digits)| digits);
        Self { short: short.chars().take(DIGITS).collect(), whole, page: None }
    }
}

impl ShortDigest {
    /// The digits that are shown.
    pub(in crate::web::pages) fn short(&self) -> &str {
        &self.short
    }

    /// The digest of a manifest, which leads to its page.
    pub(in crate::web::pages) fn of(repository: &RepositoryName, digest: &Digest) -> Self {
        Self::from(digest).leading_to(links::digest(repository, digest))
    }

    /// The same, as a link.
    pub(in crate::web::pages) fn leading_to(self, page: String) -> Self {
        Self { page: Some(page), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_shown_by_twelve_digits_and_copied_whole() {
        let digest = Digest::sha256(b"x");
        let html = ShortDigest::from(&digest).to_string();
        assert!(html.contains(&format!("title=\"{digest}\"")), "{html}");
        assert!(html.contains(&format!("data-copy=\"{digest}\"")), "{html}");
        assert!(html.contains(">2d711642b726<"), "{html}");
    }
}
