//! The pages that messages link to: opening them asks nothing of the PBX, pressing plays the recording or calls back.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RANGE};
use ringback::clock::Clock;
use ringback::event::{Closed, Event, EventId, EventType};
use ringback::http::{self, Answer};
use ringback::sim::pbx::{Endpoint, Fault, MarksRead, PbxOptions, SimCall};
use serde_json::Value;

use crate::harness::{MORNING, Office, Running, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What `http.public_url` says; requests go to where the server listens.
const PUBLIC: &str = "https://calls.example.com/ringback";

fn office() -> Office {
    office_with(PbxOptions::default())
}

fn office_with(options: PbxOptions) -> Office {
    let mut office = Office::on(Clock::manual(MORNING.parse().unwrap()), options);
    office.listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    office.http = format!(", public_url: '{PUBLIC}'");
    "callback: {extension: '1001'}".clone_into(&mut office.extra);
    office
}

/// A ringback that has told of the call `c1` and the voicemail `v1`, with the data of what the webhook was told.
async fn told(office: &Office) -> (Running, Value, Value) {
    let running = office.run().await;
    office.idle(&running).await;
    let call = SimCall::missed("c1", office.now(), 20 * SECOND);
    office.pbx.add_call(call);
    office.leave_voicemail("v1");
    office.pass(&running, MINUTE, 10 * SECOND).await;
    // Everybody, before the clock goes on: what is under way when it leaps has taken too long.
    in_time(office.mail.wait_for(2)).await;
    in_time(office.slack.wait_for(2)).await;
    let bodies: Vec<Value> =
        in_time(office.webhook.wait_for(2)).await.iter().map(|received| received.json().unwrap()).collect();
    let data = |event: &str| bodies.iter().find(|body| body["type"] == event).unwrap()["data"].clone();
    (running, data("call.missed"), data("voicemail.new"))
}

/// The path behind the public URL.
fn path(link: &Value) -> String {
    link.as_str().unwrap().strip_prefix("https://calls.example.com").unwrap().to_owned()
}

async fn send(office: &Office, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let url = format!("http://{}{path}", office.listen);
    let mut request = http::client(1).unwrap().request(method.parse().unwrap(), url).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    http::exchange(request, 4 << 20, 10 * SECOND).await.unwrap()
}

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn page(office: &Office, path: &str) -> (u16, String) {
    let answer = send(office, "GET", path, &[BROWSER], "").await;
    (answer.status.as_u16(), answer.text_lossy())
}

fn minted(office: &Office) -> usize {
    office.asked(Endpoint::RecordingUrl).len() + office.asked(Endpoint::VoicemailRecordingUrl).len()
}

async fn stored(running: &Running, event_type: EventType, uuid: &str) -> Arc<Event> {
    running.store().events(&[EventId::derive("main", event_type, uuid)]).await.unwrap().remove(0).unwrap()
}

/// What the page says of itself must be enough for a browser, and no more.
fn assert_guarded(headers: &HeaderMap) {
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["cache-control"], "no-store");
}

#[tokio::test]
async fn opening_a_link_changes_nothing_however_often_scanners_open_it() {
    let office = office();
    let (running, call, voicemail) = told(&office).await;
    assert_eq!((&call["links"]["listen"], voicemail["links"]["listen"].is_string()), (&Value::Null, true));
    let (minted_before, asked) = (minted(&office), office.pbx.requests().len());
    let page_of = path(&voicemail["links"]["listen"]);
    let answer = send(&office, "GET", &page_of, &[BROWSER], "").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_guarded(&answer.headers);
    let html = answer.text_lossy();
    assert!(html.contains("Sesli mesaj") && html.contains("0312 123 45 67") && html.contains("/listen\""), "{html}");
    assert!(!html.contains("<script") && !html.contains("<audio"), "{html}");
    let callback = path(&call["links"]["callback"]);
    for _ in 0..500 {
        assert_eq!(send(&office, "HEAD", &page_of, &[], "").await.status.as_u16(), 200);
        assert_eq!(send(&office, "GET", &callback, &[], "").await.status.as_u16(), 200);
    }
    assert_eq!((minted(&office), office.pbx.requests().len()), (minted_before, asked));
    assert!(office.asked(Endpoint::Originate).is_empty());
    running.stop().await;
}

#[tokio::test]
async fn two_days_later_pressing_play_mints_one_fresh_url_that_plays() {
    let office = office_with(PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() });
    let (running, _, voicemail) = told(&office).await;
    let page_of = path(&voicemail["links"]["listen"]);
    office.pass(&running, 48 * HOUR, HOUR).await;
    let before = minted(&office);
    let answer = send(&office, "POST", &format!("{page_of}/listen"), &[BROWSER, FORM], "").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_guarded(&answer.headers);
    let html = answer.text_lossy();
    assert_eq!(minted(&office), before + 1);
    let source = |html: &str, n: usize| -> String {
        let url = html.split("<source src=\"").nth(n).unwrap().split('"').next().unwrap();
        url.replace("&#x3D;", "=").replace("&amp;", "&")
    };
    let direct = source(&html, 1);
    let origin = direct.split("/recording").next().unwrap();
    assert!(answer.headers["content-security-policy"].to_str().unwrap().contains(origin), "the browser may play it");
    let played = http::exchange(http::client(1).unwrap().get(&direct), 4 << 20, 10 * SECOND).await.unwrap();
    assert_eq!(played.headers["content-type"], "audio/wav");

    // And through ringback, whole and in parts, but with the ticket of the press only.
    let through = source(&html, 2);
    let whole = send(&office, "GET", &through, &[], "").await;
    assert_eq!((whole.status.as_u16(), &whole.body), (200, &played.body));
    let part = send(&office, "GET", &through, &[(RANGE.as_str(), "bytes=10-19")], "").await;
    assert_eq!((part.status.as_u16(), &part.body), (206, &played.body.slice(10..20)));
    assert_eq!(part.headers["content-range"], format!("bytes 10-19/{}", played.body.len()));
    let bare = through.split('?').next().unwrap();
    assert_eq!(send(&office, "GET", bare, &[], "").await.status.as_u16(), 403);
    assert_eq!(send(&office, "GET", &format!("{bare}?t=AAAA"), &[], "").await.status.as_u16(), 403);
    assert_eq!(minted(&office), before + 1, "one press, one URL");
    office.pass(&running, 2 * HOUR, HOUR).await;
    assert_eq!(send(&office, "GET", &through, &[], "").await.status.as_u16(), 403, "the ticket is for an hour");
    running.stop().await;
}

#[tokio::test]
async fn a_voicemail_that_is_played_on_its_page_counts_as_heard_and_its_readers_are_told() {
    let office = office_with(PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() });
    let (running, _, voicemail) = told(&office).await;
    let listen = format!("{}/listen", path(&voicemail["links"]["listen"]));
    for _ in 0..3 {
        assert_eq!(send(&office, "POST", &listen, &[BROWSER], "").await.status.as_u16(), 200);
    }
    office.pass(&running, 10 * MINUTE, 30 * SECOND).await;
    in_time(office.webhook.wait_for(3)).await;
    assert_eq!(office.told(), ["call.missed c1", "voicemail.heard v1", "voicemail.new v1"]);
    assert_eq!(stored(&running, EventType::VoicemailNew, "v1").await.closed_by(), Some(Closed::Heard));
    let (_, html) = page(&office, &path(&voicemail["links"]["listen"])).await;
    assert!(html.contains("Dinlendi"), "{html}");
    running.stop().await;
}

#[tokio::test]
async fn pressing_call_back_rings_the_extension_and_then_the_caller_once_for_each_press() {
    let office = office();
    let (running, call, _) = told(&office).await;
    let callback = path(&call["links"]["callback"]);
    let (status, html) = page(&office, &callback).await;
    assert_eq!(status, 200);
    let key = html.split("name=\"key\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(html.contains("value=\"1001\""), "{html}");
    let form = format!("key={key}&extension=1014");
    for _ in 0..3 {
        let answer = send(&office, "POST", &callback, &[BROWSER, FORM], &form).await;
        let html = answer.text_lossy();
        assert!(answer.status.is_success() && html.contains("1014 dahilisi çalıyor"), "{html}");
    }
    let rung = office.asked(Endpoint::Originate);
    assert_eq!(rung.len(), 1);
    assert_eq!((&*rung[0].params["extension"], &*rung[0].params["destination"]), ("1014", "903121234567"));

    // A program: JSON, its own key, and the extension that is configured.
    let json = send(&office, "POST", &callback, &[("idempotency-key", "k1")], "").await;
    let said: Value = serde_json::from_slice(&json.body).unwrap();
    assert_eq!((&said["status"], &said["extension"]), (&"ringing".into(), &"1001".into()));
    let again = send(&office, "POST", &callback, &[("idempotency-key", "k1")], "").await;
    assert_eq!(again.body, json.body);
    assert_eq!(office.asked(Endpoint::Originate).len(), 2);

    // What the PBX says against it is said to whoever pressed.
    let body = r#"{"extension": "1999"}"#;
    let refused = send(&office, "POST", &callback, &[(CONTENT_TYPE.as_str(), "application/json")], body).await;
    let said: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status.as_u16(), &said["error"]), (502, &"extension 1999 not found".into()));
    let bad = send(&office, "POST", &callback, &[FORM], "extension=10a").await;
    assert_eq!(bad.status.as_u16(), 400);
    running.stop().await;
}

#[tokio::test]
async fn nobody_is_called_whose_call_was_returned_meanwhile_or_whose_number_is_withheld() {
    let office = office();
    let running = office.run().await;
    office.idle(&running).await;
    let call = |uuid: &str| SimCall::missed(uuid, office.now(), 20 * SECOND);
    office.pbx.add_call(call("c1"));
    office.pbx.add_call(SimCall { caller_number: "anonymous".into(), ..call("c2") });
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    let bodies = in_time(office.webhook.wait_for(2)).await;
    let bodies: Vec<Value> = bodies.iter().map(|received| received.json().unwrap()["data"].clone()).collect();
    let of = |uuid: &str| bodies.iter().find(|data| data["uuid"] == uuid).unwrap();
    assert_eq!(of("c2")["links"]["callback"], Value::Null);
    // Before the next read has seen it.
    office.pbx.set_returned("c1", "r1");
    let callback = path(&of("c1")["links"]["callback"]);
    let answer = send(&office, "POST", &callback, &[BROWSER, FORM], "").await;
    assert_eq!(answer.status.as_u16(), 409);
    assert!(answer.text_lossy().contains("Bu çağrıya bu arada dönülmüş."), "{}", answer.text_lossy());
    office.pass(&running, 10 * MINUTE, 30 * SECOND).await;
    assert_eq!(send(&office, "POST", &callback, &[], "").await.status.as_u16(), 409);
    assert!(office.asked(Endpoint::Originate).is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_pbx_that_does_not_answer_leaves_it_open_whether_it_rings_and_says_so() {
    let office = office();
    let (running, call, _) = told(&office).await;
    office.pbx.fault(Endpoint::Originate, Fault::Status(503, "down".to_owned(), Vec::new()), 1);
    let callback = path(&call["links"]["callback"]);
    let answer = send(&office, "POST", &callback, &[BROWSER, FORM], "").await;
    assert_eq!(answer.status.as_u16(), 502);
    assert!(answer.text_lossy().contains("dahili yine de çalabilir"), "{}", answer.text_lossy());
    let again = send(&office, "POST", &callback, &[BROWSER, FORM], "").await;
    assert!(again.status.is_success(), "what failed can be pressed again");
    running.stop().await;
}

#[tokio::test]
async fn a_link_that_is_expired_forged_or_of_something_forgotten_says_so_and_nothing_else() {
    let mut office = office();
    office.http = format!(", public_url: '{PUBLIC}', link_ttl: 1h");
    let (running, call, _) = told(&office).await;
    let callback = path(&call["links"]["callback"]);
    let token = callback.split('/').nth(3).unwrap();
    let forged = format!("/l/{}A{}", &token[..20], &token[21..]);
    for path in [forged.as_str(), "/l/abc", "/l/%00", "/l/..%2f..%2fetc"] {
        let (status, html) = page(&office, path).await;
        assert_eq!(status, 404, "{path}");
        assert!(html.contains("Bağlantı geçersiz") && !html.contains("0312"), "{html}");
    }
    let english = send(&office, "GET", &forged, &[BROWSER, ("accept-language", "en-GB,tr;q=0.5")], "").await;
    assert!(english.text_lossy().contains("The link is not valid"));
    office.pass(&running, HOUR, 10 * MINUTE).await;
    for method in ["GET", "POST"] {
        let answer = send(&office, method, &callback, &[BROWSER], "").await;
        let html = answer.text_lossy();
        assert_eq!(answer.status.as_u16(), 410);
        assert!(html.contains("süresi dolmuş") && !html.contains("0312"), "{html}");
    }
    assert!(office.asked(Endpoint::Originate).is_empty());
    running.stop().await;
}

#[tokio::test]
async fn the_page_of_a_channel_that_sees_no_full_numbers_shows_none() {
    let mut office = office();
    office.crm = ", mask_numbers: true".to_owned();
    let (running, call, _) = told(&office).await;
    let callback = path(&call["links"]["callback"]);
    let (_, html) = page(&office, &callback).await;
    assert!(html.contains("0312 *** ** 67") && !html.contains("1234567") && !html.contains("tel:"), "{html}");
    assert!(send(&office, "POST", &callback, &[], "").await.status.is_success(), "it may be called back all the same");
    running.stop().await;
}

#[tokio::test]
async fn links_work_under_the_path_of_a_proxy_and_without_it_and_after_a_restart() {
    let office = office();
    let (running, call, _) = told(&office).await;
    let callback = path(&call["links"]["callback"]);
    let stripped = callback.strip_prefix("/ringback").unwrap();
    let (status, html) = page(&office, stripped).await;
    assert_eq!(status, 200);
    assert!(html.contains(&format!("action=\"{callback}\"")), "{html}");
    running.stop().await;
    let running = office.run().await;
    office.idle(&running).await;
    assert_eq!(page(&office, &callback).await.0, 200);
    running.stop().await;
}
