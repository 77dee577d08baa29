//! The board: what it shows, what can be done there, who may see it, and that it says when it has changed.

use std::time::Duration;

use reqwest::Method;
use ringback::sim::pbx::{SimCall, SimVoicemail};
use ringback::sim::receiver::Mode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Office, in_time};
use crate::web::{Browser, MINUTE, STEP, TOKEN, office, office_with_token};

/// A call of this caller, to this queue, has just ended.
fn miss(office: &Office, uuid: &str, caller: &str, name: Option<&str>, queue: &str) {
    office.pbx.add_call(SimCall {
        caller_number: caller.to_owned(),
        caller_name: name.map(str::to_owned),
        queue: Some(queue.to_owned()),
        ..SimCall::missed(uuid, office.now(), Duration::from_secs(20))
    });
}

/// Between two texts, of which the first is there.
fn between<'p>(page: &'p str, from: &str, to: &str) -> &'p str {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no {from} in\n{page}"));
    rest.split(to).next().unwrap()
}

#[tokio::test]
async fn what_is_open_is_shown_in_full_with_who_was_told_and_can_be_closed_with_a_note() {
    let office = office_with_token();
    office.once().await;
    let running = office.run().await;
    let mut browser = Browser::new(&office);
    let board = browser.log_in().await;
    assert!(board.body.contains("Bekleyen yok: dönülmemiş çağrı da"), "{}", board.body);
    miss(&office, "c1", "03121234567", Some("Şükrü <b>Öz</b>"), "201");
    office.leave_voicemail("v1");
    office.pass(&running, 4 * MINUTE, STEP).await;

    let board = browser.get("/").await;
    assert_eq!((board.status, board.header("content-type")), (200, "text/html; charset=utf-8"));
    let page = &board.body;
    for part in [
        "1 cevapsız çağrı, 1 sesli mesaj",
        "Şükrü &lt;b&gt;Öz&lt;/b&gt;",
        "href=\"tel:+903121234567\"",
        "0312 123 45 67",
        "<bdi>201</bdi>",
        "dakikadır bekliyor",
        "<bdi>crm</bdi>: iletildi <time datetime=\"2026-11-22T05:0",
        "Bugün henüz sonuçlanan yok.",
        "Santral okunuyor, kanallar çalışıyor.",
    ] {
        assert!(page.contains(part), "no {part} in\n{page}");
    }
    assert!(!page.contains("<b>"), "what callers say is text");
    let policy = board.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"), "{policy}");

    let card = between(page, "Şükrü", "</li>\n<li class=\"card");
    let action = between(card, "action=\"/events/", "\"");
    let note = "Aradım & konuştum";
    let after = browser.submit(&format!("/events/{action}"), &[("csrf", &board.hidden("csrf")), ("note", note)]).await;
    for part in ["Kapatıldı.", "0 cevapsız çağrı, 1 sesli mesaj", "elle kapatıldı: <bdi>Aradım &amp; konuştum</bdi>"]
    {
        assert!(after.body.contains(part), "no {part} in\n{}", after.body);
    }
    let again = browser.submit(&format!("/events/{action}"), &[("csrf", &board.hidden("csrf"))]).await;
    assert!(again.body.contains("bu arada sonuçlanmış"), "{}", again.body);
    running.stop().await;
}

#[tokio::test]
async fn a_filter_in_the_url_narrows_the_board_and_outlives_what_is_done_there() {
    let mut office = office_with_token();
    office.extra = "locale: en".to_owned();
    office.once().await;
    let running = office.run().await;
    miss(&office, "c1", "03121234567", Some("Ayşe"), "201");
    miss(&office, "c2", "02324445566", Some("Burak"), "Satış & co");
    office.pass(&running, 2 * MINUTE, STEP).await;
    let mut browser = Browser::new(&office);
    let board = browser.submit("/login", &[("token", TOKEN), ("queue", "Satış & co")]).await;
    assert!(board.body.contains("Burak") && !board.body.contains("Ayşe"), "{}", board.body);
    assert!(board.body.contains("<option value=\"Satış &amp; co\" selected>") && board.body.contains("value=\"201\""));
    assert!(board.body.contains("1 missed call, 0 voicemails"));
    let close = format!("/events/{}", between(&board.body, "action=\"/events/", "\""));
    let fields = [("csrf", board.hidden("csrf")), ("queue", board.hidden("queue"))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let after = browser.submit(&close, &fields).await;
    assert!(after.body.contains("Closed.") && after.body.contains("Nothing open matches this filter."));
    assert!(browser.get("/").await.body.contains("Ayşe"));
    assert!(browser.get("/?queue=999").await.body.contains("Nothing open matches this filter."));
    assert!(browser.get("/?extension=1008").await.body.contains("Nothing open matches this filter."));
    running.stop().await;
}

#[tokio::test]
async fn what_is_dead_says_why_and_is_tried_again_at_a_press() {
    let mut office = office_with_token();
    office.extra = "locale: en".to_owned();
    office.once().await;
    let running = office.run().await;
    office.webhook.set_mode(Mode::Status(410));
    office.miss("c1");
    office.miss("c2");
    office.pass(&running, 2 * MINUTE, STEP).await;
    let mut browser = Browser::new(&office);
    let board = browser.log_in().await;
    assert!(board.body.contains("2 missed calls, 0 voicemails, 2 not delivered"), "{}", board.body);
    assert!(board.body.contains("<span lang=\"en\">HTTP 410"), "{}", board.body);
    office.webhook.set_mode(Mode::Ok);
    let csrf = board.hidden("csrf");
    let one = format!("/deliveries/{}", between(&board.body, "action=\"/deliveries/dlv_", "\""));
    let after = browser.submit(&one.replace("/deliveries/", "/deliveries/dlv_"), &[("csrf", &csrf)]).await;
    assert!(after.body.contains("It is tried again.") && after.body.contains("1 not delivered"), "{}", after.body);
    office.idle(&running).await;
    assert_eq!(office.told().len(), 1);
    let after = browser.submit("/deliveries/retry", &[("csrf", &csrf)]).await;
    assert!(after.body.contains("It is tried again.") && !after.body.contains("not delivered"), "{}", after.body);
    office.idle(&running).await;
    assert_eq!(office.told(), ["call.missed c1", "call.missed c2"]);
    let after = browser.submit("/deliveries/retry", &[("csrf", &csrf)]).await;
    assert!(after.body.contains("There was nothing left to try again."));
    running.stop().await;
}

#[tokio::test]
async fn the_board_says_what_keeps_ringback_from_its_work_and_since_when() {
    let office = office_with_token();
    office.once().await;
    let running = office.run().await;
    office.webhook.set_mode(Mode::Status(503));
    office.miss("c1");
    office.pass(&running, 3 * MINUTE, STEP).await;
    let mut browser = Browser::new(&office);
    let board = browser.log_in().await;
    for part in ["Dikkat", "<strong>Kanal iletemiyor (crm)</strong>", "22.11.2026 08:0", "iletilemedi, yeniden"] {
        assert!(board.body.contains(part), "no {part} in\n{}", board.body);
    }
    assert!(!board.body.contains("Santral okunuyor, kanallar çalışıyor."));
    running.stop().await;
}

#[tokio::test]
async fn nobody_sees_the_board_without_the_token_and_no_session_outlives_it() {
    let mut office = office_with_token();
    let running = office.run().await;
    let mut stranger = Browser::new(&office);
    for (method, path, status, place) in [
        (Method::GET, "/", 303, "/login"),
        (Method::GET, "/?queue=201&other=1", 303, "/login?queue=201"),
        (Method::GET, "/live", 401, ""),
        (Method::POST, "/events/evt_1/close", 303, "/login"),
        (Method::POST, "/deliveries/retry", 303, "/login"),
        (Method::POST, "/logout", 303, "/login"),
        (Method::GET, "/logout", 405, ""),
        (Method::GET, "/assets/../config.yaml", 404, ""),
        (Method::GET, "/assets/config.yaml", 404, ""),
    ] {
        let answer = stranger.send(stranger.request(method.clone(), path)).await;
        assert_eq!((answer.status, answer.header("location")), (status, place), "{method} {path}");
        assert!(answer.headers.get("set-cookie").is_none(), "{method} {path}");
    }
    stranger.cookie = Some("0".repeat(64));
    assert_eq!(stranger.get("/").await.status, 303);

    let wrong = stranger.post("/login", &[("token", "not-the-token")]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("Erişim anahtarı yanlış.") && !wrong.body.contains("not-the-token"));
    let entered = stranger.post("/login", &[("token", TOKEN)]).await;
    let cookie = entered.header("set-cookie");
    assert!(cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{cookie}");
    let board = stranger.get("/").await;
    assert_eq!((board.status, board.header("cache-control")), (200, "no-store"));
    assert!(!board.body.contains(TOKEN));

    for csrf in ["", "0", &"0".repeat(64)] {
        let forged = stranger.post("/deliveries/retry", &[("csrf", csrf)]).await;
        assert_eq!(forged.status, 403, "{csrf}");
        assert!(forged.body.contains("İşlem yapılmadı"));
    }
    // Another session's form is no form of this one.
    let mut other = Browser::new(&office);
    let csrf = other.log_in().await.hidden("csrf");
    assert_eq!(stranger.post("/deliveries/retry", &[("csrf", &csrf)]).await.status, 403);
    assert_eq!(stranger.post("/deliveries/retry", &[("csrf", &board.hidden("csrf"))]).await.status, 303);

    let session = stranger.cookie.clone();
    assert_eq!(stranger.post("/logout", &[("csrf", &board.hidden("csrf"))]).await.status, 303);
    assert_eq!(stranger.cookie, None, "the cookie is taken away");
    stranger.cookie = session;
    assert_eq!(stranger.get("/").await.status, 303, "and means nothing any more");

    assert_eq!(other.get("/").await.status, 200);
    office.http = ", token: another-token-for-the-tests".to_owned();
    running.reload(office.config()).await.unwrap();
    assert_eq!(other.get("/").await.status, 303, "a new token ends the sessions of the old one");
    other.submit("/login", &[("token", "another-token-for-the-tests")]).await;
    office.clock.advance(Duration::from_secs(12 * 3600 - 1));
    assert_eq!(other.get("/").await.status, 200);
    office.clock.advance(Duration::from_secs(1));
    assert_eq!(other.get("/").await.status, 303);
    running.stop().await;
}

#[tokio::test]
async fn wrong_tokens_at_the_login_are_put_off_after_ten_and_the_right_one_is_not() {
    let office = office_with_token();
    let running = office.run().await;
    let mut browser = Browser::new(&office);
    for _ in 0..10 {
        assert_eq!(browser.post("/login", &[("token", "wrong")]).await.status, 401);
    }
    let put_off = browser.post("/login", &[("token", "wrong")]).await;
    assert_eq!((put_off.status, put_off.header("retry-after")), (429, "60"));
    assert!(put_off.body.contains("Bir dakika sonra yeniden deneyin."));
    assert_eq!(browser.log_in().await.status, 200);
    running.stop().await;
}

#[tokio::test]
async fn without_a_token_in_the_configuration_the_board_is_closed_and_says_what_to_set() {
    let office = office("token: null");
    let running = office.run().await;
    let mut browser = Browser::new(&office);
    for path in ["/", "/login", "/live"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("http.token"), "{path}: {}", answer.body);
    }
    assert_eq!(browser.post("/login", &[("token", "")]).await.status, 403);
    assert_eq!(browser.post("/events/evt_1/close", &[]).await.status, 403);
    running.stop().await;
}

#[tokio::test]
async fn whom_the_proxy_has_let_in_sees_the_board_and_their_forms_are_their_own() {
    let office = office(&format!("token: {TOKEN}, trusted_header: X-Forwarded-User"));
    office.once().await;
    let running = office.run().await;
    office.miss("c1");
    office.pass(&running, 2 * MINUTE, STEP).await;
    let mut browser = Browser::new(&office);
    browser.headers.insert("X-Forwarded-User", " ".to_owned());
    assert_eq!(browser.get("/").await.status, 303, "an empty name is nobody");
    browser.headers.insert("x-forwarded-user", "ayse".to_owned());
    browser.headers.remove("X-Forwarded-User");
    let board = browser.get("/").await;
    assert_eq!(board.status, 200);
    assert!(board.body.contains("0312 123 45 67") && !board.body.contains("/logout"));
    let close = format!("/events/{}", between(&board.body, "action=\"/events/", "\""));
    assert_eq!(browser.post(&close, &[]).await.status, 403);
    let after = browser.submit(&close, &[("csrf", &board.hidden("csrf"))]).await;
    assert!(after.body.contains("Kapatıldı."));
    // The cookie alone opens nothing, and the API is for the token.
    browser.headers.clear();
    assert_eq!(browser.get("/").await.status, 303);
    browser.headers.insert("x-forwarded-user", "ayse".to_owned());
    assert_eq!(browser.get("/api/v1/events").await.status, 401);
    running.stop().await;
}

#[tokio::test]
async fn behind_a_prefix_every_address_of_the_board_begins_with_it() {
    let office = office(&format!("token: {TOKEN}, public_url: 'https://calls.example.com/ringback/'"));
    office.once().await;
    let running = office.run().await;
    office.miss("c1");
    office.pass(&running, 2 * MINUTE, STEP).await;
    let mut browser = Browser::new(&office);
    assert_eq!(browser.get("/ringback/").await.header("location"), "/ringback/login");
    let entered = browser.post("/ringback/login", &[("token", TOKEN)]).await;
    assert_eq!(entered.header("location"), "/ringback/");
    let cookie = entered.header("set-cookie");
    assert!(cookie.contains("; Path=/ringback;") && cookie.ends_with("; Secure"), "{cookie}");
    // A proxy may have taken it off.
    for path in ["/ringback/", "/"] {
        let board = browser.get(path).await;
        assert_eq!(board.status, 200, "{path}");
        for attribute in ["href=\"/", "action=\"/", "src=\"/", "data-live=\"/", "data-here=\"/"] {
            assert!(board.body.contains(attribute), "{attribute}");
            for address in board.body.split(attribute).skip(1) {
                assert!(address.starts_with("ringback/"), "{attribute}{address}");
            }
        }
        let css = between(&board.body, "rel=\"stylesheet\" href=\"", "\"");
        let css = browser.get(css).await;
        assert_eq!((css.status, css.header("content-type")), (200, "text/css; charset=utf-8"));
        assert!(css.header("cache-control").contains("immutable"));
    }
    running.stop().await;
}

/// A stream of `/live`, whose events are read one by one.
struct Stream {
    socket: TcpStream,
    read: String,
}

impl Stream {
    async fn open(office: &Office, browser: &Browser) -> Self {
        let mut socket = TcpStream::connect(&office.listen).await.unwrap();
        let cookie = browser.cookie.as_deref().unwrap_or_default();
        let request = format!("GET /live HTTP/1.1\r\nHost: x\r\nCookie: ringback_session={cookie}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Self { socket, read: String::new() }
    }

    /// What was read when it ends in one of `marks`, and until then.
    async fn until(&mut self, mark: &str) -> String {
        in_time(async {
            loop {
                if let Some(at) = self.read.find(mark) {
                    let rest = self.read.split_off(at + mark.len());
                    return std::mem::replace(&mut self.read, rest);
                }
                let mut bytes = [0; 4096];
                let length = self.socket.read(&mut bytes).await.unwrap();
                assert!(length > 0, "the stream has ended without {mark}: {}", self.read);
                self.read.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
            }
        })
        .await
    }

    async fn fingerprint(&mut self) -> String {
        self.until("event: changed\ndata: ").await;
        self.until("\n").await.trim().to_owned()
    }

    async fn end(mut self) {
        let mut rest = Vec::new();
        in_time(self.socket.read_to_end(&mut rest)).await.unwrap();
    }
}

#[tokio::test]
async fn an_open_board_hears_within_a_second_that_something_has_changed() {
    let office = office_with_token();
    office.once().await;
    let running = office.run().await;
    let mut browser = Browser::new(&office);
    let board = browser.log_in().await;
    let print = between(&board.body, "data-print=\"", "\"").to_owned();
    let mut stream = Stream::open(&office, &browser).await;
    let head = stream.until("\r\n\r\n").await;
    assert!(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-store"), "{head}");
    assert_eq!(stream.fingerprint().await, print, "the page is as it was");
    office.miss("c1");
    office.pass(&running, 2 * MINUTE, Duration::from_secs(1)).await;
    let now = stream.fingerprint().await;
    assert_ne!(now, print);
    let board = browser.get("/").await;
    assert!(board.body.contains("0312 123 45 67"));
    let mut last = now;
    let print = between(&board.body, "data-print=\"", "\"");
    while last != print {
        last = stream.fingerprint().await;
    }
    // What is silent is kept alive, and asked anew who it is after ten minutes.
    office.pass(&running, 10 * MINUTE, STEP).await;
    stream.until(": still here\n\n").await;
    stream.end().await;
    running.stop().await;
}

#[tokio::test]
async fn open_streams_do_not_hold_up_the_stop_and_there_are_not_too_many() {
    let office = office_with_token();
    let running = office.run().await;
    let mut browser = Browser::new(&office);
    browser.log_in().await;
    let mut streams = Vec::new();
    for _ in 0..64 {
        let mut stream = Stream::open(&office, &browser).await;
        assert!(stream.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
        streams.push(stream);
    }
    assert_eq!(browser.get("/live").await.status, 503);
    drop(streams.pop());
    // The server learns of it when it writes.
    office.clock.advance(Duration::from_secs(30));
    let mut again = browser.request(Method::GET, "/healthz");
    assert_eq!(browser.send(again).await.status, 200);
    again = browser.request(Method::GET, "/");
    assert_eq!(browser.send(again).await.status, 200);
    running.stop().await;
    for stream in streams {
        stream.end().await;
    }
}

#[tokio::test]
async fn a_voicemail_and_a_withheld_caller_are_shown_as_such_and_next_steps_with_their_time() {
    let mut office = office_with_token();
    office.extra = "locale: en".to_owned();
    office.routes = "[{notify: crm, escalate: {after: 15m, notify: slack}}]".to_owned();
    office.once().await;
    let running = office.run().await;
    let start = office.now().checked_sub(Duration::from_secs(12)).unwrap();
    let voicemail = SimVoicemail::unread("v1", start, Duration::from_secs(12));
    office.pbx.add_voicemail(SimVoicemail { caller_number: "anonymous".to_owned(), ..voicemail });
    office.pass(&running, 4 * MINUTE, STEP).await;
    let mut browser = Browser::new(&office);
    let board = browser.log_in().await;
    for part in ["Voicemail", "Withheld number", "Next step", "</time>: <bdi>slack</bdi>", "waiting for"] {
        assert!(board.body.contains(part), "no {part} in\n{}", board.body);
    }
    assert!(!board.body.contains("tel:"));
    office.pass(&running, 15 * MINUTE, STEP).await;
    let board = browser.get("/").await;
    assert!(board.body.contains("<bdi>slack</bdi> (reminder)") && board.body.contains("wait late"), "{}", board.body);
    assert!(!board.body.contains("Next step"));
    running.stop().await;
}
