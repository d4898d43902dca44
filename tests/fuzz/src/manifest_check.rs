//! The promise of the manifest parser: it never panics, keeps the bytes, and reads only what is one thing.

use bytes::Bytes;

use super::oci::{Digest, Manifest, ManifestKind, MediaType};

/// Parses the manifest and checks whatever must hold for any. Says whether it was accepted.
///
/// # Panics
/// When that does not hold.
pub fn assert_holds_together(content_type: Option<&str>, body: Bytes) -> bool {
    let header = content_type.map(MediaType::from_header);
    let manifest = match Manifest::parse(body.clone(), header.clone()) {
        Ok(manifest) => manifest,
        Err(error) => {
            let message = error.to_string();
            let header_length = header.map_or(0, |header| header.as_str().len());
            assert!(!message.is_empty() && message.len() <= header_length + 2048, "{message}");
            return false;
        }
    };
    assert_eq!(manifest.bytes, body);
    assert_eq!(manifest.digest, Digest::sha256(&body));
    assert_eq!(manifest.size(), body.len() as u64);
    if let Some(header) = header.filter(|header| !header.as_str().is_empty()) {
        assert_eq!(manifest.document.media_type, header, "the header names the type");
    }
    match manifest.document.kind {
        ManifestKind::Image => assert!(manifest.document.children.is_empty()),
        ManifestKind::Index => {
            assert!(manifest.document.layers.is_empty() && manifest.document.config.is_none())
        }
        ManifestKind::Opaque => {
            assert_eq!(manifest, Manifest::unread(body, manifest.document.media_type.clone()))
        }
    }
    if let (ManifestKind::Image, Some(config)) = (manifest.document.kind, &manifest.document.config) {
        assert!(manifest.document.artifact_type.is_some() || config.media_type.as_str().is_empty());
    }
    true
}
