//! Uploads that outlive their tokens: who opened an upload with a good token may finish it with the same one, for a while.
//!
//! The door needs no memory for that: a mark in the session's URL binds the upload to the token. It can only be made with
//! a secret that lies beside the keys, so it holds across restarts and doors.

use std::time::Duration;

use ring::hmac;

use super::token::Token;
use crate::oci::{RepositoryName, UploadId};

/// How much of the code is in the URL, in bytes.
const CODE_BYTES: usize = 16;

/// Marks upload sessions.
pub struct UploadMarks {
    key: hmac::Key,
    /// How long an upload may go on after its token has expired.
    pub grace: Duration,
}

impl UploadMarks {
    /// With this secret; an upload may go on for so long after its token has expired.
    pub fn new(secret: &[u8; 32], grace: Duration) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), grace }
    }

    /// The mark of an upload that was opened with this token.
    pub fn mark(&self, repository: &RepositoryName, upload: &str, token: &str) -> String {
        hex::encode(&self.code(repository, upload, token)[..CODE_BYTES])
    }

    /// Whether the mark says that this token has opened the upload.
    pub fn holds(&self, mark: &str, repository: &RepositoryName, upload: &UploadId, token: &Token) -> bool {
        let expected = self.mark(repository, upload.as_str(), &token.id);
        bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), mark.as_bytes()))
    }

    fn code(&self, repository: &RepositoryName, upload: &str, token: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // None of the three has a line break.
        for part in [repository.as_str(), "\n", upload, "\n", token] {
            context.update(part.as_bytes());
        }
        let mut code = [0; 32];
        code.copy_from_slice(context.sign().as_ref());
        code
    }
}
