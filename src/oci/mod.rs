//! The vocabulary of the registry protocol, pure: no input or output, no async, no clock.
//!
//! Every byte that arrives from outside becomes one of these types once, at the edge, or is refused there; the
//! floors above never handle a bare string that was meant to be a name, a tag or a digest. Sources: the OCI
//! distribution specification 1.1, the OCI image specification 1.1, and the grammar of distribution 2.8 and 3.1.

mod digest;
mod error;
mod image_config;
mod manifest;
mod media_type;
mod name;
mod reference;
mod required_access;
pub mod route;
mod scope;
mod text;

pub use digest::{Digest, InvalidDigest};
pub use error::{ErrorBody, ErrorCode, RETRY_AFTER_SECONDS, first_error_code};
pub use image_config::{BuildStep, ImageConfig, InvalidImageConfig};
pub use manifest::{
    Descriptor, Document, InvalidManifest, MAXIMUM_MANIFEST_BYTES, Manifest, ManifestKind, Platform,
    Unrecognised,
};
pub use media_type::{MANIFEST_ACCEPT, MediaType};
pub use name::{InvalidRepositoryName, RepositoryName};
pub use reference::{InvalidReference, InvalidTag, Reference, Tag};
pub use route::{Mount, Route, UploadId, without_parameters};
pub use scope::{Access, Action, Actions, MAXIMUM_SCOPES};
