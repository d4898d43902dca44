//! References that a registry hands out, in `Location` and `Link`: taken apart and resolved as RFC 3986 says, with every
//! byte kept that may stand on a request line. Pure.
//!
//! A URL library would not do: it spells paths and queries in its own way, and a signed one has to arrive as it was given.

use std::fmt::Write as _;

/// A reference to something that is reached by HTTP (RFC 3986 section 4.1), without its fragment, which is never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UriReference<'a> {
    /// `http` or `https`, in any case of letters; none in a relative reference.
    pub scheme: Option<&'a str>,
    /// Host and perhaps port; none in a reference to the same server.
    pub authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> UriReference<'a> {
    /// Takes a reference apart. Nothing for other schemes, and for what can be no reference: it has control characters, or a
    /// scheme without an authority.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return None;
        }
        let (text, _fragment) = text.split_once('#').unwrap_or((text, ""));
        let end = text.find(['/', '?', ':']).unwrap_or(text.len());
        let (scheme, rest) = match text[end..].strip_prefix(':') {
            Some(rest) => (Some(&text[..end]), rest),
            None => (None, text),
        };
        let is_http =
            |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if scheme.is_some_and(|scheme| !is_http(scheme)) {
            return None;
        }
        let (authority, rest) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Some(authority), rest)
            }
            None if scheme.is_some() => return None,
            None => (None, rest),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        Some(Self { scheme, authority, path, query })
    }

    /// The path and query that it leads to, seen from a path and query on the same server (RFC 3986 section 5.2).
    pub(super) fn resolve(&self, base: &str) -> String {
        let (base_path, base_query) = match base.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (base, None),
        };
        let mut query = self.query;
        let path = if self.authority.is_some() || self.path.starts_with('/') {
            let path = if self.path.is_empty() { "/" } else { self.path };
            without_dot_segments(path)
        } else if self.path.is_empty() {
            query = query.or(base_query);
            base_path.to_owned()
        } else {
            let directory = base_path.rfind('/').map_or("/", |slash| &base_path[..=slash]);
            without_dot_segments(&format!("{directory}{}", self.path))
        };
        let mut target = encoded(&path);
        if let Some(query) = query {
            target.push('?');
            target.push_str(&encoded(query));
        }
        target
    }

    /// Whether it names this server: `authority` as it stands in a `Host`, for URLs of this scheme.
    pub(super) fn is_at(&self, scheme: &str, authority: &str) -> bool {
        let Some(own) = self.authority else { return false };
        // A gateway that ends TLS does not tell the registry behind it, so the scheme alone makes no other server.
        own.eq_ignore_ascii_case(authority)
            || match (server(self.scheme.unwrap_or(scheme), own), server(scheme, authority)) {
                (Some(own), Some(other)) => own == other,
                _ => false,
            }
    }
}

/// Host in lower case, and port.
fn server(scheme: &str, authority: &str) -> Option<(String, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let port = match port {
        "" if scheme.eq_ignore_ascii_case("https") => 443,
        "" => 80,
        port => port.parse().ok()?,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// RFC 3986 section 5.2.4, for a path that begins with a slash.
fn without_dot_segments(path: &str) -> String {
    if !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return path.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// With percent-encoding for what may stand in no URL, as clients send it.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b'!'..=b'~') && !br#""<>\^`{|}"#.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn a_reference_is_taken_apart() {
        let parse = |text| {
            UriReference::parse(text)
                .map(|UriReference { scheme, authority, path, query }| (scheme, authority, path, query))
        };
        for (text, expected) in [
            ("http://h:1/a?b#c", Some((Some("http"), Some("h:1"), "/a", Some("b")))),
            ("HTTPS://h", Some((Some("HTTPS"), Some("h"), "", None))),
            ("//h?x", Some((None, Some("h"), "", Some("x")))),
            ("/v2/a:b/c?d:e", Some((None, None, "/v2/a:b/c", Some("d:e")))),
            ("upload/1", Some((None, None, "upload/1", None))),
            ("?n=1", Some((None, None, "", Some("n=1")))),
            ("", Some((None, None, "", None))),
            ("ftp://h/a", None),
            ("mailto:a@b", None),
            ("http:/a", None),
            ("sha256:abc", None),
            ("/a\tb", None),
            ("/a\u{0}b", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_server_is_the_same_whatever_the_case_and_with_its_usual_port() {
        for (text, scheme, authority, expected) in [
            ("http://Registry.internal/x", "http", "registry.internal", true),
            ("http://registry.internal:80/x", "http", "registry.internal", true),
            ("https://registry.internal:443", "https", "registry.internal", true),
            ("http://registry.internal/x", "https", "registry.internal", true),
            ("//registry.internal:443/x", "https", "registry.internal", true),
            ("http://[::1]/x", "http", "[::1]:80", true),
            ("http://registry.internal:81/x", "http", "registry.internal", false),
            ("http://registry.internal.example/x", "http", "registry.internal", false),
            ("http://registry.internal@example/x", "http", "registry.internal", false),
            ("http://registry.internal:x/", "http", "registry.internal", false),
            ("/x", "http", "registry.internal", false),
        ] {
            assert_eq!(UriReference::parse(text).unwrap().is_at(scheme, authority), expected, "{text}");
        }
    }

    #[test]
    fn what_may_stand_in_no_url_arrives_as_clients_send_it() {
        let reference = UriReference::parse("/a b\\c/\u{e9}?x=\"1 2\"&y={z}").unwrap();
        assert_eq!(reference.resolve("/"), "/a%20b%5Cc/%C3%A9?x=%221%202%22&y=%7Bz%7D");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// As the `url` crate resolves, which is what clients in Rust do; those in Go do the same.
        #[test]
        fn a_reference_leads_where_clients_would_go(
            base in "/([a-c+~%-]{1,3}/){0,3}[a-c]{0,2}(\\?[a-c=&%]{0,4})?",
            start in "(http://h:1|//h:1|)",
            rest in "(/{0,2}([a-c0-9+~=-]{0,3}|\\.|\\.\\.|%2F|a%20b)){0,5}(\\?[a-c=&%+~/?:]{0,6})?(#[a-c]{0,2})?",
        ) {
            let text = if start.is_empty() || rest.starts_with('/') || rest.starts_with('?') || rest.starts_with('#') {
                format!("{start}{rest}")
            } else {
                format!("{start}/{rest}")
            };
            // The url crate takes `a:` for a drive, which `..` does not leave, and reads an empty host in `///a` as a needless
            // slash, which no client in Go does.
            prop_assume!(!text.starts_with("///") && !text.contains("h:1//..") );
            let Some(reference) = UriReference::parse(&text) else { return Ok(()) };
            prop_assume!(reference.authority.is_none_or(|authority| authority == "h:1"));
            let url = Url::parse("http://h:1").unwrap().join(&base).unwrap().join(&text).unwrap();
            let expected = match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            };
            prop_assert_eq!(reference.resolve(&base), expected, "{} from {}", text, base);
        }
    }
}
