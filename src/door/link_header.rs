//! `Link` (RFC 8288) of the registry's lists is rewritten to the door's URLs, as `Location` is: pure.

use super::uri_reference::UriReference;

/// Rewrites the registry's links.
pub(super) struct LinkRewriter<'a, F> {
    /// The path of the list that was asked for, such as `/v2/_catalog`; none for an answer that is no list.
    pub list: Option<&'a str>,
    /// Scheme and authority of the door, as the client knows it; empty when nothing is known.
    pub door: &'a str,
    /// Whether a reference names the registry itself.
    pub is_own: F,
}

impl<F: Fn(&UriReference<'_>) -> bool> LinkRewriter<'_, F> {
    /// A `Link` header that leads to the door; none where this one does as it is, or is no list of links.
    pub(super) fn rewritten(&self, value: &str) -> Option<String> {
        let mut rewritten = String::with_capacity(value.len());
        let mut rest = value;
        while let Some((before, target, behind)) = next_target(rest).ok()? {
            rewritten.push_str(before);
            match self.rewritten_target(target) {
                Some(target) => rewritten.push_str(&target),
                None => rewritten.push_str(target),
            }
            rest = behind;
        }
        rewritten.push_str(rest);
        (rewritten != value).then_some(rewritten)
    }

    fn rewritten_target(&self, link: &str) -> Option<String> {
        let reference = UriReference::parse(link)?;
        let is_absolute = reference.authority.is_some();
        let target = reference.resolve(self.list.unwrap_or("/"));
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (target.as_str(), String::new()),
        };
        let door = if is_absolute { self.door } else { "" };
        match self.list {
            // More of the very list that was asked for is at the door, whatever the registry calls itself, and whatever
            // a gateway in front of it puts before its paths.
            Some(list) if path.ends_with(list) && (is_absolute || path != list) => {
                Some(format!("{door}{list}{query}"))
            }
            _ if is_absolute && (self.is_own)(&reference) => Some(format!("{door}{path}{query}")),
            _ => None,
        }
    }
}

/// A text that is no list of links.
struct NoLinks;

/// What comes before the next target, with its bracket, the target, and what is behind; none when there is no further one.
fn next_target(text: &str) -> Result<Option<(&str, &str, &str)>, NoLinks> {
    let mut is_quoted = false;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if is_quoted => drop(characters.next()),
            '"' => is_quoted = !is_quoted,
            '<' if !is_quoted => {
                let (before, rest) = text.split_at(at + 1);
                let (target, behind) = rest.split_at(rest.find('>').ok_or(NoLinks)?);
                return Ok(Some((before, target, behind)));
            }
            _ => {}
        }
    }
    if is_quoted { Err(NoLinks) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewrite(list: &str, value: &str) -> Option<String> {
        let is_own = |reference: &UriReference<'_>| reference.is_at("http", "registry.internal:5001");
        LinkRewriter { list: Some(list), door: "https://door.example", is_own }.rewritten(value)
    }

    #[test]
    fn more_of_a_list_is_at_the_door_whatever_the_registry_calls_itself() {
        let at_the_door = r#"<https://door.example/v2/_catalog?last=a%2Fb&n=2>; rel="next""#;
        for link in [
            "http://registry.internal:5001/v2/_catalog?last=a%2Fb&n=2",
            "HTTP://public.example/v2/_catalog?last=a%2Fb&n=2",
            "//public.example/v2/_catalog?last=a%2Fb&n=2",
            "https://public.example/prefix/v2/_catalog?last=a%2Fb&n=2",
        ] {
            let value = format!(r#"<{link}>; rel="next""#);
            assert_eq!(rewrite("/v2/_catalog", &value).as_deref(), Some(at_the_door), "{link}");
        }
        let prefixed = r#"</prefix/v2/team/app/tags/list?last=b>; rel="next""#;
        let expected = r#"</v2/team/app/tags/list?last=b>; rel="next""#;
        assert_eq!(rewrite("/v2/team/app/tags/list", prefixed).as_deref(), Some(expected));
    }

    #[test]
    fn a_link_that_leads_to_the_door_by_itself_and_one_to_elsewhere_stay_as_they_are() {
        for value in [
            r#"</v2/_catalog?last=b&n=2>; rel="next""#,
            r#"<_catalog?last=b>; rel="next""#,
            "<?last=b>; rel=next",
            r#"<https://docs.example/v2/>; rel="help""#,
            r#"<https://public.example/v2/a/tags/list>; rel="next""#,
            "no link",
            "",
        ] {
            assert_eq!(rewrite("/v2/_catalog", value), None, "{value}");
        }
    }

    #[test]
    fn each_of_several_links_is_looked_at_and_the_rest_kept_byte_for_byte() {
        let value = r#"<http://registry.internal:5001/v2/x?a,b>;title="a <b>, \"<c>\"" ; rel=up , <https://e.example/>; rel="help", <http://p.example/v2/_catalog?n=1>;rel=next"#;
        let expected = r#"<https://door.example/v2/x?a,b>;title="a <b>, \"<c>\"" ; rel=up , <https://e.example/>; rel="help", <https://door.example/v2/_catalog?n=1>;rel=next"#;
        assert_eq!(rewrite("/v2/_catalog", value).as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_list_of_links_is_left_alone() {
        for value in
            ["<http://registry.internal:5001/v2/_catalog", r#"<http://registry.internal:5001/x>; title="a"#]
        {
            assert_eq!(rewrite("/v2/_catalog", value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_is_too_strange(value in "([<>\",;\\\\ a]|http://registry.internal:5001/v2/_catalog){0,12}|\\PC{0,40}") {
            rewrite("/v2/_catalog", &value);
        }
    }
}
