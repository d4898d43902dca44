//! Who gives a command by the socket: what the system says of the other end of the connection.

use axum::Extension;
use axum::extract::ConnectInfo;

use crate::auth::LocalUser;

/// The other end of a connection to the socket for commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandPeer {
    /// Its user, if the system told.
    pub uid: Option<u32>,
}

/// As a handler gets it: nothing for a request that did not come by the socket.
pub(super) type MaybePeer = Option<Extension<ConnectInfo<CommandPeer>>>;

/// Who it is.
pub(super) async fn local_user(peer: MaybePeer) -> Option<LocalUser> {
    let Extension(ConnectInfo(CommandPeer { uid })) = peer?;
    let uid = uid?;
    // Names are read from a file. Without them the number is enough.
    tokio::task::spawn_blocking(move || LocalUser::of_uid(uid)).await.ok()
}
