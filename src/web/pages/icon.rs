//! Icons, by their names in the sprite.

use askama::Template;
use askama::filters::HtmlSafe;

use super::assets;

/// An icon that says nothing which does not stand beside it, or in a label.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    source = r##"<svg class="icon" aria-hidden="true" width="16" height="16"><use href="{{ assets::SPRITE.path() }}#{{ self.0 }}"/></svg>"##,
    ext = "html"
)]
pub(super) struct Icon(pub &'static str);

impl HtmlSafe for Icon {}
