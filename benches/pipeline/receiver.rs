//! The receiver of both measurements: reads a request, notes when it came and what it was, says 200. Nothing else, so
//! that the measurement is of the sender.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::{Buf as _, BytesMut};
use ringback::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One delivery.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// When its last byte had come.
    pub(crate) tick: Duration,
    /// `webhook-id`.
    pub(crate) id: String,
    /// That of the call, from the body.
    pub(crate) uuid: String,
}

/// What has come.
pub(crate) struct Receiver {
    clock: Clock,
    noted: Mutex<Noted>,
    came: Notify,
}

#[derive(Default)]
struct Noted {
    arrivals: Vec<Arrival>,
    body: String,
    awaited: usize,
}

impl Receiver {
    /// Listens on a loopback port; its URL comes with it.
    pub(crate) async fn start(clock: Clock) -> Result<(Arc<Self>, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let receiver = Arc::new(Self { clock, noted: Mutex::default(), came: Notify::new() });
        let inner = Arc::clone(&receiver);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = Arc::clone(&inner);
                tokio::spawn(async move {
                    // A sender that goes away in the middle will be missed in the count.
                    let _ = receiver.serve(stream).await;
                });
            }
        });
        Ok((receiver, url))
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every delivery so far, in the order of arrival.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.noted().arrivals.clone()
    }

    /// The body of the first one.
    pub(crate) fn body(&self) -> String {
        self.noted().body.clone()
    }

    /// Returns once so many have come since the start.
    pub(crate) async fn wait_for(&self, n: usize) {
        self.noted().awaited = n;
        while self.noted().arrivals.len() < n {
            self.came.notified().await;
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        loop {
            let head = loop {
                if let Some(end) = find(&buffer, b"\r\n\r\n") {
                    break end + 4;
                }
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            };
            let text = std::str::from_utf8(&buffer[..head])?;
            let length: usize = header(text, "content-length").context("a request without a length")?.parse()?;
            let id = header(text, "webhook-id").unwrap_or_default().to_owned();
            while buffer.len() < head + length {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            self.note(id, &buffer[head..head + length]);
            buffer.advance(head + length);
            stream.write_all(ANSWER).await?;
        }
    }

    fn note(&self, id: String, body: &[u8]) {
        let tick = self.clock.tick();
        let uuid = uuid(body).unwrap_or_default();
        let mut noted = self.noted();
        if noted.body.is_empty() {
            noted.body = String::from_utf8_lossy(body).into_owned();
        }
        noted.arrivals.push(Arrival { tick, id, uuid });
        if noted.arrivals.len() == noted.awaited {
            self.came.notify_one();
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn uuid(body: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\"uuid\":\"";
    let rest = &body[find(body, KEY)? + KEY.len()..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
