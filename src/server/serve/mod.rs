//! The doorkeeper of the TCP server: who comes in, for how long and with how much, and the headers of every answer.
//!
//! What hyper refuses by itself (400 for what is not HTTP, 431 for a head that is too large) has no body and ends the
//! connection; everything else passes through `Door::answer`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::patient::Patient;
use self::seats::{Held, Seat, Seats};
use super::{STOP_PATIENCE, Sites};

mod patient;
mod seats;

/// What one client may take. Times are real ones, whichever clock the daemon goes by: a network knows no other.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For sending the head of a request, and for being silent between two requests.
    pub head: Duration,
    /// For sending the body, and once more for making the answer's head.
    pub request: Duration,
    /// For taking anything of an answer. An answer as a whole has no limit: sound and live news take their time.
    pub stall: Duration,
    /// Header lines.
    pub headers: usize,
    /// Of the head.
    pub head_bytes: usize,
    /// Of the body.
    pub body_bytes: usize,
    /// Connections at once. When all are taken, the one that has waited longest for its client makes room for the next;
    /// while none waits, the next does.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            request: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            headers: 64,
            head_bytes: 16 * 1024,
            body_bytes: 64 * 1024,
            connections: 512,
        }
    }
}

/// Of a body that is too large so much is read and thrown away, that a client that sends it before it listens hears the
/// refusal instead of a reset.
const THROWN_AWAY: usize = 1 << 20;

/// When the system gives out no connection (no file descriptors, say), asking again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Sent with every answer, unless a handler knows better.
const UNLESS_SET: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Sent with every answer.
const ALWAYS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// What the connections share.
struct Door {
    router: TowerToHyperService<Router>,
    sites: Sites,
    limits: Limits,
    http: http1::Builder,
}

/// Serves `router` until `stop`, and then waits as long as `STOP_PATIENCE` says for answers under way. Handlers find
/// [`ConnectInfo`] of the peer among a request's extensions, and its body complete. A path that begins with that of
/// `http.public_url` is routed by what comes after it.
pub async fn serve(listener: TcpListener, router: Router, sites: Sites, limits: Limits, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(limits.headers)
        .max_header_size(limits.head_bytes);
    let door = Arc::new(Door { router: TowerToHyperService::new(router), sites, limits, http });
    let seats = Seats::new(limits.connections);
    let mut connections = JoinSet::new();
    let welcome = async {
        loop {
            let (stream, peer) = accept(&listener).await;
            let seat = seats.take().await;
            while connections.try_join_next().is_some() {}
            connections.spawn(Arc::clone(&door).attend(stream, peer, seat, stop.clone()));
        }
    };
    let _: Option<()> = stop.run_until_cancelled(welcome).await;
    drop(listener);
    // Those that are not through by then are dropped with the set.
    let _ = tokio::time::timeout(STOP_PATIENCE, async { while connections.join_next().await.is_some() {} }).await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client has gone again already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !told {
                    tracing::warn!(%error, "the HTTP server takes no connections; is the limit of open files too low?");
                }
                told = true;
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Door {
    /// One connection, to its end.
    async fn attend(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, seat: Arc<Seat>, stop: CancellationToken) {
        // Answers are small and whole: waiting for more of them helps nobody.
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| async {
            let answer = self.answer(request, peer, &seat).await;
            Ok::<_, Infallible>(answer)
        });
        let stream = TokioIo::new(Patient::new(stream, self.limits.stall));
        let mut connection = pin!(self.http.serve_connection(stream, service));
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = seat.given_up() => return,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the HTTP server broke off");
        }
    }

    async fn answer(&self, request: hyper::Request<Incoming>, peer: SocketAddr, seat: &Arc<Seat>) -> Response<Held> {
        let (mut head, body) = request.into_parts();
        if let Some(site) = self.sites.current() {
            strip(&mut head.uri, site.prefix());
        }
        head.extensions.insert(ConnectInfo(peer));
        let body = tokio::time::timeout(self.limits.request, self.whole(Body::new(body))).await;
        // From here on it is our turn, and the seat is kept until the answer is out of our hands.
        let busy = seat.busy();
        let answer = match body.unwrap_or(Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"))) {
            Ok(body) => {
                let made = self.router.call(Request::from_parts(head, Body::from(body)));
                match tokio::time::timeout(self.limits.request, made).await {
                    Ok(Ok(answer)) => answer,
                    Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "it took too long\n").into_response(),
                }
            }
            Err(refusal) => {
                // What is left of the body would be taken for the next request.
                ([(header::CONNECTION, "close")], refusal).into_response()
            }
        };
        let (mut head, body) = answer.into_parts();
        for (name, value) in UNLESS_SET {
            head.headers.entry(name).or_insert(value);
        }
        head.headers.extend(ALWAYS);
        if seat.is_wanted() {
            head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Response::from_parts(head, Held::new(body, busy))
    }

    /// The body, read to its end.
    async fn whole(&self, body: Body) -> Result<Bytes, (StatusCode, &'static str)> {
        const TOO_LARGE: (StatusCode, &str) = (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large\n");
        let most = self.limits.body_bytes + THROWN_AWAY;
        if usize::try_from(body.size_hint().lower()).map_or(true, |announced| announced > most) {
            return Err(TOO_LARGE);
        }
        let (mut chunks, mut whole, mut length) = (body.into_data_stream(), BytesMut::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| (StatusCode::BAD_REQUEST, "the body broke off\n"))?;
            length += chunk.len();
            if length <= self.limits.body_bytes {
                whole.extend_from_slice(&chunk);
            } else if length > most {
                break;
            }
        }
        if length > self.limits.body_bytes {
            return Err(TOO_LARGE);
        }
        Ok(whole.freeze())
    }
}

/// Takes `prefix` off the path: a reverse proxy may hand it on or keep it to itself.
fn strip(uri: &mut Uri, prefix: &str) {
    let Some(target) = uri.path_and_query() else { return };
    let Some(rest) = target.as_str().strip_prefix(prefix).filter(|_| !prefix.is_empty()) else { return };
    let rest = match rest.as_bytes().first() {
        Some(b'/') => rest.to_owned(),
        None | Some(b'?') => format!("/{rest}"),
        // Another path, which only begins alike.
        Some(_) => return,
    };
    let mut parts = uri.clone().into_parts();
    // A part of a path that was read is one.
    let Ok(rest) = rest.parse::<PathAndQuery>() else { return };
    parts.path_and_query = Some(rest);
    if let Ok(stripped) = Uri::from_parts(parts) {
        *uri = stripped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_public_url_is_taken_off_where_it_is_a_whole_part_of_the_path() {
        for (target, prefix, routed) in [
            ("/ringback/l/abc?x=1", "/ringback", "/l/abc?x=1"),
            ("/ringback", "/ringback", "/"),
            ("/ringback?x=1", "/ringback", "/?x=1"),
            ("/ringback/", "/ringback", "/"),
            ("/ringbacks/l", "/ringback", "/ringbacks/l"),
            ("/l/abc", "/ringback", "/l/abc"),
            ("/l/ringback", "/ringback", "/l/ringback"),
            ("/a/b/c", "", "/a/b/c"),
            ("http://host/ringback/l", "/ringback", "http://host/l"),
            ("*", "/ringback", "*"),
        ] {
            let mut uri: Uri = target.parse().unwrap();
            strip(&mut uri, prefix);
            assert_eq!(uri.to_string(), routed, "{target}");
        }
    }
}
