//! How distribution 2.8 and 3.1 read a request line, transcribed from the documented grammar and the behaviour of
//! their router, independently of the parser under test: the path is decoded and cleaned, then regular expressions
//! are tried in the order of registration, each with an optional slash at its end that leads to a redirect.
//!
//! The transcription of 3.1 was itself run against gorilla/mux 1.8.1 with the expressions of distribution/reference
//! 0.6.0: no difference over 54,654 paths of the generators in `src/oci/route/properties.rs`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What the registry makes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It serves this.
    Serves(Handler),
    /// It answers 301, to the path in its canonical spelling.
    Redirects,
    /// It answers 404 without looking further.
    Unknown,
}

/// Which handler gets the request, with its variables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the registry's own routes")]
pub enum Handler {
    Base,
    TagsList { name: String },
    Manifest { name: String, reference: String },
    Blob { name: String, digest: String },
    BlobUpload { name: String },
    BlobUploadChunk { name: String, uuid: String },
    Catalog,
}

/// A version of the registry whose grammar differs.
pub struct Registry {
    routes: Vec<(&'static str, bool, Regex)>,
}

/// Distribution 2.8.
pub static DISTRIBUTION_2_8: LazyLock<Registry> = LazyLock::new(|| {
    let label = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    Registry::new(&format!(r"{label}(?:(?:\.{label})+)?(?::[0-9]+)?"), r"(?:[._]|__|[-]*)")
});

/// Distribution 3.1: also hosts that are IPv6 addresses.
pub static DISTRIBUTION_3_1: LazyLock<Registry> = LazyLock::new(|| {
    let label = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    Registry::new(
        &format!(r"(?:{label}(?:\.{label})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"),
        r"(?:[._]|__|[-]+)",
    )
});

impl Registry {
    fn new(host: &str, separator: &str) -> Self {
        let component = format!("[a-z0-9]+(?:{separator}[a-z0-9]+)*");
        let name = format!("(?P<name>(?:{host}/)?{component}(?:/{component})*)");
        let tag = "[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}";
        let digest = "[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+";
        let uuid = r"[a-zA-Z0-9\-_.=]+";
        // In the order of registration. A template that ends in a slash matches without it too, and the other way
        // round; either leads to a redirect.
        let routes = [
            ("base", true, "/v2".to_owned()),
            ("tags-list", false, format!("/v2/{name}/tags/list")),
            ("manifest", false, format!("/v2/{name}/manifests/(?P<reference>{tag}|{digest})")),
            ("blob", false, format!("/v2/{name}/blobs/(?P<digest>{digest})")),
            ("blob-upload", true, format!("/v2/{name}/blobs/uploads")),
            ("blob-upload-chunk", false, format!("/v2/{name}/blobs/uploads/(?P<uuid>{uuid})")),
            ("catalog", false, "/v2/_catalog".to_owned()),
        ];
        let compile = |(route, slash, pattern): (_, _, String)| {
            (
                route,
                slash,
                Regex::new(&format!("^{pattern}[/]?$")).expect("the transcription is a regular expression"),
            )
        };
        Self { routes: routes.into_iter().map(compile).collect() }
    }

    /// What this registry makes of a raw path.
    pub fn read(&self, raw_path: &str) -> Reading {
        let Some(path) = decoded(raw_path, false) else {
            return Reading::Unknown;
        };
        if cleaned(&path) != path {
            return Reading::Redirects;
        }
        for (route, ends_in_slash, expression) in &self.routes {
            let Some(captures) = expression.captures(&path) else {
                continue;
            };
            if path.ends_with('/') != *ends_in_slash {
                return Reading::Redirects;
            }
            return Reading::Serves(handler(route, &captures));
        }
        Reading::Unknown
    }
}

fn handler(route: &str, captures: &Captures<'_>) -> Handler {
    let variable = |variable: &str| captures[variable].to_owned();
    match route {
        "base" => Handler::Base,
        "tags-list" => Handler::TagsList { name: variable("name") },
        "manifest" => Handler::Manifest { name: variable("name"), reference: variable("reference") },
        "blob" => Handler::Blob { name: variable("name"), digest: variable("digest") },
        "blob-upload" => Handler::BlobUpload { name: variable("name") },
        "blob-upload-chunk" => Handler::BlobUploadChunk { name: variable("name"), uuid: variable("uuid") },
        "catalog" => Handler::Catalog,
        other => unreachable!("no route is called {other}"),
    }
}

/// Whether the registry takes a reference for a digest (else it is a tag to it, whatever it looks like).
pub fn is_digest(reference: &str) -> bool {
    static DIGEST: LazyLock<Regex> = LazyLock::new(|| {
        let expression = "^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$";
        Regex::new(expression).expect("the transcription is a regular expression")
    });
    DIGEST.is_match(reference)
}

/// The parameters of a query as Go's `url.ParseQuery` keeps them: malformed ones are dropped.
pub fn parameters(query: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    for parameter in query.split('&') {
        if parameter.is_empty() || parameter.contains(';') {
            continue;
        }
        let (key, value) = match parameter.find('=') {
            Some(equals) => (&parameter[..equals], &parameter[equals + 1..]),
            None => (parameter, ""),
        };
        if let (Some(key), Some(value)) = (decoded(key, true), decoded(value, true)) {
            parameters.push((key, value));
        }
    }
    parameters
}

/// Go's `FormValue` for a request without a form body: the first value, or nothing.
pub fn first<'a>(parameters: &'a [(String, String)], key: &str) -> &'a str {
    parameters.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
}

/// Percent-decoding; `None` where Go reports an error. Bytes that are no UTF-8 become replacement characters, which
/// no expression above matches.
fn decoded(text: &str, plus_is_blank: bool) -> Option<String> {
    let text = if plus_is_blank { text.replace('+', " ") } else { text.to_owned() };
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Go's `path.Clean`, with the slash at the end kept, as the router does before it matches.
fn cleaned(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}
