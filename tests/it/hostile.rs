//! Requests that mean no good, over real sockets: each is refused, and everybody else is answered meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringback::callback::Callbacks;
use ringback::clock::Clock;
use ringback::ops::{Channels, Desk};
use ringback::server::{self, Limits, Sites};
use ringback::store::Store;
use ringback::store::sled::SledStore;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{MORNING, Office, free_port, in_time};

/// A server without a configuration yet.
struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let (clock, folder) = (Clock::manual(MORNING.parse().unwrap()), TempDir::new().unwrap());
        let store: Arc<dyn Store> = Arc::new(SledStore::open(folder.path(), clock.moment()).unwrap());
        let context = server::Context {
            health: Arc::default(),
            metrics: Arc::default(),
            desk: Desk { store: Arc::clone(&store), channels: Channels::default(), clock: clock.clone() },
            callbacks: Callbacks::new(Arc::clone(&store), clock.clone()),
            store,
            sites: Sites::default(),
            forward: server::Forward::default(),
            clock,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let task = tokio::spawn(server::serve(listener, context, limits, stop.clone()));
        Self { address, stop, task, _folder: folder }
    }

    async fn connect(&self) -> TcpStream {
        in_time(TcpStream::connect(self.address)).await.unwrap()
    }

    /// What comes back for these bytes until the server closes, which a broken connection does too.
    async fn answer(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // A server that has heard enough may close before it has read all of it.
        let _ = in_time(stream.write_all(bytes)).await;
        rest(stream).await
    }

    async fn assert_well(&self) {
        let answer = self.answer(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }

    async fn stop(self) {
        self.stop.cancel();
        in_time(self.task).await.unwrap();
    }
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or(answer)
}

#[tokio::test]
async fn every_answer_forbids_browsers_whatever_it_does_not_need() {
    let server = Server::start(Limits::default()).await;
    for path in ["/healthz", "/metrics", "/readyz", "/nothing"] {
        let answer = server.answer(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await;
        for header in [
            "content-security-policy: default-src 'none'\r\n",
            "x-content-type-options: nosniff\r\n",
            "referrer-policy: no-referrer\r\n",
            "x-frame-options: DENY\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!(answer.contains(header), "{path}: {header} is missing in {answer}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
    let server = Server::start(Limits::default()).await;
    let announced = b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n";
    assert_eq!(status(&server.answer(announced).await), "413", "without having read any of it");
    let sent =
        [&b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n"[..], &vec![b'x'; 70_000]].concat();
    assert_eq!(status(&server.answer(&sent).await), "413");
    let chunk = [&b"8000\r\n"[..], &vec![b'x'; 0x8000], b"\r\n"].concat();
    let chunked = b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = [&chunked[..], &chunk, &chunk, &chunk, b"0\r\n\r\n"].concat();
    assert_eq!(status(&server.answer(&chunked).await), "413");
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn who_takes_too_long_to_ask_is_not_waited_for() {
    let limits = Limits { head: Duration::from_millis(100), request: Duration::from_millis(100), ..Limits::default() };
    let server = Server::start(limits).await;
    assert_eq!(server.answer(b"").await, "", "says nothing");
    assert_eq!(server.answer(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow:").await, "", "never ends its head");
    let body = server.answer(b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    assert_eq!(status(&body), "408", "never ends its body");
    let idle = server.answer(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(idle.ends_with("ok\n"), "keeps the connection and does not ask again: {idle}");
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_request_for_anything_here_is_refused() {
    let server = Server::start(Limits::default()).await;
    let close = "Host: x\r\nConnection: close\r\n\r\n";
    let flood = "X-Flood: y\r\n".repeat(100);
    for (request, expected) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1 and more\r\n\r\n".to_owned(), "400"),
        (format!("GET /healthz HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n{close}"), "400"),
        (format!("GET /../../etc/passwd HTTP/1.1\r\n{close}"), "404"),
        (format!("GET /healthz/..%2f..%2fetc/passwd HTTP/1.1\r\n{close}"), "404"),
        (format!("GET /%2e%2e/%00 HTTP/1.1\r\n{close}"), "404"),
        (format!("GET http://elsewhere.example/x HTTP/1.1\r\n{close}"), "404"),
        (format!("CONNECT elsewhere.example:443 HTTP/1.1\r\n{close}"), "404"),
        (format!("POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n{close}"), "405"),
        (format!("DELETE /metrics HTTP/1.1\r\n{close}"), "405"),
        (format!("BREW /metrics HTTP/1.1\r\n{close}"), "405"),
        (format!("GET /healthz HTTP/1.1\r\n{flood}{close}"), "431"),
        (format!("GET /healthz HTTP/1.1\r\nX: {}\r\n{close}", "y".repeat(20_000)), "431"),
        (format!("GET /{} HTTP/1.1\r\n{close}", "y".repeat(20_000)), "431"),
    ] {
        let answer = server.answer(request.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{}", request.chars().take(80).collect::<String>());
    }
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn two_thousand_connections_that_say_nothing_keep_nobody_out() {
    let server = Server::start(Limits::default()).await;
    let mut held = Vec::new();
    for n in 0..2000 {
        let mut stream = server.connect().await;
        if n % 2 == 0 {
            // Given up by the server meanwhile, perhaps.
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n").await;
        }
        held.push(stream);
        if n % 500 == 499 {
            server.assert_well().await;
        }
    }
    server.assert_well().await;
    // The first of them have made room for the last.
    assert_eq!(rest(held.swap_remove(0)).await, "");
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_never_end_keep_nobody_out() {
    let server = Server::start(Limits { connections: 8, ..Limits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut stream = server.connect().await;
        stream.write_all(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n").await.unwrap();
        held.push(stream);
    }
    server.assert_well().await;
    server.stop().await;
}

#[tokio::test]
async fn a_proxy_may_hand_the_path_of_the_public_url_on_or_keep_it() {
    let mut office = Office::new();
    let port = free_port();
    office.listen = format!("127.0.0.1:{port}");
    ", public_url: 'https://calls.example.com/ringback/'".clone_into(&mut office.http);
    let running = office.run().await;
    for path in ["/healthz", "/ringback/healthz"] {
        let mut stream = in_time(TcpStream::connect(("127.0.0.1", port))).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        assert!(rest(stream).await.ends_with("ok\n"), "{path}");
    }
    running.stop().await;
}
