//! A listener on a loopback port of the system's choice, and one task for each connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A port that nobody serves yet.
pub(crate) struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Must be called inside a tokio runtime.
    pub(crate) fn open() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn serve<S, C>(self, serve: S) -> Server
    where
        S: Fn(TcpStream) -> C + Send + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        Server(tokio::spawn(accept(self.listener, serve)).abort_handle())
    }
}

/// A running server. Dropping it closes its port and every connection.
#[derive(Debug)]
pub(crate) struct Server(AbortHandle);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept<S, C>(listener: TcpListener, serve: S)
where
    S: Fn(TcpStream) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    // Owned by this task: aborting it ends the connections too.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream));
            }
            // Out of file descriptors, say: the queue stays full, and asking again at once would spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Says nothing until the peer gives up.
pub(crate) async fn until_gone(stream: &mut TcpStream) {
    let mut scratch = [0; 4096];
    while stream.read(&mut scratch).await.is_ok_and(|read| read > 0) {}
}

/// Ends the connection with a TCP reset instead of a close.
pub(crate) fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reset_is_a_reset_and_not_a_close() {
        let port = Port::open().unwrap();
        let address = port.address();
        let _server = port.serve(|stream| async { reset(stream) });
        let mut stream = TcpStream::connect(address).await.unwrap();
        let error = stream.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
