//! What every validated text type shares: showing it, reading it only through its constructor, and quoting what was
//! refused.

/// A piece of refused text that may stand in a message: at most 64 characters, nothing invisible in them.
pub(super) fn excerpt(text: &str) -> String {
    const MAXIMUM_CHARACTERS: usize = 64;
    let mut characters = text.chars();
    let is_visible =
        |character: char| character == ' ' || (!character.is_control() && !character.is_whitespace());
    let replace = |character| if is_visible(character) { character } else { char::REPLACEMENT_CHARACTER };
    let mut excerpt: String = characters.by_ref().take(MAXIMUM_CHARACTERS).map(replace).collect();
    if characters.next().is_some() {
        excerpt.push('…');
    }
    excerpt
}

/// Implements `Display`, `FromStr`, `TryFrom<String>` and `Into<String>` for a newtype around `Arc<str>` whose only
/// way in is `parse`, so that serde and the command line cannot go around the grammar.
macro_rules! text_newtype {
    ($type:ident, $error:ident) => {
        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.as_str().to_owned()
            }
        }
    };
}

pub(super) use text_newtype;

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn an_excerpt_is_short_and_visible() {
        assert_eq!(excerpt("a b é"), "a b é");
        assert_eq!(excerpt("a\nb\u{0}c\u{2028}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(excerpt(&"x".repeat(64)), "x".repeat(64));
        assert_eq!(excerpt(&"x".repeat(65)), format!("{}…", "x".repeat(64)));
    }
}
