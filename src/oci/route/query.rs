//! The query of a request line, where the registry acts on it: tags of a manifest, mounts of a blob.
//!
//! Distribution is written in Go, so a query is read as Go's `url.ParseQuery` reads it: split at `&`, keys and values
//! percent-decoded with `+` for a blank, the first of several values counts. Where Go drops a malformed parameter
//! silently and another registry might not, and wherever two readings could differ, the request is refused.

use std::borrow::Cow;

use super::refused::{Refused, refuse};
use crate::oci::{Digest, ErrorCode, RepositoryName, Tag};

/// The most tags that one manifest PUT may ask for. (The specification wants a registry to take at least ten.)
pub(super) const MAXIMUM_TAGS: usize = 100;

/// A cross-repository mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The blob.
    pub digest: Digest,
    /// Where it is; absent when the client leaves that to the registry.
    pub from: Option<RepositoryName>,
}

/// Refuses what cannot stand in a query at all, whatever the route.
pub(super) fn refuse_ambiguous(query: &str) -> Result<(), Refused> {
    if query.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') {
        return Ok(());
    }
    Err(refuse(
        ErrorCode::NameInvalid,
        "the query must consist of visible ASCII characters, without a fragment",
    ))
}

/// The values of `tag`, in order, without repetitions.
pub(super) fn tags(query: &str) -> Result<Vec<Tag>, Refused> {
    let mut tags = Vec::new();
    for parameter in parameters(query) {
        let (key, value) = parameter.ok_or_else(|| malformed(ErrorCode::TagInvalid))?;
        if key != "tag" {
            continue;
        }
        let tag = Tag::parse(&value).map_err(|error| refuse(ErrorCode::TagInvalid, error.to_string()))?;
        if tags.contains(&tag) {
            continue;
        }
        if tags.len() == MAXIMUM_TAGS {
            let message = format!("one manifest PUT takes at most {MAXIMUM_TAGS} tags");
            return Err(refuse(ErrorCode::TagInvalid, message));
        }
        tags.push(tag);
    }
    Ok(tags)
}

/// The mount that `mount` and `from` ask for. Without `mount` there is none, whatever `from` says.
pub(super) fn mount(query: &str) -> Result<Option<Mount>, Refused> {
    let mut digest = None;
    let mut from = None;
    for parameter in parameters(query) {
        let (key, value) = parameter.ok_or_else(|| malformed(ErrorCode::BlobUploadInvalid))?;
        let slot = match key.as_ref() {
            "mount" => &mut digest,
            "from" => &mut from,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            let message = "`mount` and `from` may each be given once";
            return Err(refuse(ErrorCode::BlobUploadInvalid, message));
        }
    }
    // Go cannot tell an empty value from none, and distribution then mounts nothing.
    let Some(digest) = digest.filter(|digest| !digest.is_empty()) else {
        return Ok(None);
    };
    let digest =
        Digest::parse(&digest).map_err(|error| refuse(ErrorCode::DigestInvalid, error.to_string()))?;
    let from = from.filter(|from| !from.is_empty()).map(|from| RepositoryName::parse(&from)).transpose();
    let from = from.map_err(|error| refuse(ErrorCode::NameInvalid, error.to_string()))?;
    Ok(Some(Mount { digest, from }))
}

/// A path and query without some parameters, the rest byte for byte; and the last value that was left out, as it was
/// written. A name is what the registry decodes it to, however it was spelled.
pub fn without_parameters(path_and_query: &str, names: &[&str]) -> (String, Option<String>) {
    let Some((path, query)) = path_and_query.split_once('?') else {
        return (path_and_query.to_owned(), None);
    };
    let mut left_out = None;
    let mut kept: Vec<&str> = Vec::new();
    for parameter in query.split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match decode(key) {
            Some(key) if names.contains(&key.as_ref()) => left_out = Some(value.to_owned()),
            _ => kept.push(parameter),
        }
    }
    let rest = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    (rest, left_out)
}

fn malformed(code: ErrorCode) -> Refused {
    refuse(code, "the query must be `key=value` pairs joined by `&`, percent-encoded UTF-8, without `;`")
}

/// The decoded parameters in order; `None` for one that Go would drop.
fn parameters(query: &str) -> impl Iterator<Item = Option<(Cow<'_, str>, Cow<'_, str>)>> {
    query.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        if parameter.contains(';') {
            return None;
        }
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Some((decode(key)?, decode(value)?))
    })
}

/// Go's `url.QueryUnescape`, but `None` also when the result is not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'%' => {
                let (digits, tail) = rest.split_first_chunk::<2>()?;
                rest = tail;
                decoded.push(hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?);
            }
            b'+' => decoded.push(b' '),
            byte => decoded.push(*byte),
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}
