//! The control socket: the API for whoever runs ringback on this machine, and for nobody else.
//!
//! It lies in the store's folder, since it belongs to whoever holds the store's lock: a socket that is found there at the
//! start is that of a process that is gone.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::serve::Listener;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// A bound socket. Its file goes when the serving ends.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

/// Where the socket of a store is.
pub fn path(store: &Path) -> PathBuf {
    store.join("control.sock")
}

/// Binds the socket of a store that this process has locked. Without one ringback does its work all the same: it is
/// said, and `None`.
pub fn listen(store: &Path) -> Option<Control> {
    let path = path(store);
    match bind(&path) {
        Ok((listener, owner)) => Some(Control { listener, path, owner }),
        Err(error) => {
            let hint =
                if error.kind() == io::ErrorKind::InvalidInput { "; a shorter `store.path` would help" } else { "" };
            tracing::warn!(
                socket = %path.display(), %error,
                "no control socket: `deliveries` and `events` work only while ringback is stopped{hint}"
            );
            None
        }
    }
}

fn bind(path: &Path) -> io::Result<(UnixListener, u32)> {
    match std::fs::symlink_metadata(path) {
        // Left by a process that was killed: whoever has the store's lock is alone.
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else is there")),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok((listener, std::fs::metadata(path)?.uid()))
}

impl Control {
    /// Serves `router` until `stop`.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let Self { listener, path, owner } = self;
        super::serve_until(Private { listener, owner }, router, super::STOP_PATIENCE, stop).await;
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(socket = %path.display(), %error, "the control socket was gone already");
        }
    }
}

/// Takes in only whom the socket belongs to, and root, whatever the modes of the file and its folder have become.
struct Private {
    listener: UnixListener,
    owner: u32,
}

impl Listener for Private {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.owner || peer.uid() == 0 => return (stream, address),
                Ok(peer) => tracing::warn!(uid = peer.uid(), "another user knocked at the control socket"),
                Err(error) => tracing::debug!(%error, "whoever knocked at the control socket cannot be known"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
