use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::outbox::FailureKind;

const KEY: &str = "K12345678-ab+c/d=";
const KEY_ENCODED: &str = "K12345678-ab%2Bc%2Fd%3D";

fn now() -> Timestamp {
    "2026-11-22T05:10:00Z".parse().unwrap()
}

fn head() -> CallQuery {
    CallQuery { from: "2026-11-22T03:07:24.5Z".parse().unwrap(), to: None, missed: Some(true), inbound: true, page: 1 }
}

fn pbx(base: &str, timeout: u64) -> Pbx {
    let http = http::client(1).unwrap();
    Pbx::new(http, base, Secret::new(KEY), Duration::from_millis(timeout), Clock::manual(now())).unwrap()
}

/// What happens to the connection after the request was read.
enum Then {
    Answer(Vec<u8>),
    Reset,
    Silence,
}

/// A server for one request; gives back the request's text.
async fn server(then: Then) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        match then {
            Then::Answer(bytes) => {
                // A client that has read enough hangs up.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Then::Reset => stream.set_zero_linger().unwrap(),
            // Until the client gives up.
            Then::Silence => while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {},
        }
        request
    });
    (base, task)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        request.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            if body.len() >= length.parse().unwrap() {
                return request;
            }
        }
        assert!(read > 0, "the request broke off");
    }
}

fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Then {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Then::Answer(bytes)
}

async fn calls(then: Then) -> Result<Page, PbxError> {
    let (base, _task) = server(then).await;
    pbx(&base, 5000).calls(&head()).await
}

fn query_of(request: &str) -> (String, HashMap<String, String>) {
    let target = request.split(' ').nth(1).unwrap();
    let url = Url::parse("http://x").unwrap().join(target).unwrap();
    (url.path().to_owned(), url.query_pairs().into_owned().collect())
}

#[test]
fn plain_http_is_refused_except_to_this_machine() {
    let make = |base: &str| {
        Pbx::new(http::client(1).unwrap(), base, Secret::new(KEY), Duration::from_secs(1), Clock::manual(now()))
    };
    for base in ["https://api.bulutsantralim.com", "http://localhost:1", "http://127.9.9.9/x/", "http://[::1]:8"] {
        assert!(make(base).is_ok(), "{base}");
    }
    for base in [
        "http://api.bulutsantralim.com",
        "http://localhost.example.com",
        "http://128.0.0.1",
        "http://[::2]",
        "ftp://localhost",
        "api.bulutsantralim.com",
        "",
        "https://u:p@api.bulutsantralim.com",
        "https://a/?key=1",
    ] {
        assert!(make(base).is_err(), "{base}");
    }
    assert!(!format!("{:?}", make("https://a").unwrap()).contains("K1234"));
}

#[tokio::test]
async fn a_page_of_calls_is_asked_for_with_utc_stamps_and_the_largest_limit() {
    let (base, task) = server(answer("200 OK", "", r#"{"cdrs":[]}"#)).await;
    let query = CallQuery { to: Some("2026-11-22T08:10:00+03:00".parse().unwrap()), page: 3, ..head() };
    pbx(&format!("{base}/switch/"), 5000).calls(&query).await.unwrap();
    let request = task.await.unwrap();
    let (path, pairs) = query_of(&request);
    assert_eq!(path, "/switch/cdrs");
    for (name, value) in [
        ("key", KEY),
        ("start_stamp_from", "2026-11-22 03:07:24 UTC"),
        ("start_stamp_to", "2026-11-22 05:10:00 UTC"),
        ("limit", "100"),
        ("page", "3"),
        ("missed", "true"),
        ("direction", "inbound"),
    ] {
        assert_eq!(pairs.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(pairs.len(), 7);
    assert!(request.contains(KEY_ENCODED));
}

#[tokio::test]
async fn a_page_of_voicemails_asks_for_unread_ones() {
    let (base, task) = server(answer("200 OK", "", r#"{"messages":[]}"#)).await;
    let query = VoicemailQuery { from: now(), to: None, unread: true, page: 1 };
    assert_eq!(pbx(&base, 5000).voicemails(&query).await.unwrap().rows, 0);
    let (path, pairs) = query_of(&task.await.unwrap());
    assert_eq!(path, "/voicemail_messages");
    assert_eq!(pairs.get("read").map(String::as_str), Some("false"));
    assert!(!pairs.contains_key("start_stamp_to"));
}

#[tokio::test]
async fn a_url_is_minted_by_a_form_and_the_key_is_in_no_url() {
    let url = "https://api.bulutsantralim.com/recording/R1";
    let (base, task) = server(answer("200 OK", "", format!("{url}\n"))).await;
    assert_eq!(pbx(&base, 5000).recording_url("u/1").await.unwrap().expose(), url);
    let request = task.await.unwrap();
    assert!(request.starts_with("POST /recording_url/ HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with(&format!("\r\n\r\nkey={KEY_ENCODED}&uuid=u%2F1&call_uuid=u%2F1")), "{request}");

    let (base, task) = server(answer("200 OK", "", url)).await;
    assert_eq!(pbx(&base, 5000).voicemail_url("u1").await.unwrap().expose(), url);
    let request = task.await.unwrap();
    assert!(request.starts_with("POST /voicemail_recording_url/ HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("&uuid=u1&call_uuid=u1"), "{request}");
}

#[tokio::test]
async fn one_call_is_asked_for_by_its_escaped_id() {
    let body = json!({"cdr": {"call_uuid": "a/b?c", "missed": "true"}}).to_string();
    let (base, task) = server(answer("200 OK", "", body)).await;
    let call = pbx(&base, 5000).call("a/b?c").await.unwrap().unwrap();
    assert_eq!(call.uuid, "a/b?c");
    assert!(task.await.unwrap().starts_with("GET /cdrs/a%2Fb%3Fc?key="));
}

#[tokio::test]
async fn a_call_that_the_pbx_does_not_know_is_none() {
    for status in ["404 Bad Request", "400 Bad Request"] {
        let (base, _task) = server(answer(status, "", "cannot find call with call_uuid u1")).await;
        assert_eq!(pbx(&base, 5000).call("u1").await.unwrap(), None);
    }
    assert_eq!(pbx("http://127.0.0.1:1", 5000).call("..").await.unwrap(), None);
    let (base, _task) = server(answer("400 Bad Request", "", "cannot find voicemail with uuid u1")).await;
    assert!(matches!(pbx(&base, 5000).voicemail_url("u1").await, Err(PbxError::NotFound)));
}

#[tokio::test]
async fn filters_that_the_server_ignores_are_applied_here() {
    let row = |uuid: &str, direction: &str, missed: bool, start: &str| json!({"call_uuid": uuid, "direction": direction, "missed": missed, "start_stamp": start});
    let rows = json!({"cdrs": [
        row("wanted", "Gelen", true, "2026-11-22 08:00:00 +0300"),
        row("answered", "Gelen", false, "2026-11-22 08:00:00 +0300"),
        row("internal", "Santral içi", true, "2026-11-22 08:00:00 +0300"),
        row("yesterday", "Gelen", true, "2026-11-21 08:00:00 +0300"),
        row("later", "Gelen", true, "2026-11-22 09:00:00 +0300"),
        row("a second early", "Gelen", true, "2026-11-22 06:07:23 +0300"),
        row("undated", "Gelen", true, ""),
        5,
    ]});
    let (base, _task) = server(answer("200 OK", "", rows.to_string())).await;
    let query = CallQuery { to: Some("2026-11-22T05:05:00Z".parse().unwrap()), ..head() };
    let page = pbx(&base, 5000).calls(&query).await.unwrap();
    let uuids: Vec<_> = page.records.iter().map(|call| call.uuid.as_str()).collect();
    assert_eq!(uuids, ["wanted", "a second early", "undated"]);
    assert_eq!((page.rows, page.malformed), (8, 1));

    let rows = json!({"messages": [
        {"uuid": "unread", "start_stamp": "2026-11-22 08:00:00 +0300"},
        {"uuid": "read", "start_stamp": "2026-11-22 08:00:00 +0300", "read_stamp": "2026-11-22 08:01:00 +0300"},
    ]});
    let (base, _task) = server(answer("200 OK", "", rows.to_string())).await;
    let query = VoicemailQuery { from: head().from, to: None, unread: true, page: 1 };
    let page = pbx(&base, 5000).voicemails(&query).await.unwrap();
    assert_eq!(page.records.len(), 1);
    assert_eq!((page.records[0].uuid.as_str(), page.rows), ("unread", 2));
}

#[tokio::test]
async fn a_refused_key_is_known_at_every_status() {
    for status in ["200 OK", "400 Bad Request", "401 Unauthorized", "404 Not Found", "500 Internal Server Error"] {
        let result = calls(answer(status, "", format!("Gecersiz anahtar: {KEY}"))).await;
        assert!(matches!(result, Err(PbxError::Auth { .. })), "{status}: {result:?}");
    }
    for status in ["401 Unauthorized", "403 Forbidden"] {
        assert!(matches!(calls(answer(status, "", "")).await, Err(PbxError::Auth { .. })), "{status}");
    }
    let windows_1254 = calls(answer("400 Bad Request", "", b"Ge\xE7ersiz anahtar: x")).await;
    assert!(matches!(windows_1254, Err(PbxError::Auth { .. })));
    assert!(matches!(calls(answer("200 OK", "", r#"{"error":"x"}"#)).await, Err(PbxError::Auth { .. })));
}

#[tokio::test]
async fn a_429_says_how_long_to_wait() {
    for (header, expected) in [
        ("retry-after: 20\r\n", Some(Duration::from_secs(20))),
        ("retry-after: Sun, 22 Nov 2026 05:10:30 GMT\r\n", Some(Duration::from_secs(30))),
        ("", None),
    ] {
        match calls(answer("429 Too Many Requests", header, "")).await {
            Err(PbxError::RateLimited { wait }) => assert_eq!(wait, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn each_status_is_classified_by_what_to_do_about_it() {
    for status in ["408 Request Timeout", "500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"] {
        assert!(matches!(calls(answer(status, "", "<html>")).await, Err(PbxError::Trouble { .. })), "{status}");
    }
    for status in ["301 Moved", "302 Found", "400 Bad Request", "404 Not Found", "422 Unprocessable Entity"] {
        let result = calls(answer(status, "location: http://127.0.0.1:1/\r\n", "no")).await;
        assert!(matches!(result, Err(PbxError::Refused { .. })), "{status}: {result:?}");
    }
}

#[tokio::test]
async fn a_200_that_cannot_be_read_is_no_empty_list() {
    let too_long = format!("{{\"cdrs\":[],\"x\":\"{}\"}}", "x".repeat(PAGE_BYTES));
    for body in [b"<html>down for repairs</html>".as_slice(), b"{\"cdrs\":[", b"", b"\xFF", too_long.as_bytes()] {
        let result = calls(answer("200 OK", "content-type: application/json\r\n", body)).await;
        assert!(matches!(result, Err(PbxError::Garbled { .. })), "{result:?}");
    }
    let gzip = calls(answer("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b\x08\x00garbage")).await;
    assert!(matches!(gzip, Err(PbxError::Garbled { .. })), "{gzip:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_unreachable_and_not_short() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"cdrs\":[]}".to_vec();
    assert!(matches!(calls(Then::Answer(bytes)).await, Err(PbxError::Unreachable(_))));
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_timeout() {
    let (base, _task) = server(Then::Silence).await;
    match pbx(&base, 100).calls(&head()).await {
        Err(PbxError::Unreachable(error)) => assert_eq!(error.kind, FailureKind::Timeout),
        other => panic!("{other:?}"),
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The key as it may be written: raw, percent-encoded in either case, and any eight characters of it.
fn assert_no_key(text: &str, of: &str) {
    for form in [KEY, KEY_ENCODED, "K1234567", "12345678", "8-ab+c/d", "8-ab%2Bc"] {
        assert!(!text.contains(form), "{of} shows {form}: {text}");
    }
}

#[tokio::test]
async fn no_failure_shows_the_key_and_neither_does_a_log_at_trace_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    tracing::trace!("the log is read");

    let echo = format!("Gecersiz anahtar: {KEY}; {KEY_ENCODED}; {}", KEY_ENCODED.to_ascii_lowercase());
    let mut errors = Vec::new();
    for then in [
        answer("400 Bad Request", "", &echo),
        answer("400 Bad Request", "", format!("bad: {echo}")),
        answer("401 Unauthorized", "", &echo),
        answer("500 Internal Server Error", "", format!("<html>{echo}")),
        answer("302 Found", &format!("location: https://x.example/?key={KEY_ENCODED}\r\n"), &echo),
        answer("200 OK", "", &echo),
        answer("200 OK", "", format!("{{\"cdrs\": {KEY}")),
        answer("200 OK", "", format!("{{\"error\": \"{echo}\"}}")),
        answer("429 Too Many Requests", "", &echo),
        Then::Answer(b"nonsense".to_vec()),
        Then::Answer(format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{echo}").into_bytes()),
        Then::Reset,
    ] {
        errors.push(calls(then).await.unwrap_err());
    }
    let (base, _task) = server(Then::Silence).await;
    errors.push(pbx(&base, 100).calls(&head()).await.unwrap_err());
    // TLS against a server that speaks none, a port where nobody listens, a name that does not exist.
    let (base, _task) = server_of_no_tls().await;
    errors.push(pbx(&base, 5000).calls(&head()).await.unwrap_err());
    // Bound without listening: refuses, and nobody else can be given the port meanwhile.
    let reserved = TcpSocket::new_v4().unwrap();
    reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = reserved.local_addr().unwrap();
    errors.push(pbx(&format!("http://{closed}"), 5000).calls(&head()).await.unwrap_err());
    errors.push(pbx("https://name.invalid", 5000).calls(&head()).await.unwrap_err());
    for body in [&echo, &format!("{{\"url\":\"{KEY}\"}}"), KEY] {
        let (base, _task) = server(answer("200 OK", "", body)).await;
        errors.push(pbx(&base, 5000).recording_url(KEY).await.unwrap_err());
        let (base, _task) = server(answer("400 Bad Request", "", body)).await;
        errors.push(pbx(&base, 5000).voicemail_url(KEY).await.unwrap_err());
        let (base, _task) = server(answer("418 Teapot", "", body)).await;
        errors.push(pbx(&base, 5000).call(KEY).await.unwrap_err());
    }
    for error in &errors {
        tracing::error!(%error, ?error, "a failure");
        assert_no_key(&format!("{error} {error:?} {error:#?}"), "an error");
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            assert_no_key(&format!("{cause} {cause:?}"), "a source");
            source = cause.source();
        }
    }
    drop(guard);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log is read") && log.contains("a failure"));
    assert_no_key(&log, "the log");
}

async fn server_of_no_tls() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    (base, task)
}

#[tokio::test]
async fn the_clock_of_the_pbx_is_known_by_the_date_of_its_answers_and_goes_on_by_ticks() {
    let two_hours_ahead = "Date: Sun, 22 Nov 2026 07:10:05 GMT\r\n";
    for (date, its_time) in [(two_hours_ahead, Some("2026-11-22T07:11:05Z")), ("Date: yesterday\r\n", None), ("", None)]
    {
        let body = "{\"cdrs\":[]}";
        let answer = format!("HTTP/1.1 200 OK\r\n{date}Content-Length: {}\r\n\r\n{body}", body.len());
        let (base, _server) = server(Then::Answer(answer.into_bytes())).await;
        let pbx = pbx(&base, 5000);
        assert_eq!(pbx.its_time(), None);
        pbx.calls(&head()).await.unwrap();
        pbx.clock.advance(Duration::from_secs(60));
        pbx.clock.set_wall(Timestamp::UNIX_EPOCH);
        assert_eq!(pbx.its_time(), its_time.map(|time| time.parse().unwrap()), "{date}");
    }
}
