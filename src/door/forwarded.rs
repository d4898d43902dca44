//! The `Forwarded` header (RFC 7239): what proxies say of the way a request came. Pure.

use std::net::{IpAddr, SocketAddr};

/// What one proxy says of the request that it got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// Who sent it to the proxy; none if the proxy does not say, or hides it (sections 6.2 and 6.3).
    pub address: Option<IpAddr>,
    /// The `Host` that was asked for.
    pub host: Option<String>,
    /// The scheme that was used, in lower case.
    pub scheme: Option<String>,
}

/// Reads a `Forwarded` header of one or several fields, the nearest proxy's hop first.
///
/// Each field has to be well-formed as a whole. Nothing is believed of one that is not, since an open quotation mark changes
/// the meaning of all that follows; nor of the fields before it, which come from proxies that are further away.
pub fn read_forwarded<'a>(fields: impl DoubleEndedIterator<Item = &'a str>) -> Vec<Hop> {
    let mut hops = Vec::new();
    for field in fields.rev() {
        let Some(of_field) = read_field(field) else { break };
        hops.extend(of_field.into_iter().rev());
    }
    hops
}

/// `Forwarded = 1#forwarded-element` (section 4); nothing if it is not.
fn read_field(field: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut rest = field;
    loop {
        rest = skip_blanks(rest);
        let mut hop = Hop::default();
        let mut seen: Vec<String> = Vec::new();
        // An element, and a pair in it, may be empty.
        loop {
            rest = skip_blanks(rest);
            if !rest.is_empty() && !rest.starts_with([',', ';']) {
                let (name, value, behind) = pair(rest)?;
                let name = name.to_ascii_lowercase();
                match name.as_str() {
                    "for" => hop.address = node_address(&value),
                    "host" => hop.host = Some(value),
                    "proto" => hop.scheme = Some(value.to_ascii_lowercase()),
                    _ => {}
                }
                if seen.contains(&name) {
                    return None;
                }
                seen.push(name);
                rest = skip_blanks(behind);
            }
            match rest.strip_prefix(';') {
                Some(behind) => rest = behind,
                None => break,
            }
        }
        if !seen.is_empty() {
            hops.push(hop);
        }
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if rest.is_empty() => return Some(hops),
            None => return None,
        }
    }
}

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// `token "=" ( token / quoted-string )`: name, value, and what is behind.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix('=')?;
    let Some(quoted) = rest.strip_prefix('"') else {
        // Some proxies leave out the quotation marks around a port or an IPv6 address.
        let end = rest.find([',', ';', ' ', '\t', '"']).unwrap_or(rest.len());
        let (value, behind) = rest.split_at(end);
        return (!value.is_empty()).then(|| (name, value.to_owned(), behind));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((name, value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

/// RFC 9110 section 5.6.2.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_allowed =
        |character: char| character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
    let end = text.find(|character| !is_allowed(character)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The address of a node, with or without a port, which may be hidden (section 6).
fn node_address(node: &str) -> Option<IpAddr> {
    let node = match node.rsplit_once(':') {
        Some((node, port)) if port.starts_with('_') => node,
        _ => node,
    };
    let address = node
        .parse::<IpAddr>()
        .ok()
        .or_else(|| node.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| node.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hop(address: &str, host: &str, scheme: &str) -> Hop {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Hop { address: address.parse().ok(), host: given(host), scheme: given(scheme) }
    }

    #[test]
    fn the_examples_of_the_rfc_are_read_the_nearest_hop_first() {
        for (field, expected) in [
            (r#"for="_gazonk""#, vec![hop("", "", "")]),
            (r#"For="[2001:db8:cafe::17]:4711""#, vec![hop("2001:db8:cafe::17", "", "")]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec![hop("192.0.2.60", "", "http")]),
            (
                "for=192.0.2.43, for=198.51.100.17",
                vec![hop("198.51.100.17", "", ""), hop("192.0.2.43", "", "")],
            ),
            (
                r#"for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown"#,
                vec![hop("", "", ""), hop("2001:db8:cafe::17", "", ""), hop("192.0.2.43", "", "")],
            ),
            (r#"for="192.0.2.43:47011""#, vec![hop("192.0.2.43", "", "")]),
            (r#"for="192.0.2.43:_hidden""#, vec![hop("192.0.2.43", "", "")]),
        ] {
            assert_eq!(read_forwarded([field].into_iter()), expected, "{field}");
        }
    }

    #[test]
    fn names_and_schemes_have_no_case_and_blanks_and_empty_elements_do_not_matter() {
        for field in [
            r#"for=192.0.2.1;host="door.example:5000";proto=https"#,
            r#"Proto=HTTPS;FOR="192.0.2.1";Host="door.example\:5000""#,
            " , for=192.0.2.1 ; host=door.example:5000 ;; proto=https; ,\t",
            "for=192.0.2.1;host=door.example:5000;proto=https;secret=_x",
        ] {
            let expected = [hop("192.0.2.1", "door.example:5000", "https")];
            assert_eq!(read_forwarded([field].into_iter()), expected, "{field}");
        }
    }

    #[test]
    fn of_a_malformed_field_nothing_is_believed_nor_of_those_before_it() {
        let behind = "for=192.0.2.2";
        for malformed in [
            r#"for="192.0.2.1"#,
            r#"for="192.0.2.1\"#,
            "for",
            "for=",
            "=192.0.2.1",
            "for 192.0.2.1",
            "for =192.0.2.1",
            r#"for="192.0.2.1"x"#,
            "for=192.0.2.1;for=192.0.2.9",
            r#"for=192.0.2.1, for="x, for=192.0.2.3"#,
        ] {
            assert_eq!(read_forwarded([malformed].into_iter()), [], "{malformed}");
            let fields = ["for=192.0.2.7", malformed, behind];
            assert_eq!(read_forwarded(fields.into_iter()), [hop("192.0.2.2", "", "")], "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn no_field_is_too_strange(field in "((for|host|proto|by|x)?=?[\"\\\\,;= a:\\[\\]0-9]{0,3}){0,8}|\\PC{0,40}") {
            read_forwarded([field.as_str(), "for=192.0.2.1"].into_iter());
        }

        #[test]
        fn what_is_written_is_read(hops in proptest::collection::vec((any::<IpAddr>(), "[a-z.:0-9\" \\\\,;]{1,12}"), 0..4)) {
            let written = hops.iter().map(|(address, host)| {
                let node = match address {
                    IpAddr::V4(address) => address.to_string(),
                    IpAddr::V6(address) => format!("\"[{address}]\""),
                };
                let host = host.replace('\\', "\\\\").replace('"', "\\\"");
                format!("for={node};host=\"{host}\"")
            });
            let field = written.collect::<Vec<_>>().join(", ");
            let read = read_forwarded([field.as_str()].into_iter());
            let expected: Vec<Hop> = hops
                .into_iter()
                .rev()
                .map(|(address, host)| Hop { address: Some(address.to_canonical()), host: Some(host), scheme: None })
                .collect();
            prop_assert_eq!(read, expected);
        }
    }
}
