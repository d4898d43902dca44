//! A document of JSON as it is, with line breaks for those who read it.

/// So much of it is shown.
const LONGEST: usize = 32 * 1024;

/// A document, written by `templates/manifest.html`.
pub(super) struct RawJson {
    pub text: String,
    /// Whether there is more than is shown.
    pub is_cut: bool,
}

impl RawJson {
    /// What is in these bytes. Nothing but white space is changed.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes.get(..LONGEST).unwrap_or(bytes));
        let (text, is_whole) = if text.contains('\n') { (text.into_owned(), true) } else { in_lines(&text) };
        Self { text, is_cut: bytes.len() > LONGEST || !is_whole }
    }
}

/// The text in lines, and whether it is there to its end: a deep one has more white space than is shown.
fn in_lines(text: &str) -> (String, bool) {
    let mut lines = String::with_capacity(text.len() * 2);
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    let mut characters = text.chars().filter(|character| !character.is_control()).peekable();
    let line = |lines: &mut String, depth: usize| {
        lines.push('\n');
        // No document that people read is deeper.
        (0..depth.min(20)).for_each(|_| lines.push_str("  "));
    };
    while let Some(character) = characters.next() {
        if lines.len() > 3 * LONGEST {
            return (lines, false);
        }
        if is_string {
            lines.push(character);
            is_string = is_escaped || character != '"';
            is_escaped = character == '\\' && !is_escaped;
            continue;
        }
        match character {
            '{' | '[' => {
                lines.push(character);
                if matches!(characters.peek(), Some('}' | ']')) {
                    lines.extend(characters.next());
                } else {
                    depth += 1;
                    line(&mut lines, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut lines, depth);
                lines.push(character);
            }
            ',' => {
                lines.push(character);
                line(&mut lines, depth);
            }
            ':' => lines.push_str(": "),
            ' ' => {}
            '"' => {
                is_string = true;
                lines.push(character);
            }
            other => lines.push(other),
        }
    }
    (lines, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_in_one_line_is_broken_into_lines_and_any_other_is_left_as_it_is() {
        let shown = RawJson::new(br#"{"a":[1,{}],"b":"x: \"{,}"}"#).text;
        assert_eq!(shown, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x: \\\"{,}\"\n}");
        assert_eq!(RawJson::new(b"{\n \"a\":1}").text, "{\n \"a\":1}");
        let long = "[".repeat(40_000);
        let shown = RawJson::new(long.as_bytes());
        assert!(shown.is_cut && shown.text.len() < 4 * LONGEST);
        RawJson::new(&[0xff, b'"', b'\\']);
    }
}
