//! Where a request is forwarded to, where that is not as it came.

use std::sync::Arc;

use crate::registry::Backend;

/// Where the request of an upload, or of a pull that was redirected, is forwarded to.
#[derive(Debug)]
pub(super) struct ForwardTarget {
    /// The backend that has the upload, if that is known.
    pub backend: Option<Arc<Backend>>,
    /// What the backend is asked for.
    pub path_and_query: String,
}
