//! Sizes: three digits and a unit, the bytes to hover over.

use askama::Template;
use askama::filters::HtmlSafe;

use super::Number;
use crate::web::manifest_reader::WholeSize;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(
    source = r#"<span class="size" title="{{ self.exact() }} bytes">{{ self.in_words() }}</span>"#,
    ext = "html"
)]
pub(in crate::web::pages) struct Size(pub u64);

impl HtmlSafe for Size {}

impl Size {
    const fn exact(self) -> Number {
        Number(self.0)
    }

    /// Such as `3.21 MiB`: by powers of 1024, as the configuration writes them.
    pub(in crate::web::pages) fn in_words(self) -> String {
        if self.0 < 1024 {
            return format!("{} B", self.0);
        }
        #[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
        let mut value = self.0 as f64;
        let mut unit = "B";
        for next in UNITS {
            // What would be rounded up to 1024 is one of the next unit.
            if value < 1023.5 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        match value {
            value if value < 9.995 => format!("{value:.2} {unit}"),
            value if value < 99.95 => format!("{value:.1} {unit}"),
            value => format!("{value:.0} {unit}"),
        }
    }
}

/// A number of bytes, or of which that many are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(
    source = r#"{% if self.is_least %}<span class="quiet" title="Not all of its parts were looked at">at least</span> {% endif %}{{ self.size }}"#,
    ext = "html"
)]
pub(in crate::web::pages) struct SizeOfParts {
    size: Size,
    is_least: bool,
}

impl HtmlSafe for SizeOfParts {}

impl From<WholeSize> for SizeOfParts {
    fn from(WholeSize { bytes, is_least }: WholeSize) -> Self {
        Self { size: Size(bytes), is_least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_shown_and_the_bytes_are_in_the_title() {
        for (bytes, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_239, "10.0 KiB"),
            (1024 * 1024 - 1, "1.00 MiB"),
            (123_456_789, "118 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Size(bytes).in_words(), words);
        }
        assert_eq!(Size(1536).to_string(), r#"<span class="size" title="1,536 bytes">1.50 KiB</span>"#);
    }
}
