//! The Unix socket by which commands reach a running door: the API, for the user alone who runs the door.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio_util::sync::CancellationToken;

use super::limited_listener::LimitedListener;
use super::start_error::StartError;
use crate::config::Config;
use crate::files::give_to_owner_of_directory;
use crate::web::CommandPeer;

/// How many connections it has.
pub(super) const SOCKET_CONNECTIONS: usize = 16;

/// Its name before it is moved to its place.
const DRAFT: &str = "s";

/// A bound socket. Its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

/// Where the socket is: as configured, else beside the store.
pub(super) fn path(config: &Config) -> PathBuf {
    config.server.socket.clone().unwrap_or_else(|| config.store.url.beside("socket"))
}

impl Socket {
    /// Binds the configured socket, for a process that has the store open.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub(super) fn configured(config: &Config) -> Result<Self, StartError> {
        let path = path(config);
        Self::bind(path.clone()).map_err(|source| StartError::Socket { path, source })
    }

    /// Binds a socket there. One that a killed door left is replaced: the caller has the store open, so that no other
    /// process binds the same socket meanwhile.
    fn bind(path: PathBuf) -> io::Result<Self> {
        check_place(&path)?;
        if is_answered(&path) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another door listens there"));
        }
        // Bound where no other user can reach it, and moved to its place when its permissions are right.
        let private = private_directory(&path);
        let listener = bind_in(&private, &path);
        let removed = std::fs::remove_dir_all(&private);
        let listener = listener?;
        removed?;
        listener.set_nonblocking(true)?;
        Ok(Self { path, listener })
    }

    /// Answers by this router until told to stop. Needs a runtime.
    pub(super) fn serve(
        self,
        router: axum::Router,
        stop: CancellationToken,
    ) -> io::Result<impl Future<Output = ()>> {
        let listener = tokio::net::UnixListener::from_std(self.listener.try_clone()?)?;
        let listener = LimitedListener::new(CommandListener(listener), "socket", SOCKET_CONNECTIONS, None);
        Ok(async move {
            let service = router.into_make_service_with_connect_info::<CommandPeer>();
            let served = axum::serve(listener, service).into_future();
            if let Some(Err(error)) = stop.run_until_cancelled(served).await {
                tracing::error!(%error, socket = %self.path.display(), "the socket for commands failed");
            }
        })
    }
}

/// Tells of each connection whose it is.
struct CommandListener(tokio::net::UnixListener);

impl Listener for CommandListener {
    type Io = tokio::net::UnixStream;
    type Addr = CommandPeer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, _unnamed) = Listener::accept(&mut self.0).await;
        let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
        (stream, CommandPeer { uid })
    }

    /// A listener has no other end.
    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(CommandPeer { uid: None })
    }
}

impl Connected<IncomingStream<'_, LimitedListener<CommandListener>>> for CommandPeer {
    fn connect_info(stream: IncomingStream<'_, LimitedListener<CommandListener>>) -> Self {
        *stream.remote_addr()
    }
}

/// Whether a door answers at this socket.
pub(super) fn is_answered(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

/// Whether the configured socket can be bound, as far as that shows without doing it.
///
/// # Errors
/// When it cannot be bound.
pub(super) fn check(config: &Config) -> Result<(), StartError> {
    let path = path(config);
    match check_place(&path) {
        // The directory is the store's, which has a sentence of its own for it.
        Err(error) if config.server.socket.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(()),
        checked => checked.map_err(|source| StartError::Socket { path, source }),
    }
}

fn check_place(path: &Path) -> io::Result<()> {
    SocketAddr::from_pathname(private_directory(path).join(DRAFT))?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else has that name"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
            std::fs::metadata(directory.unwrap_or(Path::new("."))).map(|_| ())
        }
        Err(error) => Err(error),
    }
}

/// Where the socket is bound before it is moved to its place.
fn private_directory(path: &Path) -> PathBuf {
    path.with_added_extension("d")
}

fn bind_in(private: &Path, path: &Path) -> io::Result<UnixListener> {
    match DirBuilder::new().mode(0o700).create(private) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A door was killed here.
            std::fs::remove_dir_all(private)?;
            DirBuilder::new().mode(0o700).create(private)?;
        }
        created => created?,
    }
    let draft = private.join(DRAFT);
    let listener = UnixListener::bind(&draft)?;
    std::fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
    // The directory in between belongs to whom the socket's own directory belongs, by the same rule.
    give_to_owner_of_directory(private)?;
    give_to_owner_of_directory(&draft)?;
    std::fs::rename(&draft, path)?;
    Ok(listener)
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, socket = %self.path.display(), "the socket for commands cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_for_its_owner_alone_and_goes_with_its_door() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = Socket::bind(path.clone()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        UnixStream::connect(&path).unwrap();
        let error = Socket::bind(path.clone()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_door_left_is_replaced_and_anything_else_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        std::fs::create_dir(directory.path().join("socket.d")).unwrap();
        Socket::bind(path.clone()).unwrap();
        std::fs::write(&path, "a file").unwrap();
        assert_eq!(Socket::bind(path.clone()).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
    }
}
