//! As much of HTTP/1.1 as a misbehaving server needs: whole answers, and halves, drips, resets and silence.
//!
//! A proper HTTP library takes care that none of that can happen; here it must.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::server::{reset, until_gone};

const MAX_HEAD: usize = 64 * 1024;
const MAX_BODY: usize = 64 * 1024 * 1024;

pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query as they were sent.
    pub(crate) target: String,
    /// In the order of arrival, values trimmed.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    last: bool,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&*self.target, |(path, _)| path)
    }

    pub(crate) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Without Content-Length, which is always right.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("Content-Type".into(), content_type.into())], body: body.into() }
    }

    pub(crate) fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The bytes on the wire and where the body begins among them. `head_only` answers a HEAD request.
    fn encode(&self, head_only: bool, last: bool) -> (BytesMut, usize) {
        let reason = reqwest::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or("Unknown"));
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        head.push_str(if last { "Connection: close\r\n\r\n" } else { "\r\n" });
        let body_at = head.len();
        let mut wire = BytesMut::from(head.as_bytes());
        if !head_only {
            wire.extend_from_slice(&self.body);
        }
        (wire, body_at)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    Answer(Answer),
    /// The head with the true length, half of the body, then the end of the connection.
    Cut(Answer),
    /// The whole answer, so many bytes at a time.
    Drip {
        answer: Answer,
        bytes: usize,
        every: Duration,
    },
    /// These bytes, HTTP or not, then the end of the connection.
    Raw(Bytes),
    Hang,
    Reset,
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// Real time before anything is done.
    pub(crate) wait: Duration,
    pub(crate) act: Act,
}

impl Reply {
    /// The status that the client will see; 0 when it will see none.
    pub(crate) fn status(&self) -> u16 {
        match &self.act {
            Act::Answer(answer) | Act::Cut(answer) | Act::Drip { answer, .. } => answer.status,
            Act::Raw(_) | Act::Hang | Act::Reset => 0,
        }
    }
}

/// Serves one connection until the client leaves, asks for something that is not HTTP, or an act ends it.
pub(crate) async fn serve(mut stream: TcpStream, handle: impl Fn(Request) -> Reply) {
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    while let Ok(Some(request)) = read_request(&mut stream, &mut buffer).await {
        let (head_only, last) = (request.method == "HEAD", request.last);
        let reply = handle(request);
        if !reply.wait.is_zero() {
            tokio::time::sleep(reply.wait).await;
        }
        let done = match reply.act {
            Act::Answer(answer) => stream.write_all(&answer.encode(head_only, last).0).await.is_err() || last,
            Act::Cut(answer) => {
                let (wire, body_at) = answer.encode(head_only, last);
                let _ = stream.write_all(&wire[..body_at + (wire.len() - body_at) / 2]).await;
                true
            }
            Act::Drip { answer, bytes, every } => {
                drip(&mut stream, &answer.encode(head_only, last).0, bytes, every).await.is_err() || last
            }
            Act::Raw(raw) => {
                let _ = stream.write_all(&raw).await;
                true
            }
            Act::Hang => {
                until_gone(&mut stream).await;
                true
            }
            Act::Reset => return reset(stream),
        };
        if done {
            break;
        }
    }
}

async fn drip(stream: &mut TcpStream, wire: &[u8], bytes: usize, every: Duration) -> io::Result<()> {
    for piece in wire.chunks(bytes.max(1)) {
        stream.write_all(piece).await?;
        tokio::time::sleep(every).await;
    }
    Ok(())
}

/// The next request, `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at;
        }
        if buffer.len() > MAX_HEAD {
            return Err(malformed("the head is too long"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.advance(end + 4);
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(malformed("not a request line"));
    };
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(|| malformed("not a header line"))?;
    let last = version == "HTTP/1.0" || header(&headers, "connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    let body = if header(&headers, "transfer-encoding").is_some() {
        read_chunks(stream, buffer).await?
    } else {
        let length = header(&headers, "content-length").map_or(Ok(0), str::parse);
        take(stream, buffer, length.map_err(|_| malformed("not a length"))?).await?
    };
    Ok(Some(Request { method: method.to_owned(), target: target.to_owned(), headers, body, last }))
}

async fn read_chunks(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let end = loop {
            if let Some(at) = find(buffer, b"\r\n") {
                break at;
            }
            fill(stream, buffer).await?;
        };
        let size = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.advance(end + 2);
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| malformed("not a chunk size"))?;
        if body.len() + size > MAX_BODY {
            return Err(malformed("the body is too long"));
        }
        let chunk = take(stream, buffer, size + 2).await?;
        if size == 0 {
            return Ok(body.freeze());
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

async fn take(stream: &mut TcpStream, buffer: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    if length > MAX_BODY {
        return Err(malformed("the body is too long"));
    }
    while buffer.len() < length {
        fill(stream, buffer).await?;
    }
    Ok(buffer.split_to(length).freeze())
}

async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::server::Port;

    /// Sends raw bytes to an echo of method, target and body, and reads until the server closes.
    async fn converse(wire: &[u8]) -> String {
        let port = Port::open().unwrap();
        let address = port.address();
        let _server = port.serve(|stream| {
            serve(stream, |request| {
                let body = String::from_utf8_lossy(&request.body).into_owned();
                let text = format!("{} {} {body}", request.method, request.target);
                Reply { wait: Duration::ZERO, act: Act::Answer(Answer::text(200, text)) }
            })
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(wire).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_chunked_body_is_put_together() {
        let wire = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
            5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
        assert!(converse(wire).await.ends_with("POST /a hello world"));
    }

    #[tokio::test]
    async fn several_requests_share_a_connection() {
        let wire = b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\ncontent-length: 2\r\n\r\nxyGET /3 HTTP/1.0\r\n\r\n";
        let text = converse(wire).await;
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{text}");
        assert!(text.contains("POST /2 xy") && text.ends_with("GET /3 "), "{text}");
    }

    #[tokio::test]
    async fn a_head_request_gets_the_length_without_the_body() {
        let text = converse(b"HEAD /x HTTP/1.1\r\nConnection: close\r\n\r\n").await;
        assert!(text.contains("Content-Length: 8\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn what_is_not_http_is_closed_without_an_answer() {
        assert_eq!(converse(b"hello\r\n\r\n").await, "");
    }
}
