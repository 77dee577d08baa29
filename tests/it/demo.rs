//! `ringback demo` is a true story: it needs nothing, shows every message, and checks itself.

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use ringback::clock::Clock;
use tempfile::TempDir;

use crate::binary::{self, Ended, Program};
use crate::harness::free_port;
use crate::web::{Browser, Page};

const VERDICT: &str = "Everything that was to be told was told exactly once, and nothing else was.";

/// The number of a visitor's first caller.
const CALLER: &str = "0224 200 60 07";

#[test]
fn the_demo_tells_its_story_checks_itself_and_ends_in_time() {
    let clock = Clock::system();
    let folder = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ringback"))
        .args(["demo", "--for", "15s", "--headless"])
        .env("TMPDIR", folder.path())
        .env_remove("RUST_LOG")
        .timeout(Duration::from_secs(25))
        .output()
        .unwrap();
    let (shown, logs) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{shown}\n{logs}");
    assert!(clock.tick() >= Duration::from_secs(15));

    for (line, what) in [
        ("Cevapsız çağrı: Ayşe Demir 0312 123 45 67", "the subject of a mail"),
        ("Missed call: Ayşe Demir 0312 123 45 67", "the header of a Slack message"),
        ("call.missed, attempt 1, answered with 200", "a webhook"),
        ("signature verified", "its signature"),
        ("New voicemail: Şükrü Öz 0212 222 33 44", "a voicemail on Slack"),
        ("200, 48044 bytes of audio/wav", "its recording, played"),
        ("Missed call: Withheld number", "a caller without a number"),
        ("call.missed, attempt 2, answered with 503", "a failure"),
        ("call.missed, attempt 3, answered with 200", "its recovery"),
        ("Called back: Ayşe Demir 0312 123 45 67", "the end of a call that was told"),
        ("call.returned, attempt 1", "the same as a webhook"),
        ("is called back: within the grace", "a call that is told to nobody"),
        (VERDICT, "the verdict"),
    ] {
        assert!(shown.contains(line), "{what} is missing: {line}\n{shown}");
    }
    let wide = shown.lines().find(|line| line.chars().count() > 100);
    assert_eq!(wide, None);
    assert!(!shown.contains('\u{1b}'), "colours are for terminals");
    assert!(is_empty(folder.path()), "the demo leaves nothing behind");
}

#[test]
fn five_seconds_are_enough_for_a_story() {
    let folder = TempDir::new().unwrap();
    let ended = binary::run(folder.path(), &["demo", "--for", "5s", "--headless"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("Missed call: Ayşe Demir") && ended.stdout.contains(VERDICT), "{ended:?}");
    assert!(!ended.stdout.contains("Open "), "a terminal without a browser is told of no page");
}

/// A demo with a page, and a browser on it.
struct Shown {
    program: Program,
    browser: Browser,
    address: String,
    folder: TempDir,
}

impl Shown {
    async fn start() -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let path = folder.path().to_str().unwrap();
        let arguments = ["demo", "--port", &port.to_string()];
        let program = binary::start(folder.path(), &arguments, &[("TMPDIR", path), ("NO_PROXY", "*")]);
        let address = format!("127.0.0.1:{port}");
        let clock = Clock::system();
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            assert!(clock.tick() < Duration::from_secs(60), "{}", program.stderr());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { program, browser: Browser::at(&address), address, folder }
    }

    /// The page, as soon as it has everything in one of its items; fails when it takes too long.
    async fn until(&mut self, parts: &[&str]) -> Page {
        let clock = Clock::system();
        loop {
            let page = self.browser.get("/").await;
            if page.body.split("\n<li").any(|item| parts.iter().all(|part| item.contains(part))) {
                return page;
            }
            assert!(clock.tick() < Duration::from_secs(30), "no {parts:?} in\n{}", page.body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A button of the page.
    async fn press(&mut self, path: &str, fields: &[(&str, &str)]) {
        let answer = self.browser.post(path, fields).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{}", answer.body);
    }

    /// Ctrl-C: what has happened is still told.
    fn end(self) -> Ended {
        self.program.signal("INT");
        let ended = self.program.end(Duration::from_secs(60));
        assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(VERDICT), "{}", ended.stdout);
        assert!(is_empty(self.folder.path()), "the demo leaves nothing behind");
        ended
    }
}

/// What stands behind the first `mark`, to the end of the attribute.
fn attribute<'p>(page: &'p str, mark: &str) -> &'p str {
    let (_, rest) = page.split_once(mark).unwrap_or_else(|| panic!("no {mark} in\n{page}"));
    rest.split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_board_mails_slack_and_webhooks_and_a_press_makes_new_ones() {
    let mut demo = Shown::start().await;
    let page = demo.until(&["<h4>Missed call: Ayşe Demir 0312 123 45 67</h4>", "/callback\""]).await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    demo.until(&["href=\"/mails/1\"", "Cevapsız çağrı: Ayşe Demir"]).await;
    let mail = demo.browser.get("/mails/1").await;
    assert!(mail.body.contains("Ayşe Demir") && mail.body.contains("<base target=\"_blank\">"), "{}", mail.body);
    let policy = mail.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("sandbox allow-popups "), "{policy}");
    demo.until(&["call.missed", "answered with 200", "signature ok", "Ayşe Demir"]).await;

    // The board is the real one, on the real server.
    let login = attribute(&page.body, "<form method=\"post\" action=\"http://").to_owned();
    let (server, path) = login.split_once('/').unwrap();
    assert_eq!(path, "login");
    let mut visitor = Browser::at(server);
    let board = visitor.submit("/login", &[("token", &page.hidden("token"))]).await;
    assert!(board.body.contains("Ayşe Demir") && board.body.contains("id=\"board\""), "{}", board.body);

    demo.press("/calls/voicemail", &[]).await;
    let title = format!("{CALLER}</h4>");
    let page = demo.until(&["<h4>New voicemail: ", &title, "Listen later"]).await;
    let item = page.body.split("\n<li").find(|item| item.contains(&title)).unwrap();
    let (_, button) = item.rsplit_once(&format!("href=\"http://{server}")).unwrap();
    let link = button.split('"').next().unwrap();
    visitor.headers.insert("accept", "text/html".to_owned());
    let opened = visitor.get(link).await;
    assert!(opened.body.contains(CALLER), "{}", opened.body);
    let played = visitor.post(&format!("{link}/listen"), &[]).await;
    let path = attribute(&played.body, "<source src=\"/").replace("&#x3D;", "=");
    let sound = visitor.get(&format!("/{path}")).await;
    assert_eq!((sound.status, sound.header("content-type")), (200, "audio/wav"), "{path}\n{}", played.body);
    // Slack's message is struck through, and the end of it stands in its thread.
    let struck = format!("{CALLER}</s>");
    demo.until(&["<s>New voicemail: ", &struck, "(edited)"]).await;

    for (name, value) in [("origin", "http://evil.example"), ("host", "evil.example")] {
        let mut foreign = Browser::at(&demo.address);
        foreign.headers.insert(name, value.to_owned());
        assert_eq!(foreign.post("/calls/miss", &[]).await.status, 403, "{name}");
    }
    let ended = demo.end();
    assert!(ended.stdout.contains("Open http://127.0.0.1:"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_receiver_has_missed_it_gets_when_it_is_mended_and_calls_are_returned_at_a_press() {
    let mut demo = Shown::start().await;
    demo.press("/receivers/webhook", &[("trouble", "hangs")]).await;
    demo.press("/receivers/mail", &[("trouble", "fails")]).await;
    demo.press("/calls/miss", &[]).await;
    let page = demo.until(&["call.missed", "not answered", CALLER]).await;
    assert!(page.body.contains("broken: it does not answer") && page.body.contains("broken: it answers 451"));
    demo.press("/receivers/webhook", &[("trouble", "none")]).await;
    demo.until(&["call.missed", "answered with 200", CALLER]).await;
    demo.press("/receivers/mail", &[("trouble", "none")]).await;
    demo.until(&["href=\"/mails/", CALLER]).await;

    // The link in Slack rings the extension, and the story ends as usual.
    let title = format!("{CALLER}</h4>");
    let page = demo.until(&["<h4>Missed call: ", &title]).await;
    let item = page.body.split("\n<li").find(|item| item.contains(&title)).unwrap();
    let link = attribute(item, "<a class=\"button\" href=\"http://");
    let (server, path) = link.split_once('/').unwrap();
    let mut visitor = Browser::at(server);
    let rings = visitor.post(&format!("/{path}"), &[("extension", "1014")]).await;
    assert_eq!((rings.status, rings.json()["status"].as_str()), (200, Some("ringing")), "{}", rings.body);
    demo.until(&["rings extension 1014, which answers after 3 s", CALLER]).await;
    demo.until(&["is called back, and answers", CALLER]).await;
    let struck = format!("{CALLER}</s>");
    demo.until(&["<s>Missed call: ", &struck]).await;
    demo.until(&["call.returned", "answered with 200", CALLER]).await;

    demo.press("/calls/return", &[]).await;
    demo.until(&["as soon as everybody has been told of the call"]).await;
    // It is mended by itself when the demo ends.
    demo.press("/receivers/slack", &[("trouble", "fails")]).await;
    demo.end();
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}
