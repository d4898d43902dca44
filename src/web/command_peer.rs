//! Who gives a command by the socket: what the system says of the other end of the connection.

use axum::Extension;
use axum::extract::ConnectInfo;

use crate::auth::{LocalUser, Viewer};

/// The other end of a connection to the socket for commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandPeer {
    /// Its user, if the system told.
    pub uid: Option<u32>,
}

/// As a handler gets it: nothing for a request that did not come by the socket.
pub(super) type MaybePeer = Option<Extension<ConnectInfo<CommandPeer>>>;

/// By what name the history and the log know who asks: the gate's, or that of the user of the system at the socket.
pub(super) async fn name_of(viewer: &Viewer, peer: MaybePeer) -> Option<String> {
    match viewer.name() {
        Some(name) => Some(name.to_owned()),
        None => local_user(peer).await.map(|user| user.to_string()),
    }
}

/// Who it is.
pub(super) async fn local_user(peer: MaybePeer) -> Option<LocalUser> {
    let Extension(ConnectInfo(CommandPeer { uid })) = peer?;
    let uid = uid?;
    // Names are read from a file. Without them the number is enough.
    tokio::task::spawn_blocking(move || LocalUser::of_uid(uid)).await.ok()
}
