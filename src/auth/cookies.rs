//! The cookies of a request. A browser sends those of everything else at the same host along, in whatever bytes: none of them
//! keeps another from being read.

use http::HeaderMap;
use http::header::COOKIE;

/// The values of the cookies with this name, in the order in which they came.
pub fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let fields = headers.get_all(COOKIE).into_iter().map(http::HeaderValue::as_bytes);
    fields.flat_map(pairs).filter_map(move |pair| value_of(pair, name.as_bytes()))
}

/// The pairs of a `Cookie` field.
pub(super) fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

/// The name of a pair; all of it, where it has no value.
pub(super) fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let end = pair.iter().position(|byte| *byte == b'=')?;
    let (own, value) = (&pair[..end], &pair[end + 1..]);
    (own.trim_ascii() == name).then(|| value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_whatever_bytes_its_neighbours_have() {
        let mut headers = HeaderMap::new();
        for field in
            [&b"a=\xff\xfe; wanted=1 ;b"[..], b"wanted = 2;\xc3=wanted=3; xwanted=4; wanted; wanted=="]
        {
            headers.append(COOKIE, HeaderValue::from_bytes(field).unwrap());
        }
        let found: Vec<&[u8]> = cookies(&headers, "wanted").collect();
        assert_eq!(found, [&b"1"[..], b"2", b"="]);
    }
}
