//! "Did you mean": which of the known names a misspelt one was probably meant to be. For every module that reports a name.

/// How much a known name has to be like the misspelt one: 0 for nothing in common, 1 for the same.
const ALIKE: f64 = 0.55;

/// The known name that is most like this one, if any is like it. Small and capital letters are the same.
pub(crate) fn nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(&known.as_ref().to_lowercase(), &name), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_understood_and_another_word_is_not() {
        const KNOWN: [&str; 3] = ["pull", "push", "delete"];
        for (name, expected) in [
            ("pul", Some("pull")),
            ("PULL", Some("pull")),
            ("psuh", Some("push")),
            ("delet", Some("delete")),
            ("pushing", Some("push")),
            ("read", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, KNOWN), expected, "{name}");
        }
        assert_eq!(nearest("pull", [""; 0]), None);
    }
}
