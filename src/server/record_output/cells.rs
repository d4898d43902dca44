//! Tables, and what stands in their cells: digests, times and sizes as readers want them, and text that no terminal obeys.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::clock::Timestamp;
use crate::oci::Digest;

/// How much of a digest is enough for readers.
const DIGEST_CHARACTERS: usize = 19;

pub(super) fn table(heading: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(heading.iter().copied());
    table
}

/// The table as text, with these columns aligned to the right.
pub(super) fn right(mut table: Table, columns: &[usize]) -> String {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    trimmed(&table)
}

/// Without the blanks that a table has at the ends of its lines.
pub(super) fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
}

pub(super) fn short(digest: &Digest) -> String {
    digest.as_str().chars().take(DIGEST_CHARACTERS).collect()
}

pub(super) fn number(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

/// Text without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// At a terminal how long ago, else when.
pub(super) fn time(when: Option<Timestamp>, is_terminal: bool) -> String {
    match when {
        None => String::new(),
        Some(when) if is_terminal => ago(Timestamp::now().since(when).as_secs()),
        Some(when) => when.to_string(),
    }
}

fn ago(seconds: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute")];
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= *length);
    let Some((length, name)) = unit else { return "just now".to_owned() };
    let count = seconds / length;
    format!("{count} {name}{} ago", if count == 1 { "" } else { "s" })
}

/// Bytes, in the largest unit of which there is at least one.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    format!("{amount:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_told_in_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7_200, "2 hours ago"),
            (86_400 * 29, "29 days ago"),
            (86_400 * 400, "1 year ago"),
        ] {
            assert_eq!(ago(seconds), text);
        }
    }

    #[test]
    fn a_terminal_is_shown_nothing_that_it_would_obey() {
        assert_eq!(plain("a\u{1b}[31mb\r\n\u{9b}c\u{7f}"), "a\u{fffd}[31mb\u{fffd}\u{fffd}\u{fffd}c\u{fffd}");
    }
}
