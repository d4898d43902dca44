//! `Location` always leads back to the door: pure.

use http::StatusCode;

/// The `Location` that the client is to see, if it differs from the registry's.
///
/// An answer that names something the client made (2xx) is always about a path of this door. A redirect may lead to
/// object storage and is left alone, unless it names one of the registry's own addresses. `door` is scheme and
/// authority as the client knows them; `backends` are the authorities of the registry.
pub(super) fn rewritten<'a>(
    status: StatusCode,
    location: &str,
    door: &str,
    mut backends: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let (_, after_scheme) = location.split_once("://")?;
    let end = after_scheme.find(['/', '?']).unwrap_or(after_scheme.len());
    let (authority, path) = after_scheme.split_at(end);
    let leads_here = if status.is_success() {
        path.starts_with("/v2/")
    } else {
        backends.any(|backend| backend.eq_ignore_ascii_case(authority))
    };
    leads_here.then(|| format!("{door}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKENDS: [&str; 2] = ["127.0.0.1:5001", "registry.internal"];

    fn rewrite(status: u16, location: &str) -> Option<String> {
        let status = StatusCode::from_u16(status).unwrap();
        rewritten(status, location, "https://door.example", BACKENDS.into_iter())
    }

    #[test]
    fn what_a_client_made_is_at_the_door_whatever_the_registry_calls_itself() {
        for authority in ["127.0.0.1:5001", "elsewhere:80", "door.example"] {
            let location = format!("http://{authority}/v2/a/blobs/uploads/1?_state=x%3D");
            assert_eq!(
                rewrite(202, &location).as_deref(),
                Some("https://door.example/v2/a/blobs/uploads/1?_state=x%3D")
            );
        }
    }

    #[test]
    fn a_path_stays_a_path() {
        assert_eq!(rewrite(202, "/v2/a/blobs/uploads/1"), None);
        assert_eq!(rewrite(307, "/v2/a"), None);
    }

    #[test]
    fn a_redirect_to_object_storage_is_left_alone_and_one_to_the_registry_itself_is_not() {
        assert_eq!(rewrite(307, "https://bucket.storage/v2/x?signature=1"), None);
        assert_eq!(rewrite(307, "http://127.0.0.1:5001/v2/x").as_deref(), Some("https://door.example/v2/x"));
        assert_eq!(rewrite(307, "http://REGISTRY.internal/x").as_deref(), Some("https://door.example/x"));
    }
}
