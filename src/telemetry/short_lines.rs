//! A bound on the length of the log's lines, whatever clients put into the texts that they are made of.
//!
//! Code that logs a client's text cuts it first ([`cut`]). What was overlooked is cut here, before a line waits to be written: the
//! texts of other crates, and errors that quote what they were given.

use std::io::{self, Write};

use serde_json::{Map, Value};
use tracing_subscriber::fmt::MakeWriter;

/// The longest line, in bytes, but for the backtrace of a panic.
const LONGEST_LINE: usize = 4 * 1024;
/// What is left of each text in a line that is longer; the second if that is not enough.
const LONGEST_TEXTS: [usize; 2] = [768, 64];
/// The field that is never cut: a panic's, which has no text of a client's.
const BACKTRACE: &str = "backtrace";

/// The beginning of a text, of at most so many bytes.
pub fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The shape of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// For a person.
    Human,
    /// One JSON object for each line, the fields of an event at its top.
    Json,
}

/// Makes writers that keep lines short.
#[derive(Clone, Debug)]
pub(super) struct ShortLines<W> {
    format: Format,
    output: W,
}

impl<W> ShortLines<W> {
    pub(super) const fn new(format: Format, output: W) -> Self {
        Self { format, output }
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for ShortLines<W> {
    type Writer = ShortLines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        ShortLines { format: self.format, output: self.output.make_writer() }
    }
}

impl<W: Write> Write for ShortLines<W> {
    /// Takes a whole line, as `tracing_subscriber` writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= LONGEST_LINE {
            return self.output.write(line);
        }
        let short = match self.format {
            Format::Human => shortened_text(line),
            Format::Json => shortened_json(line).unwrap_or_else(|| shortened_text(line)),
        };
        self.output.write_all(&short)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn shortened_text(line: &[u8]) -> Vec<u8> {
    let line = String::from_utf8_lossy(line);
    format!("{}…\n", cut(line.trim_end(), LONGEST_LINE - "…\n".len())).into_bytes()
}

/// The same object with shorter texts; none if it is no object.
fn shortened_json(line: &[u8]) -> Option<Vec<u8>> {
    let mut object: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let mut short = Vec::new();
    for longest in LONGEST_TEXTS {
        for (name, value) in &mut object {
            match value {
                Value::String(text) if name != BACKTRACE && text.len() > longest => {
                    text.truncate(text.floor_char_boundary(longest));
                    text.push('…');
                }
                _ => {}
            }
        }
        short = serde_json::to_vec(&object).ok()?;
        short.push(b'\n');
        if short.len() <= LONGEST_LINE {
            break;
        }
    }
    Some(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, line: &str) -> String {
        let mut lines = ShortLines::new(format, Vec::new());
        lines.write_all(line.as_bytes()).unwrap();
        String::from_utf8(lines.output).unwrap()
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!((cut("abc", 5), cut("abc", 2), cut("aéb", 2), cut("", 0)), ("abc", "ab", "a", ""));
    }

    #[test]
    fn a_usual_line_is_written_as_it_is() {
        for format in [Format::Human, Format::Json] {
            assert_eq!(written(format, "{ \"a\" :1}\n"), "{ \"a\" :1}\n");
        }
    }

    #[test]
    fn a_long_json_line_stays_json_and_keeps_its_short_fields() {
        for long in ["x".repeat(2_000_000), "\"\\".repeat(1_000_000), "é\u{1}".repeat(100_000)] {
            let line = serde_json::json!({"level": "INFO", "agent": long, "cause": long, "status": 200});
            let short = written(Format::Json, &format!("{line}\n"));
            assert!(short.len() <= LONGEST_LINE + 2_000 && short.ends_with('\n'), "{}", short.len());
            let object: Value = serde_json::from_str(&short).unwrap();
            assert_eq!((&object["level"], &object["status"]), (&"INFO".into(), &200.into()));
            assert!(long.starts_with(object["agent"].as_str().unwrap().trim_end_matches('…')));
        }
        let panic = serde_json::json!({"backtrace": "x".repeat(10_000), "message": "y".repeat(2_000)});
        let short: Value = serde_json::from_str(&written(Format::Json, &panic.to_string())).unwrap();
        assert_eq!(short["backtrace"], panic["backtrace"]);
    }

    #[test]
    fn a_long_line_for_a_person_is_cut() {
        let short = written(Format::Human, &format!("{}\n", "é".repeat(1_000_000)));
        assert!(short.len() <= LONGEST_LINE && short.ends_with("…\n"), "{}", short.len());
    }
}
