//! Bodies of requests that are JSON objects.

use axum::extract::Request;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::body;
use super::error::ApiError;

/// A body that is to be a JSON object and is none, or not of this type.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoObject {
    #[error("it is no JSON object")]
    Other,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Reads a JSON object. A derived type would be read from an array as well, by the order of its fields.
///
/// # Errors
/// For anything else.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, NoObject> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(NoObject::Other);
    }
    Ok(serde_json::from_slice(body)?)
}

/// Reads a body that is an object. What is wrong with it is told by its place and not repeated: it may be a secret.
///
/// # Errors
/// When it does not come, or is something else; then with the remedy.
pub(super) async fn read<T: DeserializeOwned>(
    request: Request,
    limit: usize,
    remedy: &'static str,
) -> Result<T, ApiError> {
    let body = body::read(request, limit).await?;
    object(&body).map_err(|error| {
        let source = match error {
            NoObject::Other => NoObject::Other.into(),
            NoObject::Json(error) => {
                let what = match error.classify() {
                    Category::Data => "it is JSON of another form",
                    Category::Io | Category::Syntax | Category::Eof => "it is no JSON",
                };
                format!("{what}, at line {} column {}", error.line(), error.column()).into()
            }
        };
        ApiError::InvalidBody { source, remedy }
    })
}
