//! Whole numbers, their digits in threes.

use std::fmt;

use askama::FastWritable;
use askama::filters::HtmlSafe;

/// A number, such as `12,345`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::web::pages) struct Number(pub u64);

impl HtmlSafe for Number {}

impl FastWritable for Number {
    fn write_into(&self, destination: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        Ok(write!(destination, "{self}")?)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                formatter.write_str(",")?;
            }
            write!(formatter, "{digit}")?;
        }
        Ok(())
    }
}

/// So many of something, such as `3 tags`.
pub(in crate::web::pages) fn counted(number: u64, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {of}{plural}", Number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Number(number).to_string(), text);
        }
    }
}
