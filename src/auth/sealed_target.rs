//! Targets of the registry's own that travel in a URL of the door.
//!
//! Where an upload goes on is opaque (OCI distribution spec, "Pushing a blob in chunks"): a registry may name any path. The
//! door hands such a target out sealed, as the name of an upload session, and needs no memory to find it again. It is
//! encrypted and authenticated with a key that only the doors have, and bound to the repository that it was handed out for,
//! so that a client can neither make one, nor alter one, nor take one to another repository.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{error::Unspecified, hkdf};

use crate::oci::{RepositoryName, UploadId};

/// With what every sealed target begins. A registry's own session whose name begins so is sealed again.
const PREFIX: &str = "portreeve.";
/// What the key is for: other uses of the same secret get other keys.
const PURPOSE: &[u8] = b"portreeve sealed upload targets, 1";
/// Separates the backend from the target: it stands in neither.
const SEPARATOR: char = '\n';

/// Seals targets, and opens them again. Every door with the same secret opens what the others have sealed.
pub struct TargetSeal {
    key: LessSafeKey,
    random: SystemRandom,
}

/// What a sealed target is good for. One that was sealed for something else does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedFor {
    /// To go on with an upload.
    Upload,
    /// To follow a redirect of a pull.
    Pull,
}

/// Where an upload goes on, or a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedTarget {
    /// The key of the backend.
    pub backend: String,
    /// Path and query there, as the registry named them.
    pub path_and_query: String,
}

impl TargetSeal {
    /// With a key that is derived from this secret.
    ///
    /// # Errors
    /// Never with the sizes that are used here; the library cannot say so.
    pub fn new(secret: &[u8; 32]) -> Result<Self, SealError> {
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, PURPOSE).extract(secret);
        let material = derived.expand(&[PURPOSE], &AES_256_GCM).map_err(SealError::from)?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::from(material)), random: SystemRandom::new() })
    }

    /// Whether the name of an upload session claims to be a sealed target.
    pub fn is_sealed(upload: &str) -> bool {
        upload.starts_with(PREFIX)
    }

    /// The target as the name of an upload session of this repository.
    ///
    /// # Errors
    /// When it is too long to be such a name, or the system has no randomness.
    pub fn seal(
        &self,
        purpose: SealedFor,
        repository: &RepositoryName,
        target: &SealedTarget,
    ) -> Result<String, SealError> {
        // Not known before, and never used again: 96 random bits last for 2^32 targets under one key.
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        let mut text = format!("{}{SEPARATOR}{}", target.backend, target.path_and_query).into_bytes();
        let bound = purpose.bound_to(repository);
        let tag =
            self.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), bound, &mut text)?;
        let sealed = [nonce.as_slice(), &text, tag.as_ref()].concat();
        let name = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed));
        if name.len() > UploadId::MAXIMUM_BYTES { Err(SealError::TooLong) } else { Ok(name) }
    }

    /// The target that was sealed for this purpose and repository; nothing if this was never sealed by a door with this
    /// key, or for something else.
    pub fn open(&self, purpose: SealedFor, repository: &RepositoryName, text: &str) -> Option<SealedTarget> {
        let sealed = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let bound = purpose.bound_to(repository);
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut text).ok()?;
        let (backend, path_and_query) = std::str::from_utf8(opened).ok()?.split_once(SEPARATOR)?;
        Some(SealedTarget { backend: backend.to_owned(), path_and_query: path_and_query.to_owned() })
    }
}

impl SealedFor {
    /// What a target is bound to.
    fn bound_to(self, repository: &RepositoryName) -> Aad<Vec<u8>> {
        let purpose = match self {
            Self::Upload => "upload",
            Self::Pull => "pull",
        };
        Aad::from(format!("{purpose} {repository}").into_bytes())
    }
}

/// Why a target cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It has no room in a URL of the door.
    #[error(
        "the target is too long for a URL of the door, whose session names have {} bytes",
        UploadId::MAXIMUM_BYTES
    )]
    TooLong,
    /// The cryptography failed.
    #[error("the system's randomness or cryptography failed")]
    Cryptography,
}

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> Self {
        Self::Cryptography
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::oci::Route;

    fn seal(secret: u8) -> TargetSeal {
        TargetSeal::new(&[secret; 32]).unwrap()
    }

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    fn target(path_and_query: &str) -> SealedTarget {
        SealedTarget { backend: "0a1b2c3d".to_owned(), path_and_query: path_and_query.to_owned() }
    }

    #[test]
    fn a_sealed_target_opens_for_its_repository_at_every_door_with_the_same_secret() {
        let target = target("/v2/x/blobs/upload/1+~?_state=a%2Bb%3D&x");
        let sealed = seal(1).seal(SealedFor::Upload, &name("team/app"), &target).unwrap();
        assert!(TargetSeal::is_sealed(&sealed));
        assert_eq!(seal(1).open(SealedFor::Upload, &name("team/app"), &sealed), Some(target));
        assert_eq!(seal(1).open(SealedFor::Upload, &name("team/other"), &sealed), None, "another repository");
        assert_eq!(seal(2).open(SealedFor::Upload, &name("team/app"), &sealed), None, "another secret");
        assert_eq!(seal(1).open(SealedFor::Pull, &name("team/app"), &sealed), None, "another purpose");
    }

    #[test]
    fn a_sealed_target_shows_nothing_of_what_is_in_it_and_is_never_the_same_twice() {
        let target = target("/secret-path/secret-path/secret-path");
        let (one, two) = (
            seal(1).seal(SealedFor::Upload, &name("a"), &target).unwrap(),
            seal(1).seal(SealedFor::Upload, &name("a"), &target).unwrap(),
        );
        assert_ne!(one, two);
        let decoded = URL_SAFE_NO_PAD.decode(one.strip_prefix(PREFIX).unwrap()).unwrap();
        assert!(!String::from_utf8_lossy(&decoded).contains("secret"));
    }

    #[test]
    fn a_target_that_has_no_room_is_told_apart() {
        let longest = "/".repeat(UploadId::MAXIMUM_BYTES / 2);
        assert!(seal(1).seal(SealedFor::Upload, &name("a"), &target(&longest)).is_ok());
        let too_long = "/".repeat(UploadId::MAXIMUM_BYTES);
        assert_eq!(seal(1).seal(SealedFor::Upload, &name("a"), &target(&too_long)), Err(SealError::TooLong));
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_is_the_name_of_an_upload_session_and_opens(path_and_query in "/[!-~]{0,500}") {
            let target = target(&path_and_query);
            let sealed = seal(1).seal(SealedFor::Upload, &name("a/b"), &target).unwrap();
            let route = Route::parse(&Method::PATCH, &format!("/v2/a/b/blobs/uploads/{sealed}"), None).unwrap();
            let Route::Upload { upload, .. } = route else { panic!("{route:?}") };
            prop_assert_eq!(seal(1).open(SealedFor::Upload, &name("a/b"), upload.as_str()), Some(target));
        }

        #[test]
        fn whatever_was_altered_or_made_up_does_not_open(
            position in any::<proptest::sample::Index>(),
            other in "[A-Za-z0-9_-]",
            made_up in "(portreeve\\.)?[A-Za-z0-9_.=-]{0,200}",
        ) {
            let sealed = seal(1).seal(SealedFor::Upload, &name("a"), &target("/v2/a/blobs/upload/1?x=1")).unwrap();
            let mut altered = sealed.clone();
            let at = PREFIX.len() + position.index(sealed.len() - PREFIX.len());
            altered.replace_range(at..=at, &other);
            // The last character carries bits beyond the last byte: they have to be zero.
            prop_assert!(altered == sealed || seal(1).open(SealedFor::Upload, &name("a"), &altered).is_none());
            prop_assert!(seal(1).open(SealedFor::Upload, &name("a"), &sealed[..at]).is_none());
            prop_assert!(seal(1).open(SealedFor::Upload, &name("a"), &(sealed + &other)).is_none());
            prop_assert!(seal(1).open(SealedFor::Upload, &name("a"), &made_up).is_none());
        }
    }
}
