//! Pages of lists, as the distribution specification has them ("Listing Tags"): `n`, `last` and `Link`. Pure.

use url::form_urlencoded;

use super::answer::Unanswered;
use crate::door::Refusal;
use crate::oci::ErrorCode;

/// The most names of one page, whatever was asked for.
pub(super) const MAXIMUM: usize = 10_000;

/// Which page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// At most that many; all, or as many as is usual, if it is not said.
    pub count: Option<usize>,
    /// From behind this name on, which need not be one.
    pub last: Option<String>,
}

impl Asked {
    /// Reads `n` and `last`; an empty one counts as absent, and one that is given twice by its first value, as registries do.
    pub(super) fn parse(query: &str) -> Result<Self, Unanswered> {
        let mut asked = Self::default();
        let (mut has_count, mut has_last) = (false, false);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "n" if !std::mem::replace(&mut has_count, true) && !value.is_empty() => {
                    asked.count = Some(count(&value)?);
                }
                "last" if !std::mem::replace(&mut has_last, true) && !value.is_empty() => {
                    asked.last = Some(value.into_owned());
                }
                _ => {}
            }
        }
        Ok(asked)
    }
}

fn count(text: &str) -> Result<usize, Unanswered> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = "`n` is no number; write how many names one answer is to have, such as n=100";
        return Err(Unanswered::Refused(Refusal::new(ErrorCode::PaginationNumberInvalid, message)));
    }
    // What is too long for a number is more than the most.
    Ok(text.parse().unwrap_or(MAXIMUM).min(MAXIMUM))
}

/// The `Link` to the page behind this name (RFC 8288). `more` is further parameters, encoded, each with an ampersand before it.
pub(super) fn link(path: &str, last: &str, more: &str) -> String {
    let last: String = form_urlencoded::byte_serialize(last.as_bytes()).collect();
    format!("<{path}?last={last}{more}>; rel=\"next\"")
}

/// A JSON list of names that need no escaping.
pub(super) fn push_names<'a>(json: &mut Vec<u8>, names: impl Iterator<Item = &'a str>) {
    for (number, name) in names.enumerate() {
        if number > 0 {
            json.push(b',');
        }
        json.push(b'"');
        json.extend_from_slice(name.as_bytes());
        json.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_by_number_and_last_name() {
        let asked = |count, last: Option<&str>| Asked { count, last: last.map(str::to_owned) };
        for (query, expected) in [
            ("", asked(None, None)),
            ("n=&last=", asked(None, None)),
            ("n=5", asked(Some(5), None)),
            ("n=0", asked(Some(0), None)),
            ("n=007", asked(Some(7), None)),
            ("n=20000", asked(Some(MAXIMUM), None)),
            ("n=99999999999999999999999", asked(Some(MAXIMUM), None)),
            ("last=a%2Fb&n=2", asked(Some(2), Some("a/b"))),
            ("last=a+b", asked(None, Some("a b"))),
            ("n=1&n=x&last=a&last=b", asked(Some(1), Some("a"))),
            ("n=&n=3", asked(None, None)),
            ("other=1&n=2", asked(Some(2), None)),
        ] {
            assert_eq!(Asked::parse(query).unwrap(), expected, "{query}");
        }
    }

    #[test]
    fn what_is_no_number_of_names_is_refused() {
        for query in ["n=-1", "n=x", "n=1.5", "n=+1", "n=1%20", "n=%C3%BC"] {
            let Err(Unanswered::Refused(refusal)) = Asked::parse(query) else { panic!("{query}") };
            assert_eq!((refusal.status.as_u16(), refusal.code.as_str()), (400, "PAGINATION_NUMBER_INVALID"));
        }
    }

    #[test]
    fn a_link_names_what_it_continues_behind() {
        assert_eq!(link("/v2/_catalog", "a/b", "&n=2"), "</v2/_catalog?last=a%2Fb&n=2>; rel=\"next\"");
    }

    #[test]
    fn names_are_listed_as_json() {
        for (names, expected) in [(vec![], ""), (vec!["a"], "\"a\""), (vec!["a", "b/c"], "\"a\",\"b/c\"")] {
            let mut json = Vec::new();
            push_names(&mut json, names.into_iter());
            assert_eq!(String::from_utf8(json).unwrap(), expected);
        }
    }
}
