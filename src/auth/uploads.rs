//! Uploads that outlive their tokens: who opened an upload with a good token may finish it with the same one, for a while.
//!
//! The door needs no memory for that: a mark in the session's URL says when the upload was opened and with which token. It can
//! only be made with a secret that lies beside the keys, so it holds across restarts and doors. Each answer of the upload
//! carries it on, with the time that it began with and the token that was used last.

use std::time::Duration;

use ring::hmac;

use crate::clock::Timestamp;
use crate::oci::{RepositoryName, UploadId};

/// How much of the code is in the URL, in bytes.
const CODE_BYTES: usize = 16;
/// Separates the parts of a mark: it stands in none of them.
const SEPARATOR: char = '-';

/// What is known of an upload that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When it was opened; in whole milliseconds by the door's clock.
    pub opened: Timestamp,
    /// The identifier of the token that continues it.
    pub token: String,
}

/// Marks upload sessions.
pub struct UploadMarks {
    key: hmac::Key,
    /// How long an upload may go on after it was opened, with a token that has expired.
    grace: Duration,
}

impl UploadMarks {
    /// With this secret; an upload may go on for so long after it was opened.
    pub fn new(secret: &[u8; 32], grace: Duration) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), grace }
    }

    /// The mark as it stands in the URL of an upload session.
    pub fn write(&self, mark: &Mark, repository: &RepositoryName, upload: &str) -> String {
        let Mark { opened, token } = mark;
        let opened = opened.as_milliseconds();
        let code = self.code(repository, upload, opened, token);
        format!("{opened:x}{SEPARATOR}{token}{SEPARATOR}{code}")
    }

    /// What a mark says, if a door has made it for this upload session.
    pub fn read(&self, text: &str, repository: &RepositoryName, upload: &UploadId) -> Option<Mark> {
        let (opened, rest) = text.split_once(SEPARATOR)?;
        let (token, code) = rest.rsplit_once(SEPARATOR)?;
        let opened = u64::from_str_radix(opened, 16).ok()?;
        let expected = self.code(repository, upload.as_str(), opened, token);
        let is_right = bool::from(subtle::ConstantTimeEq::ct_eq(expected.as_bytes(), code.as_bytes()));
        is_right.then(|| Mark { opened: Timestamp::from_milliseconds(opened), token: token.to_owned() })
    }

    /// Whether an upload that was opened then may go on without a good token. One whose opening lies as far ahead, by a clock
    /// that was set, is no younger than one that lies as far back.
    pub fn is_running(&self, opened: Timestamp, now: Timestamp) -> bool {
        now.abs_diff(opened) <= self.grace
    }

    fn code(&self, repository: &RepositoryName, upload: &str, opened: u64, token: &str) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        // None of them has a line break.
        for part in ["2\n", repository.as_str(), "\n", upload, "\n", &opened.to_string(), "\n", token] {
            context.update(part.as_bytes());
        }
        hex::encode(&context.sign().as_ref()[..CODE_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::oci::Route;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_milliseconds(seconds * 1000)
    }

    fn session(text: &str) -> (RepositoryName, UploadId) {
        let path = format!("/v2/{text}");
        match Route::parse(&Method::PATCH, &path, None).unwrap() {
            Route::Upload { repository, upload, .. } => (repository, upload),
            other => panic!("{other:?}"),
        }
    }

    fn mark() -> Mark {
        Mark { opened: at(1_800_000_000), token: "0123abcd".to_owned() }
    }

    #[test]
    fn a_mark_is_read_for_the_upload_that_it_was_made_for_and_for_no_other() {
        let marks = UploadMarks::new(&[1; 32], HOUR);
        let (repository, upload) = session("a/b/blobs/uploads/1");
        let text = marks.write(&mark(), &repository, upload.as_str());
        assert_eq!(marks.read(&text, &repository, &upload), Some(mark()));
        for other in ["a/c/blobs/uploads/1", "a/b/blobs/uploads/2"] {
            let (repository, upload) = session(other);
            assert_eq!(marks.read(&text, &repository, &upload), None, "{other}");
        }
        assert_eq!(UploadMarks::new(&[2; 32], HOUR).read(&text, &repository, &upload), None);
    }

    #[test]
    fn an_upload_ends_so_long_after_it_was_opened_whichever_way_the_clock_was_set() {
        let marks = UploadMarks::new(&[1; 32], HOUR);
        for (now, is_running) in [(0, true), (3_600, true), (3_601, false), (-3_600, true), (-3_601, false)] {
            let now = at(1_800_000_000).shifted(now * 1000);
            assert_eq!(marks.is_running(at(1_800_000_000), now), is_running, "{now}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_altered_or_made_up_is_no_mark(
            position in any::<proptest::sample::Index>(),
            other in "[0-9a-z-]",
            made_up in "[0-9a-f-]{0,100}",
        ) {
            let marks = UploadMarks::new(&[1; 32], HOUR);
            let (repository, upload) = session("a/b/blobs/uploads/1");
            let text = marks.write(&mark(), &repository, upload.as_str());
            let at = position.index(text.len());
            let mut altered = text.clone();
            altered.replace_range(at..=at, &other);
            prop_assert!(altered == text || marks.read(&altered, &repository, &upload).is_none());
            prop_assert!(marks.read(&made_up, &repository, &upload).is_none());
        }
    }
}
