//! Instant detection: the PBX posts that a call has ended, and the call is told within a second or two.

use std::time::Duration;

use ringback::sim::pbx::{Crm, Endpoint, Fault, SimCall};
use ringback::sim::receiver::{HttpReceiver, Kind, Mode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::binary::{configure, run};
use crate::harness::{Office, Running, free_port, in_time};

const SECRET: &str = "s3cret_of-the-hook";
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// An office whose PBX posts to a ringback that announces at once.
struct Pushed {
    office: Office,
    port: u16,
}

impl Pushed {
    fn new() -> Self {
        let (mut office, port) = (Office::new(), free_port());
        office.listen = format!("127.0.0.1:{port}");
        office.extra = format!("push: {{secret: {SECRET}}}");
        "grace: 0s".clone_into(&mut office.missed_calls);
        let url = format!("http://127.0.0.1:{port}/hooks/pbx/main/{SECRET}");
        office.pbx.configure(|options| {
            options.crm = Crm { hangup: true, notification_url: Some(url), ..Crm::default() };
        });
        Self { office, port }
    }

    /// A call that nobody answered ends now and is listed so much later.
    fn miss(&self, uuid: &str, visible_after: Duration) {
        let call = SimCall::missed(uuid, self.office.now(), 20 * SECOND);
        self.office.pbx.add_call(SimCall { visible_after, ..call });
    }

    /// Until the hook has answered so many posts.
    async fn posted(&self, running: &Running, n: usize) {
        let answered = in_time(self.office.pbx.wait_for_posts(n)).await;
        assert!(answered.iter().all(|status| *status == 200), "{answered:?}");
        self.office.idle(running).await;
    }

    async fn post(&self, path: &str, body: &str) -> String {
        post(self.port, path, body).await
    }
}

async fn post(port: u16, path: &str, body: &str) -> String {
    let mut stream = in_time(TcpStream::connect(("127.0.0.1", port))).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    in_time(stream.write_all(request.as_bytes())).await.unwrap();
    let mut answer = String::new();
    in_time(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

fn status(answer: &str) -> &str {
    &answer["HTTP/1.1 ".len()..][..3]
}

#[tokio::test]
async fn a_missed_call_is_told_within_a_second_and_a_half_of_its_end() {
    let pushed = Pushed::new();
    let running = pushed.office.run().await;
    // Between two regular reads.
    pushed.office.pass(&running, 7 * SECOND, SECOND).await;
    pushed.miss("c1", 500 * MS);
    pushed.posted(&running, 1).await;
    let told = || pushed.office.told() == ["call.missed c1"];
    let took = pushed.office.pass_until(&running, 5 * SECOND, 50 * MS, told).await;
    assert!(took.is_some_and(|took| took <= 1500 * MS), "{took:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_call_that_is_not_visible_yet_is_looked_for_once_more_and_then_by_the_regular_reads() {
    let pushed = Pushed::new();
    let running = pushed.office.run().await;
    pushed.office.pass(&running, 2 * SECOND, SECOND).await;
    pushed.miss("slow", 4 * SECOND);
    pushed.posted(&running, 1).await;
    let told = || pushed.office.told() == ["call.missed slow"];
    let took = pushed.office.pass_until(&running, 20 * SECOND, 250 * MS, told).await.unwrap();
    assert!(took > 4 * SECOND && took < 7 * SECOND, "{took:?}");
    pushed.miss("slower", 10 * SECOND);
    pushed.posted(&running, 2).await;
    let told = || pushed.office.told() == ["call.missed slow", "call.missed slower"];
    let took = pushed.office.pass_until(&running, 40 * SECOND, 250 * MS, told).await.unwrap();
    assert!(took > 10 * SECOND, "{took:?}");
    running.stop().await;
}

#[tokio::test]
async fn with_a_grace_a_pushed_call_may_still_be_returned() {
    let mut pushed = Pushed::new();
    "grace: 60s".clone_into(&mut pushed.office.missed_calls);
    let running = pushed.office.run().await;
    pushed.office.pass(&running, 2 * SECOND, SECOND).await;
    pushed.miss("c1", 500 * MS);
    pushed.posted(&running, 1).await;
    pushed.office.pass(&running, 10 * SECOND, SECOND).await;
    pushed.office.pbx.set_returned("c1", "c2");
    pushed.office.pass(&running, 120 * SECOND, 10 * SECOND).await;
    assert_eq!(pushed.office.told(), [""; 0]);
    running.stop().await;
}

#[tokio::test]
async fn the_hook_answers_every_post_with_the_secret_and_hides_from_every_other() {
    let pushed = Pushed::new();
    let running = pushed.office.run().await;
    let hook = format!("/hooks/pbx/main/{SECRET}");
    for body in ["", "event_type=ringing&call_uuid=x", "{\"event\": 1}", "\u{0}\u{fffd}%%%=&&", "event_type=hangup"] {
        assert_eq!(status(&pushed.post(&hook, body).await), "200", "{body}");
    }
    for path in [
        "/hooks/pbx/main/s3cret_of-the-hooK".to_owned(),
        "/hooks/pbx/main/".to_owned(),
        format!("/hooks/pbx/other/{SECRET}"),
        format!("/hooks/pbx/%ff/{SECRET}"),
        format!("/hooks/pbx/main/{SECRET}/more"),
    ] {
        assert_eq!(status(&pushed.post(&path, "event_type=hangup").await), "404", "{path}");
    }
    running.stop().await;
    let mut closed = Pushed::new();
    closed.office.extra.clear();
    let running = closed.office.run().await;
    assert_eq!(status(&closed.post(&hook, "").await), "404", "without a secret there is no hook");
    assert_eq!(status(&closed.post("/hooks/pbx/main/", "").await), "404");
    running.stop().await;
}

#[tokio::test]
async fn an_account_with_a_turkish_name_has_a_hook() {
    let pushed = Pushed::new();
    let yaml = pushed.office.yaml().replace("{name: main,", "{name: 'İzmir-şube',");
    let config = ringback::config::parse("c.yaml", yaml.as_bytes(), pushed.office.folder.path(), &|_| None).unwrap();
    let running = pushed.office.run_with(&config).await;
    let hook = format!("/hooks/pbx/%C4%B0zmir-%C5%9Fube/{SECRET}");
    assert_eq!(status(&pushed.post(&hook, "").await), "200");
    running.stop().await;
}

#[tokio::test]
async fn nothing_that_was_posted_is_told_or_kept() {
    let pushed = Pushed::new();
    let running = pushed.office.run().await;
    let event = "event_type=hangup&direction=inbound&call_uuid=made-up&caller_id_number=05321234567&answered=false";
    assert_eq!(status(&pushed.post(&format!("/hooks/pbx/main/{SECRET}"), event).await), "200");
    pushed.office.pass(&running, 60 * SECOND, SECOND).await;
    assert_eq!(pushed.office.told(), [""; 0]);
    assert!(running.store().list(&|_| true).await.unwrap().is_empty());
    running.stop().await;
}

#[tokio::test]
async fn a_call_that_an_extension_took_costs_no_request() {
    let pushed = Pushed::new();
    let running = pushed.office.run().await;
    pushed.office.pass(&running, 2 * SECOND, SECOND).await;
    let before = pushed.office.asked(Endpoint::Cdrs).len();
    pushed.office.pbx.add_call(SimCall::answered("c1", pushed.office.now(), 60 * SECOND));
    pushed.posted(&running, 1).await;
    pushed.office.pass(&running, 10 * SECOND, SECOND).await;
    assert_eq!(pushed.office.asked(Endpoint::Cdrs).len(), before);
    running.stop().await;
}

#[tokio::test]
async fn a_storm_of_hangups_keeps_within_the_limit_and_delays_no_regular_read() {
    let pushed = Pushed::new();
    let running = pushed.office.run().await;
    let hook = format!("/hooks/pbx/main/{SECRET}");
    for n in 0..120 {
        for of in ["a", "b"] {
            let event = format!("event_type=hangup&direction=inbound&call_uuid={n}{of}&answered=false");
            pushed.post(&hook, &event).await;
        }
        if n % 30 == 10 {
            pushed.miss(&n.to_string(), 500 * MS);
        }
        pushed.office.pass(&running, 2 * SECOND, 500 * MS).await;
    }
    assert_eq!(pushed.office.pbx.max_in_window(Endpoint::Cdrs, 60 * SECOND), 6);
    assert!(pushed.office.asked(Endpoint::Cdrs).iter().all(|request| request.answered == 200));
    let reads: Vec<Duration> = pushed
        .office
        .asked(Endpoint::Cdrs)
        .iter()
        .filter(|request| request.params.contains_key("missed"))
        .map(|request| request.at.tick)
        .collect();
    let longest = reads.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= 31 * SECOND, "{longest:?}");
    assert_eq!(pushed.office.told().len(), 4);
    running.stop().await;
}

/// The bodies that a receiver has taken, in the order of their arrival.
fn taken(receiver: &HttpReceiver) -> Vec<String> {
    let taken = receiver.received().into_iter().filter(|received| received.answered == 200);
    taken.map(|received| String::from_utf8_lossy(&received.body).into_owned()).collect()
}

#[tokio::test]
async fn events_are_passed_on_unchanged_and_in_order_and_an_outage_delays_nothing() {
    let mut pushed = Pushed::new();
    let crm = HttpReceiver::start(pushed.office.clock.clone(), Kind::Plain).unwrap();
    pushed.office.extra = format!("push: {{secret: {SECRET}, forward_to: '{}'}}", crm.url());
    let running = pushed.office.run().await;
    pushed.office.pass(&running, 2 * SECOND, SECOND).await;
    let hook = format!("/hooks/pbx/main/{SECRET}");
    crm.set_mode(Mode::Status(503));
    let bodies = ["event_type=ringing&x=%C4%B0+%7E&&=", "not=an&event", "event_type=answer"];
    for body in bodies {
        assert_eq!(status(&pushed.post(&hook, body).await), "200");
    }
    assert_eq!(status(&pushed.post(&hook, "").await), "200", "a trial is not passed on");
    in_time(crm.wait_for_total(1)).await;
    pushed.miss("c1", 500 * MS);
    pushed.posted(&running, 1).await;
    let told = || pushed.office.told() == ["call.missed c1"];
    assert!(pushed.office.pass_until(&running, 1500 * MS, 250 * MS, told).await.is_some());
    crm.set_mode(Mode::Ok);
    for n in 1.. {
        assert!(n < 100, "{:?}", taken(&crm));
        if taken(&crm).len() == 4 {
            break;
        }
        pushed.office.pass(&running, 5 * SECOND, SECOND).await;
    }
    let taken = taken(&crm);
    assert_eq!(taken[..3], bodies);
    assert!(taken[3].contains("call_uuid=c1"), "{}", taken[3]);
    let first = &crm.received()[0];
    assert_eq!(first.header("content-type"), Some("application/x-www-form-urlencoded"));
    running.stop().await;
}

#[tokio::test]
async fn what_waits_to_be_passed_on_gets_a_last_chance_at_the_stop() {
    let mut pushed = Pushed::new();
    let crm = HttpReceiver::start(pushed.office.clock.clone(), Kind::Plain).unwrap();
    pushed.office.extra = format!("push: {{secret: {SECRET}, forward_to: '{}'}}", crm.url());
    let running = pushed.office.run().await;
    crm.set_mode(Mode::Status(503));
    let hook = format!("/hooks/pbx/main/{SECRET}");
    for body in ["event_type=a", "event_type=b"] {
        pushed.post(&hook, body).await;
    }
    in_time(crm.wait_for_total(1)).await;
    crm.set_mode(Mode::Ok);
    running.stop().await;
    assert_eq!(taken(&crm), ["event_type=a", "event_type=b"]);
}

/// `ringback push …` as an administrator would say it: exit code, stdout, stderr.
async fn command(office: &Office, arguments: &'static [&'static str]) -> (Option<i32>, String, String) {
    let folder = office.folder.path().to_owned();
    configure(&folder, &office.yaml());
    let run = move || run(&folder, &[&["push"], arguments].concat());
    let ended = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(!format!("{ended:?}").contains(SECRET), "{ended:?}");
    (ended.code, ended.stdout, ended.stderr)
}

const INSTALL: &[&str] = &["install", "--account", "main"];

fn office_on_the_web() -> Office {
    let mut office = Office::new();
    "127.0.0.1:8380".clone_into(&mut office.listen);
    ", public_url: 'https://calls.example.com/ringback'".clone_into(&mut office.http);
    office.extra = format!("push: {{secret: {SECRET}}}");
    office
}

fn set_at(office: &Office) -> Crm {
    let mut set = Crm::default();
    office.pbx.configure(|options| set = options.crm.clone());
    set
}

#[tokio::test]
async fn install_sets_the_url_where_none_is_and_changes_nothing_the_second_time() {
    let office = office_on_the_web();
    office.pbx.configure(|options| options.crm.ringing = true);
    let (code, said, _) = command(&office, &["status"]).await;
    assert_eq!((code, said.as_str()), (Some(0), "account main: the PBX posts nothing: no URL is set\n"));
    let (code, said, _) = command(&office, INSTALL).await;
    assert_eq!(code, Some(0), "{said}");
    let url = format!("https://calls.example.com/ringback/hooks/pbx/main/{SECRET}");
    let expected = Crm { ringing: true, answered: false, hangup: true, notification_url: Some(url) };
    assert_eq!(set_at(&office), expected, "the other switches are as they were");
    let asked = office.asked(Endpoint::SetCrm);
    assert!(!asked[0].target.contains(office.pbx.key()), "the key travels in the form");
    let (code, said, _) = command(&office, INSTALL).await;
    assert_eq!(code, Some(0));
    assert!(said.ends_with("account main: nothing to do\n"), "{said}");
    assert_eq!(office.asked(Endpoint::SetCrm).len(), 1);
    let (_, said, _) = command(&office, &["status"]).await;
    assert_eq!(
        said,
        "account main: the PBX posts to https://calls.example.com/ringback/hooks/pbx/main/*** (ours); \
         ringing on, answered off, hangup on\n"
    );
}

#[tokio::test]
async fn install_leaves_the_url_of_somebody_else_alone_unless_it_is_forced_and_says_what_it_was() {
    let office = office_on_the_web();
    let theirs = "https://crm.example.com/events?token=theirs";
    let before = Crm { answered: true, notification_url: Some(theirs.to_owned()), ..Crm::default() };
    office.pbx.configure(|options| options.crm = before.clone());
    let (code, said, complained) = command(&office, INSTALL).await;
    assert_eq!(code, Some(1));
    assert!(said.contains(theirs) && complained.contains("push.forward_to") && complained.contains("--force"));
    assert_eq!(set_at(&office), before);
    let (code, said, _) = command(&office, &["install", "--account", "main", "--force"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(theirs) && said.contains("push.forward_to"), "{said}");
    let set = set_at(&office);
    assert!(set.hangup && set.answered && set.notification_url.is_some_and(|url| url.ends_with(SECRET)));
}

#[tokio::test]
async fn install_replaces_a_url_of_ours_whose_secret_has_changed() {
    let office = office_on_the_web();
    let old = "https://calls.example.com/ringback/hooks/pbx/main/an-older-secret-of-ours".to_owned();
    office.pbx.configure(|options| options.crm.notification_url = Some(old));
    let (code, said, _) = command(&office, INSTALL).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("an-older-secret"), "{said}");
    assert!(set_at(&office).notification_url.is_some_and(|url| url.ends_with(SECRET)));
}

#[tokio::test]
async fn push_commands_say_what_they_lack() {
    let mut office = office_on_the_web();
    let (code, _, complained) = command(&office, &["install", "--account", "other"]).await;
    assert_eq!((code, complained.as_str()), (Some(2), "error: there is no account `other`\nhint: there is main\n"));
    office.pbx.fault(Endpoint::Crm, Fault::BadKeyEcho, 1);
    let (code, _, complained) = command(&office, &["status"]).await;
    assert_eq!(code, Some(1));
    assert!(complained.contains("refused the API key") && !complained.contains(office.pbx.key()), "{complained}");
    office.http.clear();
    let (code, _, complained) = command(&office, &["status"]).await;
    assert_eq!(code, Some(2));
    assert!(complained.contains("`http.public_url` is not set") && complained.contains("hint: "), "{complained}");
}
