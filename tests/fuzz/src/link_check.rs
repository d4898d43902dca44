//! The promise of the door's `Link`s.

use super::link_header::LinkRewriter;

/// Rewrites a value as for a page of the catalog, and checks whatever must hold for any.
///
/// # Panics
/// When that does not hold.
pub fn assert_leads_back_once(value: &str) {
    let links = LinkRewriter {
        list: Some("/v2/_catalog"),
        door: "https://door.example",
        is_own: |reference: &super::uri_reference::UriReference<'_>| {
            reference.is_at("http", "registry.internal:5001")
        },
    };
    let Some(rewritten) = links.rewritten(value) else { return };
    assert_eq!(links.rewritten(&rewritten), None, "{value}");
}
