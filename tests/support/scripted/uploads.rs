//! Uploads to the scripted registry: they go on at the usual URLs, or wherever a test says.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::http::{Method, Response, Uri};

use super::{digest, error, parameters};

/// A request about an upload, as it arrived.
#[derive(Clone, Debug)]
pub struct UploadRequest {
    /// Its method.
    pub method: Method,
    /// Its target, byte for byte.
    pub target: String,
    /// The session that it is about.
    pub session: String,
}

/// Sessions under way, and what came of them.
#[derive(Default)]
pub(super) struct Uploads {
    /// The `Location` of each session, with its name in place of `{id}`, unless that is the usual one.
    pub location: Option<String>,
    /// Requests since a test took them last.
    pub requests: Vec<UploadRequest>,
    /// Blobs by their digests.
    pub blobs: BTreeMap<String, Bytes>,
    sessions: BTreeMap<String, Vec<u8>>,
    begun: usize,
}

impl Uploads {
    /// What a request about an upload is answered, if it is one.
    pub fn answer(&mut self, method: &Method, uri: &Uri, body: &Bytes) -> Option<Response<Body>> {
        let target = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let usual = uri.path().strip_prefix("/v2/").and_then(|path| path.split_once("/blobs/uploads/"));
        let begins = *method == Method::POST && usual.is_some();
        // Also a session that another backend has begun.
        let session = match begins {
            true => format!("u{}x", self.begun),
            false => session_in(&target).filter(|_| usual.is_some() || self.location.is_some())?,
        };
        let location = match &self.location {
            Some(location) => location.replace("{id}", &session),
            None => format!("/v2/{}/blobs/uploads/{session}", usual.map_or("", |(name, _)| name)),
        };
        self.requests.push(UploadRequest { method: method.clone(), target, session: session.clone() });
        let answer = |status: u16| Response::builder().status(status);
        let goes_on = |status: u16| answer(status).header("location", &location).body(Body::empty()).unwrap();
        if begins {
            self.begun += 1;
            return Some(goes_on(202));
        }
        let held = self.sessions.entry(session.clone()).or_default();
        held.extend_from_slice(body);
        Some(match method.as_str() {
            "PATCH" => goes_on(202),
            "GET" | "HEAD" => goes_on(204),
            "OPTIONS" => answer(200).header("access-control-allow-origin", "*").body(Body::empty()).unwrap(),
            "PUT" => {
                let blob = Bytes::from(self.sessions.remove(&session).unwrap_or_default());
                let named = parameters(uri).remove("digest");
                if named != Some(digest(&blob)) {
                    return Some(error(400, "DIGEST_INVALID"));
                }
                let name = usual.map_or("", |(name, _)| name);
                let location = format!("/v2/{name}/blobs/{}", digest(&blob));
                self.blobs.insert(digest(&blob), blob);
                answer(201).header("location", location).body(Body::empty()).unwrap()
            }
            _ => error(405, "UNSUPPORTED"),
        })
    }
}

/// The name of a session somewhere in a target.
fn session_in(target: &str) -> Option<String> {
    target.match_indices('u').find_map(|(at, _)| {
        let digits = target[at + 1..].split_once('x')?.0;
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| format!("u{digits}x"))
    })
}
