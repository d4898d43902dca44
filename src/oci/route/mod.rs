//! One request line, read in exactly one way, or refused. The door calls this first for every request under `/v2/`.
//!
//! This is the core of the promise that the door and the registry never read one request in two ways. It is stricter
//! than distribution in these points, where the registry would redirect, guess, or take one thing for another:
//!
//! - no percent-encoding, dot segments, double slashes or needless slashes at the end (the registry decodes, then
//!   answers 301 to the cleaned path);
//! - no host in front of a name: distribution takes `Host:5000/a` for a repository name, the specification does not;
//! - a reference with a colon is a digest or nothing (the registry takes `md5:…` and `blake3:…` for tags and fails);
//! - a malformed query where the registry acts on it (it would drop the malformed part silently).

mod path;
#[cfg(test)]
mod properties;
mod query;
mod refused;
#[cfg(test)]
mod registry_check;
#[cfg(test)]
mod tests;
mod upload_id;

use http::Method;

use self::path::Target;
pub use self::path::with_plain_colon;
pub use self::query::{Mount, without_parameters};
pub use self::refused::Refused;
use self::refused::{refuse, unsupported};
pub use self::upload_id::UploadId;
use super::{Digest, ErrorCode, Reference, RepositoryName, Tag};

/// What a request under `/v2/` asks for. Nothing that does not parse into one of these is ever forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET`/`HEAD /v2/`: is this a registry, and am I let in?
    Base,
    /// `GET /v2/_catalog`
    Catalog,
    /// `GET /v2/<name>/tags/list`
    Tags {
        /// Whose tags.
        repository: RepositoryName,
    },
    /// `GET`/`HEAD /v2/<name>/manifests/<reference>`
    ManifestRead {
        /// In which repository.
        repository: RepositoryName,
        /// Which manifest.
        reference: Reference,
    },
    /// `PUT /v2/<name>/manifests/<reference>[?tag=…&tag=…]`
    ManifestPut {
        /// In which repository.
        repository: RepositoryName,
        /// Under which name.
        reference: Reference,
        /// The tags asked for in the query (OCI distribution spec, "Pushing manifests with multiple tags").
        tags: Vec<Tag>,
    },
    /// `DELETE /v2/<name>/manifests/<reference>`
    ManifestDelete {
        /// In which repository.
        repository: RepositoryName,
        /// Which manifest or tag.
        reference: Reference,
    },
    /// `GET /v2/<name>/referrers/<digest>`
    Referrers {
        /// In which repository.
        repository: RepositoryName,
        /// Referrers of what.
        digest: Digest,
    },
    /// `GET`/`HEAD /v2/<name>/blobs/<digest>`
    BlobRead {
        /// In which repository.
        repository: RepositoryName,
        /// Which blob.
        digest: Digest,
    },
    /// `DELETE /v2/<name>/blobs/<digest>`
    BlobDelete {
        /// In which repository.
        repository: RepositoryName,
        /// Which blob.
        digest: Digest,
    },
    /// `POST /v2/<name>/blobs/uploads/[?mount=…&from=…][?digest=…]`
    UploadStart {
        /// Into which repository.
        repository: RepositoryName,
        /// A blob to mount from elsewhere instead of sending it.
        mount: Option<Mount>,
    },
    /// `GET`/`HEAD`, `PATCH`, `PUT`, `DELETE /v2/<name>/blobs/uploads/<id>`
    Upload {
        /// Into which repository.
        repository: RepositoryName,
        /// Which upload session.
        upload: UploadId,
        /// What is done to it.
        action: UploadAction,
    },
    /// `OPTIONS` of any of these paths: what may be done there? A browser asks it, without credentials, before it lets a
    /// page do it (Fetch standard, "CORS-preflight request").
    Preflight {
        /// What a `GET` of the path asks for, or a `POST` where that is all it takes.
        of: Box<Route>,
    },
}

/// What a request does to an upload session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadAction {
    /// How far is it?
    Status,
    /// More bytes.
    Append,
    /// The last bytes, and the digest.
    Finish,
    /// Forget it.
    Cancel,
}

impl Route {
    /// Reads a request line. `path` is the raw path as it came over the wire (nothing decoded), `query` the raw query
    /// without its question mark. The path must begin with `/v2`.
    ///
    /// # Errors
    /// When the path is none that the specification knows, when it could be read in a second way (percent-encoding,
    /// dot segments, empty segments, control bytes), when a name, tag, digest or upload id in it is malformed, or when
    /// the method does not go with it.
    ///
    /// Codes: `NAME_INVALID` for a bad name and for a path with two readings, `DIGEST_INVALID` for a bad digest and
    /// for any reference with a colon that is none. A bad tag is 404 `MANIFEST_UNKNOWN` when it is read, since nothing
    /// can be there and the specification wants 404 for that, and 400 `TAG_INVALID` when it is written or deleted.
    pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Self, Refused> {
        let target = Target::parse(path)?;
        if *method == Method::OPTIONS {
            let plain = if matches!(target, Target::Uploads { .. }) { Method::POST } else { Method::GET };
            return Ok(Self::Preflight { of: Box::new(Self::parse(&plain, path, query)?) });
        }
        let query = query.unwrap_or_default();
        query::refuse_ambiguous(query)?;
        match target {
            Target::Base => match *method {
                Method::GET | Method::HEAD => Ok(Self::Base),
                _ => Err(unsupported("GET, HEAD")),
            },
            Target::Catalog => match *method {
                Method::GET => Ok(Self::Catalog),
                _ => Err(unsupported("GET")),
            },
            Target::Tags { name } => match *method {
                Method::GET => Ok(Self::Tags { repository: repository(name)? }),
                _ => Err(unsupported("GET")),
            },
            Target::Manifest { name, reference } => Self::manifest(method, name, reference, query),
            Target::Referrers { name, digest: subject } => match *method {
                Method::GET => {
                    Ok(Self::Referrers { repository: repository(name)?, digest: digest(subject)? })
                }
                _ => Err(unsupported("GET")),
            },
            Target::Blob { name, digest: blob } => match *method {
                Method::GET | Method::HEAD => {
                    Ok(Self::BlobRead { repository: repository(name)?, digest: digest(blob)? })
                }
                Method::DELETE => {
                    Ok(Self::BlobDelete { repository: repository(name)?, digest: digest(blob)? })
                }
                _ => Err(unsupported("GET, HEAD, DELETE")),
            },
            Target::Uploads { name } => match *method {
                Method::POST => {
                    Ok(Self::UploadStart { repository: repository(name)?, mount: query::mount(query)? })
                }
                _ => Err(unsupported("POST")),
            },
            Target::Upload { name, id } => {
                let action = match *method {
                    Method::GET | Method::HEAD => UploadAction::Status,
                    Method::PATCH => UploadAction::Append,
                    Method::PUT => UploadAction::Finish,
                    Method::DELETE => UploadAction::Cancel,
                    _ => return Err(unsupported("GET, HEAD, PATCH, PUT, DELETE")),
                };
                Ok(Self::Upload { repository: repository(name)?, upload: UploadId::parse(id)?, action })
            }
        }
    }

    fn manifest(method: &Method, name: &str, text: &str, query: &str) -> Result<Self, Refused> {
        match *method {
            Method::GET | Method::HEAD => {
                let repository = repository(name)?;
                Ok(Self::ManifestRead { repository, reference: reference(text, ErrorCode::ManifestUnknown)? })
            }
            Method::PUT => {
                let repository = repository(name)?;
                let reference = reference(text, ErrorCode::TagInvalid)?;
                let tags = query::tags(query)?;
                if matches!(reference, Reference::Tag(_)) && !tags.is_empty() {
                    // Distribution ignores them, another registry may not, and rules must see every tag.
                    let message = "tags in the query go with a manifest that is pushed by digest";
                    return Err(refuse(ErrorCode::TagInvalid, message));
                }
                Ok(Self::ManifestPut { repository, reference, tags })
            }
            Method::DELETE => {
                let repository = repository(name)?;
                Ok(Self::ManifestDelete { repository, reference: reference(text, ErrorCode::TagInvalid)? })
            }
            _ => Err(unsupported("GET, HEAD, PUT, DELETE")),
        }
    }

    /// The path in its one spelling: parsing it again, with the same method and query, gives this route.
    pub fn path(&self) -> String {
        match self {
            Self::Base => "/v2/".to_owned(),
            Self::Catalog => "/v2/_catalog".to_owned(),
            Self::Tags { repository } => format!("/v2/{repository}/tags/list"),
            Self::ManifestRead { repository, reference }
            | Self::ManifestPut { repository, reference, .. }
            | Self::ManifestDelete { repository, reference } => {
                format!("/v2/{repository}/manifests/{reference}")
            }
            Self::Referrers { repository, digest } => format!("/v2/{repository}/referrers/{digest}"),
            Self::BlobRead { repository, digest } | Self::BlobDelete { repository, digest } => {
                format!("/v2/{repository}/blobs/{digest}")
            }
            Self::UploadStart { repository, .. } => format!("/v2/{repository}/blobs/uploads/"),
            Self::Upload { repository, upload, .. } => {
                format!("/v2/{repository}/blobs/uploads/{}", upload.as_str())
            }
            Self::Preflight { of } => of.path(),
        }
    }

    /// Refuses a body that the registry would read as more query parameters. Ask for every `Content-Type` value of a
    /// request that has a body.
    ///
    /// Go's `FormValue`, with which distribution reads `mount`, `from`, `digest` and `_state`, looks into a form body
    /// too, and an URL-encoded one even wins over the query: so a POST with a form body mounts a blob out of a
    /// repository that stands in no request line (tried against distribution 2.8.2). No client sends blobs or manifests as forms.
    ///
    /// # Errors
    /// For a form, or what might be read as one, on a route that the registry writes by.
    pub fn admits_body(&self, content_type: &str) -> Result<(), Refused> {
        let code = match self {
            Self::UploadStart { .. } | Self::Upload { .. } => ErrorCode::BlobUploadInvalid,
            Self::ManifestPut { .. } => ErrorCode::ManifestInvalid,
            _ => return Ok(()),
        };
        // Go compares in lower case by Unicode's rules: `\u{130}` becomes an `i` there.
        if !content_type.is_ascii() {
            return Err(refuse(code, "`Content-Type` must be ASCII"));
        }
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is = |form: &str| media_type.eq_ignore_ascii_case(form);
        if is("application/x-www-form-urlencoded") || is("multipart/form-data") {
            return Err(refuse(
                code,
                "send the content as it is, with its own `Content-Type`, not as a form",
            ));
        }
        Ok(())
    }

    /// The repository that the request is about, if it is about one.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags { repository }
            | Self::ManifestRead { repository, .. }
            | Self::ManifestPut { repository, .. }
            | Self::ManifestDelete { repository, .. }
            | Self::Referrers { repository, .. }
            | Self::BlobRead { repository, .. }
            | Self::BlobDelete { repository, .. }
            | Self::UploadStart { repository, .. }
            | Self::Upload { repository, .. } => Some(repository),
            Self::Preflight { of } => of.repository(),
        }
    }

    /// The upload session that the request is about, if it is about one.
    pub fn upload(&self) -> Option<(&RepositoryName, &UploadId)> {
        match self {
            Self::Upload { repository, upload, .. } => Some((repository, upload)),
            Self::Preflight { of } => of.upload(),
            _ => None,
        }
    }

    /// What [`Route::name`] answers.
    pub const NAMES: [&str; 12] = [
        "base",
        "catalog",
        "tags",
        "manifest_read",
        "manifest_put",
        "manifest_delete",
        "referrers",
        "blob_read",
        "blob_delete",
        "upload_start",
        "upload",
        "preflight",
    ];

    /// A short constant name for logs and metrics: one of [`Route::NAMES`].
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Catalog => "catalog",
            Self::Tags { .. } => "tags",
            Self::ManifestRead { .. } => "manifest_read",
            Self::ManifestPut { .. } => "manifest_put",
            Self::ManifestDelete { .. } => "manifest_delete",
            Self::Referrers { .. } => "referrers",
            Self::BlobRead { .. } => "blob_read",
            Self::BlobDelete { .. } => "blob_delete",
            Self::UploadStart { .. } => "upload_start",
            Self::Upload { .. } => "upload",
            Self::Preflight { .. } => "preflight",
        }
    }
}

fn repository(name: &str) -> Result<RepositoryName, Refused> {
    RepositoryName::parse(name).map_err(|error| refuse(ErrorCode::NameInvalid, error.to_string()))
}

fn digest(text: &str) -> Result<Digest, Refused> {
    Digest::parse(text).map_err(|error| refuse(ErrorCode::DigestInvalid, error.to_string()))
}

/// A tag or a digest; the colon decides which, as no tag can contain one.
fn reference(text: &str, code_for_tag: ErrorCode) -> Result<Reference, Refused> {
    if text.contains(':') {
        return digest(text).map(Reference::Digest);
    }
    Tag::parse(text).map(Reference::Tag).map_err(|error| refuse(code_for_tag, error.to_string()))
}
