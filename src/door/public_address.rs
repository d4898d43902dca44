//! By which address clients know the door.

use std::borrow::Cow;

use super::Client;
use crate::auth::DoorOrigin;

/// By which address clients know the door, and whether the registry hears of it.
#[derive(Debug, Default)]
pub struct PublicAddress {
    /// Scheme and authority by which clients know the door, where that is configured; from each request otherwise.
    pub origin: Option<String>,
    /// Whether the registry sees the authority by which the client knows the door as its `Host`, instead of its own.
    pub keeps_host: bool,
}

impl PublicAddress {
    /// Scheme and authority of the door, as this client knows it; empty when the client named none.
    pub(super) fn origin_for(&self, client: &Client) -> Cow<'_, str> {
        match (&self.origin, &client.host) {
            (Some(origin), _) => Cow::Borrowed(origin),
            (None, Some(host)) => Cow::Owned(format!("{}://{host}", client.scheme)),
            (None, None) => Cow::Borrowed(""),
        }
    }

    /// The same for what is answered to browsers.
    pub(super) fn door_origin(&self, client: &Client) -> DoorOrigin {
        DoorOrigin::of(self.origin.as_deref(), client.scheme.as_str(), client.host.as_deref())
    }

    /// The authority by which clients know the door, where that is configured.
    pub(super) fn authority(&self) -> Option<&str> {
        self.origin.as_deref().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority)
    }

    /// What the registry sees as `Host`, if not its own name.
    pub(super) fn host_for_registry(&self, client: &Client) -> Option<String> {
        if !self.keeps_host {
            return None;
        }
        self.authority().map(str::to_owned).or_else(|| client.host.clone())
    }
}
