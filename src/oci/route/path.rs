//! The path of a request line, cut into what it names. Only `Route::parse` calls this.
//!
//! The registry (distribution 2.8 and 3.1) tries a list of regular expressions in order, after it has decoded and
//! cleaned the path. Here the path is cut from its right end instead: no reference, digest or upload id can contain a
//! slash, so the last two or three segments decide, and whatever is in front of them is the name, even one such as
//! `a/manifests/b`. The property tests hold this against the registry's own expressions. What the registry would
//! decode or clean first is refused, so there is nothing left that it could read differently.

use super::refused::{Refused, refuse};
use crate::oci::ErrorCode;

/// What a path names; the parts are not checked yet. A name is empty when the path has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    Base,
    Catalog,
    Tags { name: &'a str },
    Manifest { name: &'a str, reference: &'a str },
    Referrers { name: &'a str, digest: &'a str },
    Blob { name: &'a str, digest: &'a str },
    Uploads { name: &'a str },
    Upload { name: &'a str, id: &'a str },
}

const UNKNOWN_PATH: &str = "the path is none that the distribution specification knows";

impl<'a> Target<'a> {
    pub(super) fn parse(path: &'a str) -> Result<Self, Refused> {
        refuse_ambiguous(path)?;
        // `rest` keeps its leading slash, so that a missing name comes out as an empty one.
        let rest = match path.strip_prefix("/v2") {
            Some("") => {
                return Err(refuse(
                    ErrorCode::NotFound,
                    "the base of the registry API is `/v2/`, with the slash",
                ));
            }
            Some("/") => return Ok(Self::Base),
            Some("/_catalog") => return Ok(Self::Catalog),
            Some(rest) if rest.starts_with('/') => rest,
            _ => return Err(refuse(ErrorCode::NotFound, UNKNOWN_PATH)),
        };
        if let Some(name) = rest.strip_suffix("/blobs/uploads/") {
            return Ok(Self::Uploads { name: without_slash(name) });
        }
        if rest.ends_with('/') {
            return Err(refuse(ErrorCode::NameInvalid, "the path must not end in a slash"));
        }
        let mut segments = rest.rsplitn(3, '/');
        let (Some(last), Some(kind), Some(name)) = (segments.next(), segments.next(), segments.next()) else {
            return Err(refuse(ErrorCode::NotFound, UNKNOWN_PATH));
        };
        match (kind, last) {
            ("tags", "list") => Ok(Self::Tags { name: without_slash(name) }),
            ("manifests", reference) => Ok(Self::Manifest { name: without_slash(name), reference }),
            ("referrers", digest) => Ok(Self::Referrers { name: without_slash(name), digest }),
            ("blobs", "uploads") => Err(refuse(
                ErrorCode::NotFound,
                "an upload begins at `/v2/<name>/blobs/uploads/`, with the slash",
            )),
            ("blobs", digest) => Ok(Self::Blob { name: without_slash(name), digest }),
            ("uploads", id) => match name.strip_suffix("/blobs") {
                Some(name) => Ok(Self::Upload { name: without_slash(name), id }),
                None => Err(refuse(ErrorCode::NotFound, UNKNOWN_PATH)),
            },
            _ => Err(refuse(ErrorCode::NotFound, UNKNOWN_PATH)),
        }
    }
}

fn without_slash(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// Refuses every path that a proxy on the way could decode, clean or cut before reading it. The specification has no
/// code for a bad request line; `NAME_INVALID` comes nearest, since a path that has two readings names two things.
fn refuse_ambiguous(path: &str) -> Result<(), Refused> {
    // Nearly every path has nothing that needs a closer look.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"%\\;#?".contains(&byte);
    if path.bytes().fold(true, |all, byte| all & is_plain(byte))
        && !path.contains("//")
        && !path.contains("/.")
    {
        return Ok(());
    }
    for byte in path.bytes() {
        let message = match byte {
            b'%' => "the path must not be percent-encoded: no name, tag or digest needs it",
            b'\\' => "the path must not contain a backslash",
            b';' => "the path must not contain a semicolon",
            b'#' | b'?' => "the path must not contain a fragment or a question mark",
            b'!'..=b'~' => continue,
            _ => "the path must consist of visible ASCII characters",
        };
        return Err(refuse(ErrorCode::NameInvalid, message));
    }
    // Only the last segment may be empty: that is a slash at the end, which some paths need.
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let message = match segment {
            "." | ".." => "the path must not contain `.` or `..` as a segment",
            "" if segments.peek().is_some() => "the path must not contain two slashes in a row",
            _ => continue,
        };
        return Err(refuse(ErrorCode::NameInvalid, message));
    }
    Ok(())
}

/// A request target whose reference or digest has its colon percent-encoded, with a plain one instead: some clients encode
/// it, and it has no second meaning. `None` for any other target: nothing else may be encoded, and the encoding of a colon
/// nowhere else.
pub fn with_plain_colon(target: &str) -> Option<String> {
    if !target.as_bytes().contains(&b'%') {
        return None;
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let (before, last) = path.rsplit_once('/')?;
    let (algorithm, encoded) = last.split_once('%')?;
    let rest = encoded.strip_prefix("3A").or_else(|| encoded.strip_prefix("3a"))?;
    let is_reference = ["/manifests", "/blobs", "/referrers"]
        .iter()
        .any(|kind| before.starts_with("/v2/") && before.ends_with(kind));
    if !is_reference || algorithm.is_empty() || rest.contains('%') || before.contains('%') {
        return None;
    }
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    Some(format!("{before}/{algorithm}:{rest}{query}"))
}
