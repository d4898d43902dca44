//! Refuses a chunk of an upload that does not begin where the upload is (OCI distribution spec, "Pushing a blob in chunks"):
//! some registries take it and go on as if it did, so that the blob turns out wrong at its end.
//!
//! What the door does not know, since the upload was begun elsewhere or a chunk was cut off, is left to the registry.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::door::{
    Entry, Exchange, ExchangeOutcome, Flow, InvalidOption, Plugin, Prepared, Refusal, ResponseHead,
};
use crate::oci::route::UploadAction;
use crate::oci::{ErrorCode, RepositoryName, Route};

pub(super) const ENTRY: Entry = Entry { name: "chunk_order", options: &[], prepare };

/// How many uploads are known at once, and for how long after their last chunk.
const KNOWN: (u64, Duration) = (65_536, Duration::from_hours(1));

/// An upload session, by its name in the door's URLs.
type Upload = (RepositoryName, String);

struct ChunkOrder {
    /// How many bytes each upload has.
    offsets: moka::sync::Cache<Upload, u64>,
}

fn prepare(_table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    let (most, idle) = KNOWN;
    let offsets = moka::sync::Cache::builder().max_capacity(most).time_to_idle(idle).build();
    Ok(Box::new(|_| Box::new(ChunkOrder { offsets })))
}

#[async_trait]
impl Plugin for ChunkOrder {
    async fn on_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        if let Some(Route::Upload { repository, upload, action }) = exchange.route()
            && matches!(action, UploadAction::Append | UploadAction::Finish)
            && let Some(start) = start(&exchange.request.headers)
            && let Some(offset) = self.offsets.get(&(repository.clone(), upload.as_str().to_owned()))
            && start != offset
        {
            return Err(out_of_order(exchange, start, offset));
        }
        Ok(Flow::Continue)
    }

    fn on_response(&self, exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Refusal> {
        if !matches!(head.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(());
        }
        let (repository, before) = match exchange.route() {
            Some(Route::UploadStart { repository, .. }) => (repository, Before::Nothing),
            Some(Route::Upload { repository, upload, action: UploadAction::Append }) => {
                let known = self.offsets.remove(&(repository.clone(), upload.as_str().to_owned()));
                let length = number(&exchange.request.headers, &CONTENT_LENGTH);
                (
                    repository,
                    Before::Chunk(known.zip(length).and_then(|(known, length)| known.checked_add(length))),
                )
            }
            Some(Route::Upload { repository, action: UploadAction::Status, .. }) => {
                (repository, Before::Chunk(None))
            }
            _ => return Ok(()),
        };
        let Some(upload) = exchange.forwarding.upload.clone() else { return Ok(()) };
        if let Some(offset) = offset(head, &before) {
            self.offsets.insert((repository.clone(), upload), offset);
        }
        Ok(())
    }

    fn on_end(&self, exchange: &Exchange, outcome: &ExchangeOutcome) {
        let Some(Route::Upload { repository, upload, action }) = exchange.route() else { return };
        let goes_on = match action {
            UploadAction::Status => true,
            // Of a chunk that was cut off the registry may have a part.
            UploadAction::Append => {
                matches!(outcome.status, Some(StatusCode::ACCEPTED | StatusCode::RANGE_NOT_SATISFIABLE))
            }
            UploadAction::Finish => outcome.status == Some(StatusCode::RANGE_NOT_SATISFIABLE),
            UploadAction::Cancel => false,
        };
        if !goes_on {
            self.offsets.invalidate(&(repository.clone(), upload.as_str().to_owned()));
        }
    }
}

/// What is known of an upload before the registry's answer says how much there is.
#[derive(Debug, PartialEq, Eq)]
enum Before {
    /// It has only begun.
    Nothing,
    /// A chunk was sent: how much there should be then, if that is known.
    Chunk(Option<u64>),
}

/// How many bytes an upload has. Registries say `0-0` both of one without any and of one with a single byte.
fn offset(head: &ResponseHead, before: &Before) -> Option<u64> {
    let range = head.headers.get(RANGE)?.to_str().ok()?;
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    match (last, before) {
        (0, Before::Nothing) => Some(0),
        (0, Before::Chunk(expected)) => expected.filter(|expected| *expected <= 1),
        (last, Before::Nothing | Before::Chunk(_)) => last.checked_add(1),
    }
}

/// Where a chunk begins, if it says so in the way of the specification: `<start>-<end>`.
fn start(headers: &HeaderMap) -> Option<u64> {
    let (start, end) = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().split_once('-')?;
    end.parse::<u64>().ok()?;
    start.parse().ok()
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn out_of_order(exchange: &Exchange, start: u64, offset: u64) -> Refusal {
    let message = format!(
        "this chunk begins at {start}, and the upload has {offset} bytes; send the one that begins there"
    );
    let refusal = Refusal::new(ErrorCode::BlobUploadInvalid, message)
        .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
        .with_header(RANGE, range(offset));
    // Here the upload goes on.
    let here = exchange.request.uri.path_and_query().map(|here| HeaderValue::try_from(here.as_str()));
    match here {
        Some(Ok(here)) => refusal.with_header(LOCATION, here),
        Some(Err(_)) | None => refusal,
    }
}

fn range(offset: u64) -> HeaderValue {
    let last = offset.saturating_sub(1);
    HeaderValue::try_from(format!("0-{last}")).unwrap_or(HeaderValue::from_static("0-0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(range: &str) -> ResponseHead {
        let mut head = ResponseHead::build(202, None).unwrap();
        head.insert_header(RANGE, range).unwrap();
        head
    }

    #[test]
    fn how_much_an_upload_has_is_what_the_registry_says_unless_that_is_ambiguous() {
        for (range, before, expected) in [
            ("0-0", Before::Nothing, Some(0)),
            ("0-9", Before::Nothing, Some(10)),
            ("0-9", Before::Chunk(None), Some(10)),
            ("0-9", Before::Chunk(Some(7)), Some(10)),
            ("0-0", Before::Chunk(Some(1)), Some(1)),
            ("0-0", Before::Chunk(Some(0)), Some(0)),
            ("0-0", Before::Chunk(Some(9)), None),
            ("0-0", Before::Chunk(None), None),
            ("bytes=0-9", Before::Nothing, None),
            ("1-9", Before::Nothing, None),
            ("0-18446744073709551615", Before::Nothing, None),
        ] {
            assert_eq!(offset(&head(range), &before), expected, "{range} {before:?}");
        }
    }

    #[test]
    fn a_chunk_begins_where_it_says() {
        let start = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, value.parse().unwrap());
            start(&headers)
        };
        assert_eq!(start("5-9"), Some(5));
        for other in ["bytes 5-9/10", "5", "5-", "-9", "x-9", "5-9/10"] {
            assert_eq!(start(other), None, "{other}");
        }
        assert_eq!(
            (range(0), range(1), range(10)),
            ("0-0".parse().unwrap(), "0-0".parse().unwrap(), "0-9".parse().unwrap())
        );
    }
}
