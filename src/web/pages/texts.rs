//! What a manifest says by names of its own: annotations and labels.

use std::collections::BTreeMap;

use super::format::{CutText, Number, shortened};

/// So many of them are shown at most.
const MOST: usize = 100;
/// So many bytes of a page they take about.
const MOST_BYTES: usize = 24 * 1024;
/// So many characters of a name are shown.
const NAME: usize = 200;

/// Texts by their names, written by `templates/texts.html`.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub rows: Vec<(String, CutText)>,
    /// How many are not shown.
    pub more: Number,
}

impl From<&BTreeMap<String, String>> for Texts {
    fn from(texts: &BTreeMap<String, String>) -> Self {
        let mut rows = Vec::new();
        let mut bytes = 0;
        for (name, text) in texts.iter().take(MOST) {
            let (name, text) = (shortened(name, NAME), CutText::from(&**text));
            bytes += name.len() + text.shown_bytes();
            if bytes > MOST_BYTES {
                break;
            }
            rows.push((name, text));
        }
        Self { more: Number((texts.len() - rows.len()) as u64), rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_texts_is_shown_and_a_bounded_length_of_all() {
        let texts = |count: usize, length: usize| -> BTreeMap<String, String> {
            (0..count).map(|number| (format!("{number:05}"), "x".repeat(length))).collect()
        };
        for (count, length, shown) in [(3, 9, 3), (250, 9, MOST), (250, 1_000_000, 48)] {
            let Texts { rows, more } = Texts::from(&texts(count, length));
            assert_eq!((rows.len(), more.0), (shown, (count - shown) as u64), "{count} of {length}");
        }
    }
}
