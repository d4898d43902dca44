//! One request line, read in exactly one way, or refused.

use std::borrow::Cow;

use http::Method;

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
}

/// A cross-repository mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The blob.
    pub digest: Digest,
    /// Where it is; absent when the client leaves that to the registry.
    pub from: Option<RepositoryName>,
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

/// The name of an upload session: opaque, chosen by the registry, one path segment of `[a-zA-Z0-9-_.=]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(String);

impl UploadId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a request line is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The specification's code.
    pub code: ErrorCode,
    /// For the person at the client: what was wrong and what would be right.
    pub message: Cow<'static, str>,
    /// For [`ErrorCode::Unsupported`]: the methods that this path takes.
    pub allow: Option<&'static str>,
}

impl Route {
    /// Reads a request line. `path` is the raw path as it came over the wire (nothing decoded), `query` the raw query
    /// without its question mark. The path must begin with `/v2`.
    ///
    /// # Errors
    /// When the path is none that the specification knows, when it could be read in a second way (percent-encoding,
    /// dot segments, empty segments, control bytes), or when the method does not go with it.
    pub fn parse(_method: &Method, _path: &str, _query: Option<&str>) -> Result<Self, Refused> {
        Err(Refused { code: ErrorCode::NotFound, message: Cow::Borrowed("not written yet"), allow: None })
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
        }
    }

    /// A short constant name for logs and metrics.
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
        }
    }
}
