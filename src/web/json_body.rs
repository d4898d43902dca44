//! Bodies of requests that are JSON.

use axum::extract::Request;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::body;
use super::error::ApiError;

/// Reads a body in JSON. What is wrong with it is told by its place and not repeated: it may be a secret.
///
/// # Errors
/// When it does not come, or is something else; then with the remedy.
pub(super) async fn read<T: DeserializeOwned>(
    request: Request,
    limit: usize,
    remedy: &'static str,
) -> Result<T, ApiError> {
    let body = body::read(request, limit).await?;
    serde_json::from_slice(&body).map_err(|error| {
        let what = match error.classify() {
            Category::Data => "it is JSON of another form",
            Category::Io | Category::Syntax | Category::Eof => "it is no JSON",
        };
        let source = format!("{what}, at line {} column {}", error.line(), error.column());
        ApiError::InvalidBody { source: source.into(), remedy }
    })
}
