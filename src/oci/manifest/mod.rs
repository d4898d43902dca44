//! Manifests: the bytes a client pushed, and what they say.

#[cfg(test)]
mod check;
mod descriptor;
mod document;
mod fields;
mod loose;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
mod unambiguous;

use std::fmt;

use bytes::Bytes;

pub use self::descriptor::{Descriptor, Platform};
pub use self::document::{Document, ManifestKind};
use self::fields::{KnownType, Outline};
use super::{Digest, MediaType};

/// The largest manifest that the door takes: what distribution itself takes, and the least the OCI distribution spec
/// asks of a registry.
pub const MAXIMUM_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// A manifest as it was pushed or fetched: its exact bytes and what is known of their meaning.
///
/// `digest` always names the bytes. Cloning copies the parsed part but shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The exact bytes.
    pub bytes: Bytes,
    /// What the registry and clients call it.
    pub digest: Digest,
    /// What the bytes say.
    pub document: Document,
}

/// Why bytes are not a manifest of the type they claim to be.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// Not JSON, or not of the shape that the type prescribes.
    #[error("the manifest is no valid {media_type}: {source}")]
    Shape {
        /// The type it claims.
        media_type: MediaType,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// The document's own `mediaType` contradicts the `Content-Type`.
    #[error("the manifest calls itself {document}, but was sent as {header}")]
    MediaType {
        /// In the document.
        document: MediaType,
        /// In the header.
        header: MediaType,
    },
}

/// Why bytes that nothing vouches for are not taken for a manifest.
#[derive(Debug, thiserror::Error)]
pub enum Unrecognised {
    /// They are something else.
    #[error("it is no manifest")]
    NoManifest,
    /// They are a manifest that cannot be read.
    #[error(transparent)]
    Invalid(#[from] InvalidManifest),
}

impl Manifest {
    /// Reads a manifest. `media_type` is the `Content-Type` it came with, if any; without one the document's own
    /// `mediaType` counts, and without that its shape: a configuration and layers are an OCI image manifest, a list of
    /// manifests is an OCI index, anything else is `application/octet-stream`. Unknown types and schema 1 are kept
    /// unread: nothing in them has a meaning that the door could know.
    ///
    /// The digest is SHA-256 of the bytes; a caller who knows a digest of another algorithm sets it afterwards
    /// with [`Manifest::with_digest`].
    ///
    /// # Errors
    /// When the type is known and the bytes are not of its shape, when they call themselves something else, when they
    /// hold fields of two types at once, or a key in a spelling that registries read in different ways. A caller
    /// that must keep what a registry holds nevertheless takes [`Manifest::unread`].
    pub fn parse(bytes: Bytes, media_type: Option<MediaType>) -> Result<Self, InvalidManifest> {
        let media_type = media_type.filter(|media_type| !media_type.as_str().is_empty());
        let media_type = media_type.unwrap_or_else(|| Self::own_media_type(&bytes));
        let Some(known) = KnownType::of(media_type.as_str()) else {
            return Ok(Self::unread(bytes, media_type));
        };
        match Document::parse(&bytes, known, &media_type) {
            Ok(Ok(document)) => Ok(Self { digest: Digest::sha256(&bytes), bytes, document }),
            Ok(Err(document)) => Err(InvalidManifest::MediaType { document, header: media_type }),
            Err(source) => Err(InvalidManifest::Shape { media_type, source: shortened(source) }),
        }
    }

    /// Reads bytes that nothing vouches for, such as an answer without a digest, which may as well be a gateway's page: a
    /// JSON object that was sent as a manifest, or that has a `schemaVersion` and a manifest's members.
    ///
    /// # Errors
    /// When it is neither, or a manifest that cannot be read.
    pub fn recognise(bytes: Bytes, media_type: Option<MediaType>) -> Result<Self, Unrecognised> {
        let sent_as = media_type.filter(MediaType::is_manifest);
        match Outline::of(&bytes) {
            Some(outline) if sent_as.is_some() || outline.is_manifest() => Ok(Self::parse(bytes, sent_as)?),
            _ => Err(Unrecognised::NoManifest),
        }
    }

    /// A manifest with nothing known but its bytes and type: [`ManifestKind::Opaque`].
    pub fn unread(bytes: Bytes, media_type: MediaType) -> Self {
        let document = Document::unread(media_type, bytes.len() as u64);
        Self { digest: Digest::sha256(&bytes), bytes, document }
    }

    /// The type of a document that came without one.
    fn own_media_type(bytes: &[u8]) -> MediaType {
        let outline = Outline::of(bytes);
        let own = outline.as_ref().and_then(|outline| match outline.media_type.as_deref() {
            None | Some("") => outline.suggests(),
            own => own,
        });
        MediaType::from(own.unwrap_or("application/octet-stream"))
    }

    /// The same manifest under the digest by which the registry names it.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = digest;
        self
    }

    /// Whether the bytes have this digest; `None` for an algorithm that is not computed here. The SHA-256 digest by which the
    /// manifest is known is not computed again.
    pub fn has_digest(&self, digest: &Digest) -> Option<bool> {
        if *digest == self.digest && digest.algorithm() == "sha256" {
            return Some(true);
        }
        digest.matches(&self.bytes)
    }

    /// How long it is, in bytes.
    pub const fn size(&self) -> u64 {
        self.document.size
    }
}

/// serde quotes a value of a wrong type whole, and here it may be megabytes long.
fn shortened(error: serde_json::Error) -> serde_json::Error {
    const MAXIMUM_CHARACTERS: usize = 300;
    let message = error.to_string();
    match message.char_indices().nth(MAXIMUM_CHARACTERS) {
        None => error,
        Some((end, _)) => {
            let (line, column) = (error.line(), error.column());
            serde::de::Error::custom(format!("{}… at line {line} column {column}", &message[..end]))
        }
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Manifest")
            .field("digest", &self.digest)
            .field("media_type", &self.document.media_type)
            .field("size", &self.document.size)
            .finish_non_exhaustive()
    }
}
