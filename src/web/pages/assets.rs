//! What pages are made of beside their HTML: one style sheet, one script, one sprite of icons and the favicon. They are part of
//! the binary; their names have a digest of what is in them, so that browsers never ask for them twice.

use std::sync::OnceLock;

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::error::PageError;

/// The path below which they are.
pub(super) const FOLDER: &str = "/ui/assets/";

/// For as long as browsers keep anything: another content has another name.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub(super) static STYLE: Asset =
    Asset::new("portreeve", "css", "text/css; charset=utf-8", include_bytes!("assets/portreeve.css"));
pub(super) static SCRIPT: Asset =
    Asset::new("portreeve", "js", "text/javascript; charset=utf-8", include_bytes!("assets/portreeve.js"));
pub(super) static SPRITE: Asset =
    Asset::new("icons", "svg", "image/svg+xml", include_bytes!("assets/icons.svg"));
pub(super) static FAVICON: Asset =
    Asset::new("favicon", "svg", "image/svg+xml", include_bytes!("assets/favicon.svg"));

/// All of them.
pub(in crate::web) fn all() -> [&'static Asset; 4] {
    [&STYLE, &SCRIPT, &SPRITE, &FAVICON]
}

/// A file.
pub(in crate::web) struct Asset {
    name: &'static str,
    extension: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    path: OnceLock<String>,
}

impl Asset {
    const fn new(
        name: &'static str,
        extension: &'static str,
        media_type: &'static str,
        content: &'static [u8],
    ) -> Self {
        Self { name, extension, media_type, content, path: OnceLock::new() }
    }

    /// Where it is.
    pub(in crate::web) fn path(&self) -> &str {
        self.path.get_or_init(|| {
            let digest = hex::encode(&Sha256::digest(self.content)[..8]);
            format!("{FOLDER}{}-{digest}.{}", self.name, self.extension)
        })
    }
}

/// `GET /ui/assets/{file}`
pub(super) async fn show(Path(file): Path<String>) -> Response {
    let Some(asset) = all().into_iter().find(|asset| asset.path().strip_prefix(FOLDER) == Some(&*file))
    else {
        return PageError::not_found().into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
        (header::CACHE_CONTROL, FOR_EVER),
    ];
    (headers, asset.content).into_response()
}
