//! `GET /api/v1/backup`, through the socket alone: the whole record as it was at one moment, with the keys beside it, in the form of
//! an export. Its file belongs to this process, so that nobody else can read it while the door runs. An answer that is not whole lacks
//! its last line.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;

use super::error::ApiError;
use super::record_stream;
use super::state::WebState;
use crate::store::export_record;

/// Where it is asked for.
pub const BACKUP_PATH: &str = "/api/v1/backup";
/// In which header stands about how many rows come.
pub const EXPECTED_ROWS: &str = "portreeve-rows";

/// Answers the record.
pub(super) async fn make(State(state): State<WebState>) -> Result<Response, ApiError> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut response = record_stream::answer(state, move |state, record| {
        // Nobody is there any more who could be told.
        let _ = tell.send(record.expected_rows()?);
        // Those that were made since the record was as it is read are good for it, too.
        let files =
            state.keys.as_ref().map_or(Ok(Vec::new()), |keys| keys.files()).map_err(ApiError::Keys)?;
        Ok(Box::new(move |mut record, pieces| {
            let copied = export_record(&mut record, &files, pieces, &mut |_, _| {})?;
            tracing::info!(rows = copied.rows, "a backup was read");
            Ok(())
        }))
    })
    .await?;
    if let Ok(expected) = told.await {
        response.headers_mut().insert(EXPECTED_ROWS, HeaderValue::from(expected));
    }
    Ok(response)
}
