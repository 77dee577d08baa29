//! The way to the outbox: through the control socket of the process that has the store, or to the store itself.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Failure;
use crate::clock::Clock;
use crate::config::Config;
use crate::http;
use crate::ops::{Channels, ClosedByHand, Deliveries, Desk, Done, Events, Filter, OpsError, Shown};
use crate::server::api::{Closing, Trouble, Which};
use crate::server::control;
use crate::store::StoreError;
use crate::store::sled::SledStore;

impl From<OpsError> for Failure {
    fn from(error: OpsError) -> Self {
        Self::Run(error.to_string())
    }
}

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of one answer: some hundred thousand deliveries.
const LONGEST_ANSWER: usize = 256 << 20;

/// Who answers.
pub(super) enum Outbox {
    /// A daemon runs.
    Daemon(Socket),
    /// None does; it is this process that has the store.
    Stopped(Desk),
}

/// The control socket of a daemon.
pub(super) struct Socket {
    client: Client,
    path: PathBuf,
}

/// Finds out who has the store.
pub(super) async fn reach(config: &Config) -> Result<Outbox, Failure> {
    let store = &config.store.path;
    let no_socket = match knock(store).await {
        Ok(socket) => return Ok(Outbox::Daemon(socket)),
        Err(error) => error,
    };
    match no_socket.kind() {
        // None is there, or one of a process that was killed, or none can be: the path is too long.
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::InvalidInput => {}
        _ => {
            return Err(Failure::Run(format!(
                "cannot reach the running ringback at {}: {no_socket}\nhint: run this as the user that runs ringback",
                control::path(store).display()
            )));
        }
    }
    refuse_foreign(store)?;
    let clock = Clock::system();
    match SledStore::open(store, clock.moment()) {
        Ok(opened) => {
            let enabled = config.channels.iter().filter(|channel| channel.common.enabled);
            let channels = Channels::default();
            channels.set(enabled.map(|channel| channel.common.name.clone()));
            let desk = Desk { store: Arc::new(opened), channels, clock };
            Ok(Outbox::Stopped(desk))
        }
        // It may have been just starting.
        Err(error @ StoreError::Locked { .. }) => match knock(store).await {
            Ok(socket) => Ok(Outbox::Daemon(socket)),
            Err(no_socket) => Err(Failure::Run(format!(
                "{error}; it has no control socket that could be asked instead ({}: {no_socket})",
                control::path(store).display()
            ))),
        },
        Err(error) => Err(error.into()),
    }
}

/// Whether somebody listens.
async fn knock(store: &Path) -> io::Result<Socket> {
    let path = control::path(store);
    tokio::net::UnixStream::connect(&path).await?;
    let client = http::unix_client(&path).map_err(io::Error::other)?;
    Ok(Socket { client, path })
}

/// A store that is opened by another user than its own would hold files that the daemon cannot write afterwards.
fn refuse_foreign(store: &Path) -> Result<(), Failure> {
    let folder = std::fs::metadata(store).map_err(|error| {
        Failure::Run(format!(
            "there is no store at {}: {error}\n\
             hint: `ringback run` makes it; a relative `store.path` starts where the command is called",
            store.display()
        ))
    })?;
    // The owner of a process's entry is its user; where there is no /proc, the system says what it thinks.
    match std::fs::metadata("/proc/self") {
        Ok(us) if us.uid() != folder.uid() => Err(Failure::Run(format!(
            "the store {} belongs to the user {}, this is the user {}\n\
             hint: run this as that user: sudo -u '#{}' ringback …",
            store.display(),
            folder.uid(),
            us.uid(),
            folder.uid()
        ))),
        _ => Ok(()),
    }
}

impl Outbox {
    /// Whether nobody sends at the moment.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }

    /// See [`Desk::deliveries`].
    pub(super) async fn deliveries(&self, filter: &Filter, reveal: bool) -> Result<Deliveries, Failure> {
        match self {
            Self::Stopped(desk) => Ok(desk.deliveries(filter, reveal).await?),
            Self::Daemon(socket) => {
                let mut query = vec![("reveal", reveal.to_string())];
                query.extend(filter.state.map(|state| ("state", state.to_string())));
                query.extend(filter.channel.iter().map(|channel| ("channel", channel.clone())));
                query.extend(filter.limit.map(|limit| ("limit", limit.to_string())));
                socket.get("deliveries", &query).await
            }
        }
    }

    /// See [`Desk::delivery`].
    pub(super) async fn delivery(&self, id: &str, reveal: bool) -> Result<Shown, Failure> {
        match self {
            Self::Stopped(desk) => Ok(desk.delivery(id, reveal).await?),
            Self::Daemon(socket) => {
                socket.get(&format!("deliveries/{}", segment(id)), &[("reveal", reveal.to_string())]).await
            }
        }
    }

    /// See [`Desk::retry`] and [`Desk::retry_dead`].
    pub(super) async fn retry(&self, which: Which) -> Result<Done, Failure> {
        match self {
            Self::Daemon(socket) => socket.post("deliveries/retry", &which).await,
            Self::Stopped(desk) if which.dead => Ok(desk.retry_dead(which.channel.as_deref()).await?),
            Self::Stopped(desk) => Ok(desk.retry(&which.ids).await?),
        }
    }

    /// See [`Desk::drop`].
    pub(super) async fn drop(&self, which: Which) -> Result<Done, Failure> {
        match self {
            Self::Daemon(socket) => socket.post("deliveries/drop", &which).await,
            Self::Stopped(desk) => Ok(desk.drop(&which.ids).await?),
        }
    }

    /// See [`Desk::events`].
    pub(super) async fn events(&self, open: bool, limit: Option<usize>, reveal: bool) -> Result<Events, Failure> {
        match self {
            Self::Stopped(desk) => Ok(desk.events(open, limit, reveal).await?),
            Self::Daemon(socket) => {
                let mut query = vec![("reveal", reveal.to_string()), ("open", open.to_string())];
                query.extend(limit.map(|limit| ("limit", limit.to_string())));
                socket.get("events", &query).await
            }
        }
    }

    /// See [`Desk::close`].
    pub(super) async fn close(&self, id: &str, note: Option<&str>) -> Result<ClosedByHand, Failure> {
        match self {
            Self::Stopped(desk) => Ok(desk.close(id, note).await?),
            Self::Daemon(socket) => {
                let closing = Closing { note: note.map(str::to_owned) };
                socket.post(&format!("events/{}/close", segment(id)), &closing).await
            }
        }
    }
}

/// An id as one segment of a path: what cannot be one is refused by whoever is asked. `.` and empty would be no segment.
fn segment(id: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    if encoded.is_empty() || encoded.bytes().all(|byte| byte == b'.') {
        "-".to_owned()
    } else {
        encoded.replace('+', "%20")
    }
}

impl Socket {
    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.ask(Method::GET, &format!("{path}?{query}"), Vec::new()).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(body).map_err(|error| Failure::Run(format!("cannot write the order: {error}")))?;
        self.ask(Method::POST, path, body).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<T, Failure> {
        let failed = |what: &dyn std::fmt::Display| {
            Failure::Run(format!("the running ringback does not answer at {}: {what}", self.path.display()))
        };
        let url = format!("http://ringback/api/v1/{path}");
        let request = self.client.request(method, url).header(CONTENT_TYPE, "application/json").body(body);
        let answer = http::exchange(request, LONGEST_ANSWER, PATIENCE).await.map_err(|error| failed(&error))?;
        if answer.cut {
            return Err(failed(&"more than 256 MiB\nhint: ask for fewer, with --limit, --state or --channel"));
        }
        if !answer.status.is_success() {
            let trouble: Trouble = serde_json::from_slice(&answer.body).map_err(|_| failed(&answer.status))?;
            return Err(Failure::Run(trouble.error));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            failed(&format!("{error}\nhint: this ringback and the running one are of different versions"))
        })
    }
}
