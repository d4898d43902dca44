//! One request with its response, as the plugins see it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use http::StatusCode;
use pingora_http::RequestHeader;

use super::RequestId;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::oci::Route;
use crate::oci::route::UploadAction;
use crate::registry::{Awaited, RequestCredentials};
use crate::telemetry::AccessNote;

/// One request with its response. Made once the request line is read.
pub struct Exchange {
    /// By which log, answer and registry name it.
    pub request_id: RequestId,
    /// When the request line was read.
    pub started: Instant,
    /// The request as the client sent it.
    pub request: RequestHeader,
    /// What it asks for.
    pub target: Target,
    /// Who asks.
    pub client: Client,
    /// The authority of the backend that was chosen last, if it came to that.
    pub backend: Option<String>,
    /// How the request is forwarded to the registry, where that is not as it came.
    pub forwarding: Forwarding,
    /// For a request to something of the door's own: which user asks, and what they may see.
    pub viewer: Viewer,
    /// Which part of the catalog the client may see, if it asks for that.
    pub catalog: CatalogScope,
    /// What the answer adds to the access log, if it is one of the door's own that does.
    pub note: Option<Box<AccessNote>>,
}

impl fmt::Debug for Exchange {
    /// Without headers, which carry credentials.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, client, backend, .. } = self;
        formatter
            .debug_struct("Exchange")
            .field("target", target)
            .field("client", client)
            .field("backend", backend)
            .finish_non_exhaustive()
    }
}

/// Which part of the catalog a client may see.
#[derive(Clone, Default)]
pub enum CatalogScope {
    /// All of it.
    #[default]
    Whole,
    /// What this caller may pull. Only the door can tell, from its record: such a request never reaches the registry.
    Visible(Viewer),
}

/// How a request is forwarded to the registry.
#[derive(Debug, Default)]
pub struct Forwarding {
    /// Another path and query.
    pub path_and_query: Option<String>,
    /// Another `Authorization`.
    pub authorization: ForwardedAuthorization,
    /// Another `Host` than the backend's own.
    pub host: Option<String>,
    /// Whether it was: then the answer is the registry's.
    pub is_forwarded: bool,
    /// When the upload that this request is part of was opened, if that is sure.
    pub upload_opened: Option<Timestamp>,
    /// The name by which the answer's `Location` lets the client continue an upload session at this door.
    pub upload: Option<String>,
}

/// With which `Authorization` a request is forwarded.
#[derive(Debug, Default)]
pub enum ForwardedAuthorization {
    /// The client's.
    #[default]
    OfTheClient,
    /// The door's own, or none.
    OfTheDoor(RequestCredentials),
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Something of the registry's.
    Registry(Route),
    /// Something of the door's own: a page, the API.
    Own,
    /// Nothing that can be read in exactly one way. Plugins see such an exchange only at its end.
    Unreadable,
}

impl Target {
    /// What stands in logs and metrics for [`Target::Own`] in the place of a route's name.
    pub(super) const OWN_NAME: &str = "own";
    /// The same for [`Target::Unreadable`].
    pub(super) const UNREADABLE_NAME: &str = "unreadable";
}

/// Who made an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerOrigin {
    /// The door itself, also where the registry gave none that could be passed on.
    #[default]
    Door,
    /// The door, from its record of what the registry holds.
    Record,
    /// The registry.
    Registry,
}

impl AnswerOrigin {
    /// As it stands in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Record => "record",
            Self::Registry => "registry",
        }
    }
}

/// Who asks, and how they reached the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub address: IpAddr,
    /// How the client itself speaks to the outermost proxy, or to the door.
    pub scheme: Scheme,
    /// The authority that the client asked for.
    pub host: Option<String>,
    /// Whether the peer is a proxy whose forwarding headers are believed.
    pub is_trusted_proxy: bool,
    /// The name that authentication has found.
    pub user: Option<String>,
    /// The name of the token that let them in, if one did.
    pub token: Option<String>,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How an exchange ended.
#[derive(Debug)]
pub struct ExchangeOutcome {
    /// The status that the client was sent; none when it was gone before.
    pub status: Option<StatusCode>,
    /// Body bytes from the client.
    pub received: u64,
    /// Body bytes to the client.
    pub sent: u64,
    /// From the request line to the end.
    pub duration: Duration,
    /// For the log: why it was refused or failed. Never sent to the client.
    pub cause: Option<String>,
}

impl Client {
    /// A client as its connection shows it.
    pub(super) fn of_connection(peer: Option<IpAddr>, is_tls: bool, host: Option<String>) -> Self {
        // Every listener is a TCP socket, so that there always is a peer.
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let scheme = if is_tls { Scheme::Https } else { Scheme::Http };
        // A dual-stack socket shows IPv4 clients as mapped addresses.
        let peer = peer.to_canonical();
        Self { peer, address: peer, scheme, host, is_trusted_proxy: false, user: None, token: None }
    }
}

impl Exchange {
    /// The route, if the request is one to the registry.
    pub fn route(&self) -> Option<&Route> {
        match &self.target {
            Target::Registry(route) => Some(route),
            Target::Own | Target::Unreadable => None,
        }
    }

    /// A short constant name of what is asked for, for logs and metrics.
    pub fn route_name(&self) -> &'static str {
        match &self.target {
            Target::Registry(route) => route.name(),
            Target::Own => Target::OWN_NAME,
            Target::Unreadable => Target::UNREADABLE_NAME,
        }
    }

    /// What the registry has to do: a commit is what makes a blob, at the end of an upload, in one request or by a mount (OCI
    /// distribution spec, "Pushing blobs", "Mounting a blob from another repository").
    pub(super) fn awaited(&self) -> Awaited {
        let is_commit = match self.route() {
            Some(Route::Upload { action, .. }) => *action == UploadAction::Finish,
            Some(Route::UploadStart { mount, .. }) => {
                let query = self.request.uri.query().unwrap_or_default();
                mount.is_some() || query.split('&').any(|pair| pair.starts_with("digest="))
            }
            _ => false,
        };
        if is_commit { Awaited::Commit } else { Awaited::Answer }
    }

    /// A header's value, if it is there and readable as text.
    pub fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.request.headers.get(name)?.to_str().ok()
    }

    /// Path and query as they are forwarded to the registry.
    pub fn forwarded_path_and_query(&self) -> &str {
        match &self.forwarding.path_and_query {
            Some(path_and_query) => path_and_query,
            None => self.request.uri.path_and_query().map_or("", |path| path.as_str()),
        }
    }

    /// The request's path without its query: queries may carry what does not belong in a log.
    pub fn path(&self) -> &str {
        self.request.uri.path()
    }
}
