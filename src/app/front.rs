//! The address at which health and metrics are served: had before anything runs, moved by a reload.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;
use super::{Core, StartError};
use crate::server;

/// Served when the configuration does not say otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:8380";

/// So many may knock before they are let in. Whoever finds the line full is told nothing, and their system tries again after
/// a second or more. The system cuts it to a limit of its own (`net.core.somaxconn`).
const LINE: u32 = 4096;

/// The server, if there is one.
pub(super) struct Front {
    /// `http.listen`.
    configured: Option<String>,
    serving: Option<Serving>,
}

struct Serving {
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Front {
    /// Listens and serves until `stop`.
    ///
    /// # Errors
    /// [`StartError::Listen`] when a configured address cannot be had.
    pub(super) fn open(
        configured: Option<&str>,
        core: &Core,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Result<Self, StartError> {
        let listener = listen(configured)?;
        let serving = listener.map(|listener| serve(listener, core, tasks, stop));
        Ok(Self { configured: configured.map(str::to_owned), serving })
    }

    /// Moves to another address; stays when that cannot be had.
    ///
    /// # Errors
    /// As [`Front::open`].
    pub(super) async fn move_to(
        &mut self,
        configured: Option<&str>,
        core: &Core,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Result<(), StartError> {
        let (old, new) = (address(self.configured.as_deref()), address(configured));
        if old == new && self.serving.is_some() == new.is_some() {
            self.configured = configured.map(str::to_owned);
            return Ok(());
        }
        // 127.0.0.1:8380 must be given up before 0.0.0.0:8380 can be had.
        let in_the_way = old.and_then(port).is_some_and(|old| new.and_then(port) == Some(old));
        if in_the_way {
            self.close().await;
        }
        match Self::open(configured, core, tasks, stop) {
            Ok(mut front) => {
                std::mem::swap(self, &mut front);
                front.close().await;
                Ok(())
            }
            Err(error) => {
                if in_the_way {
                    match Self::open(self.configured.as_deref(), core, tasks, stop) {
                        Ok(front) => *self = front,
                        Err(error) => tracing::error!(%error, "health and metrics are not served any more"),
                    }
                }
                Err(error)
            }
        }
    }

    /// Ends the server, and returns when its port is free.
    async fn close(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop.cancel();
            serving.ended.cancelled().await;
        }
    }
}

fn serve(listener: TcpListener, core: &Core, tasks: &mut Tasks, stop: &CancellationToken) -> Serving {
    let context = server::Context {
        health: core.health.clone(),
        metrics: core.metrics.clone(),
        store: core.store.clone(),
        desk: core.desk(),
        callbacks: core.callbacks.clone(),
        sites: core.sites.clone(),
        forward: core.forward.clone(),
        clock: core.clock.clone(),
    };
    let (stop, ended) = (stop.child_token(), CancellationToken::new());
    let end = ended.clone().drop_guard();
    let work = server::serve(listener, context, server::Limits::default(), stop.clone());
    tasks.add("the HTTP server", async {
        work.await;
        drop(end);
    });
    Serving { stop, ended }
}

/// Where to listen; `None` for `off`.
fn address(configured: Option<&str>) -> Option<&str> {
    Some(configured.unwrap_or(DEFAULT_LISTEN)).filter(|address| *address != "off")
}

fn port(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(_, port)| port)
}

fn bind(address: &str) -> io::Result<TcpListener> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The address is free at once after a restart, as with `TcpListener::bind`, whose line is 128 long.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LINE)
}

fn listen(configured: Option<&str>) -> Result<Option<TcpListener>, StartError> {
    let Some(wanted) = address(configured) else { return Ok(None) };
    match (bind(wanted), configured) {
        (Ok(listener), _) => {
            tracing::info!(address = wanted, "health and metrics are served");
            Ok(Some(listener))
        }
        (Err(cause), Some(address)) => Err(StartError::Listen { address: address.to_owned(), cause }),
        (Err(cause), None) => {
            // Nobody asked for this address; telling people of their calls matters more than being watched.
            tracing::warn!(
                address = wanted, %cause,
                "health and metrics are not served; set `http.listen` to a free address, or to `off`"
            );
            Ok(None)
        }
    }
}
